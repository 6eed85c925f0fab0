"""How good a model can look at best, given how much the raters of a song disagree.

Classical test theory (Lord & Novick 1968, Statistical Theories of Mental Test Scores): the mean of n
ratings of a song is its true score plus an error of variance sd^2 / n, independent of the true score.
What a model is judged on is that mean, so even one that knows every true score misses it by the error.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

# Below this number of songs the variance of the means says too little to divide by.
FEWEST = 10


class Reliability(NamedTuple):
    """Share of the variance of song means that is true, in [0, 1].

    `clipped`: the errors alone are larger than the variance of the means, and 0 stands for a negative
    estimate.  `songs`: how many of them count; `error`: mean of sd^2 / n; `variance`: of the means (ddof 1).
    """

    value: float
    clipped: bool
    songs: int
    error: float
    variance: float


def reliability(means: ArrayLike, sds: ArrayLike, raters: ArrayLike) -> Reliability | None:
    """1 - mean(sd^2 / n) / var(means): the squared correlation of true scores and song means.

    Args:
        means: mean rating of each song, `(songs,)`.
        sds: standard deviation (ddof 1) of the single ratings of each song, `(songs,)`, same unit.
        raters: ratings a song, `(songs,)` or one number for all.

    Rows where any of them is missing (NaN, None) and those of fewer than two raters, who have no sd, are
    left out.  Returns: None if fewer than `FEWEST` are left.  Raises: ValueError for other shapes, inf,
    and sds below 0.
    """
    m, s = np.asarray(means, np.float64), np.asarray(sds, np.float64)
    n = np.asarray(raters, np.float64)
    if m.ndim != 1 or s.shape != m.shape or n.shape not in ((), m.shape):
        raise ValueError(
            f"expected means and sds (songs,), raters (songs,) or a number. Received: {m.shape}, {s.shape}, {n.shape}"
        )
    if np.isinf(m).any() or np.isinf(s).any() or np.isinf(n).any() or (s < 0).any():
        raise ValueError("expected finite means, sds and raters, sds >= 0. Received: inf or a negative sd")
    n = np.broadcast_to(n, m.shape)
    kept = ~np.isnan(m) & ~np.isnan(s) & (n >= 2)
    if kept.sum() < FEWEST:
        return None
    error = float(np.mean(s[kept] ** 2 / n[kept]))
    from_first = m[kept] - m[kept][0]  # exactly 0 where all means are the same
    variance = float(np.var(from_first, ddof=1))
    true = variance - error
    value = true / variance if true > 0 else 0.0
    return Reliability(value, true < 0, int(kept.sum()), error, variance)


def spearman_brown(value: float, times: float) -> float:
    """Reliability of a mean over `times` as many raters (Spearman 1910, Brown 1910).

    k rel / (1 + (k - 1) rel) for rel in [0, 1] and k > 0; k = 1 / raters gives that of one rater.
    """
    if not 0 <= value <= 1 or not times > 0:
        raise ValueError(f"expected a reliability in [0, 1] and times > 0. Received: {value} and {times}")
    return times * value / (1 + (times - 1) * value)


def ceilings(means: ArrayLike, sds: ArrayLike, raters: ArrayLike) -> dict[str, Any] | None:
    """What a model that knows every true score can expect against the observed means.

    Args: as `reliability`.

    Returns: None if too few songs are left, else

        reliability, clipped, songs: see `Reliability`
        pearson: sqrt(rel), the highest that any model can expect
        r2: rel, likewise
        rmse: sqrt((1 - rel) var), the lowest, in the unit of the means; sqrt(mean(sd^2 / n)) unless clipped
        ccc: 2 rel / (1 + rel), since the true scores spread less than the means observed

    The ccc is that of the true scores, not the highest: estimates that are stretched by 1 / sqrt(rel) to the
    spread of the means reach ccc = sqrt(rel), at a larger rmse.
    """
    found = reliability(means, sds, raters)
    if found is None:
        return None
    rel = found.value
    return {
        "reliability": rel,
        "pearson": float(np.sqrt(rel)),
        "r2": rel,
        "ccc": 2 * rel / (1 + rel),
        "rmse": float(np.sqrt((1 - rel) * found.variance)),
        "clipped": found.clipped,
        "songs": found.songs,
    }
