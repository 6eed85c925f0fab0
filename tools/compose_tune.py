"""Compose and render the bundled tune: a quiet minor half, then a lively major half, about 47 s.

Everything is additive synthesis from the score below; no sample, no sound of anybody else.

    python tools/compose_tune.py sentio_tf/assets/two_moods.mp3
"""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import soundfile

from sentio_tf.corpora import demo_sound

RATE = 44_100
RNG = np.random.default_rng(17)

# One bar a chord; the lead is (beat, MIDI note, beats).
QUIET_BARS = [(45, 60, 64, 69), (41, 57, 60, 65), (38, 57, 62, 65), (40, 56, 59, 64)]
QUIET_LEAD = [
    [(0, 76, 2), (2, 74, 1), (3, 72, 1)],
    [(0, 72, 3), (3, 69, 1)],
    [(0, 74, 2), (2, 69, 2)],
    [(0, 71, 4)],
    [(0, 76, 1.5), (1.5, 77, 0.5), (2, 76, 2)],
    [(0, 72, 2), (2, 69, 2)],
    [(0, 65, 2), (2, 69, 1), (3, 71, 1)],
    [(0, 69, 4)],
]
LIVELY_BARS = [(36, 60, 64, 67), (43, 59, 62, 67), (45, 60, 64, 69), (41, 60, 65, 69)]
LIVELY_LEAD = [
    [(0, 79, 0.5), (0.5, 76, 0.5), (1, 79, 0.5), (1.5, 84, 1), (2.5, 83, 0.5), (3, 81, 1)],
    [(0, 79, 0.5), (0.5, 74, 0.5), (1, 79, 0.5), (1.5, 83, 1), (2.5, 81, 0.5), (3, 79, 1)],
    [(0, 81, 0.5), (0.5, 76, 0.5), (1, 81, 0.5), (1.5, 84, 1), (2.5, 88, 0.5), (3, 84, 1)],
    [(0, 84, 1), (1, 81, 0.5), (1.5, 77, 0.5), (2, 79, 1), (3, 76, 0.5), (3.5, 74, 0.5)],
]


tone = partial(demo_sound.tone, rate=RATE)
kick = partial(demo_sound.kick, rate=RATE)
noise = partial(demo_sound.noise, rng=RNG, rate=RATE)
Track = partial(demo_sound.Line, rate=RATE)
reverberate = partial(demo_sound.reverberate, rng=RNG, rate=RATE)

PIANO = [(k * (1 + 3e-4 * k * k) ** 0.5, 1 / k**1.5) for k in range(1, 13)]
BASS = [(k, 1 / k**1.2) for k in range(1, 7)]
LEAD = [(k, (1 / k) * (0.3 if k % 2 == 0 else 1)) for k in range(1, 14)]
PAD = [(k + d, 0.5 / k**1.7) for k in range(1, 7) for d in (-0.003, 0.003)]


def quiet_half() -> np.ndarray:
    beat = 60 / 76
    track = Track(8 * 4 * beat)
    for bar in range(8):
        root, *chord = QUIET_BARS[bar % 4]
        at = bar * 4 * beat
        track.add(at, tone(root, 4 * beat, partials=PIANO, decay=0.9, attack=0.01), 0.10)
        for step in range(8):
            note = chord[(0, 1, 2, 1, 0, 2, 1, 2)[step]]
            track.add(at + step * beat / 2, tone(note, 2.2 * beat, partials=PIANO, decay=2.2), 0.035)
        for beat_in, note, length in QUIET_LEAD[bar]:
            sound = tone(note, (length + 0.6) * beat, partials=PIANO, decay=1.6)
            track.add(at + beat_in * beat, sound, 0.055 + 0.006 * bar / 8)
    return reverberate(track.samples, seconds=1.8, share=0.35)


def lively_half() -> np.ndarray:
    beat = 60 / 138
    bars = 12
    track, drums = Track(bars * 4 * beat + 1.2), Track(bars * 4 * beat + 1.2)
    for bar in range(bars):
        root, *chord = LIVELY_BARS[bar % 4]
        at = bar * 4 * beat
        for step in range(8):
            note = root + (12 if step % 2 else 0)
            track.add(at + step * beat / 2, tone(note, beat * 0.48, partials=BASS, decay=3), 0.16)
            drums.add(at + step * beat / 2, noise(0.05, 90), 0.05 if step % 2 else 0.03)
        for step in (0.5, 1.5, 2.5, 3.5):
            for note in chord:
                track.add(at + step * beat, tone(note, beat * 0.35, partials=PIANO, decay=5), 0.07)
        for note in chord:
            track.add(at, tone(note, 4 * beat, partials=PAD, decay=0.15, attack=0.08), 0.03)
        for step in (0, 1, 2, 3):
            drums.add(at + step * beat, kick(), 0.42)
            if step % 2:
                drums.add(at + step * beat, noise(0.16, 28), 0.13)
        if bar >= 2:
            for beat_in, note, length in LIVELY_LEAD[bar % 4]:
                sound = tone(note, (length + 0.1) * beat, partials=LEAD, decay=2.0, attack=0.01)
                track.add(at + beat_in * beat, sound, 0.085)
    for note in (36, 60, 64, 67, 72):
        track.add(bars * 4 * beat, tone(note, 1.2, partials=PIANO, decay=2), 0.12)
    return reverberate(track.samples, seconds=0.9, share=0.18) + drums.samples


def main(path: str) -> None:
    tune = np.concatenate([quiet_half(), lively_half()])
    tune = np.tanh(1.25 * tune)
    tune *= 0.89 / np.abs(tune).max()
    tune[-int(0.15 * RATE) :] *= np.linspace(1, 0, int(0.15 * RATE))
    soundfile.write(path, tune.astype(np.float32), RATE, format="MP3", compression_level=0.7)
    print(f"{path}: {len(tune) / RATE:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1])
