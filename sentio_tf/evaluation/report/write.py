"""What is written: texts, names, numbers and intervals, safe in HTML."""

from __future__ import annotations

import re
import unicodedata
from html import escape
from typing import Any

from .. import svg

QUADRANTS = ("Q1", "Q2", "Q3", "Q4")
MEANING = {
    "Q1": "pleasant, energetic",
    "Q2": "unpleasant, energetic",
    "Q3": "unpleasant, calm",
    "Q4": "pleasant, calm",
}
Measure = tuple[float, "tuple[float, float] | None"]  # value; bounds of its 95 % interval


_OVERRIDES = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def clean(value: Any) -> str:
    """Text with escapes for what a page cannot hold or what disguises a name: controls, surrogates, directions."""
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in ("Cc", "Cs") or c in _OVERRIDES else c
        for c in str(value)
    )


def text(value: Any) -> str:
    return escape(clean(value))


def name(value: Any) -> str:
    """A user's text in its own direction of writing."""
    return f"<bdi>{text(value)}</bdi>"


def track(value: Any) -> str:
    """A track's name; of a path on somebody's machine, the file's."""
    text = str(value)
    whole = re.fullmatch(r"(?:/|[A-Za-z]:[\\/]).*[\\/]([^\\/]+)", text, re.DOTALL)
    return whole[1] if whole else text


# An absolute path after the start, a blank, or one of : = , ( [ { or a quote; the // of an address is none.
_ROOT = r"(?:file://)?(?:~?/(?!/)|\b[A-Za-z]:[\\/])"
_PATH = re.compile(
    rf"""(?P<quote>['"]){_ROOT}(?:[^'"\n]*[\\/])?(?P<inner>[^'"\\/\n]+)/?(?P=quote)"""
    rf"""|(?:(?<=[\s:=,(\[{{'"])|^){_ROOT}(?:[^\s'",;)\]}}]*[\\/])?(?P<bare>[^\s'",;)\]}}\\/]+)/?"""
)


def portable(text: str) -> str:
    """Text with every absolute path as `ROOT/last-part`: a page is shown to others."""
    return _PATH.sub(
        lambda m: f"{m['quote']}ROOT/{m['inner']}{m['quote']}" if m["quote"] else f"ROOT/{m['bare']}", text
    )


def unset(text: str) -> bool:
    return text.strip().lower() in {"", "none", "nan", "null", "inf", "-inf"}


def prefixed(prefix: str, text: str) -> str:
    return f"{prefix}{text}" if text else ""


def number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else svg.signed(value, digits)


def interval(measure: Measure | None, digits: int = 2) -> str:
    """`0.63 [0.55, 0.70]`."""
    if measure is None:
        return "–"
    value, bounds = measure
    shown = svg.signed(value, digits)
    return shown if bounds is None else f"{shown} [{svg.signed(bounds[0], digits)}, {svg.signed(bounds[1], digits)}]"


def percent(measure: Measure) -> str:
    value, bounds = measure
    shown = f"{100 * value:.0f} %"
    return shown if bounds is None else f"{shown} [{100 * bounds[0]:.0f}, {100 * bounds[1]:.0f}]"


def plural(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def say(words: str) -> str:
    return f'<p class="say">{words}</p>'
