"""What charts are drawn with: colours and type, frames, axes, lines and dots, as SVG text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from .plots import AROUSAL, FAINT, GRID, INK, QUADRANTS, VALENCE

WIDTH = 360  # units; about the pixels of a column on a phone, so that text is 11 px there and no smaller anywhere

# FAINT is for lines; text in it would miss the contrast of 4.5 (WCAG 2.1, AA), MUTED has 6.1 and 7.8.
_LIGHT = {
    "paper": "#ffffff", "raised": "#f6f7f9", "ink": INK, "muted": "#5b6272", "faint": FAINT, "grid": GRID,
    "valence": VALENCE, "arousal": AROUSAL, "heat": "31,111,178",
    "other": "#8456a8",
} | {quadrant.lower(): tint for quadrant, tint in QUADRANTS.items()}  # fmt: skip
_DARK = {
    "paper": "#14171d", "raised": "#1c2028", "ink": "#e8eaf0", "muted": "#a4abba", "faint": "#6d7484",
    "grid": "#2b303b", "valence": "#6cb2ee", "arousal": "#f08a63", "heat": "86,158,220", "other": "#c89ae8",
    "q1": "#332e1c", "q2": "#382624", "q3": "#222a3a", "q4": "#203027",
}  # fmt: skip


def _variables(colours: Mapping[str, str]) -> str:
    return ":root{" + ";".join(f"--{name}:{value}" for name, value in colours.items()) + "}"


STYLE = f"""
{_variables(_LIGHT)}
@media screen and (prefers-color-scheme:dark){{{_variables(_DARK)}}}
.valence{{--axis:var(--valence)}}.arousal{{--axis:var(--arousal)}}.quadrant{{--axis:var(--ink)}}
svg.chart{{display:block;width:100%;max-width:470px;height:auto;overflow:visible}}
svg text{{font-size:11px;fill:var(--muted);font-variant-numeric:tabular-nums}}
svg .strong{{fill:var(--ink);font-weight:600}}
svg .word{{font-size:12px}}
svg .grid{{stroke:var(--grid);fill:none}}
svg .zero{{stroke:var(--faint);fill:none}}
svg .diagonal{{stroke:var(--faint);stroke-dasharray:4 4;fill:none}}
svg .marks path{{stroke-linecap:round;stroke:var(--axis,var(--ink));fill:none}}
svg .wedges path{{fill:var(--ink)}}
svg .means path{{fill:var(--other);stroke:var(--paper);stroke-width:.7;pointer-events:none}}
svg .hits .miss{{stroke:var(--other);stroke-opacity:.9}}
svg .line{{stroke:var(--axis,var(--ink));stroke-width:2;fill:none;stroke-linejoin:round}}
svg .bin{{fill:var(--paper);stroke:var(--axis);stroke-width:2}}
svg .bar{{fill:var(--axis)}}
svg .bar.low{{fill:var(--axis);opacity:.5}}
svg .point{{fill:var(--axis,var(--ink))}}
svg .best{{stroke:var(--ink);stroke-dasharray:2 3}}
svg .marks .off{{display:none}}
svg .marks .hot{{stroke:var(--ink);stroke-width:8;stroke-opacity:1}}
svg .wedges .hot{{fill-opacity:1;stroke-width:2}}
svg.whisker{{display:block;width:100%;overflow:visible}}
svg.whisker .reach{{stroke:var(--grid);stroke-width:6}}
svg.whisker .bound{{stroke:var(--axis);stroke-width:2}}
svg.whisker .dot{{fill:var(--axis);stroke:var(--paper);stroke-width:1.5}}
svg.whisker .constant{{stroke:var(--ink);stroke-width:2}}
svg.whisker .ceiling{{fill:var(--paper);stroke:var(--ink);stroke-width:1.5}}
svg.glyph{{width:34px;height:34px;display:block}}
.small-n svg .dot,.small-n svg .bound{{opacity:.45}}
"""


def number(value: float | np.ndarray) -> str:
    """A coordinate, to a tenth of a unit."""
    return f"{round(float(value), 1) + 0.0:g}"


def signed(value: float, digits: int = 2) -> str:
    """A number with a true minus sign; what rounds to zero has no sign."""
    text = f"{value:.{digits}f}"
    return text[1:] if text.strip("-0.") == "" and text[0] == "-" else text.replace("-", "−")


@dataclass(frozen=True)
class Frame:
    """Drawing area in units, and the values at its edges; values beyond are drawn at the edge."""

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    log_x: bool = False

    def px(self, values) -> np.ndarray:
        low, high = np.log10(self.x) if self.log_x else self.x
        values = np.log10(values) if self.log_x else np.asarray(values, np.float64)
        return self.left + self.width * np.clip((values - low) / (high - low), 0, 1)

    def py(self, values) -> np.ndarray:
        low, high = self.y
        return self.top + self.height * (1 - np.clip((np.asarray(values, np.float64) - low) / (high - low), 0, 1))


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers (1, 2, 5 x 10^k) within [low, high]; `low` alone where they are equal."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def span(values: Sequence[float] | np.ndarray, *, margin: float = 0.05) -> tuple[float, float]:
    """Lowest and highest value and a margin; around a single value, a unit's or a tenth's room."""
    low, high = float(np.min(values)), float(np.max(values))
    room = margin * (high - low) or max(abs(low) * 0.1, 0.1)
    return low - room, high + room


def axes(
    frame: Frame,
    x_title: str,
    y_title: str,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    *,
    x_names: Sequence[str] | None = None,
    absolute: bool = False,
) -> str:
    """Grid, numbers and titles around a frame.

    Args:
        x_names: texts for `x_ticks`; else the numbers.
        absolute: y numbers without their sign.
    """
    bottom, right = frame.top + frame.height, frame.left + frame.width
    xs, ys = frame.px(x_ticks), frame.py(y_ticks)
    grid = "".join(f"M{number(frame.left)} {number(y)}H{number(right)}" for y in ys)
    grid += "".join(f"M{number(x)} {number(frame.top)}V{number(bottom)}" for x in xs)
    out = f'<path class="grid" d="{grid}"/>'
    names = x_names if x_names is not None else [short(t) for t in x_ticks]
    for x, name in zip(xs, names, strict=True):
        text = escape(clip(name, max(4, 60 // max(1, len(names)))))
        out += f'<text x="{number(x)}" y="{number(bottom + 15)}" text-anchor="middle">{text}</text>'
    for y, value in zip(ys, y_ticks, strict=True):
        text = short(abs(value) if absolute else value)
        out += f'<text x="{number(frame.left - 6)}" y="{number(y + 4)}" text-anchor="end">{text}</text>'
    middle = number(frame.top + frame.height / 2)
    return (
        f'{out}<text x="{number(frame.left + frame.width / 2)}" y="{number(bottom + 33)}" text-anchor="middle">'
        f'{escape(clip(x_title, 48))}</text><text transform="translate(10 {middle}) rotate(-90)" '
        f'text-anchor="middle">{escape(clip(y_title, 30))}</text>'
    )


def chart(body: str, height: float, label: str, *, kind: str = "", songs: int | None = None) -> str:
    data = "" if songs is None else f' data-songs="{songs}"'
    return (
        f'<svg class="{f"chart {kind}".strip()}" viewBox="0 0 {WIDTH} {number(height)}" role="img" '
        f'aria-label="{escape(label)}"{data}>{body}</svg>'
    )


def dot_size(n: int) -> tuple[float, float]:
    """Diameter in units and opacity of n dots: a few are seen, thousands show where they are dense."""
    size = 6.0 if n <= 60 else 4.0 if n <= 600 else 3.2
    return size, max(0.12, min(0.85, 14 / math.sqrt(max(n, 1))))


def dots(x: np.ndarray, y: np.ndarray) -> str:
    return "".join(f'<path d="M{number(a)} {number(b)}h0"/>' for a, b in zip(x, y, strict=True))


def song_dots(frame: Frame, x: np.ndarray, y: np.ndarray) -> str:
    size, solid = dot_size(len(x))
    return (
        f'<g class="marks" data-marks stroke-width="{number(size)}" stroke-opacity="{solid:.2f}">'
        f"{dots(frame.px(x), frame.py(y))}</g>"
    )


def polyline(frame: Frame, x, y, kind: str, *, extra: str = "", title: str = "") -> str:
    places = " ".join(f"{number(a)} {number(b)}" for a, b in zip(frame.px(x), frame.py(y), strict=True))
    inner = f"<title>{escape(title)}</title>" if title else ""
    return f'<polyline class="{kind}" points="{places}"{extra}>{inner}</polyline>'


def bars(frame: Frame, edges: np.ndarray, counts: np.ndarray, kind: str) -> str:
    out, zero = "", float(frame.py(0))
    for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True):
        if n:
            left, right, y = float(frame.px(low)), float(frame.px(high)), float(frame.py(n))
            out += (
                f'<rect class="{kind}" x="{number(left + 0.5)}" y="{number(min(y, zero))}" '
                f'width="{number(max(right - left - 1, 0.5))}" height="{number(abs(y - zero))}">'
                f"<title>{abs(int(n))} songs from {signed(low)} to {signed(high)}</title></rect>"
            )
    return out


def short(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")


def clip(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
