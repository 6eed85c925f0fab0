"""Charts as SVG text: no library, no script; colours and type come from `svg.STYLE` in the page around them.

Two kinds.  A *chart* has a fixed drawing `WIDTH` units wide and scales with its column.  A *whisker* is
as wide as its table cell, whatever that is: horizontal places are percentages, so dots stay round and
text keeps its size on a phone.

Charts of songs (`songs` is the number of the corpus on the page) carry one mark a song, in the order of
the arrays, in groups with `data-marks`; the first two numbers of a mark's path in the last of these
groups are its place.  The page's script finds the song under the pointer by them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from .plots import CORNERS
from .svg import (
    WIDTH,
    Frame,
    axes,
    bars,
    chart,
    clip,
    dot_size,
    dots,
    number,
    polyline,
    short,
    signed,
    song_dots,
    span,
    ticks,
)

CELLS, CELL_SONGS = 8, 8  # cells a side of the plane, and songs in one, of which the mean is drawn: fewer are noise
DASHES = ("", "6 3", "2 3", "9 3 2 3", "1 4", "12 4")


def plane(reference: np.ndarray, estimated: np.ndarray, *, label: str, songs: int) -> str:
    """Wedges on the valence-arousal plane, broad at the rating and pointed at the answer, where a dot is.

    Tapering shows direction better than arrow heads where many lines cross (Holten & van Wijk 2009,
    doi:10.1145/1518701.1519054).

    Args:
        reference, estimated: `(n, 2)` = [valence, arousal] in [-1, 1].
    """
    frame, n = _plane_frame(), len(reference)
    body = _plane_ground(frame)
    body += f'<g class="wedges marks" data-marks stroke-width="0" fill-opacity="{min(0.4, 4 / math.sqrt(n)):.2f}">'
    body += _wedges(frame, reference, estimated, 1.2) + "</g>"
    size, solid = dot_size(n)
    body += f'<g class="marks" data-marks stroke-width="{number(0.8 * size)}" stroke-opacity="{0.8 * solid:.2f}">'
    body += dots(frame.px(estimated[:, 0]), frame.py(estimated[:, 1])) + "</g>"
    rated, answered = _cell_means(reference, estimated)
    body += f'<g class="means">{_wedges(frame, rated, answered, 3)}</g>'
    return chart(body, WIDTH, label, songs=songs)


def _wedges(frame: Frame, reference: np.ndarray, estimated: np.ndarray, half: float) -> str:
    """Triangles from the rating, `2 * half` units broad, to a point at the answer."""
    x0, y0 = frame.px(reference[:, 0]), frame.py(reference[:, 1])
    x1, y1 = frame.px(estimated[:, 0]), frame.py(estimated[:, 1])
    length = np.maximum(np.hypot(x1 - x0, y1 - y0), 1e-9)
    across, down = half * (y1 - y0) / length, -half * (x1 - x0) / length
    return "".join(
        f'<path d="M{number(a)} {number(b)}L{number(c)} {number(d)}L{number(e)} {number(f)}z"/>'
        for a, b, c, d, e, f in zip(x0 + across, y0 + down, x1, y1, x0 - across, y0 - down, strict=True)
    )


def _cell_means(reference: np.ndarray, estimated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean rating and mean answer, `(k, 2)` each, of the cells of the plane with `CELL_SONGS` songs or more."""
    cell = np.clip(np.floor((reference + 1) / 2 * CELLS), 0, CELLS - 1)
    _, member, counts = np.unique(cell[:, 0] * CELLS + cell[:, 1], return_inverse=True, return_counts=True)
    full = np.flatnonzero(counts >= CELL_SONGS)
    means = [[table[member == k].mean(axis=0) for k in full] for table in (reference, estimated)]
    return np.array(means[0]).reshape(-1, 2), np.array(means[1]).reshape(-1, 2)


