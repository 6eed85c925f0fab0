#!/bin/sh
# Tests render MIDI with FluidSynth; install it where we may, else the tests that need it say so and skip.
set -u
if command -v fluidsynth >/dev/null 2>&1 && [ -e /usr/share/sounds/sf2/FluidR3_GM.sf2 ]; then
    exit 0
fi
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends fluidsynth fluid-soundfont-gm >/dev/null && exit 0
fi
echo "fluidsynth or its soundfont is missing: tests of MIDI rendering will be skipped" >&2
