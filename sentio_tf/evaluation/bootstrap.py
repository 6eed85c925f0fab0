"""Percentile bootstrap intervals, resampling whole groups (artists, songs, series).

`interval` and `paired` take any statistic of row indices.  `metric_interval` and `metric_paired` give the
same numbers for the metrics in `FROM_SUMS`, much faster: these are functions of sums over rows, so that
a resample needs the sums of each group and how often it was drawn, not its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from . import metrics

# Cells of a table (resamples, groups) held at once: draws and counts stay in the processor's cache, and
# products are too small for BLAS to wake its threads, which takes longer than they save.
CELLS = 30_000


@dataclass(frozen=True)
class Paired:
    """A difference with its percentile interval and its two-sided p against no difference."""

    difference: float
    low: float
    high: float
    p: float


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
    return _bounds(_values(statistic, groups, resamples, seed), level)


def paired(
    statistic: Callable[[np.ndarray], float],
    groups: Sequence[str],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Paired:
    """A difference `statistic(indices)` of two systems on the same rows, under the bootstrap of `interval`.

    p = 2 (1 + k) / (1 + resamples), at most 1, where k counts the resamples at or beyond 0 on the side
    with fewer of them (Davison & Hinkley 1997, section 4.2, for the correction by 1).  Without the 1 it is
    the smallest 1 - level at which the percentile interval still touches 0, so both tell the same story.

    Args:
        statistic: difference on the rows of these indices, int `(n,)`, a row once for each time it is drawn.
        groups: group of each row.

    Raises: ValueError with fewer than two groups.
    """
    values = _values(statistic, groups, resamples, seed)
    return _paired(float(statistic(np.arange(len(groups)))), values, level)


def metric_interval(
    metric: str,
    reference: np.ndarray,
    estimated: np.ndarray,
    groups: Sequence[str],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """`interval` of a metric named in `FROM_SUMS`, from the same draws, equal to rounding.

    Raises: ValueError with fewer than two groups, another metric, and arrays that the metric refuses.
    """
    names, member = _members(groups, resamples)
    (table,) = group_sums(metric, reference, [estimated], member)
    values = [FROM_SUMS[metric](counts @ table) for counts in _counts(len(names), resamples, seed)]
    return _bounds(np.concatenate(values), level)


def metric_paired(
    metric: str,
    reference: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    groups: Sequence[str],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Paired:
    """`paired` of metric(reference, a) - metric(reference, b), from the same draws, equal to rounding.

    Raises: ValueError with fewer than two groups, another metric, and arrays that the metric refuses.
    """
    names, member = _members(groups, resamples)
    tables = group_sums(metric, reference, [a, b], member)

    def difference(counts: np.ndarray) -> np.ndarray:
        first, second = (FROM_SUMS[metric](counts @ t) for t in tables)
        return first - second

    values = np.concatenate([difference(counts) for counts in _counts(len(names), resamples, seed)])
    return _paired(float(difference(np.ones((1, len(names))))[0]), values, level)


# -- metrics as functions of sums -------------------------------------------------------------------

# The variance of values that lie c from their centre is known to about 1e-16 c^2: below this share of
# c^2 there is none.
ROUNDING = 1e-12


def group_sums(
    metric: str, reference: np.ndarray, estimates: Sequence[np.ndarray], member: np.ndarray
) -> list[np.ndarray]:
    """For each system the sums over the rows of each group, `(groups, sums)`, that `FROM_SUMS[metric]` takes.

    All systems share one centre, so that their sums may be mixed.

    Args:
        reference: `(n,)`, or `(n, 2)` for quadrant_accuracy.
        estimates: as `reference`, one array a system.
        member: group 0, 1, ... of each row, int `(n,)`.

    Raises: ValueError for another metric, and for arrays that the metric refuses.
    """
    if metric not in FROM_SUMS:
        raise ValueError(f"expected a metric among {', '.join(FROM_SUMS)}. Received: {metric!r}")
    plane = metric == "quadrant_accuracy"
    validate = metrics.validate_plane if plane else metrics.validate
    pairs = [validate(reference, e) for e in estimates]
    if len(member) != len(pairs[0][0]):
        raise ValueError(f"expected a group for each of {len(pairs[0][0])} rows. Received: {len(member)}")
    centre = np.mean([e.mean() for _, e in pairs])
    tables = []
    for r, e in pairs:
        one = np.ones(len(r))
        if plane:
            columns = [one, metrics.quadrant_index(r) == metrics.quadrant_index(e)]
        elif metric == "sign_accuracy":
            columns = [one, (r > 0) == (e > 0)]
        else:
            a, b, d = r - r.mean(), e - centre, e - r
            columns = [one, a, b, a * a, b * b, a * b, d, d * d, np.abs(d)]
        tables.append(np.stack([np.bincount(member, weights=c) for c in columns], axis=1))
    return tables


def _moments(sums: np.ndarray) -> tuple[np.ndarray, ...]:
    """Variances of reference and estimates, their covariance, bias and mean squared error, each `(resamples,)`."""
    _, a, b, aa, bb, ab, d, dd, _ = (sums / sums[:, :1]).T
    variances = [np.where(m2 - m * m > ROUNDING * m2, m2 - m * m, 0.0) for m, m2 in ((a, aa), (b, bb))]
    return variances[0], variances[1], ab - a * b, d, dd


def _ratio(numerator: np.ndarray, denominator: np.ndarray, defined: np.ndarray) -> np.ndarray:
    """The quotient, 0 where it is not defined."""
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=defined)


def _ccc(sums: np.ndarray) -> np.ndarray:
    r, e, both, bias, _ = _moments(sums)
    return np.clip(_ratio(2 * both, r + e + bias**2, (r > 0) & (e > 0)), -1, 1)


def _pearson(sums: np.ndarray) -> np.ndarray:
    r, e, both, _, _ = _moments(sums)
    return np.clip(_ratio(both, np.sqrt(r) * np.sqrt(e), (r > 0) & (e > 0)), -1, 1)


def _r2(sums: np.ndarray) -> np.ndarray:
    r, _, _, _, square = _moments(sums)
    return _ratio(r - square, r, r > 0)


def _share(sums: np.ndarray) -> np.ndarray:
    return sums[:, 1] / sums[:, 0]


# Each takes sums over rows `(resamples, sums)`, as a matrix product of counts and `group_sums` gives them.
FROM_SUMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ccc": _ccc,
    "pearson": _pearson,
    "r2": _r2,
    # Differences of sums, as permutations take them, may be rounded below 0.
    "rmse": lambda sums: np.sqrt(np.maximum(sums[:, 7], 0) / sums[:, 0]),
    "mae": lambda sums: sums[:, 8] / sums[:, 0],
    "bias": lambda sums: sums[:, 6] / sums[:, 0],
    "sign_accuracy": _share,
    "quadrant_accuracy": _share,
}


# -- draws ------------------------------------------------------------------------------------------


def _members(groups: Sequence[str], resamples: int) -> tuple[np.ndarray, np.ndarray]:
    if resamples < 1:
        raise ValueError(f"expected resamples >= 1. Received: {resamples}")
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"expected two groups or more. Received: {len(names)}")
    return names, member


def _values(statistic: Callable[[np.ndarray], float], groups: Sequence[str], resamples: int, seed: int) -> list[float]:
    names, member = _members(groups, resamples)
    rows = [np.flatnonzero(member == g) for g in range(len(names))]
    rng = np.random.default_rng(seed)
    return [
        statistic(np.concatenate([rows[g] for g in rng.integers(len(names), size=len(names))]))
        for _ in range(resamples)
    ]


def _counts(groups: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each group is drawn, float64 `(some resamples, groups)`; the draws of `_values`."""
    rng = np.random.default_rng(seed)
    step = max(1, CELLS // groups)
    for start in range(0, resamples, step):
        some = min(step, resamples - start)
        # A generator gives the same integers in one call as in many.
        draws = rng.integers(groups, size=(some, groups)) + groups * np.arange(some)[:, None]
        yield np.bincount(draws.ravel(), minlength=some * groups).reshape(some, groups).astype(np.float64)


def _bounds(values: Sequence[float] | np.ndarray, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _paired(difference: float, values: Sequence[float] | np.ndarray, level: float) -> Paired:
    low, high = _bounds(values, level)
    drawn = np.asarray(values)
    beyond = min(np.sum(drawn <= 0), np.sum(drawn >= 0))
    return Paired(difference, low, high, float(min(1.0, 2 * (1 + beyond) / (1 + len(drawn)))))
