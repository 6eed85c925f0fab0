"""The cues a song is composed with, and the formula that makes its label of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from .labels import rescale


@dataclass(frozen=True)
class Cue:
    """Range of a musical cue and its weights in the labels, for the cue mapped to [-1, 1]."""

    low: float
    high: float
    digits: int  # decimals that are kept
    valence: float
    arousal: float


# The sign of a weight is published; its size is ours, and so is every zero.  That cues add up and act
# about linearly is Eerola, Friberg & Bresin (2013), doi:10.3389/fpsyg.2013.00487 (EFB).  Directions:
# EFB; Gabrielsson & Lindström (2010), in Handbook of Music and Emotion, Oxford (GL); Juslin & Laukka
# (2003), doi:10.1037/0033-2909.129.5.770 (JL).
CUES = {
    # fast: activity, joy; slow: calm, sadness (GL, JL)
    "tempo_bpm": Cue(60, 168, 1, valence=0.28, arousal=0.42),
    # major: happy, minor: sad or scary (EFB, GL); minor is -1, major 1
    "mode": Cue(-1, 1, 0, valence=0.30, arousal=0.0),
    # semitones.  high: happy, serene; low: sad, threatening (EFB, GL)
    "register": Cue(-10, 10, 0, valence=0.26, arousal=0.0),
    # nominal dBFS.  loud: excitement, anger; soft: peace, tenderness (GL, JL)
    "loudness_db": Cue(-32, -14, 1, valence=-0.14, arousal=0.42),
    # sounding share of a note.  staccato: energy, anger, joy; legato: sadness, tenderness (GL, JL)
    "articulation": Cue(0.25, 1.05, 2, valence=0.0, arousal=-0.20),
    # dB per octave added to the partials.  many harmonics: activity, anger; few: pleasantness (GL, JL)
    "timbre": Cue(-6, 4, 1, valence=-0.12, arousal=0.20),
}
# What no cue explains, as in ratings: theme and song, uniform within these on both axes.
THEME_EFFECT, SONG_EFFECT = 0.15, 0.05
LEAST = 0.05  # distance of a label from either axis


@dataclass(frozen=True)
class Cues:
    """What a version of a theme is played with; units and ranges in `CUES`, mode `minor` or `major`."""

    tempo_bpm: float = 114.0
    mode: str = "major"
    register: int = 0
    loudness_db: float = -23.0
    articulation: float = 0.65
    timbre: float = -1.0


def positions(cues: Cues) -> dict[str, float]:
    """Every cue within its range, mapped to [-1, 1]."""
    values: dict = asdict(cues) | {"mode": 1 if cues.mode == "major" else -1}
    return {name: rescale(values[name], cue.low, cue.high) for name, cue in CUES.items()}


def formula(cues: Cues, effect: tuple[float, float] = (0.0, 0.0)) -> tuple[float, float]:
    """Valence and arousal in [-1, 1], to three decimals: weighted cues plus the song's `effect`, clipped.

    Linear and additive after Eerola, Friberg & Bresin (2013); the weights are `CUES`.
    """
    place = positions(cues)
    valence = sum(cue.valence * place[name] for name, cue in CUES.items()) + effect[0]
    arousal = sum(cue.arousal * place[name] for name, cue in CUES.items()) + effect[1]
    return round(float(np.clip(valence, -1, 1)), 3), round(float(np.clip(arousal, -1, 1)), 3)


def draw_cues(rng: np.random.Generator) -> Cues:
    """Every cue for itself, uniform over its range."""
    drawn: dict = {
        name: round(float(rng.uniform(cue.low, cue.high)), cue.digits) for name, cue in CUES.items() if name != "mode"
    }
    drawn["register"] = int(drawn["register"])
    return Cues(mode=("minor", "major")[rng.integers(2)], **drawn)
