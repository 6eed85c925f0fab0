"""Metrics of dimensional emotion, `(reference, estimated)` in this order.

Conventions: arrays of shape `(n,)`, any common scale; moments are population moments (ddof 0), so
that `r2 <= ccc <= |pearson|` holds.  Everything needs two values at least and raises ValueError for
NaN; a constant reference or estimate gives ccc and pearson 0 (nothing is tracked), r2 NaN-free too.
"""

from __future__ import annotations

import numpy as np


def validate(reference: np.ndarray, estimated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 `(n,)`; ValueError for other shapes, fewer than two values, NaN or inf."""
    reference, estimated = np.asarray(reference, np.float64), np.asarray(estimated, np.float64)
    if reference.shape != estimated.shape or reference.ndim != 1 or len(reference) < 2:
        raise ValueError(f"expected two arrays (n,) with n >= 2. Received: {reference.shape} and {estimated.shape}")
    if not (np.isfinite(reference).all() and np.isfinite(estimated).all()):
        raise ValueError("expected finite values. Received: NaN or inf")
    return reference, estimated


def ccc(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Concordance correlation coefficient (Lin 1989, doi:10.2307/2532051), in [-1, 1].

    2 cov / (var_r + var_e + (mean_r - mean_e)^2); 0 where both are the same constant.
    """
    reference, estimated = validate(reference, estimated)
    covariance = np.mean((reference - reference.mean()) * (estimated - estimated.mean()))
    spread = reference.var() + estimated.var() + (reference.mean() - estimated.mean()) ** 2
    return float(2 * covariance / spread) if spread > 0 else 0.0


def pearson(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Pearson's r, in [-1, 1]; 0 where one side is constant."""
    reference, estimated = validate(reference, estimated)
    a, b = reference - reference.mean(), estimated - estimated.mean()
    scale = np.sqrt(np.mean(a**2) * np.mean(b**2))
    return float(np.mean(a * b) / scale) if scale > 0 else 0.0


def r2(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Coefficient of determination 1 - SS_res / SS_tot, in (-inf, 1]; 0 for a constant reference."""
    reference, estimated = validate(reference, estimated)
    total = np.sum((reference - reference.mean()) ** 2)
    return float(1 - np.sum((reference - estimated) ** 2) / total) if total > 0 else 0.0


def rmse(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Root mean squared error, in the unit of the values."""
    reference, estimated = validate(reference, estimated)
    return float(np.sqrt(np.mean((reference - estimated) ** 2)))


def mae(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Mean absolute error, in the unit of the values."""
    reference, estimated = validate(reference, estimated)
    return float(np.mean(np.abs(reference - estimated)))


def sign_accuracy(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Share of values on the same side of 0; 0 itself counts as negative, as in `runtime.mood`."""
    reference, estimated = validate(reference, estimated)
    return float(np.mean((reference > 0) == (estimated > 0)))


def quadrant_accuracy(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Share of rows `(n, 2)` = [valence, arousal] that fall in the same quadrant."""
    reference, estimated = np.asarray(reference), np.asarray(estimated)
    if reference.shape != estimated.shape or reference.ndim != 2 or reference.shape[1] != 2:
        raise ValueError(f"expected two arrays (n, 2). Received: {reference.shape} and {estimated.shape}")
    return float(np.mean(((reference > 0) == (estimated > 0)).all(axis=1)))


REGRESSION = {"ccc": ccc, "r2": r2, "pearson": pearson, "rmse": rmse, "mae": mae}
