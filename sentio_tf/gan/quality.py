"""How far generated log-mels are from music: a composite score, copies of training songs, and the labels' meaning.

No number here means anything alone.  Each is computed for other real songs as well, which is the ceiling, and for noise
with the mean and the deviation of each band, which is the floor (`levels`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .profile import Profile
from .reader import Reader

# Of the composite, as the published recipe has them; it names the terms only, so the formulas are of this module.
WEIGHTS = {"frechet": 0.30, "moments": 0.20, "smoothness": 0.20, "correlation": 0.15, "range": 0.15}
GROUPS = (16, 8, 4, 2, 1)  # of neighbouring bands in the embedding; as many as the samples allow
SAMPLES_A_DIMENSION = 2
NEAR = 0.05  # quantile of real songs that stands for "nearer than songs are"
COPY_FACTOR = 3.0  # times as many near ones as real music has are called copies


def composite(reference: Profile, other: Profile, *, limit: int = 3 * GROUPS[0]) -> dict[str, float]:
    """The five terms and their weighted sum `composite`, each in [0, 1], 1 for music like the reference.

    frechet      exp(-d / k), d the `frechet` distance in the k dimensions of `embeddings`
    moments      mean over mean, sd, skewness, kurtosis of exp(-|a - b| / s): a and b the means over spectrograms, s
                 the sd of that moment from song to song in the reference
    smoothness   mean over time and bands of min(a, b) / max(a, b), a and b the mean absolute steps of neighbours [dB]
    correlation  Pearson r, at least 0, of the mean correlation matrices of the 128 bands (above the diagonal)
    range        mean over bands of intersection / union of the intervals from the 1 % to the 99 % quantile

    Args: limit: dimensions at most, for scores that are to be compared.
    """
    first, second = embeddings(reference, other, limit=limit)
    terms = {"frechet": float(np.exp(-frechet(first, second) / first.shape[1]))}
    a, b = reference.moments.mean(axis=0), other.moments.mean(axis=0)
    spread = np.maximum(reference.moments.std(axis=0), 1e-9)
    terms["moments"] = float(np.exp(-np.abs(a - b) / spread).mean())
    a, b = reference.change.mean(axis=0), other.change.mean(axis=0)
    terms["smoothness"] = float((np.minimum(a, b) / np.maximum(np.maximum(a, b), 1e-9)).mean())
    above = np.triu_indices(reference.correlation.shape[1], 1)
    a, b = (p.correlation.mean(axis=0)[above] for p in (reference, other))
    terms["correlation"] = float(max(np.corrcoef(a, b)[0, 1], 0.0)) if a.std() > 0 and b.std() > 0 else 0.0
    low, high = (np.stack([getattr(p, end).mean(axis=0) for p in (reference, other)]) for end in ("low", "high"))
    common = np.maximum(high.min(axis=0) - low.max(axis=0), 0)
    terms["range"] = float((common / np.maximum(high.max(axis=0) - low.min(axis=0), 1e-9)).mean())
    return {"composite": float(sum(WEIGHTS[name] * terms[name] for name in WEIGHTS)), **terms}


def dimensions(*counts: int) -> int:
    """Of the embedding for sets of so many spectrograms: two samples a dimension or more, where there are six.

    Three statistics of as many groups of bands as that allows: 48 from 96 spectrograms on, 24 from 48 on.
    """
    fits = (3 * g for g in GROUPS if 3 * g * SAMPLES_A_DIMENSION <= min(counts))
    return next(fits, 3 * GROUPS[-1])


def embeddings(reference: Profile, other: Profile, *, limit: int = 3 * GROUPS[0]) -> tuple[np.ndarray, np.ndarray]:
    """Both as `(n, k)`, k = `dimensions` or `limit`: mean, sd and step of groups of bands, in sd of the reference."""
    groups = min(dimensions(len(reference), len(other)), limit) // 3
    pooled = [
        np.concatenate([a.reshape(len(a), groups, -1).mean(axis=2) for a in (p.mean, p.std, p.step)], axis=1)
        for p in (reference, other)
    ]
    centre, spread = pooled[0].mean(axis=0), np.maximum(pooled[0].std(axis=0), 1e-6)
    return (pooled[0] - centre) / spread, (pooled[1] - centre) / spread


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance of two normal distributions fitted to `(n, k)` and `(m, k)` (Dowson & Landau 1982).

    |mean_a - mean_b|^2 + trace(A + B - 2 (A B)^1/2), the covariances A and B shrunk towards a multiple of the identity
    by the amount of Ledoit & Wolf (2004), so that few samples do not make them singular.

    Raises: ValueError with fewer than two rows or other numbers of columns.
    """
    from sklearn.covariance import ledoit_wolf

    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"expected (n, k) and (m, k), n and m at least 2. Received: {a.shape} and {b.shape}")
    first, second = (ledoit_wolf(x)[0] for x in (a, b))
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    apart = a.mean(axis=0) - b.mean(axis=0)
    return float(max(apart @ apart + np.trace(first) + np.trace(second) - 2 * cross, 0.0))


