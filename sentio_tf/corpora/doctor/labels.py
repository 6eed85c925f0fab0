"""Labels: rows that cannot be used, quadrants, groups, another scale, exchanged columns."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ... import corpora
from ...errors import DataError
from .. import deam
from ..labels import tolerated
from ..split import components
from ..swap import swap_test
from ..track import Corpus, Track
from .findings import FEW, QUADRANTS, Report, many, name_some

RARE_QUADRANT = 0.05  # share of the tracks


def read(report: Report, corpus: Corpus, root: Path, version: str | None) -> list[Track]:
    with tolerated() as problems:
        try:
            tracks = corpora.read_labels(f"{corpus.name}:{root}", version=version)
        except DataError as error:
            if not corpus.versions or version == corpus.versions[-1]:
                raise
            # Which version cannot be told: say so, and examine the file as it is.
            problems.clear()
            report.version = corpus.versions[-1]
            tracks = corpora.read_labels(f"{corpus.name}:{root}", version=corpus.versions[-1])
            report.add("swap", "error", str(error))
    if problems:
        text = f"{many(len(problems), 'row')} cannot be used: {name_some(problems)}"
        report.add("labels", "error", text, problems)
        if len(problems) >= max(FEW, len(tracks) // 20) or not tracks:
            _other_scale(report, corpus, problems)
    if twice := corpora.doubles(tracks):
        report.add("ids", "error", f"{many(len(twice), 'id')} more than once: {name_some(twice)}", twice)
        tracks = list({t.key: t for t in tracks}.values())
    if not problems and not twice:
        report.add("labels", "ok", f"{len(tracks)} rows of {corpus.name}, every id once, every label in its range")
    return tracks


def _other_scale(report: Report, corpus: Corpus, problems: Sequence[str]) -> None:
    """Many labels off the scale: say what range they have, and where a scale is named."""
    texts = [m[1] for p in problems if (m := re.search(r"expected \S+ in \[.*received '(.*)'", p))]
    values = []
    for text in texts:
        with contextlib.suppress(ValueError):
            values.append(float(text))
    if values:
        advice = "is it another corpus' file, or are there two scales in it?"
        if corpus.name == "folder":
            advice = "name it in corpus.yaml, e.g. scale: [1, 9], unless there are two scales in it"
        text = f"{many(len(values), 'label')} off the scale ({corpus.scale}), from {min(values):g} to {max(values):g}"
        report.add("scale", "error", f"{text}: another scale? {advice}")


def check(report: Report, corpus: Corpus, tracks: Sequence[Track]) -> None:
    name = tracks[0].corpus if tracks else corpus.name  # a folder's own
    counts = dict.fromkeys(QUADRANTS, 0)
    for track in tracks:
        for quadrant, side in QUADRANTS.items():
            counts[quadrant] += track.side == side
    with_emotion = [t for t in tracks if t.has_emotion]
    if with_emotion:
        report.quadrants[name] = counts | {"on an axis": len(with_emotion) - sum(counts.values())}
        rare = [q for q, n in counts.items() if n < RARE_QUADRANT * len(with_emotion)]
        if rare and len(with_emotion) >= FEW:
            report.add("quadrants", "warning", f"{name}: hardly any tracks in {', '.join(rare)}", rare)
        groups = len(set(components(with_emotion)))
        text = f"{name}: {groups} groups (artist, song or series) of {len(with_emotion)} tracks"
        if groups < len(with_emotion):
            report.add("groups", "note", text)
        else:
            advice = "an artist may be on both sides; bring an artist column or the metadata files"
            report.add("groups", "warning", f"{text}: {advice}")
    elif tracks:
        kinds = {t.category or ", ".join(t.tags) for t in tracks}
        report.add("labels", "note", f"{name}: no valence or arousal; {len(kinds)} classes or sets of tags")
    _scale(report, corpus, [t for t in tracks if t.rated])


def _scale(report: Report, corpus: Corpus, rated: Sequence[Track]) -> None:
    """Do the values look as if they were on another scale than the corpus says?"""
    if len(rated) < FEW:
        return
    name = rated[0].corpus
    v = np.array([t.valence for t in rated], float)
    a = np.array([t.arousal for t in rated], float)
    for axis, x in (("valence", v), ("arousal", a)):
        if np.ptp(x) < 1e-9:
            report.add("scale", "error", f"{name}: {axis} is the same in every row")
        elif x.std() < 0.05:
            report.add("scale", "warning", f"{name}: {axis} hardly varies (sd {x.std():.3f} of [-1, 1])")
    varied = np.ptp(v) > 1e-9 and np.ptp(a) > 1e-9
    if varied and np.array_equal(v, a):
        report.add("scale", "error", f"{name}: valence and arousal are the same column")
    for half, low, high in (("upper", 0.0, 1.0), ("lower", -1.0, 0.0)):
        if all(((x >= low) & (x <= high)).all() for x in (v, a)):
            report.add(
                "scale",
                "error",
                f"{name}: every label lies in the {half} half of the scale ({corpus.scale}); "
                "the values are probably on another scale",
            )
    # Values of 0-1 in a table of, say, 0-9: a heap in the lowest corner, away from all others.
    corner = (v < -0.75) & (a < -0.75)
    rest = ~corner
    if corner.mean() > 0.05 and rest.any() and min(v[rest].min(), a[rest].min()) > -0.75:
        names = [t.key for t, c in zip(rated, corner, strict=True) if c]
        report.add(
            "scale",
            "error",
            f"{name}: {len(names)} tracks lie in the lowest corner and none between them and the rest: "
            f"two scales in one table? {name_some(names)}",
            names,
        )
    together = f"; correlation {np.corrcoef(v, a)[0, 1]:+.2f}" if varied else ""
    report.add(
        "scale",
        "note",
        f"{name}: valence {v.min():+.2f} to {v.max():+.2f}, mean {v.mean():+.2f}; "
        f"arousal {a.min():+.2f} to {a.max():+.2f}, mean {a.mean():+.2f}{together}",
    )


def check_swap(report: Report, corpus: Corpus, root: Path) -> None:
    """Static labels, as the file has them, against labels over time."""
    if corpus.dynamics is None:
        return
    try:
        over_time = corpus.dynamics(root)
    except DataError as error:
        report.add("swap", "error", f"{corpus.name}: labels over time cannot be used: {error}")
        return
    if not over_time:
        report.add("swap", "note", f"{corpus.name}: no labels over time here, so a swap cannot be seen")
        return
    with tolerated():
        raw = corpora.read_labels(f"{corpus.name}:{root}", version=corpus.versions[-1] if corpus.versions else None)
    if corpus.name == "deam":
        tests = deam.swap_tests(root, raw)
    else:
        static = {t.track_id: (t.valence or 0.0, t.arousal or 0.0) for t in raw}
        tests = [swap_test("all", static, over_time)]
    report.swaps += [replace(t, block=f"{corpus.name} {t.block}") for t in tests]
    swapped = [t for t in tests if t.swapped]
    undecided = [t for t in tests if t.swapped is None]
    for test in swapped:
        text = f"{corpus.name}, songs {test.block}: valence and arousal are exchanged in the file ({test.songs} songs)"
        handled = corpus.name == "deam" and test.block == deam.BLOCKS[0][0] and report.version == "corrected"
        if handled:
            report.add("swap", "warning", f"{text}; put right while reading (labels: corrected)")
        else:
            report.add("swap", "error", f"{text}; every result on them is wrong")
    for test in undecided:
        text = f"{corpus.name}, songs {test.block}: {test.songs} songs with both kinds of labels do not decide"
        report.add("swap", "warning" if test.songs or len(undecided) == len(tests) else "note", text)
    if not swapped and len(undecided) < len(tests):
        report.add("swap", "ok", f"{corpus.name}: none found; static and dynamic labels agree, nothing is exchanged")
