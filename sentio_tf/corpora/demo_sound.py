"""What is heard: tones, drums and a room, and the instruments made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

RATE = 22_050  # Hz


def hertz(note: float) -> float:
    """Frequency of a MIDI note in Hz, equal temperament, A4 = 440 Hz."""
    return 440 * 2 ** ((note - 69) / 12)


def tone(
    note: float,
    seconds: float,
    *,
    partials,
    decay: float,
    attack: float = 0.004,
    release: float = 0.03,
    vibrato: float = 0.0,
    rate: int = RATE,
) -> np.ndarray:
    """Sum of partials `(ratio, amplitude)` `(n,)`, the higher ones dying sooner.

    `decay` in 1/s of the first partial, `attack` and `release` in s, `vibrato` in s of time shift,
    5.5 times a second.  Partials above 12 kHz or 0.45 of `rate` (Hz) are left out.
    """
    t = np.arange(int(seconds * rate)) / rate
    shifted = t + vibrato * np.sin(2 * np.pi * 5.5 * t) if vibrato else t
    out = np.zeros_like(t)
    for ratio, amplitude in partials:
        if hertz(note) * ratio < min(12_000, 0.45 * rate):
            out += amplitude * np.exp(-decay * ratio**0.6 * t) * np.sin(2 * np.pi * hertz(note) * ratio * shifted)
    out *= np.minimum(1, t / attack) * np.minimum(1, (seconds - t) / release)
    return out


def kick(*, rate: int = RATE) -> np.ndarray:
    """A bass drum: a sine that falls, 0.28 s."""
    t = np.arange(int(0.28 * rate)) / rate
    return np.sin(2 * np.pi * (48 * t + 9 * (1 - np.exp(-t * 34)))) * np.exp(-t * 13)


def noise(seconds: float, decay: float, rng: np.random.Generator, *, rate: int = RATE) -> np.ndarray:
    """A snare drum or cymbal: bright noise that decays with `decay` in 1/s."""
    t = np.arange(int(seconds * rate)) / rate
    white = rng.standard_normal(len(t))
    return np.diff(white, prepend=0) * np.exp(-t * decay)


class Line:
    """A mono line of `seconds` that sounds are added to; `samples` is `(n,)`."""

    def __init__(self, seconds: float, *, rate: int = RATE):
        self.rate = rate
        self.samples = np.zeros(int(seconds * rate))

    def add(self, at_s: float, sound: np.ndarray, gain: float) -> None:
        start = int(at_s * self.rate)
        sound = sound[: max(0, len(self.samples) - start)]
        self.samples[start : start + len(sound)] += gain * sound


def reverberate(
    dry: np.ndarray, rng: np.random.Generator, *, seconds: float, share: float, rate: int = RATE
) -> np.ndarray:
    """Convolution with decaying noise, a plain room; same length as `dry` `(n,)`."""
    t = np.arange(int(seconds * rate)) / rate
    room = rng.standard_normal(len(t)) * np.exp(-5 * t / seconds) * np.minimum(1, t / 0.02)
    room /= np.sqrt(np.sum(room**2))
    size = 1 << (len(dry) + len(room)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(room, size), size)[: len(dry)]
    return (1 - share) * dry + share * wet


# -- Instruments ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Patch:
    """An instrument: partials `(ratio, amplitude)`, decay in 1/s, attack and vibrato in s."""

    partials: tuple[tuple[float, float], ...]
    decay: float
    attack: float = 0.004
    vibrato: float = 0.0

    def tilted(self, slope: float) -> tuple[tuple[float, float], ...]:
        """Partials with `slope` dB per octave added, at a power of 1: brighter is not louder."""
        tilted = [(ratio, amplitude * ratio ** (slope / (20 * math.log10(2)))) for ratio, amplitude in self.partials]
        level = math.sqrt(sum(amplitude**2 for _, amplitude in tilted) / 2)
        return tuple((ratio, amplitude / level) for ratio, amplitude in tilted)


PATCHES = {
    "piano": Patch(tuple((k * (1 + 3e-4 * k * k) ** 0.5, k**-1.5) for k in range(1, 13)), 1.6),
    "guitar": Patch(tuple((k, abs(math.sin(0.55 * k)) / k) for k in range(1, 12)), 2.6, 0.003),
    "marimba": Patch(((1, 1), (2, 0.12), (4, 0.35), (6, 0.04), (9.9, 0.1)), 4.5, 0.003),
    "flute": Patch(tuple((k, 3.0**-k) for k in range(1, 8)), 0.1, 0.05, 3e-5),
    "clarinet": Patch(tuple((k, (1 if k % 2 else 0.15) / k) for k in range(1, 12)), 0.1, 0.03),
    "strings": Patch(tuple((k + d, k**-1.2) for k in range(1, 8) for d in (-0.004, 0.003)), 0.1, 0.08, 5e-5),
    "brass": Patch(tuple((k, k**-0.9 * (1 - math.exp(-0.9 * k))) for k in range(1, 10)), 0.3, 0.04),
    "organ": Patch(((1, 1), (2, 0.7), (3, 0.35), (4, 0.4), (6, 0.15), (8, 0.2)), 0.0, 0.015),
    "bass": Patch(tuple((k, k**-1.3) for k in range(1, 7)), 1.5, 0.008),
}
LEADS = ("piano", "guitar", "marimba", "flute", "clarinet", "strings", "brass")
CHORDS = ("piano", "guitar", "strings", "organ", "marimba")
LOWS = ("bass", "piano", "strings")
