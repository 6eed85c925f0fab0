"""Training: learning curves of a network, inner scores of a classical model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from .. import charts
from ..predictions import AXES
from . import read, write


def section(history: Sequence[Mapping[str, str]]) -> str:
    if not history:
        return ""
    if any("epoch" in row for row in history):
        return _learning_curves(history)
    if any("score" in row for row in history):
        return _inner_scores(history)
    return ""


def _learning_curves(history: Sequence[Mapping[str, str]]) -> str:
    """Validation by axis and corpus, its mean, and the loss; the mean over folds where there are several."""
    columns = list(dict.fromkeys(k for row in history for k in row if isinstance(k, str)))
    panels: dict[tuple[str, str, str], dict[str, str]] = {
        ("Validation, valence", "valence", "CCC"): {},
        ("Validation, arousal", "arousal", "CCC"): {},
        ("Validation, all", "", "CCC"): {},
        ("Loss", "", "loss"): {},
    }
    valence, arousal, mean, loss = panels.values()
    for name in columns:
        if match := re.fullmatch(r"val_(.+)_(valence|arousal)", name):
            (valence if match[2] == "valence" else arousal)[write.clean(match[1])] = name
        elif name == "val_ccc":
            mean["mean of all"] = name
        elif name.endswith("loss"):
            loss["training" if name == "loss" else write.clean(name)] = name
    best = _best_epochs(history)
    out = ""
    for (title, kind, unit), names in panels.items():
        series = {label: line for label, column in names.items() if (line := _over_epochs(history, column))}
        if series:
            chart = charts.curves(
                series, label=f"{title} over epochs", kind=kind, x_title="epoch", y_title=unit, best=best
            )
            swatch = f'<span class="swatch {kind}"></span>' if kind else ""
            out += f"<figure><figcaption>{swatch}{title}</figcaption>{chart}</figure>"
    if not out:
        return ""
    folds = len({row.get("fold", "") for row in history})
    words = f"Means of {folds} folds. " if folds > 1 else ""
    if best:
        shown = _join([f"{b:g}" for b in sorted(set(best))])
        words += f"The dotted line is the best epoch by validation, {shown}, which is the one that is kept."
    return (write.say(words) if words else "") + f'<div class="grid">{out}</div>'


def _over_epochs(history: Sequence[Mapping[str, str]], column: str) -> tuple[list[float], list[float]] | None:
    """Epochs and the column's mean there; None if it has no number."""
    found: dict[float, list[float]] = {}
    for row in history:
        epoch, value = read.finite(row.get("epoch")), read.finite(row.get(column))
        if epoch is not None and value is not None:
            found.setdefault(epoch, []).append(value)
    if not found:
        return None
    return sorted(found), [sum(found[e]) / len(found[e]) for e in sorted(found)]


def _best_epochs(history: Sequence[Mapping[str, str]]) -> list[float]:
    """The epoch of the highest `val_ccc`, of each fold."""
    best: dict[str, tuple[float, float]] = {}
    for row in history:
        epoch, value = read.finite(row.get("epoch")), read.finite(row.get("val_ccc"))
        fold = str(row.get("fold", ""))
        if epoch is not None and value is not None and (fold not in best or value > best[fold][0]):
            best[fold] = value, epoch
    return [epoch for _, epoch in best.values()]


def _inner_scores(history: Sequence[Mapping[str, str]]) -> str:
    """Score over each hyperparameter that was varied, by axis; a candidate's mean over its folds."""
    fixed = {"fold", "axis", "candidate", "score", "seconds"}
    names = [k for k in dict.fromkeys(k for row in history for k in row) if isinstance(k, str) and k not in fixed]
    out = ""
    for axis in sorted({str(row.get("axis") or "") for row in history}, key=lambda a: (a != "valence", a)):
        means: dict[tuple[str, ...], list[float]] = {}
        for row in history:
            score = read.finite(row.get("score"))
            if score is not None and str(row.get("axis") or "") == axis:
                means.setdefault(tuple(str(row.get(n) or "") for n in names), []).append(score)
        score_of = {setting: sum(s) / len(s) for setting, s in means.items()}
        for k, name in enumerate(names):
            if len({setting[k] for setting in score_of}) < 2:
                continue
            values, kind = _setting_values([setting[k] for setting in score_of]), axis if axis in AXES else ""
            title = f"{write.clean(axis)}: {write.clean(name)}" if axis else write.clean(name)
            chart = charts.scores(
                values,
                list(score_of.values()),
                label=f"Inner score over {title}",
                kind=kind,
                title=write.clean(name),
                y_title="inner score",
            )
            swatch = f'<span class="swatch {kind}"></span>' if kind else ""
            out += f"<figure><figcaption>{swatch}{escape(title)}</figcaption>{chart}</figure>"
    if not out:
        return ""
    words = "Each dot is a candidate at its mean inner score over the folds; the line follows the best of each value."
    return write.say(words) + f'<div class="grid">{out}</div>'


def _setting_values(texts: Sequence[str]) -> list[float | str]:
    """Numbers where all are; else words."""
    numbers = [read.finite(t) for t in texts]
    found = [n for n in numbers if n is not None]
    if len(found) == len(texts):
        return list(found)
    return [
        "not set" if n is None and write.unset(t) else t for t, n in zip(map(write.clean, texts), numbers, strict=True)
    ]


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
