"""From a waveform to features: segments, the descriptors of `compute` from one spectrum, statistics over all frames.

Audio longer than a segment is taken apart: 120 s each, a rest shorter than 30 s stays with the segment before it.  What
refers to a whole signal (the 80 dB floors, the tuning) then refers to the segment; frames are joined before any
statistic.  Digital silence has zeros everywhere, but for the floor of -100 dB in mfcc_01, 1 as flatness and 120 BPM as
tempo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import numpy as np
import scipy.fft

from ..contract import SAMPLE_RATE
from . import compute
from .compute import BINS, BRIGHT_BIN, CHUNK, FIRST_LAG, FLOOR, HOP, LAGS, MEL_128, N_FFT
from .table import RECIPE, features

SEGMENT = 120 * SAMPLE_RATE  # samples
REST = 30 * SAMPLE_RATE
STATISTIC: dict[str, Callable[[np.ndarray], float]] = {
    "mean": lambda row: row.mean(dtype=np.float64),
    "std": lambda row: row.std(dtype=np.float64),
    "min": lambda row: row.min(),
    "max": lambda row: row.max(),
}
Rows = dict[str, np.ndarray]


def frames(y: np.ndarray) -> np.ndarray:
    """Frame-level features of a waveform.

    Args:
        y: `(samples,)` in [-1, 1] at 22 050 Hz, one sample at least.

    Returns: float32 `(41, frames)`, rows as in `table.RECIPE`, `1 + samples // 512` frames (of each segment).
    """
    parts = [_analyse(part, extended=False)[0] for part in segments([_checked(y)])]
    return np.concatenate([np.stack([rows[f.name] for f in RECIPE]) for rows in parts], axis=1)


def vector(y: np.ndarray, set: str = "recipe") -> np.ndarray:
    """Features of a waveform `(samples,)`: float32, one value for each of `table.columns(set)`, all finite."""
    return vector_of([y], set)


def vector_of(blocks: Iterable[np.ndarray], set: str = "recipe") -> np.ndarray:
    """The same of a stream of blocks (`audio.decode.blocks`), of which one segment is held at a time."""
    wanted = features(set)
    framewise = [f for f in wanted if f.statistics]
    extended = set == "extended"
    parts, sums, counted = [], np.zeros(LAGS), _Levels()
    for part in segments(_checked(block) for block in blocks):
        rows, pulses = _analyse(part, extended=extended)
        parts.append(np.stack([rows[f.name] for f in framewise]))
        sums += pulses
        counted.add(part)
    if not parts:
        raise ValueError("expected at least one sample. Received: none")
    # One row at a time: three hours are half a million frames, and sums of them need double precision.
    joined = (np.concatenate([part[i] for part in parts]) for i in range(len(framewise)))
    values: list[float] = []
    kept: Rows = {}
    for feature, row in zip(framewise, joined, strict=True):
        values += [STATISTIC[s](row) for s in feature.statistics]
        if feature.name in ("rms", "onset_strength") or feature.group == "chroma":
            kept[feature.name] = row
    if extended:
        song = _song(kept, sums / len(kept["rms"]), counted)
        values += [song[f.name] for f in wanted if not f.statistics]
    return np.asarray(values, np.float32)


def segments(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The samples of all blocks in pieces of 120 s, the last one of up to 150 s."""
    held: list[np.ndarray] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block)
        if count >= SEGMENT + REST:
            y = np.concatenate(held)
            while len(y) >= SEGMENT + REST:
                yield y[:SEGMENT]
                y = y[SEGMENT:]
            held, count = [y], len(y)
    if count:
        yield np.concatenate(held)


def _checked(y: np.ndarray) -> np.ndarray:
    y = np.asarray(y, np.float32)
    if y.ndim != 1 or not np.isfinite(y).all():
        raise ValueError(f"expected finite samples of one channel. Received: shape {y.shape}, or NaN or inf in it")
    return y


class _Levels:
    """Peak and mean square of a signal that comes in parts."""

    def __init__(self):
        self.peak, self.energy, self.samples = 0.0, 0.0, 0

    def add(self, y: np.ndarray) -> None:
        self.peak = max(self.peak, float(np.abs(y).max()))
        self.energy += float(np.square(y, dtype=np.float64).sum())
        self.samples += len(y)


