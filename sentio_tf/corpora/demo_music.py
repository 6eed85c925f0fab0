"""What is played: themes, their scores, and the performance of a song."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from .demo_cues import LEAST, SONG_EFFECT, THEME_EFFECT, Cues, draw_cues, formula, positions
from .demo_sound import CHORDS, LEADS, LOWS, PATCHES, RATE, Line, kick, noise, reverberate, tone

VERSION = 1  # of what is composed: another version makes other songs of the same seed
VERSIONS = 4  # songs of one theme, one for each quadrant


# -- Themes ---------------------------------------------------------------------------------------

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
# Degrees of four bars.  Each begins on the tonic: a theme must be in the mode its label names.
PROGRESSIONS = (
    (0, 5, 3, 4),
    (0, 3, 4, 0),
    (0, 4, 5, 3),
    (0, 5, 1, 4),
    (0, 2, 3, 4),
    (0, 3, 0, 4),
    (0, 3, 5, 4),
    (0, 0, 3, 4),
)
# Lengths of a bar's notes in beats, for bars of three and four beats.
RHYTHMS = {
    3: ((1, 1, 1), (2, 1), (1.5, 0.5, 1), (1, 0.5, 0.5, 1), (0.5, 0.5, 0.5, 0.5, 1), (1, 1, 0.5, 0.5)),
    4: (
        (1, 1, 1, 1),
        (1.5, 0.5, 1, 1),
        (2, 1, 1),
        (1, 0.5, 0.5, 2),
        (0.5, 0.5, 1, 1, 1),
        (1, 1, 0.5, 0.5, 1),
        (0.5, 0.5, 0.5, 0.5, 1, 1),
        (1.5, 1.5, 1),
    ),
}
ACCOMPANIMENTS = ("held", "beats", "offbeats", "arpeggio", "alberti")
BASS_LINES = ("bars", "fifths", "octaves")
STEPS = (-2, -1, -1, 1, 1, 2, 3)


@dataclass(frozen=True)
class Theme:
    """What the versions of a theme share; `melody` is eight bars of `(beat, length in beats, degree)`."""

    key: tuple[int, int]  # seed and number
    tonic: int  # semitones from D4
    beats: int  # a bar
    chords: tuple[int, ...]  # degree of each of the eight bars
    melody: tuple[tuple[tuple[float, float, int], ...], ...]
    accompaniment: str
    bass_line: str
    lead: str
    harmony: str
    low: str
    drums: bool
    room_s: float
    room_share: float
    effect: tuple[float, float]


def compose_theme(seed: int, number: int) -> Theme:
    """The theme of a number, whatever other themes there are."""
    rng = _rng(seed, "theme", number)
    beats = 3 if rng.random() < 0.25 else 4
    half = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
    chords = (*half, *half[:2], 4, 0)
    cells = [RHYTHMS[beats][i] for i in rng.permutation(len(RHYTHMS[beats]))[:3]]
    degree = int(rng.integers(2, 6))
    bars: list[tuple[tuple[float, float, int], ...]] = []
    for bar, chord in enumerate(chords):
        if bar in (4, 5):  # the second half begins as the first
            bars.append(bars[bar - 4])
            degree = bars[-1][-1][2]
            continue
        if bar == 7:
            bars.append(((0.0, float(beats), 7 if degree > 3 else 0),))
            continue
        notes, at = [], 0.0
        for length in cells[(0, 1, 0, 2)[bar % 4]]:
            degree += int(rng.choice(STEPS))
            degree = -1 - degree if degree < 0 else 18 - degree if degree > 9 else degree
            if at == 0:  # a bar begins on a tone of its chord, which is never more than a step away
                degree = next(d for d in (degree, degree + 1, degree - 1) if (d - chord) % 7 in (0, 2, 4))
            notes.append((at, length, degree))
            at += length
        bars.append(tuple(notes))
    return Theme(
        key=(seed, number),
        tonic=int(rng.integers(-3, 4)),
        beats=beats,
        chords=chords,
        melody=tuple(bars),
        accompaniment=ACCOMPANIMENTS[rng.integers(len(ACCOMPANIMENTS))],
        bass_line=BASS_LINES[rng.integers(len(BASS_LINES))],
        lead=LEADS[rng.integers(len(LEADS))],
        harmony=CHORDS[rng.integers(len(CHORDS))],
        low=LOWS[rng.integers(len(LOWS))],
        drums=bool(rng.random() < 0.6),
        room_s=round(float(rng.uniform(0.6, 1.6)), 2),
        room_share=round(float(rng.uniform(0.1, 0.25)), 2),
        effect=_effect(rng, THEME_EFFECT),
    )


class Note(NamedTuple):
    """A note of a score: start and length in beats, MIDI pitch (0 is a drum), part and gain."""

    at: float
    length: float
    pitch: int
    part: str
    gain: float


def pitch(degree: int, mode: str, chord: int) -> int:
    """Semitones above the tonic of a scale degree; the minor scale has its leading tone over the dominant."""
    leading = mode == "minor" and chord == 4 and degree % 7 == 6
    return SCALES[mode][degree % 7] + 12 * (degree // 7) + leading


def score(theme: Theme, cues: Cues, beats: float) -> Iterator[Note]:
    """Notes of the theme, repeated over `beats`: alone, with a second voice, in turn."""
    tonic = 62 + theme.tonic + cues.register
    place = positions(cues)
    drums = theme.drums and place["tempo_bpm"] + place["loudness_db"] > 0
    for bar in range(math.ceil(beats / theme.beats)):
        start, where = bar * theme.beats, bar % 8
        chord = theme.chords[where]
        semitone = partial(pitch, mode=cues.mode, chord=chord)
        swell = 0.85 + 0.15 * math.sin(math.pi * (where % 4 + 0.5) / 4)
        for at, length, degree in theme.melody[where]:
            gain = swell * (1.1 if at == 0 else 1.0)
            yield Note(start + at, length, tonic + semitone(degree), "lead", gain)
            if bar // 8 % 2:
                yield Note(start + at, length, tonic + semitone(degree - 2), "lead", 0.45 * gain)
        triad = sorted(tonic - 8 + (semitone(chord + third) + 8) % 12 for third in (0, 2, 4))
        for at, length, tones in _accompany(theme.accompaniment, theme.beats):
            for i in tones:
                yield Note(start + at, length, triad[i], "harmony", swell)
        root = 33 + (tonic + semitone(chord) - 33) % 12 + (12 if cues.register > 3 else 0)
        for at, length, interval in _walk(theme.bass_line, theme.beats):
            yield Note(start + at, length, root + interval, "low", 1.0)
        if drums:
            yield from (Note(start + b, 1, 0, "kick", 1.0) for b in range(0, theme.beats, 2 if theme.beats == 4 else 3))
            yield from (Note(start + b, 1, 0, "snare", 1.0) for b in range(1, theme.beats, 2))
            yield from (Note(start + b / 2, 1, 0, "hat", 0.6 + 0.4 * (b % 2)) for b in range(2 * theme.beats))


def _accompany(style: str, beats: int) -> Iterator[tuple[float, float, tuple[int, ...]]]:
    """Beat, length and chord tones of one bar."""
    if style == "held":
        yield 0, beats, (0, 1, 2)
    elif style == "beats":
        yield from ((b, 1, (0, 1, 2)) for b in range(beats))
    elif style == "offbeats":
        yield from ((b + 0.5, 0.5, (0, 1, 2)) for b in range(beats))
    else:
        order = (0, 1, 2, 1) if style == "arpeggio" else (0, 2, 1, 2)
        yield from ((b / 2, 0.5, (order[b % 4],)) for b in range(2 * beats))


def _walk(style: str, beats: int) -> Iterator[tuple[float, float, int]]:
    """Beat, length and interval above the root of one bar's bass."""
    if style == "bars":
        yield 0, beats, 0
    elif style == "fifths":
        yield from ((b, 1, 7 if b == 2 else 0) for b in range(beats))
    else:
        yield from ((b / 2, 0.5, 12 if b % 2 else 0) for b in range(2 * beats))


