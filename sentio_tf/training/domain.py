"""Does a song look like the training music?  A distance on the build of its log-mel, with a threshold.

The features (`layers.domain.DomainStatistics`) are standardised over the training windows; the
distance is their root mean square, a Mahalanobis distance with a diagonal covariance.  The full
covariance was tried and is worse: it divides by directions that music hardly uses, and white noise
came out as close as a song.  The threshold is the 99 % quantile of the distances of songs whose fold
was left out, so about one song in a hundred of the same kinds of music is flagged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import pipeline
from ..audio import musicnn_mel
from ..corpora.track import Track
from ..layers.domain import GROUP, LAG, lag_of

QUANTILE = 0.99


def features(window: np.ndarray, lag: int = LAG) -> np.ndarray:
    """Numpy twin of `DomainStatistics` for one window `(bands, frames, 1)` -> `(5 bands / 4,)`."""
    x = window[:, :, 0]
    mean, std = x.mean(axis=1), np.sqrt(x.var(axis=1) + 1e-3)
    movement = np.abs(x[:, lag:] - x[:, :-lag]).mean(axis=1) + 1e-2
    step = np.abs(np.diff(x, axis=0)).mean(axis=1)
    step = np.append(step, step[-1]) + 1e-2

    def ragged(values: np.ndarray, floor: float) -> np.ndarray:
        change = np.abs(np.diff(values))
        return np.log(grouped(np.append(change, change[-1])) + floor)

    def grouped(values: np.ndarray) -> np.ndarray:
        return values.reshape(-1, GROUP).mean(axis=1)

    parts = [grouped(np.log(std)), grouped(np.log(movement)), grouped(np.log(step))]
    return np.concatenate([*parts, ragged(mean, 0.05), ragged(std, 0.02)])


def track_features(track: Track, cache: pipeline.Cache) -> np.ndarray:
    """Features of every window of a track, `(windows, 5 bands / 4)`: of the log-mel, or of musicnn's own at 16 kHz.

    The features are of what an exported network hears, since there is no second front end in the file.
    Raises: ValueError for a cache of sound at another rate.
    """
    if cache.spec.holds == "log-mel":
        return np.stack([features(x) for _, x in pipeline.windows([track], cache)])
    if cache.spec.mel.sample_rate != musicnn_mel.SPEC.sample_rate:
        raise ValueError(f"expected sound at {musicnn_mel.SPEC.sample_rate} Hz. Received: {cache.spec.mel.sample_rate}")
    return np.stack([features(x, lag_of(musicnn_mel.SPEC)) for x in _musicnn_mels(track, cache)])


def _musicnn_mels(track: Track, cache: pipeline.Cache) -> Iterator[np.ndarray]:
    for _, sound in pipeline.windows([track], cache):
        yield musicnn_mel.decibels(musicnn_mel.musicnn_mel(sound))[:, :, None]


@dataclass
class TrackFeatures:
    """`track_features` of a cache, once a track: every fold asks for nearly all of them."""

    cache: pipeline.Cache
    known: dict[str, np.ndarray] = field(default_factory=dict)  # by the key of the track

    def __call__(self, track: Track) -> np.ndarray:
        if track.key not in self.known:
            self.known[track.key] = track_features(track, self.cache)
        return self.known[track.key]


@dataclass(frozen=True)
class Domain:
    """`distance = sqrt(mean(((features - mean) / std)^2))`."""

    mean: np.ndarray  # (5 bands / 4,)
    std: np.ndarray  # (5 bands / 4,)

    def distance(self, x: np.ndarray) -> np.ndarray:
        """`(n, 5 bands / 4)` -> `(n,)`."""
        return np.sqrt(np.mean(((x - self.mean) / self.std) ** 2, axis=-1))

    def distances(self, tracks: Sequence[Track], heard: TrackFeatures) -> np.ndarray:
        """Mean over the windows of each track, `(tracks,)`."""
        return np.array([self.distance(heard(t)).mean() for t in tracks])

    def save(self, path: Path, **calibration: Any) -> None:
        np.savez(path, mean=self.mean, std=self.std, **calibration)


def fit_domain(tracks: Sequence[Track], heard: TrackFeatures) -> Domain:
    """Mean and sd over the windows of `tracks`, every corpus and in it every track with the same weight."""
    names = [t.corpus for t in tracks]
    xs = [heard(t) for t in tracks]
    weights = np.concatenate([[1 / (len(x) * names.count(t.corpus))] * len(x) for t, x in zip(tracks, xs, strict=True)])
    weights /= weights.sum()
    x = np.concatenate(xs).astype(np.float64)
    mean = weights @ x
    std = np.sqrt(weights @ (x - mean) ** 2)
    return Domain(mean.astype(np.float32), np.maximum(std, 1e-3).astype(np.float32))


def calibrate(distances: np.ndarray, *, out_of_fold: bool) -> dict[str, Any]:
    """Threshold and what it rests on."""
    return {"threshold": float(np.quantile(distances, QUANTILE)), "quantile": QUANTILE, "out_of_fold": out_of_fold}
