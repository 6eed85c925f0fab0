"""Songs: where they lie, answers against listeners, residuals, and confused quadrants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import charts, svg
from ..predictions import AXES
from . import read, write
from .read import Corpus

EQUAL = 0.1  # slopes and ratios closer to 1 than a tenth are called equal: less is within what a bootstrap moves


def planes(corpora: Sequence[Corpus]) -> str:
    out, rated, signed = "", False, False
    for c in corpora:
        if c.songs is None:
            continue
        n = len(c.songs)
        note = ""
        if c.left_out:
            note += f"{n:,} of {n + c.left_out:,} songs are drawn. "
        places = np.concatenate([c.songs.estimated, c.songs.reference])
        beyond = int((np.abs(places) > 1 + 1e-6).any(axis=1).sum())
        if beyond:
            note += f"{write.plural(beyond, 'place')} outside [−1, 1] drawn at the edge. "
        if c.rated:
            rated = True
            label = f"{n} songs of {write.clean(c.name)} on the plane, "
            label += "each from the listeners' rating to the model's answer"
            chart = charts.plane(c.songs.reference, c.songs.estimated, label=label, songs=c.index)
            caption = f"{c.title}: from rating to answer"
        else:
            signed = True
            hits = int(((c.songs.reference > 0) == (c.songs.estimated > 0)).all(axis=1).sum())
            label = f"{n} songs of {write.clean(c.name)} at the model's answers; {hits} are in their true quadrant"
            chart = charts.plane_of_signs(c.songs.reference, c.songs.estimated, label=label, songs=c.index)
            caption = f"{c.title}: {hits:,} of {n:,} in the right quadrant"
        out += _figure(c, caption, chart, note)
    if not out:
        return ""
    words = []
    if rated:
        words.append(
            "Each wedge is a song: its broad end where listeners put it, the dot at its point where the model did. "
            f"Coloured wedges are means of {charts.CELL_SONGS} songs or more that are rated alike."
        )
    if signed:
        words.append(
            "Where only the true quadrant is known, a song is drawn at the model’s answer: "
            '<span class="mark-hit"></span> in its true quadrant, <span class="mark-miss">×</span> in another.'
        )
    alone = " alone" if out.count("<figure") == 1 else ""
    return write.say(" ".join(words)) + f'<div class="grid{alone}">{out}</div>'


def calibrations(corpora: Sequence[Corpus]) -> str:
    out = ""
    for c in corpora:
        if c.songs is None:
            continue
        for k, axis in enumerate(AXES):
            r, e = c.songs.reference[:, k], c.songs.estimated[:, k]
            name = f'<span class="swatch {axis}"></span>{c.title}, {axis}'
            if c.rated:
                tree = read.dig(c.entry, axis, "calibration")
                slope, intercept = read.value(tree, "slope"), read.value(tree, "intercept")
                line = None if slope is None or intercept is None else (slope, intercept)
                label = f"{axis} of {len(r)} songs of {write.clean(c.name)}: listeners' rating over the model's answer"
                chart = charts.calibration(e, r, axis=axis, label=label, songs=c.index, line=line, bins=_bins(tree))
                ratio = read.value(tree, "sd_ratio")
                words = _shrinkage(ratio if ratio is not None else read.value(c.entry, axis, "sd_ratio"), slope)
                out += _figure(c, name, chart, words)
            else:
                label = (
                    f"Answers for {axis}, {write.clean(c.name)}: songs that are truly positive above, negative below"
                )
                chart = charts.mirrored(e[r > 0], e[r <= 0], axis=axis, label=label)
                auc = read.measure(c.entry, axis, "auc")
                words = f"Told apart with an area under the ROC curve of {write.interval(auc)}." if auc else ""
                out += _figure(c, name, chart, words)
    if not out:
        return ""
    words = (
        "Perfect answers lie on the dashed diagonal; rings are means of songs with similar answers, the line is fitted."
    )
    if not any(c.rated and c.songs for c in corpora):
        words = "Perfect answers have every song above the line right of zero, and every song below it left of zero."
    return write.say(words) + f'<div class="grid">{out}</div>'


def _bins(tree: Any) -> list[dict[str, float]]:
    bins = read.dig(tree, "bins")
    found = []
    for b in bins if isinstance(bins, Sequence) else ():
        estimated, reference, n = (read.value(b, k) for k in ("estimated", "reference", "n"))
        if estimated is not None and reference is not None and n:
            found.append({"estimated": estimated, "reference": reference, "n": n})
    return found


def _shrinkage(ratio: float | None, slope: float | None) -> str:
    """What spread and slope mean for who uses the answers."""
    words = []
    if ratio is not None:
        if ratio < 1 - EQUAL:
            words.append(f"The answers are shrunk to the mean: they spread {ratio:.2f} times as wide as the ratings.")
        elif ratio > 1 + EQUAL:
            words.append(f"The answers spread {ratio:.2f} times as wide as the ratings: wider than they should.")
        else:
            words.append(f"The answers spread as wide as the ratings ({ratio:.2f}).")
    if slope is not None:
        step = f"slope {svg.signed(slope)}: answers 0.10 apart belong to ratings {svg.signed(0.1 * slope, 3)} apart"
        if slope > 1 + EQUAL:
            words.append(f"They are too timid ({step}).")
        elif slope < 0:
            words.append(f"Higher answers go with lower ratings ({step}).")
        elif slope < 1 - EQUAL:
            words.append(f"Differences between answers are larger than those between ratings ({step}).")
        else:
            words.append(f"Differences between answers are right in size ({step}).")
    return " ".join(words)


def residuals(corpora: Sequence[Corpus]) -> str:
    out = ""
    for c in corpora:
        if c.songs is None or not c.rated:
            continue
        for k, axis in enumerate(AXES):
            r = c.songs.reference[:, k]
            d = c.songs.estimated[:, k] - r
            name = f'<span class="swatch {axis}"></span>{c.title}, {axis}'
            mean, within = float(d.mean()), float(np.mean(np.abs(d) <= 0.25))
            label = f"Answer minus rating, {axis}, {write.clean(c.name)}: mean {mean:.2f}"
            first = charts.histogram(d, axis=axis, label=label, title="answer minus rating")
            second = charts.residuals(r, d, axis=axis, label=f"{label}, over the rating", songs=c.index)
            note = f"Off by {svg.signed(mean)} on average; {100 * within:.0f} % of the songs within a quarter."
            out += _figure(c, name, first + second, note)
    if not out:
        return ""
    signs = any(not c.rated for c in corpora)
    words = "Answer minus rating: how often, and over the rating. Where the line falls from left to right, songs that "
    words += "listeners rate low are answered too high and the other way round."
    return write.say(words + (" Signs have no residuals." if signs else "")) + f'<div class="grid">{out}</div>'


def confusions(corpora: Sequence[Corpus]) -> str:
    out = ""
    for c in corpora:
        counts = read.dig(c.entry, "quadrant", "confusion")
        try:
            table = np.asarray(counts, np.float64)
        except (TypeError, ValueError):
            continue
        if table.shape != (4, 4) or not np.isfinite(table).all() or table.sum() <= 0:
            continue
        head = "".join(f'<th scope="col">{q}</th>' for q in write.QUADRANTS)
        rows = ""
        for q, row in zip(write.QUADRANTS, table, strict=True):
            cells = ""
            for n in row:
                share = n / row.sum() if row.sum() else 0.0
                # A tint of 60 % at most: ink stays readable on it in both themes.
                cells += (
                    f'<td style="--p:{0.6 * share:.2f}">{100 * share:.0f} %<span class="quiet n">{n:.0f}</span></td>'
                )
            rows += f'<tr><th scope="row">{q}<span class="quiet n">{write.MEANING[q]}</span></th>{cells}</tr>'
        parts = [
            f"{name} {write.interval(m)}"
            for key, name in (("accuracy", "right"), ("f1", "macro F1"))
            if (m := read.measure(c.entry, "quadrant", key))
        ]
        caption = f"{c.title}" + (f": {', '.join(parts)}" if parts else "")
        out += (
            f'<figure data-corpus="{c.index}"><figcaption>{caption}</figcaption><table class="confusion"><thead><tr>'
            f'<th scope="col">truth ↓, answer →</th>{head}</tr></thead><tbody>{rows}</tbody></table></figure>'
        )
    if not out:
        return ""
    return write.say("Of the songs of a quadrant (row), the share that the model puts into each.") + (
        f'<div class="grid">{out}</div>'
    )


def _figure(corpus: Corpus, caption: str, chart: str, note: str = "") -> str:
    note = f'<p class="note">{note}</p>' if note else ""
    return f'<figure data-corpus="{corpus.index}"><figcaption>{caption}</figcaption>{chart}{note}</figure>'