def _song(row: Rows, pulses: np.ndarray, signal: _Levels) -> dict[str, float]:
    """What belongs to a whole song, from all its frames."""
    keys = compute.key_strengths(np.array([row[f.name].mean(dtype=np.float64) for f in RECIPE if f.group == "chroma"]))
    rms = row["rms"]
    major, minor = keys.max(axis=1)
    effective = max(np.sqrt(signal.energy / signal.samples), FLOOR)
    return {
        "key_clarity": keys.max(),
        "mode": major - minor,
        "tempo": compute.tempo(pulses),
        "beat_strength": pulses[FIRST_LAG:].max(),
        "onset_rate": compute.onset_rate(row["onset_strength"], signal.samples / SAMPLE_RATE),
        "loudness_range": compute.loudness_range(rms),
        "crest": 20 * np.log10(max(signal.peak, FLOOR) / effective),
        "low_energy_rate": np.mean(rms < rms.mean()),
        "level_slope": compute.level_slope(rms),
    }


# -- one segment ------------------------------------------------------------------------------------


def _analyse(y: np.ndarray, *, extended: bool) -> tuple[Rows, np.ndarray]:
    """Frame-level features `{name: (frames,)}` of one segment, and its tempogram summed over frames `(87,)`."""
    padded = np.pad(y, N_FFT // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    count = len(windows)
    power = np.empty((count, BINS), np.float32)
    mel = np.empty((count, MEL_128.n_mels), np.float32)
    valleys, peaks = np.empty((2, count, 7), np.float32)
    rows: Rows = {"zero_crossing_rate": compute.zero_crossing_rate(y), "rms": compute.rms(padded, count)}
    pieces: list[Rows] = []
    pitches: list[tuple[np.ndarray, np.ndarray]] = []
    before = None  # the last normalised spectrum of the chunk before
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        # In double precision: the quietest bins lie beyond the resampler's edge, below what float32 resolves there,
        # and the contrast of the highest band is measured against them.
        spectrum = scipy.fft.rfft(windows[start:stop] * _window()).astype(np.complex64)
        energy = power[start:stop]
        np.square(spectrum.real, out=energy)
        energy += np.square(spectrum.imag)
        magnitude = np.sqrt(energy)
        mel[start:stop] = compute.mel_power(energy)
        valleys[start:stop], peaks[start:stop] = compute.contrast_levels(magnitude)
        pitches.append(compute.pitch_candidates(energy))
        centroid, bandwidth = compute.centroid_and_bandwidth(magnitude)
        piece: Rows = {
            "spectral_centroid": centroid,
            "spectral_bandwidth": bandwidth,
            "spectral_rolloff": compute.rolloff(magnitude),
        }
        piece["spectral_flux"], before = compute.flux(magnitude, before)
        if extended:
            piece |= {
                "spectral_flatness": compute.flatness(energy),
                "spectral_entropy": compute.entropy(energy),
                "brightness": energy[:, BRIGHT_BIN:].sum(axis=1) / np.maximum(energy.sum(axis=1), FLOOR),
                "roughness": compute.roughness(magnitude.T),
            }
        pieces.append(piece)
    rows |= {name: np.concatenate([p[name] for p in pieces]) for name in pieces[0]}

    log_mel = compute.decibels(mel)
    rows |= {f"mfcc_{i + 1:02}": row for i, row in enumerate((log_mel @ _dct()).T)}
    contrast = compute.decibels(peaks) - compute.decibels(valleys)
    rows |= {f"spectral_contrast_{i + 1}": row for i, row in enumerate(contrast.T)}
    rows["onset_strength"] = compute.onset_strength(log_mel)
    pulses = compute.tempogram(rows["onset_strength"])
    rows["pulse_clarity"] = pulses[FIRST_LAG:].max(axis=0)
    rows["harmonic_ratio"] = compute.harmonic_ratio(mel)
    frequencies, heights = (np.concatenate(parts) for parts in zip(*pitches, strict=True))
    chroma = power @ compute.chroma_filters(compute.tuning(frequencies, heights))
    chroma /= compute.or_one(chroma.max(axis=1, keepdims=True))
    named = [f.name for f in RECIPE if f.group == "chroma"]
    rows |= dict(zip(named, chroma.T, strict=True))
    if extended:
        named = [f.name for f in features("extended") if f.name.startswith("tonnetz")]
        rows |= dict(zip(named, compute.tonnetz(chroma).T, strict=True))
    return rows, pulses.sum(axis=1, dtype=np.float64)


@lru_cache
def _window() -> np.ndarray:
    """Periodic Hann window in double precision, `(2048,)`."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)


@lru_cache
def _dct() -> np.ndarray:
    """The first 13 of the orthonormal DCT-II over 128 bands, `(128, 13)`."""
    return scipy.fft.dct(np.eye(MEL_128.n_mels), norm="ortho")[:, :13].astype(np.float32)