def plane_of_signs(reference: np.ndarray, estimated: np.ndarray, *, label: str, songs: int) -> str:
    """Dots at the answers: filled where the quadrant is that of the signs `reference` `(n, 2)`, else crosses."""
    frame = _plane_frame()
    hit = ((reference > 0) == (estimated > 0)).all(axis=1)
    size, solid = dot_size(len(reference))
    arm = size / 2
    marks = []
    for x, y, good in zip(frame.px(estimated[:, 0]), frame.py(estimated[:, 1]), hit, strict=True):
        place = f"M{number(x)} {number(y)}"
        if good:
            marks.append(f'<path d="{place}h0" stroke-width="{number(size + 1)}"/>')
        else:
            a, b = number(arm), number(2 * arm)
            marks.append(f'<path class="miss" d="{place}m-{a}-{a}l{b} {b}m0-{b}l-{b} {b}"/>')
    body = (
        _plane_ground(frame)
        + f'<g class="hits marks" data-marks stroke-width="1.2" stroke-opacity="{max(solid, 0.45):.2f}">'
        + f"{''.join(marks)}</g>"
    )
    return chart(body, WIDTH, label, songs=songs)


def calibration(
    estimated: np.ndarray,
    reference: np.ndarray,
    *,
    axis: str,
    label: str,
    songs: int,
    line: tuple[float, float] | None,
    bins: Sequence[Mapping[str, float]],
) -> str:
    """Ratings over answers, both `(n,)` in [-1, 1], with the diagonal, the calibration line and bins.

    Args:
        line: slope and intercept of the rating over the answer.
        bins: means `estimated` and `reference` of `n` songs each.
    """
    frame = Frame(46, 8, 306, 306, (-1, 1), (-1, 1))
    body = axes(frame, f"the model's {axis}", f"listeners' {axis}", [-1, -0.5, 0, 0.5, 1], [-1, -0.5, 0, 0.5, 1])
    body += polyline(frame, (-1, 1), (-1, 1), "diagonal")
    body += song_dots(frame, estimated, reference)
    if line is not None and len(estimated):
        # Only where there are answers: elsewhere the line says nothing.
        ends = _inside(*line, *np.clip([np.min(estimated), np.max(estimated)], -1, 1))
        if ends is not None:
            body += polyline(frame, ends, line[0] * ends + line[1], "line")
    for b in bins:
        radius = number(3 + 4 * math.sqrt(b["n"] / max(other["n"] for other in bins)))
        body += (
            f'<circle class="bin" cx="{number(frame.px(b["estimated"]))}" cy="{number(frame.py(b["reference"]))}" '
            f'r="{radius}"><title>{b["n"]:.0f} songs: answered {signed(b["estimated"])}, rated '
            f"{signed(b['reference'])} on average</title></circle>"
        )
    return chart(body, WIDTH, label, kind=axis, songs=songs)


def residuals(reference: np.ndarray, difference: np.ndarray, *, axis: str, label: str, songs: int) -> str:
    """Answer minus rating over the rating, `(n,)` each, with the mean in five equal parts of the scale."""
    reach = max(0.5, math.ceil(float(np.abs(difference).max()) * 4) / 4)
    frame = Frame(46, 8, 306, 190, (-1, 1), (-reach, reach))
    body = axes(frame, f"listeners' {axis}", "too low · too high", [-1, -0.5, 0, 0.5, 1], ticks(-reach, reach, 4))
    body += polyline(frame, (-1, 1), (0, 0), "zero")
    body += song_dots(frame, reference, difference)
    part = np.clip(np.floor((reference + 1) * 2.5), 0, 4)
    filled = [k for k in range(5) if (part == k).any()]
    means = [float(difference[part == k].mean()) for k in filled]
    places = [float(reference[part == k].mean()) for k in filled]
    body += polyline(frame, places, means, "line")
    for x, y, k in zip(frame.px(places), frame.py(means), filled, strict=True):
        n = int((part == k).sum())
        body += (
            f'<circle class="bin" cx="{number(x)}" cy="{number(y)}" r="4">'
            f"<title>{n} songs: {signed(means[filled.index(k)])} on average</title></circle>"
        )
    return chart(body, 250, label, kind=axis, songs=songs)