def pictures(of: Profile, scale: Profile) -> np.ndarray:
    """Small pictures `(n, 1296)`, each band group in units of its deviation in `scale`."""
    spread = np.maximum(scale.small.std(axis=(0, 2)), 1e-6)
    return (of.small / spread[:, None]).reshape(len(of), -1)


def diversity(of: Profile, reference: Profile) -> float:
    """Mean distance of two spectrograms of a set as a share of that of two reference songs; 0 where all are one."""
    own, real = (_apart(pictures(p, reference)) for p in (of, reference))
    return own / real if real > 0 else 0.0


def _apart(x: np.ndarray) -> float:
    between = np.sqrt(_squares(x, x))
    rows = len(x)
    return float(between.sum() / (rows * (rows - 1))) if rows > 1 else 0.0


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances `(n, m)`."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    found = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.maximum(found, 0)


def memorisation(of: Profile, train: Profile, held: Profile) -> dict[str, Any]:
    """Whether spectrograms are copies of training songs, judged by what real songs that were not trained on do.

    Of each, the distance to the nearest training song in `pictures` and, because a blurred mean is near to everything
    without being a copy, the ratio of that distance to the one to the second nearest.  `near` and `copied` are the
    shares below the 5 % quantile that held songs have in distance and in ratio; 0.05 is what real music does.
    `verdict` is "copies" where both are three times that.

    Raises: ValueError with fewer than two training songs.
    """
    if len(train) < 2:
        raise ValueError(f"expected two training songs or more. Received: {len(train)}")
    known = pictures(train, train)
    found = {}
    for name, some in (("held", held), ("made", of)):
        between = np.sqrt(np.sort(_squares(pictures(some, train), known), axis=1)[:, :2])
        found[name] = between[:, 0], between[:, 0] / np.maximum(between[:, 1], 1e-9)
    limits = [float(np.quantile(values, NEAR)) for values in found["held"]]
    near, copied = (float((values < limit).mean()) for values, limit in zip(found["made"], limits, strict=True))
    many = COPY_FACTOR * NEAR
    return {
        "near": near,
        "copied": copied,
        "expected": NEAR,
        "median_distance": float(np.median(found["made"][0])),
        "median_distance_held": float(np.median(found["held"][0])),
        "verdict": "copies" if near > many and copied > many else "no copies",
    }


def noise(mean: np.ndarray, std: np.ndarray, count: int, *, frames: int, seed: int):
    """`count` log-mels `(bands, frames)` of normal noise with the mean and sd [dB] of each band: the floor."""
    rng = np.random.default_rng(seed)
    return (mean[:, None] + std[:, None] * rng.standard_normal((len(mean), frames)) for _ in range(count))


def levels(
    train: Profile, held: Profile, made: Profile, floor: Profile, *, labels: Sequence[np.ndarray], seed: int = 0
) -> dict[str, Any]:
    """Everything, for `generated`, `ceiling` and `floor`.

    The ceiling compares held songs with training songs and lets the reader of labels, which knows held songs only,
    read training songs; the floor is noise, and for the labels their shuffle.

    Args: labels: [valence, arousal] of `train`, `held` and the conditions of `made`, each `(n, 2)`.
    """
    of_train, of_held, asked = labels
    reader = Reader.fit(held, of_held, train, of_train)
    found: dict[str, Any] = {"samples": {"train": len(train), "held": len(held), "generated": len(made)}}
    found["dimensions"] = dimensions(len(train), len(held), len(made))
    for name, some in (("generated", made), ("ceiling", held), ("floor", floor)):
        found[name] = composite(train, some, limit=found["dimensions"]) | {"diversity": diversity(some, train)}
    found["generated"]["fidelity"] = reader.fidelity(made, asked, seed=seed)
    found["ceiling"]["fidelity"] = reader.fidelity(train, of_train, seed=seed)
    found["memorisation"] = memorisation(made, train, held)
    return found
