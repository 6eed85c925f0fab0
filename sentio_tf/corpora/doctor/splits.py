"""Splits and other corpora: groups on both sides, other distributions, shared recordings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from .. import deam
from ..split import UNUSED, Split
from ..track import Corpus, Track
from .findings import FEW, Report, many, name_some

KS_LEVEL = 0.01


def check_official(report: Report, corpus: Corpus, root: Path, tracks: Sequence[Track]) -> None:
    from ..split import official

    named = corpus.official(root) if corpus.official else None
    try:
        for name in named or [""]:
            title = f"{corpus.name}, official {name or 'split'}"
            check(report, title, official(tracks, named, name), tracks)
    except DataError:
        return  # no official split


def check(report: Report, name: str, split: Split, tracks: Sequence[Track]) -> None:
    try:
        split = split.for_tracks(tracks)  # with the groups of today: an artist may be known only since
    except DataError as error:
        report.add("split", "error", str(error))
        return
    ours = name == "split"
    if leaks := split.leaks():
        text = f"{name}: {many(len(leaks), 'group')} in more than one part: {name_some(leaks)}"
        report.add("split", "error" if ours else "warning", text, leaks)
    else:
        report.add("split", "ok", f"{name}: no group in more than one part")
    rows = [row for repeat in range(split.repeats) for row in _distributions(name, split, tracks, repeat)]
    report.splits += rows
    # Holm's correction: of many sound parts one or the other is at its tail.
    order = sorted(range(len(rows)), key=lambda i: rows[i]["p"])
    different = []
    for rank, i in enumerate(order):
        if rows[i]["p"] * (len(rows) - rank) >= KS_LEVEL:
            break
        row = rows[i]
        different.append(f"{row['part']} {row['axis']} (D {row['statistic']:.2f}, p {row['p']:.1g})")
    if different:
        text = f"{name}: labels are distributed otherwise in {name_some(different)}"
        report.add("split", "warning", text, different)


def _distributions(name: str, split: Split, tracks: Sequence[Track], repeat: int) -> list[dict[str, Any]]:
    """Kolmogorov-Smirnov of each part's ratings against the other parts'; tracks count as independent."""
    from scipy.stats import ks_2samp

    parts = np.array(split.of(tracks, repeat))
    rated = np.array([t.rated for t in tracks])
    names = sorted(set(parts) - {UNUSED})
    rows = []
    for part in names if len(names) > 2 else names[:1]:  # of two parts, one against the other says all
        for axis in ("valence", "arousal"):
            values = np.array([getattr(t, axis) if t.rated else np.nan for t in tracks], float)
            inside, outside = values[rated & (parts == part)], values[rated & (parts != part) & (parts != UNUSED)]
            if min(len(inside), len(outside)) >= FEW:
                test = ks_2samp(inside, outside)
                label = str(part) if split.repeats == 1 else f"{part} of repeat {repeat}"
                row = {"split": name, "part": label, "axis": axis, "tracks": len(inside)}
                rows.append(row | {"statistic": float(test.statistic), "p": float(test.pvalue)})
    return rows


def between(report: Report) -> None:
    """Recordings and groups that several corpora share."""
    where: dict[str, set[str]] = defaultdict(set)
    for track in report.tracks:
        if track.recording:
            where[track.recording].add(track.corpus)
    both = sorted(name for name, own in where.items() if len(own) > 1)
    if both:
        report.add(
            "overlap",
            "warning",
            f"{len(both)} recordings are in two corpora (DEAM up to id {deam.LAST_EMOMUSIC} is EmoMusic): never train "
            "on one and test on the other; splits of this project keep them together",
            both,
        )
    elif own := sum(t.corpus == "deam" and bool(t.recording) for t in report.tracks):
        text = f"{own} songs of deam are the recordings of emomusic: never train on one and test on the other"
        report.add("overlap", "note", text)
    groups: dict[str, set[str]] = defaultdict(set)
    for track in report.tracks:
        groups[track.group].add(track.corpus)
    if shared := sorted(g for g, own in groups.items() if len(own) > 1):
        text = f"{many(len(shared), 'group')} in several corpora, together in splits: {name_some(shared)}"
        report.add("overlap", "note", text, shared)