def histogram(values: np.ndarray, *, axis: str, label: str, title: str) -> str:
    """Counts of `values` `(n,)` in bins of 0.1, centred on 0."""
    reach = max(0.55, math.ceil(float(np.abs(values).max()) * 10 - 0.5) / 10 + 0.05)
    edges = np.linspace(-reach, reach, round(2 * reach / 0.1) + 1)
    counts, _ = np.histogram(values, edges)
    frame = Frame(46, 8, 306, 120, (-reach, reach), (0, 1.05 * max(1, int(counts.max()))))
    body = axes(frame, title, "songs", ticks(-reach, reach, 6), _whole(frame.y[1]))
    body += bars(frame, edges, counts, "bar")
    body += f'<path class="zero" d="M{number(frame.px(0))} 8v120"/>'
    return chart(body, 180, label, kind=axis)


def mirrored(high: np.ndarray, low: np.ndarray, *, axis: str, label: str) -> str:
    """Counts of the answers in bins of 0.1: songs whose true side is + upwards, those whose is - downwards."""
    edges = np.linspace(-1, 1, 21)
    up, down = (np.histogram(np.clip(v, -1, 1), edges)[0] for v in (high, low))
    most = max(1, int(up.max()), int(down.max()))
    frame = Frame(46, 8, 306, 220, (-1, 1), (-1.05 * most, 1.05 * most))
    marks = [-t for t in reversed(_whole(most)) if t] + _whole(most)
    body = axes(frame, f"the model's {axis}", "songs", [-1, -0.5, 0, 0.5, 1], marks, absolute=True)
    body += bars(frame, edges, up, "bar") + bars(frame, edges, -down, "bar low")
    body += f'<path class="zero" d="M{number(frame.px(0))} 8v220M46 {number(frame.py(0))}h306"/>'
    body += '<text x="50" y="20" class="strong">truly +</text><text x="50" y="222" class="strong">truly −</text>'
    return chart(body, 280, label, kind=axis)


def curves(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    label: str,
    kind: str,
    x_title: str,
    y_title: str,
    best: Sequence[float] = (),
) -> str:
    """Lines, each named at its right end; `best` marks places on the x axis."""
    ys = np.concatenate([np.asarray(y, np.float64) for _, y in series.values()])
    xs = np.concatenate([np.asarray(x, np.float64) for x, _ in series.values()])
    named = len(series) > 1
    frame = Frame(50, 8, 214 if named else 302, 180, _whole_span(xs), span(ys))
    body = axes(frame, x_title, y_title, ticks(*frame.x, 4), ticks(*frame.y, 4))
    for place in sorted(set(best)):
        body += f'<path class="best" d="M{number(frame.px(place))} 8v180"><title>best: {place:g}</title></path>'
    ends = []
    for k, (name, (x, y)) in enumerate(series.items()):
        dash = f' stroke-dasharray="{DASHES[k % len(DASHES)]}"' if k % len(DASHES) else ""
        body += polyline(frame, x, y, "line", extra=dash, title=name)
        if len(x) == 1:
            body += f'<circle class="point" cx="{number(frame.px(x[0]))}" cy="{number(frame.py(y[0]))}" r="3"/>'
        ends.append((float(frame.py(y[-1])), float(frame.px(x[-1])), name))
    if named:
        body += _end_names(ends, frame)
    return chart(body, 236, label, kind=kind)


