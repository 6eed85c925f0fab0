"""Splits by group: no artist, song or game series is ever on both sides; kept as files with a hash."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..contract import GENERATED
from ..errors import DataError
from .track import Track

SCHEMA = "sentio-split/1"
GRID = 5  # cells a side of the valence-arousal plane
SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
UNUSED = "-"  # a track that the official split leaves out


def components(tracks: Sequence[Track]) -> list[str]:
    """What may not be divided: the group of each track, joined where groups share a recording.

    Without shared recordings this is `Track.group`; else the first name, in order of the alphabet, of
    the groups that belong together.
    """
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for track in tracks:
        group = find(track.group)
        if track.recording:
            other = find(f"recording\0{track.recording}")
            # The smaller name stays the root; a recording's never does, because of its prefix.
            low, high = sorted((group, other), key=lambda name: (name.startswith("recording\0"), name))
            parent[high] = low
    return [find(t.group) for t in tracks]


def cell(track: Track, grid: int = GRID) -> tuple[int, int]:
    """Cell (valence, arousal), each 0..grid-1, of a track on the plane; signs lie at +-0.5."""
    edges = np.linspace(-1, 1, grid + 1)[1:-1]
    if track.rated:
        place: Iterable[float] = (track.valence or 0.0, track.arousal or 0.0)
    else:
        place = (0.5 * sign for sign in track.side)
    valence, arousal = (int(np.digitize(x, edges, right=True)) for x in place)
    return valence, arousal


def strata(tracks: Sequence[Track], k: int, *, grid: int = GRID) -> list[str]:
    """Corpus and cell of each track; a cell of fewer than `k` tracks joins the nearest of its corpus that has them.

    Tracks without an emotion have their category instead.
    """
    names = [t.category or t.corpus if not t.has_emotion else "" for t in tracks]
    cells = [(t.corpus, *cell(t, grid)) for t in tracks]
    counts = Counter(c for c, name in zip(cells, names, strict=True) if not name)
    home = {}
    for own in counts:
        full = [c for c in counts if c[0] == own[0] and counts[c] >= k]
        home[own] = own
        if counts[own] < k and full:
            home[own] = min(full, key=lambda c: ((c[1] - own[1]) ** 2 + (c[2] - own[2]) ** 2, c))
    found = [name or "{}:{}{}".format(*home[c]) for c, name in zip(cells, names, strict=True)]
    # What is still too small for scikit-learn goes together, or with the largest.
    sizes = Counter(found)
    rare = [name for name in sizes if sizes[name] < k]
    pool = "rare" if sum(sizes[name] for name in rare) >= k else max(sizes, key=lambda name: (sizes[name], name))
    return [pool if name in rare else name for name in found]


def group_folds(tracks: Sequence[Track], k: int, *, seed: int, grid: int = GRID) -> np.ndarray:
    """Fold 0..k-1 of each track, int `(tracks,)`, grouped and stratified by corpus and cell of the plane.

    Independent of the order of `tracks`.  Raises: DataError if there are fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    order = sorted(range(len(tracks)), key=lambda i: tracks[i].key)
    ordered = [tracks[i] for i in order]
    groups = np.array(components(ordered))
    if k < 2 or len(set(groups)) < k:
        raise DataError(
            f"expected 2 or more folds and at least as many groups, received {k} and {len(set(groups))}; "
            "ask for fewer or bring more artists"
        )
    splitter = StratifiedGroupKFold(k, shuffle=True, random_state=seed)
    folds = np.empty(len(tracks), int)
    for fold, (_, test) in enumerate(splitter.split(np.zeros(len(order)), strata(ordered, k, grid=grid), groups)):
        folds[np.array(order)[test]] = fold
    return folds


