"""What is read: the corpora of an evaluation, and its numbers where they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..predictions import Predictions
from . import write
from .write import Measure

DRAWN = 4000  # songs drawn of a corpus: more marks only make the page slow


@dataclass(frozen=True)
class Corpus:
    """A corpus on the page: its number there, its part of the evaluation, and the songs that are drawn."""

    index: int
    name: str
    label: str
    entry: Mapping[str, Any]
    songs: Predictions | None
    left_out: int = 0

    @property
    def rated(self) -> bool:
        return self.label != "sign"

    @property
    def title(self) -> str:
        return write.name(self.name)


def corpora(evaluation: Mapping[str, Any], predictions: Predictions) -> list[Corpus]:
    """Those of the evaluation in its order, then those that only the predictions know."""
    entries = evaluation.get("corpora")
    entries = entries if isinstance(entries, Mapping) else {}
    parts = predictions.parts() if len(predictions) else {}
    found = []
    for index, name in enumerate([*entries, *(p for p in parts if p not in entries)]):
        entry = entries.get(name)
        entry = entry if isinstance(entry, Mapping) else {}
        part = parts.get(name)
        label = str(entry.get("label") or (part.label[0] if part is not None else "rating"))
        songs, left_out = _drawable(part)
        found.append(Corpus(index, write.portable(str(name)), label, entry, songs, left_out))
    return found


def _drawable(part: Predictions | None) -> tuple[Predictions | None, int]:
    """Songs with finite values, `DRAWN` at most, evenly through the table; and how many are left out."""
    if part is None:
        return None, 0
    finite = np.flatnonzero(np.isfinite(part.reference).all(axis=1) & np.isfinite(part.estimated).all(axis=1))
    if len(finite) > DRAWN:
        finite = finite[np.linspace(0, len(finite) - 1, DRAWN).round().astype(int)]
    return (part.take(finite) if len(finite) else None), len(part) - len(finite)


def dig(tree: Any, *keys: str) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def finite(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def value(tree: Any, *keys: str) -> float | None:
    return finite(dig(tree, *keys))


def measure(tree: Any, *keys: str) -> Measure | None:
    """Value and interval of `{"value", "low", "high"}`, or of a bare number."""
    found = dig(tree, *keys)
    if not isinstance(found, Mapping):
        number = finite(found)
        return None if number is None else (number, None)
    value, low, high = (finite(found.get(k)) for k in ("value", "low", "high"))
    if value is None:
        return None
    return value, None if low is None or high is None else (low, high)


def count(tree: Any, key: str) -> int | None:
    found = value(tree, key)
    return None if found is None else int(found)


def given(tree: Mapping[str, Any], key: str) -> str:
    """A text of the run, portable; empty where it is missing or no text."""
    value = tree.get(key)
    if isinstance(value, str):
        return write.portable(value)
    number = finite(value)
    return "" if number is None else f"{number:g}"
