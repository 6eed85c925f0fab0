"""Does a song look like the training data?  A Mahalanobis distance on log-mel statistics.

Features are mean, sd and mean absolute step per band of a 30 s window (`BandStatistics`), whitened by
the principal components of the training windows (Lee et al. 2018, arXiv:1807.03888, use the same
distance on a network's features).  The threshold is the 99 % quantile of the distances of songs that
the components did not see, so about one song in a hundred of the same kind of music is flagged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import pipeline
from ..contract import N_FRAMES
from ..corpora.track import Track

COMPONENTS = 48
QUANTILE = 0.99


def features(window: np.ndarray) -> np.ndarray:
    """Numpy twin of `BandStatistics` for one window `(128, frames, 1)` -> `(384,)`."""
    x = window[:, :, 0]
    mean, std = x.mean(axis=1), np.sqrt(x.var(axis=1) + 1e-6)
    return np.concatenate([mean, std, np.abs(np.diff(x, axis=1)).mean(axis=1)])


def track_features(track: Track, cache: Path) -> np.ndarray:
    """Features of every window of a track, `(windows, 384)`."""
    values = pipeline.load_mel(track, cache)
    return np.stack([features(pipeline.crop(values, s, N_FRAMES)) for s in pipeline.window_starts(len(values))])


@dataclass(frozen=True)
class Domain:
    """`distance = sqrt(mean(((features - mean) @ projection)^2))`, about 1 for training music."""

    mean: np.ndarray  # (384,)
    projection: np.ndarray  # (384, components)

    def distance(self, x: np.ndarray) -> np.ndarray:
        """`(n, 384)` -> `(n,)`."""
        return np.sqrt(np.mean(((x - self.mean) @ self.projection) ** 2, axis=-1))

    def distances(self, tracks: Sequence[Track], cache: Path) -> np.ndarray:
        """Mean over the windows of each track, `(tracks,)`."""
        return np.array([self.distance(track_features(t, cache)).mean() for t in tracks])

    def save(self, path: Path, **calibration: Any) -> None:
        np.savez(path, mean=self.mean, projection=self.projection, **calibration)


def fit_domain(tracks: Sequence[Track], cache: Path, *, components: int = COMPONENTS) -> Domain:
    """Principal components of the windows of `tracks`, every corpus with the same weight."""
    xs, weights = [], []
    names = [t.corpus for t in tracks]
    for track in tracks:
        x = track_features(track, cache)
        xs.append(x)
        weights += [1 / (len(x) * names.count(track.corpus))] * len(x)
    x, w = np.concatenate(xs).astype(np.float64), np.array(weights) / np.sum(weights)
    mean = w @ x
    values, vectors = np.linalg.eigh((x - mean).T @ ((x - mean) * w[:, None]))
    top = np.argsort(values)[::-1][: min(components, len(x) - 1)]
    return Domain(mean.astype(np.float32), (vectors[:, top] / np.sqrt(values[top] + 1e-3)).astype(np.float32))


def calibrate(distances: np.ndarray, *, out_of_fold: bool) -> dict[str, Any]:
    """Threshold and what it rests on."""
    return {"threshold": float(np.quantile(distances, QUANTILE)), "quantile": QUANTILE, "out_of_fold": out_of_fold}
