"""The worst answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import charts, svg
from . import read, write
from .read import Corpus


def section(corpora: Sequence[Corpus]) -> str:
    out = ""
    for c in corpora:
        listed = c.entry.get("worst")
        rows = [w for w in listed if isinstance(w, Mapping)] if isinstance(listed, Sequence) else []
        known = [k for k in ("group", "genre", "fold") if any(w.get(k) not in (None, "") for w in rows)]
        body = "".join(_worst_row(w, known, c.rated) for w in rows)
        if body:
            head = "".join(f'<th scope="col">{h}</th>' for h in ("song", *known, "listeners", "model", "error"))
            out += (
                f'<div data-corpus="{c.index}"><h3>{c.title}</h3><div class="scroll" tabindex="0" role="group" '
                f'aria-label="Worst answers, {write.text(c.name)}"><table class="worst sortable"><thead><tr>'
                f"<td></td>{head}</tr></thead><tbody>{body}</tbody></table></div></div>"
            )
    if not out:
        return ""
    words = "Pairs are (valence, arousal); the ring is where listeners put the song, the dot where the model did. "
    words += "The error is the distance between them; of signs, how far the answer is on the wrong side."
    return write.say(words) + out


def _worst_row(song: Mapping[str, Any], known: Sequence[str], rated: bool) -> str:
    reference, estimated = _pair(song.get("reference")), _pair(song.get("estimated"))
    if reference is None or estimated is None:
        return ""
    error = read.value(song, "error")
    track = write.text(write.track(song.get("track_id", "–")))
    return (
        f'<tr data-fold="{write.text(song.get("fold", ""))}" data-q="{_quadrant(reference)}">'
        f'<td>{charts.glyph(reference, estimated)}</td><th scope="row"><bdi class="clamp" title="{track}">{track}'
        f"</bdi></th>{''.join(f'<td>{_optional(song, k)}</td>' for k in known)}"
        f'<td class="num">{_point(reference, rated)}</td><td class="num">{_point(estimated, True)}</td>'
        f'<td class="num" data-v="{0 if error is None else error:.4f}">{write.number(error)}</td></tr>'
    )


def _pair(values: Any) -> tuple[float, float] | None:
    if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str) or len(values) != 2:
        return None
    valence, arousal = read.finite(values[0]), read.finite(values[1])
    return None if valence is None or arousal is None else (valence, arousal)


def _point(pair: tuple[float, float], rated: bool) -> str:
    """`(0.21, −0.35)`; of signs `(+, −)`."""
    if rated:
        return f"({svg.signed(pair[0])}, {svg.signed(pair[1])})"
    return f"({', '.join('+' if v > 0 else '−' for v in pair)})"


def _quadrant(point: Sequence[float]) -> str:
    if point[1] > 0:
        return "Q1" if point[0] > 0 else "Q2"
    return "Q4" if point[0] > 0 else "Q3"


def _optional(tree: Any, key: str) -> str:
    value = tree.get(key)
    return "–" if value in (None, "") else f'<bdi class="clamp">{write.text(write.track(value))}</bdi>'