def scores(
    values: Sequence[float | str], score: Sequence[float], *, label: str, kind: str, title: str, y_title: str
) -> str:
    """Inner score of each candidate over one hyperparameter; a line through the best of each value.

    Numbers have a logarithmic axis where they are all > 0 and span more than a factor 20; anything else
    has a place for each of its values.
    """
    ys = np.asarray(score, np.float64)
    numeric = [v for v in values if not isinstance(v, str)]
    if len(numeric) == len(values):
        xs = np.asarray(numeric, np.float64)
        log = bool(xs.min() > 0 and xs.max() > 20 * xs.min())
        low, high = span(np.log10(xs) if log else xs)
        x = (10**low, 10**high) if log else (low, high)
        places = _decades(*x) if log else ticks(*x, 4)
        names = [f"{p:g}" for p in places]
    else:
        log = False
        names = list(dict.fromkeys(str(v) for v in values))
        xs = np.asarray([names.index(str(v)) for v in values], np.float64)
        places, x = [float(k) for k in range(len(names))], (-0.5, len(names) - 0.5)
    frame = Frame(50, 8, 302, 180, x, span(ys), log)
    body = axes(frame, title, y_title, places, ticks(*frame.y, 4), x_names=names)
    size = number(dot_size(len(ys))[0])
    body += f'<g class="marks" stroke-width="{size}" stroke-opacity=".5">{dots(frame.px(xs), frame.py(ys))}</g>'
    distinct = np.unique(xs)
    grid = len(distinct) <= len(xs) / 2 or len(distinct) == len(xs) <= 12  # a random search has no line
    if grid and len(numeric) == len(values):
        body += polyline(frame, distinct, [float(ys[xs == d].max()) for d in distinct], "line")
    return chart(body, 236, label, kind=kind)


def glyph(reference: Sequence[float], estimated: Sequence[float]) -> str:
    """One song on a plane of 40 units: from the rating to the answer."""
    frame = Frame(5, 5, 30, 30, (-1, 1), (-1, 1))
    (x0, x1), (y0, y1) = frame.px([reference[0], estimated[0]]), frame.py([reference[1], estimated[1]])
    return (
        '<svg class="glyph" viewBox="0 0 40 40" aria-hidden="true">'
        '<path class="grid" d="M5 5h30v30h-30zM20 5v30M5 20h30"/>'
        f'<path class="zero" d="M{number(x0)} {number(y0)}L{number(x1)} {number(y1)}"/>'
        f'<circle class="grid" cx="{number(x0)}" cy="{number(y0)}" r="2.5" style="stroke:var(--ink)"/>'
        f'<circle class="point" cx="{number(x1)}" cy="{number(y1)}" r="2.5"/></svg>'
    )


def whisker_axis(low: float, high: float) -> str:
    """Numbers above a column of whiskers."""
    body = "".join(
        f'<text x="{_share(t, low, high)}" y="11" text-anchor="middle">{short(t)}</text>' for t in _tidy(low, high)
    )
    return f'<svg class="whisker" height="14" aria-hidden="true">{body}</svg>'


def whisker(
    low: float,
    high: float,
    *,
    axis: str,
    value: float,
    bounds: tuple[float, float] | None,
    constant: float | None = None,
    ceiling: float | None = None,
) -> str:
    """A dot with its interval on the scale [low, high]; a bar from the constant predictor to the ceiling."""
    y = 11
    body = "".join(
        f'<line class="{"zero" if t == 0 else "grid"}" x1="{_share(t, low, high)}" x2="{_share(t, low, high)}" '
        f'y1="0" y2="22"/>'
        for t in _tidy(low, high)
    )
    if constant is not None and ceiling is not None:
        body += _span(constant, ceiling, low, high, y, "reach")
    if constant is not None:
        at = _share(constant, low, high)
        body += f'<line class="constant" x1="{at}" x2="{at}" y1="{y - 6}" y2="{y + 6}"/>'
    if ceiling is not None:
        body += (
            f'<svg x="{_share(ceiling, low, high)}" y="{y}" overflow="visible">'
            '<path class="ceiling" d="M0-5L5 0L0 5L-5 0z"/></svg>'
        )
    if bounds is not None:
        body += _span(*bounds, low, high, y, "bound")
    body += f'<circle class="dot" cx="{_share(value, low, high)}" cy="{y}" r="5"/>'
    return f'<svg class="whisker {axis}" height="22" aria-hidden="true">{body}</svg>'


