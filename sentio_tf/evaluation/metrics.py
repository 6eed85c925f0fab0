"""Metrics of dimensional emotion, `(reference, estimated)` in this order.

Conventions:

- One axis: two arrays `(n,)`, n >= 2, in any common scale.  The plane: two arrays `(n, 2)` = [valence,
  arousal], n >= 1.  Another shape, NaN and inf raise ValueError, which names the first row that is wrong.
- Moments are population moments (ddof 0), so that `r2 <= ccc <= |pearson|` holds.
- What is not defined is 0: ccc, pearson and spearman where one side is constant (nothing is tracked), r2
  and sd_ratio for a constant reference; only auc is 0.5, as by chance.  `degenerate` says in words which of
  these came up.
- `bias` and the errors are estimated minus reference, in the unit of the values.
- 0 counts as negative: a quadrant is Q1 (+, +), Q2 (-, +), Q3 (-, -) or Q4 (+, -), as in `runtime.mood`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

AXES = ("valence", "arousal")
LARGEST = 1e100  # squares and their sums stay finite
QUADRANTS = ("Q1", "Q2", "Q3", "Q4")


def _finite(reference: np.ndarray, estimated: np.ndarray) -> None:
    for name, values in (("reference", reference), ("estimated", estimated)):
        bad = ~(np.abs(values) <= LARGEST)
        if bad.any():
            row = int(np.flatnonzero(bad.reshape(len(values), -1).any(axis=1))[0])
            raise ValueError(
                f"expected finite values, at most {LARGEST:g}. Received: {values[row]} in row {row} of {name}"
            )


def validate(reference: np.ndarray, estimated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One axis: both as float64 `(n,)`; ValueError for other shapes, fewer than two values, NaN or inf."""
    reference, estimated = np.asarray(reference, np.float64), np.asarray(estimated, np.float64)
    if reference.shape != estimated.shape or reference.ndim != 1 or len(reference) < 2:
        raise ValueError(f"expected two arrays (n,) with n >= 2. Received: {reference.shape} and {estimated.shape}")
    _finite(reference, estimated)
    return reference, estimated


