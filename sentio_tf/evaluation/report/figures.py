"""Figures: dots, whiskers, and the table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import charts, svg
from ..predictions import AXES
from . import read, write
from .read import Corpus
from .write import Measure

METRICS = {  # name in the evaluation: name on the page, in the order of the table
    "ccc": "CCC", "pearson": "Pearson r", "spearman": "Spearman ρ", "r2": "R²", "rmse": "RMSE", "mae": "MAE",
    "accuracy": "right side", "auc": "AUC", "f1": "macro F1",
}  # fmt: skip


def section(corpora: Sequence[Corpus]) -> str:
    ratings = [
        (c, axis, read.dig(c.entry, axis)) for c in corpora for axis in AXES if read.measure(c.entry, axis, "ccc")
    ]
    sides = [
        (c, axis, read.dig(c.entry, axis))
        for c in corpora
        for axis in (*AXES, "quadrant")
        if not c.rated and read.measure(c.entry, axis, "accuracy")
    ]
    out = ""
    if ratings:
        rows = [
            _Row(c, axis, tree, "ccc", 0.0, read.value(tree, "ceiling", "ccc"))
            for c, axis, tree in ratings
        ]  # fmt: skip
        out += "<h3>Agreement with ratings: CCC</h3>" + _key_rows(rows)
    if sides:
        rows = [
            _Row(c, axis, tree, "accuracy",
                 read.value(tree, "constant", "accuracy"), read.value(tree, "ceiling", "accuracy"))
            for c, axis, tree in sides
        ]  # fmt: skip
        out += "<h3>Share of songs on the right side</h3>" + _key_rows(rows)
    if out:
        out = (
            write.say(
                "A dot is the value, its line the 95 % interval over groups (artists, songs or series). "
                '<span class="mark-constant"></span> what one gets for always answering the mean; '
                '<span class="mark-ceiling"></span> '
                "what the listeners’ disagreement leaves possible, if known, and the share of it that is reached."
            )
            + out
        )
    return out + _all_figures(corpora)


@dataclass(frozen=True)
class _Row:
    """A line of a chart of dots and whiskers."""

    corpus: Corpus
    axis: str
    tree: Any
    metric: str
    constant: float | None = None
    ceiling: float | None = None

    @property
    def measure(self) -> Measure:
        found = read.measure(self.tree, self.metric)
        assert found is not None  # rows are made of what is there
        return found


def scale(measures: Iterable[Measure], metric: str) -> tuple[float, float]:
    """Ends of an axis in fifths: of errors as far as they go, of a bias on both sides, else 0 to 1 or wider."""
    values = [v for value, bounds in measures for v in (value, *(bounds or ()))]
    low, high = math.floor(min(values) * 5 + 1e-9) / 5, math.ceil(max(values) * 5 - 1e-9) / 5
    if metric == "bias":
        reach = max(0.2, -low, high)
        return -reach, reach
    return min(0.0, low), max(0.2 if metric == "mae" else 1.0, high)


def _key_rows(rows: Sequence[_Row]) -> str:
    """A table of dots and whiskers, a block a corpus; columns of what nobody knows are left out."""
    low, high = scale((r.measure for r in rows), rows[0].metric)
    constants = any(r.constant is not None for r in rows)
    ceilings = any(r.ceiling is not None for r in rows)
    out = (
        '<table class="forest key"><thead><tr><th scope="col">corpus</th><th scope="col">axis</th>'
        f'<td class="plot" aria-hidden="true">{charts.whisker_axis(low, high)}</td>'
        '<th scope="col" class="value">value</th>'
        + ('<th scope="col" class="bound">constant</th>' if constants else "")
        + ('<th scope="col" class="bound">ceiling</th>' if ceilings else "")
        + "</tr></thead>"
    )
    for index in dict.fromkeys(r.corpus.index for r in rows):
        own = [r for r in rows if r.corpus.index == index]
        out += f'<tbody data-corpus="{index}">'
        for k, r in enumerate(own):
            value, bounds = r.measure
            chart = charts.whisker(
                low, high, axis=r.axis, value=value, bounds=bounds, constant=r.constant, ceiling=r.ceiling
            )
            out += "<tr>"
            if k == 0:
                size = f'<span class="quiet n">{_size(r.corpus.entry)}</span>'
                out += f'<th scope="rowgroup" rowspan="{len(own)}">{r.corpus.title}{size}</th>'
            out += (
                f'<td class="axis"><span class="swatch {r.axis}"></span>{r.axis}</td><td class="plot">{chart}</td>'
                f'<td class="value">{write.interval(r.measure)}</td>'
            )
            out += f'<td class="bound" data-name="constant">{write.number(r.constant)}</td>' if constants else ""
            if ceilings:
                reached = f" ({100 * value / r.ceiling:.0f} %)" if r.ceiling else ""
                out += f'<td class="bound" data-name="ceiling">{write.number(r.ceiling)}'
                out += f'<span class="quiet">{reached}</span></td>'
            out += "</tr>"
        out += "</tbody>"
    return out + "</table>"


def _size(tree: Any) -> str:
    """`217 songs in 213 groups`, as far as known."""
    tracks, groups = read.count(tree, "tracks"), read.count(tree, "groups")
    if tracks is None:
        return ""
    return write.plural(tracks, "song") + (f" in {write.plural(groups, 'group')}" if groups is not None else "")


def _all_figures(corpora: Sequence[Corpus]) -> str:
    rows = [(c, axis, read.dig(c.entry, axis)) for c in corpora for axis in (*AXES, "quadrant")]
    rows = [(c, axis, tree) for c, axis, tree in rows if any(read.measure(tree, m) for m in METRICS)]
    if not rows:
        return ""
    used = [m for m in METRICS if any(read.measure(tree, m) for _, _, tree in rows)]
    spread = any(read.value(tree, "sd_ratio") is not None for _, _, tree in rows)
    head = "".join(f'<th scope="col">{METRICS[m]}</th>' for m in used)
    head += '<th scope="col">spread of answers / ratings</th>' if spread else ""
    out = ""
    for c, axis, tree in rows:
        out += f'<tr data-corpus="{c.index}"><th scope="row">{c.title}</th>'
        out += f'<td class="axis"><span class="swatch {axis}"></span>{axis}</td>'
        for m in used:
            measure = read.measure(tree, m)
            cell = "–"
            if measure is not None:
                value, bounds = measure
                cell = svg.signed(value, 3)
                if bounds is not None:
                    cell += f'<span class="quiet n">{svg.signed(bounds[0])} to {svg.signed(bounds[1])}</span>'
                if (constant := read.value(tree, "constant", m)) is not None:
                    cell += f'<span class="quiet n">constant {svg.signed(constant, 3)}</span>'
            out += f'<td class="num">{cell}</td>'
        out += f'<td class="num">{write.number(read.value(tree, "sd_ratio"))}</td>' if spread else ""
        out += "</tr>"
    return (
        "<details><summary>All figures as a table</summary>"
        '<div class="scroll" tabindex="0" role="group" aria-label="All figures"><table class="all"><thead><tr>'
        f'<th scope="col">corpus</th><th scope="col">axis</th>{head}</tr></thead><tbody>{out}</tbody></table></div>'
        "</details>"
    )
