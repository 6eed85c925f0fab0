"""Percentile bootstrap intervals, resampling whole groups (artists, songs, series)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def interval(
    statistic: Callable[[np.ndarray], float],
    groups: Sequence[str],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Confidence interval of `statistic(indices)` under a cluster bootstrap.

    Groups are drawn with replacement and bring all of their rows (Davison & Hinkley 1997, section
    3.8): rows of one artist are not independent, and drawing rows alone gives too narrow intervals.

    Args:
        statistic: takes row indices, int `(n,)`.
        groups: group of each row.

    Returns: lower and upper bound.  Raises: ValueError with fewer than two groups.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"expected two groups or more. Received: {len(names)}")
    rows = [np.flatnonzero(member == g) for g in range(len(names))]
    rng = np.random.default_rng(seed)
    values = [
        statistic(np.concatenate([rows[g] for g in rng.integers(len(names), size=len(names))]))
        for _ in range(resamples)
    ]
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
