"""Which tracks train, stop and judge each model of a run: folds of its own, or those of a split."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..config import ClassicalConfig, FitConfig, GanConfig
from ..corpora.split import UNUSED, Split, components, group_folds, refuse_generated, split_hash
from ..corpora.split import load as load_split
from ..corpora.track import Track
from ..errors import ConfigError, DataError

FINAL = "final"
Config = FitConfig | ClassicalConfig | GanConfig
# Names of the parts of official splits, in the order in which they are taken for the test.
TEST_NAMES = ("test", "val", "validation")
VALIDATION_NAMES = ("validation", "val")


@dataclass(frozen=True)
class Part:
    """One model to train: rows of its training and test tracks, and of its validation part where a split names one."""

    name: str
    train: list[int]
    test: list[int]
    validation: list[int] | None = None


@dataclass(frozen=True)
class Plan:
    """All models of a run; the last part, `final`, if there is one, is trained on everything and judged by none.

    `protocol` in words; `hash` of the assignment of tracks, `exact` also of what was left out; `divided` is
    the number of groups that the given split has on both sides, `purged` that of training tracks left out
    because of it.
    """

    parts: list[Part]
    protocol: str
    hash: str
    exact: str
    folds: int
    divided: int = 0
    purged: int = 0


def plan(
    tracks: Sequence[Track],
    *,
    folds: int,
    seed: int,
    grid: int,
    split: Path | None = None,
    allow_divided: bool = False,
    purge_divided: bool = False,
    final: bool = True,
) -> Plan:
    """Which tracks each model learns from and is judged by.

    Without `split`: grouped folds, or with `folds` 0 the final model alone.  With a file of `data
    split`: its folds, or its one test part (else its validation part) for schemes holdout and official.

    Args:
        allow_divided: take a split that divides groups, as published ones may.
        purge_divided: leave out of training what shares a group with the test part.
        final: whether there is a model of everything; without it the parts are those that are judged.

    Raises: DataError if there are fewer groups than folds, the split is of other tracks, divides groups
        without leave, or has not as many folds as `folds` says.
    """
    refuse_generated(tracks)
    everything = list(range(len(tracks)))
    last = [Part(FINAL, everything, [])] if final else []
    if not last and split is None and not folds:
        raise ConfigError("final: expected folds or a --split without a final model, received neither; set folds")
    if split is None:
        groups = set(components(tracks))
        if len(groups) < max(folds, 2):
            raise DataError(
                f"expected {max(folds, 2)} groups or more, received {len(groups)} ({len(tracks)} tracks); bring more "
                "artists, or lower folds"
            )
        of = group_folds(tracks, folds, seed=seed, grid=grid) if folds else np.zeros(len(tracks), int)
        parts = [_fold(of, k) for k in range(folds)]
        protocol = "out-of-fold, grouped" if folds else "validation part, grouped"
        return Plan([*parts, *last], protocol, split_hash(tracks, of), _exact(tracks, parts), folds)

    file = load_split(split).for_tracks(tracks)
    if file.repeats > 1:
        raise DataError(
            f"{split}: expected a split that assigns every track once, received {file.repeats} repeats; make one split "
            "a seed with: data split --scheme kfold --seed N"
        )
    leaks = file.leaks()
    if leaks and not (allow_divided or purge_divided):
        raise DataError(
            f"{split}: {len(leaks)} groups lie in more than one fold or part, first {leaks[0]}; make it anew, "
            "or repeat a published one with --allow-divided, or with --purge-divided to leave their training tracks out"
        )
    names = file.of(tracks)
    if all(n.isdecimal() for n in names):
        of = np.array([int(n) for n in names])
        of = np.unique(of, return_inverse=True)[1]  # official folds may be counted from 1
        count = int(of.max()) + 1
        if folds not in (0, count) or count < 2:
            wanted = folds if folds > 1 else "2 or more"
            raise DataError(f"{split}: expected {wanted} folds of these tracks, received {count}")
        parts, protocol = [_fold(of, k) for k in range(count)], "out-of-fold, grouped"
    else:
        parts, of, protocol = _one_part(file, names, split)
        count = 0
    purged = 0
    if purge_divided:
        parts, purged = _purge(parts, components(tracks))
        leaks = []
        protocol += f" ({purged} training tracks of divided groups left out)" if purged else ""
    if leaks:
        protocol += f" ({len(leaks)} groups divided)"
    if any(not part.train or not part.test for part in parts):
        raise DataError(f"{split}: expected training and test tracks in every part, received one without; make it anew")
    exact = _exact(tracks, parts)
    return Plan([*parts, *last], protocol, split_hash(tracks, of), exact, count, len(leaks), purged)


def planner(
    config: Config, split: Path | None, *, allow_divided: bool = False, purge_divided: bool = False, final: bool = True
) -> Callable[[Sequence[Track]], Plan]:
    """`plan` with the folds, the seed and the grid of `config`."""
    return partial(
        plan,
        folds=config.folds,
        seed=config.seed,
        grid=config.grid,
        split=split,
        allow_divided=allow_divided,
        purge_divided=purge_divided,
        final=final,
    )


def _exact(tracks: Sequence[Track], parts: Sequence[Part]) -> str:
    """SHA-256 of which tracks train, stop and judge each model."""
    lines = []
    for part in parts:
        for role, rows in (("train", part.train), ("validation", part.validation or []), ("test", part.test)):
            lines += sorted(f"{part.name},{role},{tracks[i].key}" for i in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _fold(of: np.ndarray, k: int) -> Part:
    return Part(str(k), np.flatnonzero(of != k).tolist(), np.flatnonzero(of == k).tolist())


def _one_part(file: Split, names: Sequence[str], path: Path) -> tuple[list[Part], np.ndarray, str]:
    """The single model of a holdout or official split."""
    there = set(names) - {UNUSED}
    test = next((n for n in TEST_NAMES if n in there), None)
    if test is None or "train" not in there:
        raise DataError(
            f"{path}: expected folds, or parts train and test (or validation), received {', '.join(sorted(there))}; "
            "make one with: data split"
        )
    rows = {n: [k for k, name in enumerate(names) if name == n] for n in there}
    validation = next((n for n in VALIDATION_NAMES if n in there and n != test), None)
    part = Part("0", rows["train"], rows[test], rows[validation] if validation else None)
    code = {"train": -1, test: 0, validation: -2}
    of = np.array([code.get(n, -3) for n in names])
    return [part], of, f"{file.scheme} split, train -> {test}"


def _purge(parts: Sequence[Part], groups: Sequence[str]) -> tuple[list[Part], int]:
    """Parts whose training and validation tracks share no group with their test tracks, and how many were left out."""
    kept: list[Part] = []
    gone: set[int] = set()
    for part in parts:
        judged = {groups[i] for i in part.test}
        train = [i for i in part.train if groups[i] not in judged]
        validation = part.validation and [i for i in part.validation if groups[i] not in judged]
        gone |= {i for i in (*part.train, *(part.validation or [])) if groups[i] in judged}
        kept.append(dataclasses.replace(part, train=train, validation=validation))
    return kept, len(gone)


def validation_part(tracks: Sequence[Track], *, share: float, seed: int, grid: int) -> np.ndarray:
    """True for the tracks held out for early stopping, bool `(tracks,)`, by group."""
    k = min(max(2, round(1 / share)), len(set(components(tracks))))
    return group_folds(tracks, k, seed=seed + 1, grid=grid) == 0