# -- Performance ----------------------------------------------------------------------------------

# Of tones of power 1; together they make the mean level of a song about `loudness_db`.
GAINS = {"lead": 1.35, "harmony": 0.60, "low": 1.10, "kick": 2.30, "snare": 0.45, "hat": 0.22}
START_S = 0.03


def perform(theme: Theme, cues: Cues, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Samples `(n,)` at `RATE` in (-1, 1), float32: the score, played by a hand and heard in a room.

    `rng` is the hand: onsets spread by 6 ms and gains by 6 %.  Nothing is normalised: the level is
    `cues.loudness_db` within a few dB, as instruments and articulation have it.
    """
    beat_s = 60 / cues.tempo_bpm
    patches = {"lead": PATCHES[theme.lead], "harmony": PATCHES[theme.harmony], "low": PATCHES[theme.low]}
    partials = {part: patch.tilted(cues.timbre) for part, patch in patches.items()}
    drums = {"kick": kick(), "snare": noise(0.16, 28, rng), "hat": noise(0.05, 90, rng)}
    rendered: dict[tuple[str, int, float], np.ndarray] = {}

    def sound(note: Note) -> np.ndarray:
        if note.part in drums:
            return drums[note.part]
        length_s = round(max(0.07, note.length * cues.articulation * beat_s), 3)
        key = (note.part, note.pitch, length_s)
        if key not in rendered:
            patch = patches[note.part]
            rendered[key] = tone(
                note.pitch,
                length_s,
                partials=partials[note.part],
                decay=patch.decay,
                attack=min(patch.attack, length_s / 3),
                vibrato=patch.vibrato,
            )
        return rendered[key]

    band, drummer = Line(seconds), Line(seconds)
    for note in score(theme, cues, seconds / beat_s):
        late_s = float(np.clip(rng.normal(0, 0.006), -0.02, 0.02))
        gain = note.gain * GAINS[note.part] * (1 + 0.06 * float(np.clip(rng.normal(), -2, 2)))
        line = drummer if note.part in drums else band
        line.add(START_S + note.at * beat_s + late_s, sound(note), gain)
    hall = _rng(theme.key[0], "room", theme.key[1])
    samples = reverberate(band.samples, hall, seconds=theme.room_s, share=theme.room_share) + drummer.samples
    samples = np.tanh(samples * 10 ** (cues.loudness_db / 20))  # bends the highest peaks only
    fade = min(len(samples) // 10, RATE // 4)
    samples[-fade:] *= np.linspace(1, 0, fade)
    return (0.98 * (samples - samples.mean())).astype(np.float32)


# -- Songs ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Song:
    """A version of a theme with its label, and the effect that is in the label besides its cues."""

    number: int
    theme: Theme
    cues: Cues
    valence: float
    arousal: float
    effect: tuple[float, float]

    @property
    def group(self) -> str:
        return f"theme{self.number // VERSIONS:03d}"

    @property
    def track_id(self) -> str:
        return f"{self.group}-{self.number % VERSIONS}"


def compose_song(seed: int, number: int) -> Song:
    """The song of a number, which depends on nothing but `seed` and `number`.

    Its cues are drawn until the label falls into the version's quadrant, so that a theme has one
    version in each and no cue goes with a quadrant always.
    """
    theme = compose_theme(seed, number // VERSIONS)
    rng = _rng(seed, "song", number)
    own = _effect(rng, SONG_EFFECT)
    effect = (round(theme.effect[0] + own[0], 3), round(theme.effect[1] + own[1], 3))
    signs = ((1, 1), (-1, 1), (-1, -1), (1, -1))[(number + number // VERSIONS) % 4]
    while True:
        cues = draw_cues(rng)
        valence, arousal = formula(cues, effect)
        if all(LEAST <= sign * value < 1 for sign, value in zip(signs, (valence, arousal), strict=True)):
            return Song(number, theme, cues, valence, arousal, effect)


def synthesize(song: Song, seconds: float) -> np.ndarray:
    """Samples `(n,)` of a song, float32 at `RATE`."""
    return perform(song.theme, song.cues, seconds, _rng(song.theme.key[0], "hand", song.number))


USES = ("theme", "song", "hand", "room")


def _rng(seed: int, use: str, number: int) -> np.random.Generator:
    """A stream of its own for each use, so that no draw moves another."""
    return np.random.default_rng([seed, USES.index(use), number])


def _effect(rng: np.random.Generator, size: float) -> tuple[float, float]:
    valence, arousal = rng.uniform(-size, size, 2)
    return round(float(valence), 3), round(float(arousal), 3)
