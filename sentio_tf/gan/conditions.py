"""What the generator is asked for: valence and arousal of tracks, and how such pairs are drawn anew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import pipeline
from ..contract import AXES
from ..corpora.track import Track
from ..errors import ConfigError

WAYS = ("density", "uniform")
RATED = 2  # column of `pipeline.target`


def targets(tracks: Sequence[Track]) -> np.ndarray:
    """`pipeline.target` of each track, float32 `(n, 3)`: ratings and 1, or signs and 0."""
    return np.stack([pipeline.target(t) for t in tracks])


def conditions(goals: np.ndarray, sign_value: float) -> np.ndarray:
    """[valence, arousal] in [-1, 1] of targets `(n, 3)`; a sign stands for `sign_value` of its side."""
    return goals[:, :2] * np.where(goals[:, RATED:] == 1, 1.0, sign_value)


def bandwidth(ratings: np.ndarray) -> np.ndarray:
    """Scott's (1992) rule for `(n, 2)`, one width an axis: sd n^(-1/6)."""
    return ratings.std(axis=0) * len(ratings) ** (-1 / (len(AXES) + 4))


def draw(goals: np.ndarray, count: int, *, way: str = "density", rng: np.random.Generator) -> np.ndarray:
    """`count` new targets `(count, 3)`.

    "density": a row of `goals` at random; a rated one moves by a normal step of `bandwidth`, which is a draw from the
    kernel density estimate of the ratings, and what leaves [-1, 1] is reflected; signs stay signs, because nobody
    rated such a song.  "uniform": ratings anywhere in [-1, 1]^2, of which music has only a part.

    Raises: ConfigError for another way.
    """
    if way not in WAYS:
        raise ConfigError(f"labels: expected {' or '.join(WAYS)}, received {way!r}; choose one")
    if way == "uniform":
        plane = rng.uniform(-1, 1, (count, len(AXES)))
        return np.concatenate([plane, np.ones((count, 1))], axis=1).astype(np.float32)
    found = goals[rng.integers(len(goals), size=count)].astype(np.float64)
    rated = goals[goals[:, RATED] == 1, :2]
    step = rng.standard_normal((count, len(AXES)))  # drawn for all, so that one kind does not change the other's
    if len(rated):
        moved = found[:, :2] + step * bandwidth(rated)
        moved = np.where(np.abs(moved) > 1, np.sign(moved) * 2 - moved, moved)
        found[:, :2] = np.where(found[:, RATED:] == 1, moved, found[:, :2])
    return found.astype(np.float32)


def outside(drawn: np.ndarray, goals: np.ndarray, sign_value: float) -> float:
    """Share of drawn targets further from every training label than nine in ten training labels are from their nearest.

    It says how much is asked of the generator that it never saw.
    """
    known, asked = conditions(goals, sign_value), conditions(drawn, sign_value)
    between = np.linalg.norm(known[:, None] - known[None], axis=-1)
    np.fill_diagonal(between, np.inf)
    usual = np.quantile(between.min(axis=1), 0.9) if len(known) > 1 else 0.0
    nearest = np.linalg.norm(asked[:, None] - known[None], axis=-1).min(axis=1)
    return float((nearest > max(usual, 1e-6)).mean())
