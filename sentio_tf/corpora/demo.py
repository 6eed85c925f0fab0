"""A small synthetic corpus, composed and synthesised here: for tests, tutorials and CI, never for a result.

Nobody rated this music.  Its labels are a formula of the cues it was composed with (`CUES`), and
the formula, not emotion, is what a model learns from it.  Songs are versions of themes: a theme has
its own melody, harmony, rhythm and instruments, and is the group that no split may divide.

A ridge on mean, deviation and step of log-mel bands predicts arousal across themes (r about .75) and
valence less (.35 to .7, by the songs): its largest cue, the mode, is hardly in such statistics.  Told
the mode it reaches valence nearly as well as arousal.

Sound is additive synthesis, mono at `RATE`; the tones and the room also serve `tools/compose_tune.py`.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import yaml

from ..errors import ConfigError, DataError
from .labels import rescale

VERSION = 1  # of what is composed: another version makes other songs of the same seed
RATE = 22_050  # Hz
VERSIONS = 4  # songs of one theme, one for each quadrant
FORMS = {
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "wav": ("WAV", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
}
Progress = Callable[[str, int, int], None]


# -- Labels ---------------------------------------------------------------------------------------


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


# -- Tones and room -------------------------------------------------------------------------------


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


# -- Songs and corpus -----------------------------------------------------------------------------


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


def compose(
    root: Path,
    *,
    songs: int = 48,
    seconds: float = 30.0,
    seed: int = 0,
    form: str = "flac",
    progress: Progress | None = None,
) -> list[Path]:
    """Write the synthetic corpus that `folder:ROOT` reads; returns the audio files in order.

    `songs` of `seconds` s each, four to a theme (the last theme has fewer where `songs` does not
    divide by four); `form` is `flac`, `mp3`, `wav` or `ogg`.  Song i depends on `seed` and i only:
    samples and labels are the same whatever `songs` is (another processor or numpy may differ by a
    rounding of 16 bit).  `progress("compose", done, total)` is
    called after each song.

    A demo corpus already there is continued if it is of the same seed, seconds and form, else
    replaced.  `labels.csv` is written last, so that only a complete corpus can be read.

    Raises: ConfigError for a setting out of its range; DataError if `root` holds anything else or
    cannot be written.
    """
    _check(songs, seconds, seed, form)
    root = Path(root)
    about = {
        "name": NAME,
        "version": VERSION,
        "synthetic": True,
        "scale": [-1, 1],
        "licence": "CC0-1.0",
        "seed": seed,
        "seconds": float(seconds),
        "form": form,
    }
    composed = [compose_song(seed, i) for i in range(songs)]
    files = [root / "audio" / f"{song.track_id}.{form}" for song in composed]
    try:
        _make_room(root, about, keep={file.name for file in files})
        _write(root / "corpus.yaml", yaml.safe_dump(about, sort_keys=False, default_flow_style=None).encode())
        _write(root / "README.md", README.encode())
        for done, (song, file) in enumerate(zip(composed, files, strict=True), start=1):
            if not file.exists():
                _write(file, _encode(synthesize(song, seconds), form))
            if progress:
                progress("compose", done, songs)
        _write(root / "labels.csv", _table(composed, form))
    except OSError as error:
        raise DataError(
            f"{error.filename or root}: expected a place to write the demo corpus, received "
            f"{error.strerror or error}; free space there or name another folder"
        ) from None
    except soundfile.LibsndfileError as error:
        raise DataError(
            f"{root}: expected a libsndfile that writes {form}, received {error.error_string}; take another form"
        ) from None
    return files


NAME = "sentio-synthetic-demo"
OUR_FILE = re.compile(rf"theme\d{{3,}}-\d\.({'|'.join(FORMS)})")
COLUMNS = ("track_id", "path", "valence", "arousal", "group", *CUES, "valence_effect", "arousal_effect")
README = f"""# Synthetic demo corpus

Music composed and synthesised by `sentio_tf.corpora.demo`; synthetic throughout, and rated by nobody.
`valence` and `arousal` are a formula of the cues each song was composed with (the columns
{", ".join(f"`{name}`" for name in CUES)}), plus a small effect of theme and song
(`valence_effect`, `arousal_effect`); the weights stand in that module as `CUES`.  The direction of
each cue is from the literature, its size is invented.  `group` is the theme that a song is a version of.

For tests, tutorials and CI.  No result may be reported on it: a model that predicts these labels has
learnt the formula, not what listeners hear.  CC0-1.0.
"""


def _check(songs: int, seconds: float, seed: int, form: str) -> None:
    if not (isinstance(songs, int) and 8 <= songs <= 4000):
        raise ConfigError(f"expected songs in 8..4000, received {songs!r}; two themes of four versions are the least")
    if not (isinstance(seconds, (int, float)) and 1 <= seconds <= 600):
        raise ConfigError(f"expected seconds in 1..600, received {seconds!r}; 30 is one window")
    if not (isinstance(seed, int) and seed >= 0):
        raise ConfigError(f"expected a seed of 0 or more, received {seed!r}; take a whole number")
    if form not in FORMS:
        raise ConfigError(f"expected form one of {', '.join(FORMS)}, received {form!r}; choose one of them")


def _make_room(root: Path, about: dict, *, keep: set[str]) -> None:
    """Folders for a new corpus, in place of an older demo; raises DataError for anything else."""
    before = _read_about(root / "corpus.yaml")
    if root.exists() and not root.is_dir():
        raise DataError(f"{root}: expected a folder, received a file; name another folder")
    others = sorted(p.name for p in root.iterdir() if not p.name.startswith(".")) if root.exists() else []
    if others and (before.get("name") != NAME or not _is_our_table(root)):
        shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        raise DataError(
            f"{root}: expected a new or empty folder, or an older demo corpus, received one with {shown}; "
            "name another folder"
        )
    (root / "audio").mkdir(parents=True, exist_ok=True)
    # Without its labels a corpus that is half old, half new cannot be read.
    (root / "labels.csv").unlink(missing_ok=True)
    for file in (root / "audio").iterdir():
        if OUR_FILE.fullmatch(file.name) and (before != about or file.name not in keep):
            file.unlink()


def _read_about(path: Path) -> dict:
    try:
        about = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return about if isinstance(about, dict) else {}


def _is_our_table(root: Path) -> bool:
    if (root / "labels.parquet").exists():
        return False
    try:
        with (root / "labels.csv").open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file), None) == list(COLUMNS)
    except FileNotFoundError:
        return True  # interrupted before its labels
    except (UnicodeDecodeError, csv.Error):
        return False


def _table(songs: list[Song], form: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for song in songs:
        cues = asdict(song.cues)
        row = [song.track_id, f"audio/{song.track_id}.{form}", song.valence, song.arousal, song.group]
        writer.writerow([*row, *(cues[name] for name in CUES), *song.effect])
    return text.getvalue().encode()


def _encode(samples: np.ndarray, form: str) -> bytes:
    # Through memory, because libsndfile does not say so when a disk is full.
    kind, subtype = FORMS[form]
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format=kind, subtype=subtype)
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Only whole files ever have the final name."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


USES = ("theme", "song", "hand", "room")


def _rng(seed: int, use: str, number: int) -> np.random.Generator:
    """A stream of its own for each use, so that no draw moves another."""
    return np.random.default_rng([seed, USES.index(use), number])


def _effect(rng: np.random.Generator, size: float) -> tuple[float, float]:
    valence, arousal = rng.uniform(-size, size, 2)
    return round(float(valence), 3), round(float(arousal), 3)
