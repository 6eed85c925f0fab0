"""How it was made: command, data, environment and configuration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import read, write


def section(evaluation: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    out = ""
    if shown := read.given(about, "command"):
        rooted = "ROOT stands for a folder of the machine it ran on." if shown != str(about["command"]) else ""
        out += (
            f'<div class="command"><pre id="command" tabindex="0" aria-label="Command">{write.text(shown)}</pre>'
            '<button type="button" data-copy="command" hidden>Copy</button></div>'
        )
        out += f'<p class="note">{rooted}</p>' if rooted else ""
    facts = {k: read.given(about, k) for k in ("commit", "version")}
    facts["time"] = _duration(read.finite(about.get("seconds")))
    facts |= {k: read.given(evaluation, k) for k in ("model", "protocol", "split", "seed")}
    tables = _facts("Run", [(k, v) for k, v in facts.items() if v])
    for title, key in (("Data", "data"), ("Environment", "environment"), ("Configuration", "config")):
        tree = about.get(key)
        tables += _facts(title, list(_flatten(tree)) if isinstance(tree, Mapping) else [])
    return out + (f'<div class="columns">{tables}</div>' if tables else "")


def _facts(title: str, rows: Sequence[tuple[str, Any]]) -> str:
    if not rows:
        return ""
    body = "".join(f'<tr><th scope="row">{write.text(k)}</th><td>{_scalar(v)}</td></tr>' for k, v in rows)
    return f'<div class="facts"><h3>{title}</h3><table>{body}</table></div>'


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(_scalar(v) for v in value) if value else "–"
    if isinstance(value, float) and not math.isfinite(value):
        return "–"
    text = write.portable(str(value))
    return "–" if write.unset(text) else write.text(text)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
