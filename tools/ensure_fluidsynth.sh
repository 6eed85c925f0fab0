#!/bin/sh
# Tests render MIDI with FluidSynth; install it where we may, else the tests that need it say so and skip.
set -u
command -v fluidsynth >/dev/null 2>&1 && [ -e /usr/share/sounds/sf2/FluidR3_GM.sf2 ] && exit 0
"$(dirname "$0")/apt_install.sh" fluidsynth fluid-soundfont-gm && exit 0
echo "fluidsynth or its soundfont is missing: tests of MIDI rendering will be skipped" >&2