def _plane_frame() -> Frame:
    return Frame(20, 20, 320, 320, (-1, 1), (-1, 1))


def _plane_ground(frame: Frame) -> str:
    """Tinted quadrants, the unit circle, and what the corners and ends mean."""
    half, out = frame.width / 2, ""
    cx, cy = frame.left + half, frame.top + half
    for name, (word, x, y) in CORNERS.items():
        left, top = cx + min(0, x) * half, cy - max(0, y) * half
        out += f'<rect x="{number(left)}" y="{number(top)}" width="{number(half)}" height="{number(half)}" '
        out += f'style="fill:var(--{name.lower()})"/>'
        anchor = "end" if x > 0 else "start"
        at = f'x="{number(cx + x * (half - 8))}" y="{number(cy - y * (half - 12) + 4)}"'
        out += f'<text class="word" {at} text-anchor="{anchor}">{word}</text>'
    end = number(2 * half)
    out += (
        f'<circle class="zero" cx="{number(cx)}" cy="{number(cy)}" r="{number(half)}" stroke-opacity=".6"/>'
        f'<path class="zero" d="M{number(frame.left)} {number(cy)}h{end}M{number(cx)} {number(frame.top)}v{end}"/>'
    )
    for word, left, top, turn in (
        ("energetic", cx, frame.top - 7, 0),
        ("calm", cx, frame.top + frame.height + 14, 0),
        ("unpleasant", frame.left - 7, cy, -90),
        ("pleasant", frame.left + frame.width + 7, cy, 90),
    ):
        place = f"translate({number(left)} {number(top)}) rotate({turn})"
        out += f'<text transform="{place}" text-anchor="middle">{word}</text>'
    return out


def _inside(slope: float, intercept: float, low: float, high: float) -> np.ndarray | None:
    """Ends within [low, high] of the part of a line that is between -1 and 1, `(2,)`; None if there is none."""
    if abs(slope) < 1e-9:
        return np.array([low, high]) if abs(intercept) <= 1 else None
    first, last = sorted(((-1 - intercept) / slope, (1 - intercept) / slope))
    ends = np.array([max(low, first), min(high, last)])
    return ends if ends[0] <= ends[1] else None


def _end_names(ends: list[tuple[float, float, str]], frame: Frame) -> str:
    """Names beside the ends of lines, from the top down and 13 units apart, so that none covers another."""
    out, below = "", frame.top - 4.0
    room = frame.top + frame.height
    for k, (y, x, name) in enumerate(sorted(ends)):
        rest = len(ends) - k - 1  # names that still need a place underneath
        below = max(below + 13, min(y + 4, room - 13 * rest))
        right = frame.left + frame.width
        out += f'<text x="{number(right + 8)}" y="{number(below)}">{escape(clip(name, 14))}</text>'
        out += f'<path class="grid" d="M{number(x)} {number(y)}L{number(right + 6)} {number(below - 4)}"/>'
    return out


def _span(start: float, end: float, low: float, high: float, y: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{_share(start, low, high)}" x2="{_share(end, low, high)}" y1="{y}" y2="{y}"/>'


def _share(value: float, low: float, high: float) -> str:
    return f"{number(100 * min(1, max(0, (value - low) / (high - low))))}%"


def _tidy(low: float, high: float) -> list[float]:
    return ticks(low, high, 4)


def _whole(most: float) -> list[float]:
    """Ticks of counts."""
    return [t for t in ticks(0, most, 3) if t == int(t)]


def _whole_span(xs: np.ndarray) -> tuple[float, float]:
    low, high = float(xs.min()), float(xs.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten in [low, high], thinned to six at most."""
    powers = list(range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1))
    step = max(1, math.ceil(len(powers) / 6))
    return [10.0**p for p in powers[::step]]