def validate_plane(reference: np.ndarray, estimated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The plane: both as float64 `(n, 2)`; ValueError for other shapes, no rows, NaN or inf."""
    reference, estimated = np.asarray(reference, np.float64), np.asarray(estimated, np.float64)
    if reference.shape != estimated.shape or reference.ndim != 2 or reference.shape[1] != 2 or not len(reference):
        raise ValueError(f"expected two arrays (n, 2) with n >= 1. Received: {reference.shape} and {estimated.shape}")
    _finite(reference, estimated)
    return reference, estimated


def _deviations(values: np.ndarray) -> np.ndarray:
    """Deviations from the mean, exactly 0 for a constant, whose mean in floats may differ from itself."""
    shifted = values - values[0]
    return shifted - shifted.mean()


def _bounded(value: float) -> float:
    """What rounding puts beyond -1 or 1, back there."""
    return float(min(1.0, max(-1.0, value)))


# -- one axis ---------------------------------------------------------------------------------------


def ccc(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Concordance correlation coefficient (Lin 1989, doi:10.2307/2532051), in [-1, 1].

    2 cov / (var_r + var_e + (mean_r - mean_e)^2); 0 where one side is constant.
    """
    reference, estimated = validate(reference, estimated)
    a, b = _deviations(reference), _deviations(estimated)
    spread = np.mean(a**2) + np.mean(b**2) + np.mean(estimated - reference) ** 2
    return _bounded(2 * np.mean(a * b) / spread) if spread > 0 else 0.0


def pearson(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Pearson's r, in [-1, 1]; 0 where one side is constant."""
    reference, estimated = validate(reference, estimated)
    return _correlation(reference, estimated)


def spearman(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Spearman's rho: Pearson's r of the ranks, equal values sharing their mean rank; in [-1, 1]."""
    reference, estimated = validate(reference, estimated)
    return _correlation(ranks(reference), ranks(estimated))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = _deviations(a), _deviations(b)
    scale = np.sqrt(np.mean(a**2)) * np.sqrt(np.mean(b**2))
    return _bounded(np.mean(a * b) / scale) if scale > 0 else 0.0


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks 1..n of `(n,)`; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def r2(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Coefficient of determination 1 - SS_res / SS_tot, in (-inf, 1]; 0 for a constant reference."""
    reference, estimated = validate(reference, estimated)
    total = np.sum(_deviations(reference) ** 2)
    return float(1 - np.sum((reference - estimated) ** 2) / total) if total > 0 else 0.0


def rmse(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Root mean squared error, in the unit of the values."""
    reference, estimated = validate(reference, estimated)
    return float(np.sqrt(np.mean((reference - estimated) ** 2)))


def mae(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Mean absolute error, in the unit of the values."""
    reference, estimated = validate(reference, estimated)
    return float(np.mean(np.abs(reference - estimated)))


def bias(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Mean of estimated minus reference, in the unit of the values."""
    reference, estimated = validate(reference, estimated)
    return float(np.mean(estimated - reference))


def sd_ratio(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Standard deviation of the estimates over that of the reference, >= 0; 0 for a constant reference.

    Below 1 estimates are shrunk to the mean.
    """
    reference, estimated = validate(reference, estimated)
    spread = np.sqrt(np.mean(_deviations(reference) ** 2))
    return float(np.sqrt(np.mean(_deviations(estimated) ** 2)) / spread) if spread > 0 else 0.0


def sign_accuracy(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Share of values on the same side of 0; 0 itself counts as negative, as in `runtime.mood`."""
    reference, estimated = validate(reference, estimated)
    return float(np.mean((reference > 0) == (estimated > 0)))


def auc(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Area under the ROC curve: how often a pleasant (energetic) one is above an unpleasant (calm) one, in [0, 1].

    Of the sign of the reference; equal estimates count half (Mann & Whitney 1947).  0.5 where the reference
    lies on one side only.
    """
    reference, estimated = validate(reference, estimated)
    above = reference > 0
    n, m = int(above.sum()), int((~above).sum())
    if not n or not m:
        return 0.5
    return float((ranks(estimated)[above].sum() - n * (n + 1) / 2) / (n * m))


def calibration(reference: np.ndarray, estimated: np.ndarray, bins: int = 10) -> dict[str, Any]:
    """How to read an estimate: the line of reference on estimated, and means in bins of equal counts.

    Args:
        bins: at most this many; equal estimates share a bin, and bins without rows are left out.

    Returns: `slope` and `intercept` of the least squares line reference = slope * estimated + intercept
        (slope > 1: estimates are shrunk to the mean; both None for constant estimates), `sd_ratio`, and
        `bins`, from low to high estimates, each `{"estimated": mean, "reference": mean, "n": rows}`.
    """
    reference, estimated = validate(reference, estimated)
    if bins < 1:
        raise ValueError(f"expected bins >= 1. Received: {bins}")
    a, b = _deviations(reference), _deviations(estimated)
    variance = np.mean(b**2)
    slope = float(np.mean(a * b) / variance) if variance > 0 else None
    intercept = None if slope is None else float(reference.mean() - slope * estimated.mean())
    place = ((ranks(estimated) - 0.5) * bins / len(estimated)).astype(int)
    return {
        "slope": slope,
        "intercept": intercept,
        "sd_ratio": sd_ratio(reference, estimated),
        "bins": [
            {
                "estimated": float(estimated[place == p].mean()),
                "reference": float(reference[place == p].mean()),
                "n": int(np.sum(place == p)),
            }
            for p in np.unique(place)
        ],
    }


# -- the plane --------------------------------------------------------------------------------------


def quadrant_index(plane: np.ndarray) -> np.ndarray:
    """0..3 for Q1..Q4 of rows `(n, 2)` = [valence, arousal]."""
    valence, arousal = plane[:, 0] > 0, plane[:, 1] > 0
    return np.where(arousal, np.where(valence, 0, 1), np.where(valence, 3, 2))


def quadrant_accuracy(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Share of rows `(n, 2)` = [valence, arousal] that fall in the same quadrant."""
    reference, estimated = validate_plane(reference, estimated)
    return float(np.mean(quadrant_index(reference) == quadrant_index(estimated)))


def confusion(reference: np.ndarray, estimated: np.ndarray) -> np.ndarray:
    """Counts of rows, int `(4, 4)`: reference in quadrant Q1..Q4 down, estimated across."""
    reference, estimated = validate_plane(reference, estimated)
    cells = 4 * quadrant_index(reference) + quadrant_index(estimated)
    return np.bincount(cells, minlength=16).reshape(4, 4)


def quadrant_f1(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Macro F1 of the quadrants: the mean of 2 hits / (rows in it + rows put into it), in [0, 1].

    Quadrants where neither the reference nor an estimate lies do not count.
    """
    counts = confusion(reference, estimated)
    rows = counts.sum(axis=0) + counts.sum(axis=1)
    there = rows > 0
    return float(np.mean(2 * np.diag(counts)[there] / rows[there]))


# -- together ---------------------------------------------------------------------------------------

REGRESSION = {"ccc": ccc, "r2": r2, "pearson": pearson, "rmse": rmse, "mae": mae}
AXIS = {**REGRESSION, "spearman": spearman, "bias": bias, "sd_ratio": sd_ratio, "sign_accuracy": sign_accuracy}


def evaluate(reference: np.ndarray, estimated: np.ndarray) -> dict[str, Any]:
    """Everything above.

    Returns: for one axis `{metric: value}` with the names in `AXIS`; for the plane such a dict under
        "valence" and "arousal", and `{"accuracy", "f1", "confusion"}` (lists) under "quadrant".
    """
    if np.ndim(reference) != 2:
        return {name: metric(reference, estimated) for name, metric in AXIS.items()}
    reference, estimated = validate_plane(reference, estimated)
    out = {axis: evaluate(reference[:, i], estimated[:, i]) for i, axis in enumerate(AXES)}
    out["quadrant"] = {
        "accuracy": quadrant_accuracy(reference, estimated),
        "f1": quadrant_f1(reference, estimated),
        "confusion": confusion(reference, estimated).tolist(),
    }
    return out


def degenerate(reference: np.ndarray, estimated: np.ndarray) -> list[str]:
    """What keeps the metrics from meaning anything, a sentence each; empty: nothing.

    Args: one axis or the plane, but here of any number of rows.
    """
    reference, estimated = np.asarray(reference, np.float64), np.asarray(estimated, np.float64)
    if reference.shape != estimated.shape or reference.ndim not in (1, 2) or reference.shape[1:] not in ((), (2,)):
        raise ValueError(f"expected two arrays (n,) or (n, 2). Received: {reference.shape} and {estimated.shape}")
    _finite(reference, estimated)
    if len(reference) < 2:
        return [f"fewer than two rows ({len(reference)}): the metrics of an axis are not defined"]
    if reference.ndim == 2:
        return [f"{name}: {s}" for i, name in enumerate(AXES) for s in degenerate(reference[:, i], estimated[:, i])]
    said = []
    if (reference == reference[0]).all():
        said.append(f"reference is constant ({reference[0]:g}): ccc, pearson, spearman, r2 and sd_ratio are set to 0")
    if (estimated == estimated[0]).all():
        said.append(f"estimates are constant ({estimated[0]:g}): ccc, pearson and spearman are set to 0")
    return said
