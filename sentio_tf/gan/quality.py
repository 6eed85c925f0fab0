"""How far generated log-mels are from music: a composite score, their diversity, and the labels' meaning.

No number here means anything alone.  Each is computed for other real songs as well, which is the ceiling, and for noise
with the mean and the deviation of each band, which is the floor (`levels`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .copies import Windows, memorisation
from .profile import Profile
from .reader import Reader

# Of the composite, as the published recipe has them; it names the terms only, so the formulas are of this module.
WEIGHTS = {"frechet": 0.30, "moments": 0.20, "smoothness": 0.20, "correlation": 0.15, "range": 0.15}
GROUPS = (16, 8, 4, 2, 1)  # of neighbouring bands in the embedding; as many as the samples allow
SAMPLES_A_DIMENSION = 2


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


def diversity(of: Profile, reference: Profile, alike: np.ndarray | None = None) -> float | None:
    """Mean distance of two spectrograms of a set as a share of that of two reference songs; 0 where all are one.

    Args: alike: rows `(n, ...)`; only spectrograms whose rows are equal are compared. With the conditions as rows, a
        generator that knows one picture for each condition has no diversity.

    Returns: None where no two rows are equal.
    """
    own, real = (pictures(p, reference) for p in (of, reference))
    pairs = ~np.eye(len(own), dtype=bool)
    if alike is not None:
        rows = np.asarray(alike).reshape(len(own), -1)
        pairs &= (rows[:, None] == rows[None]).all(axis=2)
        if not pairs.any():
            return None
    mean = _apart(real, ~np.eye(len(real), dtype=bool))
    return _apart(own, pairs) / mean if mean > 0 else 0.0


def _apart(x: np.ndarray, pairs: np.ndarray) -> float:
    """Mean distance of the pairs of rows that are marked in `(n, n)`; 0 without any."""
    return float(np.sqrt(_squares(x, x))[pairs].mean()) if pairs.any() else 0.0


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances `(n, m)`."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    found = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.maximum(found, 0)


def noise(mean: np.ndarray, std: np.ndarray, count: int, *, frames: int, seed: int):
    """`count` log-mels `(bands, frames)` of normal noise with the mean and sd [dB] of each band: the floor."""
    rng = np.random.default_rng(seed)
    return (mean[:, None] + std[:, None] * rng.standard_normal((len(mean), frames)) for _ in range(count))


def levels(
    train: Profile,
    held: Profile,
    made: Profile,
    floor: Profile,
    known: Windows,
    *,
    labels: Sequence[np.ndarray],
    twins: tuple[Profile, np.ndarray] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Everything, for `generated`, `ceiling` and `floor`.

    The ceiling compares held songs with training songs and lets the reader of labels, which knows held songs only,
    read training songs; the floor is noise, and for the labels their shuffle.  Composite scores are of equally many
    spectrograms: more of them are nearer to the reference whatever they are.  The diversity is of spectrograms with the
    same condition, of noise, which has none, of all; None where no condition comes twice.

    Args:
        known: all windows of the training songs, of which `made` may be copies.
        labels: [valence, arousal] of `train`, `held` and the conditions of `made`, each `(n, 2)`.
        twins: several samples of each of a few conditions, and these: the diversity of `made` is taken of them.
        seed: of the draw of held songs, and of shuffles.
    """
    of_train, of_held, asked = labels
    reader = Reader.fit(held, of_held, train, of_train)
    found: dict[str, Any] = {"samples": {"train": len(train), "held": len(held), "generated": len(made)}}
    count = min(len(held), len(made), len(floor))
    found["samples"]["compared"] = count
    found["dimensions"] = dimensions(len(train), count)
    order = np.random.default_rng(seed).permutation(len(held))  # songs come corpus by corpus, samples in no order
    alike = {"generated": twins or (made, asked), "ceiling": (held, of_held), "floor": (floor, None)}
    for name, some in (("generated", made), ("ceiling", held.take(order)), ("floor", floor)):
        scores = composite(train, some.take(np.arange(count)), limit=found["dimensions"])
        same, of = alike[name]
        found[name] = scores | {"diversity": diversity(same, train, of)}
    found["generated"]["fidelity"] = reader.fidelity(made, asked, seed=seed)
    found["ceiling"]["fidelity"] = reader.fidelity(train, of_train, seed=seed)
    found["memorisation"] = memorisation(made, known, held)
    return found
