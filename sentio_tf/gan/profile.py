"""What is measured of a set of log-mels: statistics a spectrogram, from which `quality` makes its scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from ..contract import MEL

POOL = (16, 81)  # bands and steps of the small pictures that are compared with each other
ENDS = (0.01, 0.99)  # quantiles that stand for the range of a band


@dataclass(frozen=True)
class Profile:
    """Of n log-mels in dB, one row each.

    Attributes:
        mean, std, step: of each band over time, `(n, 128)`; step is the mean absolute change from frame to frame.
        moments: mean, sd, skewness, excess kurtosis of all values, `(n, 4)`.
        change: mean absolute step from frame to frame, and from band to band, `(n, 2)`.
        correlation: between the bands over time, `(n, 128, 128)`, 0 for a band that does not move.
        low, high: quantiles `ENDS` of each band, `(n, 128)`.
        small: means over patches, `(n, 16, 81)`.
    """

    mean: np.ndarray
    std: np.ndarray
    step: np.ndarray
    moments: np.ndarray
    change: np.ndarray
    correlation: np.ndarray
    low: np.ndarray
    high: np.ndarray
    small: np.ndarray

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def bands(self) -> np.ndarray:
        """`mean`, `std`, `step` side by side, `(n, 384)`: what the classical baselines of the field hear."""
        return np.concatenate([self.mean, self.std, self.step], axis=1)

    def take(self, rows: np.ndarray) -> Profile:
        """Some of the rows."""
        return Profile(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def profile(mels: Iterable[np.ndarray]) -> Profile:
    """The profile of log-mels `(128, frames)` or `(128, frames, 1)` in dB, one after another, so that any number fits.

    Raises: ValueError without any, for fewer than 81 frames, and for NaN and inf.
    """
    rows = [_row(np.asarray(mel, np.float64).reshape(MEL.n_mels, -1)) for mel in mels]
    if not rows:
        raise ValueError("expected log-mels to measure. Received: none")
    return Profile(*(np.stack(column).astype(np.float32) for column in zip(*rows, strict=True)))


def _row(x: np.ndarray) -> tuple[np.ndarray, ...]:
    if x.shape[1] < POOL[1]:
        raise ValueError(f"expected log-mels of {POOL[1]} frames or more. Received: {x.shape[1]}")
    if not np.isfinite(x).all():
        raise ValueError(f"expected finite log-mels. Received: {int((~np.isfinite(x)).sum())} values that are not")
    mean, std = x.mean(axis=1), x.std(axis=1)
    in_time, in_bands = (np.abs(np.diff(x, axis=axis)) for axis in (1, 0))
    centre, spread = x.mean(), max(x.std(), 1e-9)
    z = (x - centre) / spread
    squares = z * z  # a power takes ten times as long
    low, high = np.quantile(x, ENDS, axis=1)
    return (
        mean,
        std,
        in_time.mean(axis=1),
        np.array([centre, spread, (squares * z).mean(), (squares * squares).mean() - 3]),
        np.array([in_time.mean(), in_bands.mean()]),
        _correlation(x - mean[:, None], std),
        low,
        high,
        small(x),
    )


def _correlation(centred: np.ndarray, std: np.ndarray) -> np.ndarray:
    moving = std > 1e-6
    scaled = np.where(moving[:, None], centred / np.where(moving, std, 1.0)[:, None], 0.0)
    return scaled @ scaled.T / centred.shape[1]


def small(x: np.ndarray) -> np.ndarray:
    """The small picture `(16, 81)` of a log-mel `(128, frames)`: means over patches."""
    bands = x.reshape(POOL[0], -1, x.shape[1]).mean(axis=1)
    edges = np.linspace(0, x.shape[1], POOL[1] + 1).astype(int)[:-1]
    lengths = np.diff(np.append(edges, x.shape[1]))
    return np.add.reduceat(bands, edges, axis=1) / lengths
