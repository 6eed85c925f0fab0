"""Whether generated log-mels are copies of training songs: moved in time, louder, or from any place of the song."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .profile import POOL, Profile, small

NEAR = 0.05  # quantile of real songs that stands for "nearer than songs are"
FACTOR = 3.0  # times as many near ones as real music has are called copies
PHASES = 2  # places of a step of a small picture that windows are compared at: a quarter of a step is left at most


@dataclass(frozen=True)
class Windows:
    """All that a GAN may have learnt by heart: small pictures `(m, 16, 81)` [dB], and the song `(m,)` of each."""

    small: np.ndarray
    song: np.ndarray

    @classmethod
    def of(cls, windows: Iterable[tuple[int, np.ndarray]]) -> Windows:
        """Of pairs of a song's number and a window, log-mel `(128, frames[, 1])` [dB], each at `PHASES` places."""
        found: list[np.ndarray] = []
        song: list[int] = []
        for number, window in windows:
            x = np.asarray(window, np.float64).reshape(len(window), -1)
            step = x.shape[1] / POOL[1]
            found += [small(np.roll(x, -round(step * i / PHASES), axis=1)).astype(np.float32) for i in range(PHASES)]
            song += [number] * PHASES
        return cls(np.asarray(found, np.float32).reshape(-1, *POOL), np.asarray(song, int))


def memorisation(of: Profile, known: Windows, held: Profile) -> dict[str, Any]:
    """Whether spectrograms are copies of training songs, judged by what real songs that were not trained on do.

    Distances are Euclidean, of small pictures without their level (a louder copy is one), each band group in units of
    its deviation over the training windows, and the least over all circular shifts in time: what a generator is
    trained on is cut at any place, and moved.  Of each spectrogram, the distance to the nearest training song and,
    because a blurred mean is near to everything without being a copy, its ratio to the distance to the second nearest
    song.  `near` and `copied` are the shares below the 5 % quantile that held songs have in distance and in ratio;
    0.05 is what real music does.  `verdict` is "copies" where both are three times that.

    Raises: ValueError with fewer than two training songs.
    """
    songs = len(np.unique(known.song))
    if songs < 2:
        raise ValueError(f"expected two training songs or more. Received: {songs}")
    spread = np.maximum(known.small.std(axis=(0, 2)), 1e-6)
    found = {}
    for name, some in (("held", held), ("made", of)):
        nearest = np.sort(_to_songs(some.small, known, spread))
        found[name] = nearest[:, 0], nearest[:, 0] / np.maximum(nearest[:, 1], 1e-9)
    limits = [float(np.quantile(values, NEAR)) for values in found["held"]]
    near, copied = (float((values < limit).mean()) for values, limit in zip(found["made"], limits, strict=True))
    many = FACTOR * NEAR
    return {
        "near": near,
        "copied": copied,
        "expected": NEAR,
        "songs": songs,
        "median_distance": float(np.median(found["made"][0])),
        "median_distance_held": float(np.median(found["held"][0])),
        "verdict": "copies" if near > many and copied > many else "no copies",
    }


def _level_free(x: np.ndarray, spread: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    return (x - x.mean(axis=(1, 2), keepdims=True)) / spread[:, None]


def _to_songs(small: np.ndarray, known: Windows, spread: np.ndarray) -> np.ndarray:
    """Distances `(n, songs)` of small pictures to the nearest window of each song, over all shifts in time."""
    a = _level_free(small, spread)
    steps = a.shape[2]
    ours = np.moveaxis(np.fft.rfft(a, axis=2), 2, 0)  # (frequencies, n, bands)
    squares = (a**2).sum(axis=(1, 2))[:, None]
    names = np.unique(known.song)
    found = np.empty((len(a), len(names)))
    for k, name in enumerate(names):  # song by song: what all windows take grows with the corpus
        b = _level_free(known.small[known.song == name], spread)
        theirs = np.moveaxis(np.fft.rfft(b, axis=2).conj(), 0, 2)  # (bands, frequencies, m)
        # |a - shifted b|^2 = |a|^2 + |b|^2 - 2 (a, shifted b), and a circular shift leaves |b| as it is.
        alike = np.fft.irfft(ours @ theirs.transpose(1, 0, 2), n=steps, axis=0).max(axis=0)
        found[:, k] = (squares + (b**2).sum(axis=(1, 2)) - 2 * alike).min(axis=1)
    return np.sqrt(np.maximum(found, 0))
