"""The table of predictions, `predictions.csv`: what everything that evaluates reads, whatever model wrote it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..contract import GENERATED
from ..errors import DataError, ModelError

AXES = ("valence", "arousal")
COLUMNS = (
    "track_id", "corpus", "group", "fold", "split", "label",
    "valence", "arousal", "valence_hat", "arousal_hat",
    "genre", "valence_sd", "arousal_sd", "raters", "valence_std", "arousal_std",
)  # fmt: skip
REQUIRED = ("track_id", "valence", "arousal", "valence_hat", "arousal_hat")
SCALE = "[-1, 1]"
SLACK = 1e-6  # of rounding, beyond the ends of the scale


@dataclass(frozen=True, eq=False)
class Predictions:
    """Tracks with reference and estimate.

    `reference` and `estimated` are float64 `(n, 2)` = [valence, arousal] in [-1, 1]; where `label` is
    "sign" the reference is -1 or +1.  `sd` `(n, 2)` and `raters` `(n,)` are the spread and the number of
    the ratings behind each reference, NaN where not known.  All other fields are lists of n strings.
    """

    track_id: list[str]
    corpus: list[str]
    group: list[str]
    fold: list[str]
    label: list[str]
    genre: list[str]
    reference: np.ndarray
    estimated: np.ndarray
    sd: np.ndarray
    raters: np.ndarray
    name: str = ""

    def __len__(self) -> int:
        return len(self.track_id)

    @property
    def keys(self) -> list[str]:
        """`corpus/track_id`, unique."""
        return [f"{c}/{t}" for c, t in zip(self.corpus, self.track_id, strict=True)]

    def take(self, rows: Iterable[int]) -> Predictions:
        """The given rows, in their order."""
        i = np.array([int(r) for r in rows], int)

        def own(values: list[str]) -> list[str]:
            return [values[k] for k in i]

        return Predictions(
            track_id=own(self.track_id),
            corpus=own(self.corpus),
            group=own(self.group),
            fold=own(self.fold),
            label=own(self.label),
            genre=own(self.genre),
            reference=self.reference[i],
            estimated=self.estimated[i],
            sd=self.sd[i],
            raters=self.raters[i],
            name=self.name,
        )

    def parts(self) -> dict[str, Predictions]:
        """By corpus; one with both kinds of labels has a part for each, `NAME (rating)` and `NAME (sign)`."""
        kinds = list(dict.fromkeys(zip(self.corpus, self.label, strict=True)))
        mixed = Counter(corpus for corpus, _ in kinds)
        found = {}
        for corpus, label in sorted(kinds):
            rows = [k for k in range(len(self)) if (self.corpus[k], self.label[k]) == (corpus, label)]
            found[f"{corpus} ({label})" if mixed[corpus] > 1 else corpus] = self.take(rows)
        return found


def from_rows(rows: Sequence[Mapping[str, Any]], *, name: str = "", where: str = "predictions") -> Predictions:
    """Predictions from rows with the columns of `predictions.csv`; `corpus` and later columns may be missing.

    Raises: DataError for a missing column, a value that is no finite number, a label outside [-1, 1], a
        track twice, one that a network generated, or no row at all.
    """
    if not rows:
        raise DataError(f"{where}: expected predicted tracks, received none; is the run complete?")
    if missing := [c for c in REQUIRED if c not in rows[0]]:
        raise DataError(
            f"{where}: expected columns {', '.join(REQUIRED)}, received none called {missing[0]!r}; "
            "name a predictions.csv or a run directory"
        )
    values = np.array([[_number(r, c, f"{where}, row {k}") for c in REQUIRED[1:]] for k, r in enumerate(rows, 1)])
    reference, estimated = values[:, :2], values[:, 2:]
    if (np.abs(reference) > 1 + SLACK).any():
        raise DataError(
            f"{where}: expected labels on the scale {SCALE}, received {reference[np.abs(reference) > 1 + SLACK][0]:g}; "
            "map them first, e.g. 1-9 by (x - 5) / 4, and the predictions the same way"
        )
    if np.abs(estimated).max() > 3:  # a regression may overshoot, a scale of 1-9 or 0-100 cannot hide
        raise DataError(
            f"{where}: expected predictions on the scale {SCALE}, received {estimated[np.abs(estimated) > 3][0]:g}; "
            "map them as the labels were mapped"
        )
    texts: dict[str, list[str]] = {
        c: [str(r.get(c) or "") for r in rows] for c in ("track_id", "corpus", "group", "fold", "label", "genre")
    }
    texts["group"] = [
        g or f"{c}/{t}" for g, c, t in zip(texts["group"], texts["corpus"], texts["track_id"], strict=True)
    ]
    texts["label"] = [label or "rating" for label in texts["label"]]
    if strange := sorted(set(texts["label"]) - {"rating", "sign"}):
        raise DataError(f"{where}: expected label rating or sign, received {strange[0]!r}; correct the column")
    signed = np.array([label == "sign" for label in texts["label"]])
    if (np.abs(reference[signed]) != 1).any():
        raise DataError(
            f"{where}: expected -1 or 1 where the label is a sign, received other values; correct the column"
        )
    if made := [c for c in texts["corpus"] if c.startswith(GENERATED)]:
        raise DataError(
            f"{where}: expected recordings, received tracks of {made[0]}, which a network generated: they may train "
            "and never judge; evaluate real music"
        )
    if "" in texts["track_id"]:
        raise DataError(f"{where}, row {texts['track_id'].index('') + 1}: expected a track_id, received none")
    sd = np.array([[_optional(r, f"{axis}_sd") for axis in AXES] for r in rows])
    raters = np.array([_optional(r, "raters") for r in rows])
    found = Predictions(**texts, reference=reference, estimated=estimated, sd=sd, raters=raters, name=name)
    twice = [key for key, n in Counter(found.keys).items() if n > 1]
    if twice:
        raise DataError(f"{where}: expected every track once, received {twice[0]} twice ({len(twice)} such tracks)")
    return found


def _number(row: Mapping[str, Any], column: str, where: str) -> float:
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DataError(
            f"{where}: expected a finite number as {column} of {row.get('track_id')!r}, received "
            f"{row[column]!r}; was the training stable? Train again, or correct the row"
        )
    return value


def _optional(row: Mapping[str, Any], column: str) -> float:
    try:
        value = float(row.get(column) or math.nan)
    except (TypeError, ValueError):
        return math.nan
    return value if 0 <= value < math.inf else math.nan


def read(path: str | Path, *, split: str = "test") -> Predictions:
    """Predictions of a run directory, or of a CSV file with these columns.

    Tracks of part `split` are taken; of a run that was not cross-validated, those of its validation part.

    Raises: ModelError if the run is not complete; DataError as `from_rows`, and if the file cannot be read.
    """
    path = Path(path)
    file = path / "predictions.csv" if path.is_dir() else path
    stated = check_complete(path).get("predictions") if path.is_dir() else None
    try:
        content = file.read_bytes()
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{file}: the predictions cannot be read ({reason}); name a run directory") from None
    if stated and hashlib.sha256(content).hexdigest() != stated:
        raise DataError(
            f"{file}: the predictions are not those that metrics.json was made of (changed, or cut short); "
            "give the same fit command again, or evaluate the file by its own name"
        )
    parts = {r.get("split") or "test" for r in rows}
    chosen = split if split in parts else "validation" if split == "test" and "validation" in parts else split
    # A table that names no corpus is one.
    kept = [{**r, "corpus": r.get("corpus") or file.stem} for r in rows if (r.get("split") or "test") == chosen]
    if rows and not kept:
        raise DataError(f"{file}: expected tracks of part {split}, received {', '.join(sorted(parts))}")
    return from_rows(kept, name=path.name if path.is_dir() else path.stem, where=str(file))


def check_complete(run: Path) -> dict[str, Any]:
    """`metrics.json` of a finished run.  Raises: ModelError if there is no run, or it is not complete."""
    if not os.access(run, os.R_OK | os.X_OK):
        raise ModelError(f"{run}: expected a run directory that can be read, received one without permission")
    if not (run / "metrics.json").exists():
        if (run / "config.yaml").exists():
            done = sorted(p.parent.name for p in run.glob("fold-*/done.json"))
            raise ModelError(
                f"{run}: expected a complete run, received one that is half written ({len(done)} parts done); "
                "give the same fit command again, it continues"
            )
        raise ModelError(f"{run}: expected a run directory, received a folder without one; make it with: sentio-tf fit")
    try:
        values = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{run / 'metrics.json'}: cannot be read ({error}); give the fit command again") from None
    if not isinstance(values, dict) or "corpora" not in values or not (run / "predictions.csv").exists():
        raise ModelError(f"{run}: expected metrics.json and predictions.csv of one run, received a part; fit it again")
    if values.get("scale", SCALE) != SCALE:
        raise ModelError(
            f"{run}: expected a run on the scale {SCALE}, received {values['scale']}; only runs on one scale compare"
        )
    return values


def paired(a: Predictions, b: Predictions, *, common: bool = False) -> tuple[Predictions, Predictions]:
    """The same tracks of both, in one order; what either table groups is grouped in both.

    Args:
        common: take the tracks that both have; else both must have the same.

    Raises: DataError if tracks, labels or kinds of labels differ: that is no comparison.
    """
    places = {key: k for k, key in enumerate(b.keys)}
    shared = [k for k, key in enumerate(a.keys) if key in places]
    if not shared:
        raise DataError(f"expected two runs on the same tracks, received {a.name} and {b.name} without one in common")
    if not common and not len(shared) == len(a) == len(b):
        other = next((k for k in a.keys if k not in places), None) or next(k for k in b.keys if k not in set(a.keys))
        raise DataError(
            f"expected two runs on the same tracks, received {len(a)} in {a.name} and {len(b)} in {b.name}, "
            f"{len(shared)} of them shared (first other: {other}); compare those with --common"
        )
    a, b = a.take(shared), b.take([places[a.keys[k]] for k in shared])
    if a.label != b.label:
        raise DataError(f"expected the same kind of labels, received ratings and signs in {a.name} and {b.name}")
    apart = np.abs(a.reference - b.reference).max(axis=1)
    if apart.max() > 1e-4:
        worst = int(apart.argmax())
        raise DataError(
            f"expected the same labels in both runs, received {a.keys[worst]} with {_point(a.reference[worst])} in "
            f"{a.name} and {_point(b.reference[worst])} in {b.name} ({int((apart > 1e-4).sum())} tracks differ); "
            f"{_why(a.reference, b.reference)}"
        )
    together = _joined(a.group, b.group)
    return replace(a, group=together), replace(b, group=together)


def _joined(a: list[str], b: list[str]) -> list[str]:
    """The finest groups that divide none of both."""
    parent: dict[tuple[int, str], tuple[int, str]] = {}

    def find(node: tuple[int, str]) -> tuple[int, str]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for x, y in zip(a, b, strict=True):
        low, high = sorted((find((0, x)), find((1, y))))
        parent[high] = low
    return [find((0, x))[1] for x in a]


def _point(values: np.ndarray) -> str:
    return f"({values[0]:.3f}, {values[1]:.3f})"


def _why(a: np.ndarray, b: np.ndarray) -> str:
    """What two tables of labels of the same tracks have to do with each other."""
    if np.abs(a - b[:, ::-1]).max(axis=1).min() < 1e-4:
        return "valence and arousal are exchanged: the labels are of two versions, choose one with --labels"
    x, y = a.ravel(), b.ravel()
    if len(x) > 2 and x.std() > 0 and y.std() > 0 and np.corrcoef(x, y)[0, 1] > 0.9999:
        return "they are on two scales, and only runs on one scale compare"
    return "fit both on the same labels"
