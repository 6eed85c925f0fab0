"""Answers of a network to the windows of tracks, many at a time."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..contract import HOP_S
from ..corpora.track import Track
from .cache import Cache
from .data import windows

if TYPE_CHECKING:
    import keras

Owner = TypeVar("Owner", bound=Hashable)


def answers(
    model: keras.Model, examples: Iterable[tuple[Owner, np.ndarray]], *, batch: int
) -> Iterator[tuple[Owner, np.ndarray]]:
    """`(owner, output)` for each `(owner, input)`, in their order; `batch` inputs at a time."""
    endless = iter(examples)
    while part := list(islice(endless, batch)):
        # Always the same batch shape: one trace, one plan.
        x = np.zeros((batch, *part[0][1].shape), np.float32)
        x[: len(part)] = [example for _, example in part]
        y = np.array(model.predict_on_batch(x))[: len(part)]
        yield from zip((owner for owner, _ in part), y, strict=True)


def mean_answers(
    model: keras.Model, examples: Iterable[tuple[int, np.ndarray]], tracks: int, *, batch: int
) -> np.ndarray:
    """Mean output of each track, `(tracks, outputs)`, float64, over its examples; an owner is the number of a track."""
    sums: dict[int, np.ndarray] = {}
    counts = np.zeros(tracks)
    for i, y in answers(model, examples, batch=batch):
        sums[i] = sums.get(i, 0) + y.astype(np.float64)
        counts[i] += 1
    return np.stack([sums[i] for i in range(tracks)]) / counts[:, None]


def predict_tracks(
    model: keras.Model, tracks: Sequence[Track], cache: Cache, *, hop_s: float = HOP_S, batch: int = 32
) -> np.ndarray:
    """Mean over the windows of each track, `(tracks, outputs)`; `model` takes 30 s of what the cache holds."""
    return mean_answers(model, windows(tracks, cache, hop_s=hop_s), len(tracks), batch=batch)