def split_hash(tracks: Sequence[Track], folds: Sequence[int] | np.ndarray) -> str:
    """SHA-256 of the assignment, independent of the order."""
    lines = sorted(f"{t.key},{t.group},{int(f)}" for t, f in zip(tracks, folds, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# -- splits as files --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """Which part each track belongs to, once or, for repeated schemes, several times.

    `parts[key]` has one name a repeat: `train`, `validation`, `test`, the number of a fold, or what an
    official split says; `groups[key]` is what the split must not divide.
    """

    scheme: str
    parts: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, str]
    settings: Mapping[str, Any]

    @property
    def repeats(self) -> int:
        return max((len(p) for p in self.parts.values()), default=0)

    @property
    def hash(self) -> str:
        """SHA-256 of scheme, settings, tracks, groups and parts."""
        lines = [f"{key},{self.groups[key]},{','.join(self.parts[key])}" for key in sorted(self.parts)]
        head = json.dumps([self.scheme, dict(self.settings)], sort_keys=True)
        return hashlib.sha256("\n".join([head, *lines]).encode()).hexdigest()

    def leaks(self) -> list[str]:
        """Groups that lie in more than one part of any repeat, e.g. an artist in train and test."""
        seen: dict[tuple[str, int], set[str]] = defaultdict(set)
        for key, names in self.parts.items():
            for repeat, part in enumerate(names):
                if part != UNUSED:
                    seen[self.groups[key], repeat].add(part)
        return sorted({group for (group, _), parts in seen.items() if len(parts) > 1})

    def of(self, tracks: Sequence[Track], repeat: int = 0) -> list[str]:
        """Part of each track in one repeat.

        Raises: DataError if a track is not in the split: it was made for other data.
        """
        strange = [t.key for t in tracks if t.key not in self.parts]
        if strange:
            raise DataError(
                f"expected a split of these tracks, received one without {strange[0]} ({len(strange)} of "
                f"{len(tracks)} missing); make it anew with: sentio-tf data split"
            )
        return [self.parts[t.key][repeat] for t in tracks]

    def for_tracks(self, tracks: Sequence[Track]) -> Split:
        """The split of these tracks with the groups they have now, which may have become fewer.

        Raises: DataError if a track is not in the split.
        """
        self.of(tracks)
        groups = components(tracks)
        return Split(
            self.scheme,
            {t.key: self.parts[t.key] for t in tracks},
            {t.key: g for t, g in zip(tracks, groups, strict=True)},
            self.settings,
        )

    def save(self, path: Path) -> None:
        """Write JSON, a line a track.  Raises: DataError if it cannot be written."""
        head = {"schema": SCHEMA, "scheme": self.scheme, **self.settings, "repeats": self.repeats, "hash": self.hash}
        lines = [
            json.dumps([key, self.groups[key], *self.parts[key]], ensure_ascii=False) for key in sorted(self.parts)
        ]
        text = json.dumps(head, indent=1, ensure_ascii=False)[:-2] + ',\n "tracks": [\n  '
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            part.write_text(text + ",\n  ".join(lines) + "\n ]\n}\n", encoding="utf-8")
            os.replace(part, path)
        except OSError as error:
            raise DataError(f"{path}: the split cannot be written ({error.strerror}); choose another --out") from None


def load(path: Path) -> Split:
    """A split from its file.

    Raises: DataError if it is no split, or was changed after it was written (the hash differs).
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        rows = values.pop("tracks")
        schema, stated = values.pop("schema"), values.pop("hash")
        scheme = values.pop("scheme")
        repeats = values.pop("repeats")
        parts = {key: tuple(str(p) for p in names) for key, _, *names in rows}
        groups = {key: group for key, group, *_ in rows}
        if len(parts) < len(rows) or any(len(p) != repeats for p in parts.values()):
            raise ValueError("tracks twice, or without a part")
    except OSError as error:
        raise DataError(f"{path}: the split cannot be read ({error.strerror}); make it with: data split") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: expected a split file ({SCHEMA}), received something else ({error}); make it with: data split"
        ) from None
    if schema != SCHEMA:
        raise DataError(f"{path}: expected a split of schema {SCHEMA}, received {schema!r}; make it anew")
    judged = sorted(key for key in parts if key.startswith(GENERATED) and set(parts[key]) != {"train"})
    if judged:
        raise DataError(
            f"{path}: expected recordings in every part but train, received {judged[0]}, which a network generated; "
            "make the split of real music"
        )
    split = Split(scheme, parts, groups, values)
    if split.hash != stated:
        raise DataError(
            f"{path}: the tracks do not fit the hash, so the file was changed after it was written; make it anew"
        )
    return split


def refuse_generated(tracks: Sequence[Track]) -> None:
    """Raises: DataError if a network generated any of them: they enter training without a split, and judge nothing."""
    if made := [t.key for t in tracks if t.generated]:
        raise DataError(
            f"expected recordings to divide into training and test, received {made[0]} ({len(made)} such), which a "
            "network generated; leave the corpus out of the split: sentio-tf fit takes it into training by itself"
        )


def make(
    tracks: Sequence[Track],
    scheme: str = "holdout",
    *,
    k: int = 5,
    repeats: int = 1,
    seed: int = 0,
    grid: int = GRID,
    shares: Mapping[str, float] = SHARES,
) -> Split:
    """A grouped and stratified split.

    Args:
        scheme: "holdout" (parts named in `shares`), "kfold", or "repeated" (kfold with `repeats` seeds).

    Raises: DataError for too few groups, unknown scheme or shares that do not sum to 1.
    """
    refuse_generated(tracks)
    settings: dict[str, Any] = {"seed": seed, "grid": grid, "corpora": dict(Counter(t.corpus for t in tracks))}
    parts: list[tuple[str, ...]]
    if scheme == "holdout":
        parts = [(name,) for name in _holdout(tracks, shares, seed=seed, grid=grid)]
        settings["shares"] = dict(shares)
        # Few groups cannot be divided as asked: what came of it stands beside.
        found = Counter(name for (name,) in parts)
        settings["obtained"] = {name: round(found[name] / len(tracks), 4) for name in shares}
    elif scheme in ("kfold", "repeated"):
        rounds = [
            group_folds(tracks, k, seed=seed + r, grid=grid) for r in range(repeats if scheme == "repeated" else 1)
        ]
        parts = [tuple(str(f[i]) for f in rounds) for i in range(len(tracks))]
        settings["folds"] = k
    else:
        raise DataError(f"expected scheme holdout, kfold, repeated or official, received {scheme!r}")
    groups = components(tracks)
    return Split(
        scheme,
        {t.key: p for t, p in zip(tracks, parts, strict=True)},
        {t.key: g for t, g in zip(tracks, groups, strict=True)},
        settings,
    )


def _holdout(tracks: Sequence[Track], shares: Mapping[str, float], *, seed: int, grid: int) -> list[str]:
    if not shares or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise DataError(f"expected shares above 0 that sum to 1, received {dict(shares)}; write e.g. 80/10/10")
    # As few folds as give the shares whole: large folds are stratified best.
    groups = len(set(components(tracks)))
    whole = [
        k
        for k in (2, 3, 4, 5, 8, 10, 20, 25, 40, 50, 100)
        if all(abs(s * k - round(s * k)) < 1e-6 for s in shares.values())
    ]
    k = min(whole[0] if whole else 20, groups)
    folds = group_folds(tracks, k, seed=seed, grid=grid)
    if k < len(shares):
        raise DataError(f"expected a group or more in every part, received {groups} groups; bring more artists")
    wanted = np.array(list(shares.values())) * k
    counts = np.maximum(1, np.floor(wanted + 1e-6)).astype(int)  # folds a part, none without
    while counts.sum() < k:
        counts[int(np.argmax(wanted - counts))] += 1
    while counts.sum() > k:
        counts[int(np.argmax(counts - wanted + (counts == 1) * -9.0))] -= 1
    ends, names = np.cumsum(counts), list(shares)
    return [names[int(np.searchsorted(ends, f, side="right"))] for f in folds]


def official(tracks: Sequence[Track], named: Mapping[str, Mapping[str, str]] | None = None, name: str = "") -> Split:
    """The split that the corpus' authors published; `leaks()` tells what it divides.

    Args:
        named: {name: {track_id: part}} of a corpus with several; without, `Track.split`.
        name: which of them; empty: the first.

    Raises: DataError if the corpus has none.
    """
    refuse_generated(tracks)
    if named and name and name not in named:
        raise DataError(f"expected an official split among {', '.join(named)}, received {name!r}")
    chosen = named[name or next(iter(named))] if named else {t.track_id: t.split for t in tracks}
    parts = {t.key: (chosen.get(t.track_id) or UNUSED,) for t in tracks}
    if all(p == (UNUSED,) for p in parts.values()):
        raise DataError(
            "expected a corpus with an official split (deam, emomusic, emopia, esc50, esc10, jamendo), "
            "received one without; use --scheme holdout or kfold"
        )
    groups = {t.key: g for t, g in zip(tracks, components(tracks), strict=True)}
    settings = {"corpora": dict(Counter(t.corpus for t in tracks)), "name": name or next(iter(named or {}), "")}
    return Split("official", parts, groups, settings)
