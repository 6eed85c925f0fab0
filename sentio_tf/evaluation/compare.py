"""Is one system better than another on the same songs?  Differences, their intervals, and tests.

Conventions: `a` and `b` are estimates of the two systems for the same reference, one axis `(n,)` or, for
quadrant_accuracy, the plane `(n, 2)`; a difference is a minus b, so that for rmse and mae a negative one
is in favour of a.  `groups` names the artist, song or series of each row: rows of one group are not
independent, so whole groups are drawn and exchanged, never rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from . import bootstrap


@dataclass(frozen=True)
class Comparison:
    """Two systems under one metric.

    Attributes:
        a, b, difference: the metric of each system, and a minus b.
        low, high, p_bootstrap: 95 % interval of the difference and its p, see `bootstrap.paired`.
        p_permutation: see `permutation`.
        p_holm: `p_bootstrap` adjusted for the other comparisons of the same table, see `adjust`; None alone.
        n, groups: rows and groups.
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p_bootstrap: float
    p_permutation: float
    p_holm: float | None
    n: int
    groups: int


class McNemar(NamedTuple):
    """Rows that only a or only b has right, and the two-sided p."""

    only_a: int
    only_b: int
    p: float


class Seeds(NamedTuple):
    """Mean over repeated trainings, their standard deviation (ddof 1; None for one), and how many."""

    mean: float
    sd: float | None
    n: int


def difference(
    reference: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    groups: Sequence[str],
    metric: str = "ccc",
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Both systems under a metric of `bootstrap.FROM_SUMS`, with interval and tests of the difference.

    Args:
        resamples: of the bootstrap, and rounds of the permutation.

    Raises: ValueError with fewer than two groups, another metric, and arrays that the metric refuses.
    """
    drawn = bootstrap.metric_paired(metric, reference, a, b, groups, resamples=resamples, seed=seed)
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    values = [
        float(bootstrap.FROM_SUMS[metric](table.sum(axis=0, keepdims=True))[0])
        for table in bootstrap.group_sums(metric, reference, [a, b], member)
    ]
    return Comparison(
        metric=metric,
        a=values[0],
        b=values[1],
        difference=drawn.difference,
        low=drawn.low,
        high=drawn.high,
        p_bootstrap=drawn.p,
        p_permutation=permutation(reference, a, b, groups, metric, rounds=resamples, seed=seed),
        p_holm=None,
        n=len(member),
        groups=int(member.max()) + 1,
    )


def permutation(
    reference: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    groups: Sequence[str],
    metric: str = "ccc",
    rounds: int = 10_000,
    seed: int = 0,
) -> float:
    """Two-sided p of the hypothesis that it does not matter which system answered: exchange by group.

    In each round the systems exchange their estimates for a random half of the groups (a paired
    randomisation test; Good 2005, Permutation, Parametric and Bootstrap Tests of Hypotheses).  p is the
    share of rounds whose difference is as large as the one found: of all 2^groups exchanges if these are
    at most `rounds`, else of random ones, where the one found counts as one more round.

    Raises: ValueError for a metric not in `bootstrap.FROM_SUMS`, and arrays that the metric refuses.
    """
    if rounds < 1:
        raise ValueError(f"expected rounds >= 1. Received: {rounds}")
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    first, second = bootstrap.group_sums(metric, reference, [a, b], member)
    measure = bootstrap.FROM_SUMS[metric]

    def differences(exchanged: np.ndarray) -> np.ndarray:
        moved = exchanged @ (second - first)
        return np.abs(measure(first.sum(axis=0) + moved) - measure(second.sum(axis=0) - moved))

    found = float(differences(np.zeros((1, len(names))))[0])
    found -= 1e-9 * found + 1e-12  # an exchange that gives the same in other roundings counts
    exact = 2 ** len(names) <= rounds
    total = 2 ** len(names) if exact else rounds
    rng = np.random.default_rng(seed)
    step = max(1, bootstrap.CELLS // len(names))
    as_large = 0
    for start in range(0, total, step):
        some = min(step, total - start)
        if exact:
            exchanged = (np.arange(start, start + some)[:, None] >> np.arange(len(names))) & 1
        else:
            exchanged = rng.integers(2, size=(some, len(names)), dtype=np.int8)
        as_large += int(np.sum(differences(exchanged.astype(np.float64)) >= found))
    return as_large / total if exact else (1 + as_large) / (1 + total)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's (1979) adjusted p of each of m tests, float64 `(m,)` in the order given, at most 1.

    The test with the i-th smallest p gets the largest of (m - j + 1) p_j over j <= i.
    """
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"expected p values (m,) in [0, 1]. Received: {p_values}")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1.0)


def adjust(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of one table with `p_holm` filled in from `p_bootstrap`."""
    return [
        replace(c, p_holm=float(p))
        for c, p in zip(comparisons, holm([c.p_bootstrap for c in comparisons]), strict=True)
    ]


def mcnemar(hits_a: Sequence[bool] | np.ndarray, hits_b: Sequence[bool] | np.ndarray) -> McNemar:
    """McNemar's (1947) exact test of two hit lists: is a right alone as often as b is right alone?

    The rows where just one is right are a fair coin's throws if the systems are alike.  That needs
    independent rows: songs of one artist are not, and then p is too small; use `mcnemar_clustered`.

    Args: whether a and b have each row right, bool `(n,)`.  Without a discordant row p is 1.
    """
    from scipy.stats import binomtest

    a, b = _hits(hits_a, hits_b)
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    p = float(binomtest(only_a, only_a + only_b, 0.5).pvalue) if only_a + only_b else 1.0
    return McNemar(only_a, only_b, p)


def mcnemar_clustered(
    hits_a: Sequence[bool] | np.ndarray, hits_b: Sequence[bool] | np.ndarray, groups: Sequence[str]
) -> McNemar:
    """`mcnemar` where rows of a group belong together: the systems exchange their hits for whole groups.

    The sum of (only a) - (only b) is as far from 0 in a share p of all exchanges.  Each group adds or
    subtracts its own difference, so that the distribution of the sum is a product of such pairs, computed
    exactly.  With a row a group this is `mcnemar`.

    Args: whether a and b have each row right, bool `(n,)`, and the group of each row.
    """
    a, b = _hits(hits_a, hits_b)
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    if len(member) != len(a):
        raise ValueError(f"expected a group for each of {len(a)} rows. Received: {len(member)}")
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    steps = np.abs(np.bincount(member, weights=a.astype(float) - b, minlength=len(names)).astype(int))
    # chances[i] of the sum i - reach
    reach, chances = 0, np.ones(1)
    for step in steps[steps > 0]:
        reach += int(step)
        chances = (np.pad(chances, (2 * step, 0)) + np.pad(chances, (0, 2 * step))) / 2
    far = np.abs(np.arange(-reach, reach + 1)) >= abs(only_a - only_b)
    return McNemar(only_a, only_b, float(min(1.0, chances[far].sum())))


def _hits(hits_a: Sequence[bool] | np.ndarray, hits_b: Sequence[bool] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(hits_a), np.asarray(hits_b)
    if a.shape != b.shape or a.ndim != 1 or not (np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all()):
        raise ValueError(f"expected two arrays (n,) of hits, true or false. Received: {a.shape} and {b.shape}")
    return a.astype(bool), b.astype(bool)


def seeds(values: Sequence[float]) -> Seeds:
    """Mean and standard deviation of a metric over trainings that differ in their seed only."""
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise ValueError(f"expected one or more finite values. Received: {values}")
    return Seeds(float(x.mean()), float(x.std(ddof=1)) if len(x) > 1 else None, len(x))
