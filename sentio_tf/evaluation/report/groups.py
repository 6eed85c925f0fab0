"""Groups of music: by true quadrant and by genre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import charts
from ..predictions import AXES
from ..summary import SMALL
from . import figures, read, write
from .read import Corpus
from .write import Measure

SMALL_TRACKS = 20  # fewer, or fewer groups than `SMALL`: what is measured there is chance


def section(corpora: Sequence[Corpus]) -> str:
    out = ""
    for c in corpora:
        part = _quadrant_groups(c) + _genre_groups(c)
        if part:
            out += f'<div data-corpus="{c.index}"><h3>{c.title}</h3>{part}</div>'
    if not out:
        return ""
    return (
        write.say(
            f"Largest group first. Fewer than {SMALL_TRACKS} songs or {SMALL} groups is called small and drawn "
            "faint: too few to trust its interval. "
            '<span class="swatch valence"></span>valence <span class="swatch arousal"></span>arousal '
            '<span class="swatch quadrant"></span>both'
        )
        + out
    )


def _members(tree: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Groups of music, largest first."""
    if not isinstance(tree, Mapping):
        return []
    found = [(str(name), entry) for name, entry in tree.items() if isinstance(entry, Mapping)]
    return sorted(found, key=lambda item: (-(read.count(item[1], "tracks") or 0), item[0]))


def _quadrant_groups(c: Corpus) -> str:
    members = _members(read.dig(c.entry, "quadrants"))
    out = ""
    if c.rated:
        words = "Bias by true quadrant: answer minus rating. Away from zero towards the centre is shrinkage."
        out += _forest(members, [(axis, "bias") for axis in AXES], words, named=write.MEANING)
        out += _forest(
            members, [(axis, "mae") for axis in AXES], "Mean absolute error by true quadrant", named=write.MEANING
        )
    words = "Share in the right quadrant, by true quadrant"
    return out + _forest(members, [("quadrant", "accuracy")], words, named=write.MEANING)


def _genre_groups(c: Corpus) -> str:
    members = _members(read.dig(c.entry, "genres"))
    metric = "ccc" if any(read.measure(e, axis, "ccc") for _, e in members for axis in AXES) else "accuracy"
    title = "CCC by genre" if metric == "ccc" else "Share on the right side, by genre"
    out = _forest(members, [(axis, metric) for axis in AXES], title)
    if any(read.measure(e, axis, "mae") for _, e in members for axis in AXES):
        out += _forest(members, [(axis, "mae") for axis in AXES], "Mean absolute error by genre")
    return out


def _forest(
    members: Sequence[tuple[str, Mapping[str, Any]]],
    wanted: Sequence[tuple[str, str]],
    title: str,
    *,
    named: Mapping[str, str] | None = None,
) -> str:
    """A table of dots and whiskers, a line a group and in it one an axis."""

    def measure(entry: Mapping[str, Any], axis: str, metric: str) -> Measure | None:
        return read.measure(entry, metric) if axis == "quadrant" else read.measure(entry, axis, metric)

    rows = [
        (name, entry, [(axis, m) for axis, metric in wanted if (m := measure(entry, axis, metric))])
        for name, entry in members
    ]
    rows = [row for row in rows if row[2]]
    if not rows:
        return ""
    low, high = figures.scale((m for _, _, found in rows for _, m in found), wanted[0][1])
    body = ""
    for name, entry, found in rows:
        tracks, groups = read.count(entry, "tracks"), read.count(entry, "groups")
        small = (tracks is not None and tracks < SMALL_TRACKS) or (groups is not None and groups < SMALL)
        drawn = "".join(charts.whisker(low, high, axis=axis, value=m[0], bounds=m[1]) for axis, m in found)
        values = "".join(
            f'<span class="line"><span class="swatch {axis}"></span><span class="sr">{axis} </span>'
            f"{write.interval(m)}</span>"
            for axis, m in found
        )
        more = f'<span class="quiet n">{named[name]}</span>' if named and name in named else ""
        flag = ' <span class="flag">small</span>' if small else ""
        small_class = ' class="small-n"' if small else ""
        body += (
            f'<tr{small_class}><th scope="row">{write.name(name)}{flag}{more}</th>'
            f'<td class="bound" data-name="songs">{"–" if tracks is None else f"{tracks:,}"}</td>'
            f'<td class="plot">{drawn}</td><td class="value">{values}</td></tr>'
        )
    return (
        f'<h4>{title}</h4><table class="forest"><thead><tr><th scope="col">group</th>'
        f'<th scope="col" class="bound">songs</th><td class="plot" aria-hidden="true">{charts.whisker_axis(low, high)}'
        f'</td><th scope="col" class="value">value</th></tr></thead><tbody>{body}</tbody></table>'
    )
