"""The curves of a run as one picture: loss and validation CCC of every part."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Collection, Sequence
from pathlib import Path

from ..errors import ConfigError
from .plan import FINAL

FILE = "curves.png"
INK, FAINT, GRID = "#1f2430", "#8a90a0", "#e3e6ec"
VALENCE, AROUSAL = "#1f6fb2", "#d1512d"
SCORE = "val_ccc"

Rows = Sequence[dict[str, float]]


def draw_curves(out: Path, names: Sequence[str]) -> Path:
    """`curves.png` of the run `out`: a line a part, the epoch whose weights were kept as a dot.

    Left the training loss, right the CCC of the validation tracks: the mean over corpora and axes, valence and arousal
    of all parts together behind it.  A dot at epoch 0 is the start, where nothing trained better than it.

    Args:
        names: of the parts, `fold-NAME/history.csv`.

    Raises: ConfigError if the picture cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    histories = {name: read(out / f"fold-{name}" / "history.csv") for name in names}
    figure = Figure(figsize=(11, 4.4), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    for axis, color in (("valence", VALENCE), ("arousal", AROUSAL)):
        means = mean_by_epoch(list(histories.values()), f"_{axis}")
        label = f"{axis}, mean of all parts" if len(names) > 1 else axis
        _line(right, list(means), list(means.values()), color=color, linewidth=1.4, linestyle=(0, (4, 2)), label=label)
    said = set()
    for name, rows in histories.items():
        whole = name == FINAL or len(names) == 1
        style = {"color": INK if whole else FAINT, "linewidth": 1.8 if whole else 0.9, "zorder": 3 if whole else 2}
        label = ("final model" if name == FINAL else "the model") if whole else "folds"
        style["label"] = "_" if label in said else label
        said.add(label)
        epochs = [row["epoch"] + 1 for row in rows]
        _line(left, epochs, [row.get("loss", math.nan) for row in rows], **style)
        _line(right, epochs, [row.get(SCORE, math.nan) for row in rows], **style)
        if kept := kept_weights(out / f"fold-{name}" / "done.json"):
            right.scatter(*kept, s=30, color=style["color"], edgecolor="white", linewidth=0.8, zorder=4)
    for axes, title in ((left, "training loss"), (right, "validation CCC; dots: the weights that were kept")):
        axes.set_title(title, loc="left", fontsize=11, color=INK)
        axes.set_xlabel("epoch", color=INK)
        axes.grid(color=GRID, linewidth=0.8)
        axes.tick_params(colors=FAINT, labelcolor=INK)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("bottom", "left"):
            axes.spines[side].set_color(FAINT)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, 0.7), max(high, 1.3))
    handles, labels = right.get_legend_handles_labels()
    if handles:  # below: no place inside is free in every run
        figure.legend(handles, labels, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
    figure.suptitle(out.name, fontsize=10, color=FAINT, x=0.01, ha="left")
    try:
        figure.savefig(out / FILE, dpi=110)
    except OSError as error:
        raise ConfigError(f"{out / FILE}: cannot be written ({error.strerror}); choose another --out") from None
    return out / FILE


def read(path: Path) -> list[dict[str, float]]:
    """Rows of a `history.csv`, empty cells left out; none for a file that is not there or does not read."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{name: float(text) for name, text in row.items() if text} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, csv.Error):
        return []
    return rows if all(math.isfinite(row.get("epoch", math.nan)) for row in rows) else []


def mean_by_epoch(histories: Collection[Rows], ending: str) -> dict[float, float]:
    """Epoch (from 1) -> mean of all validation columns with that ending, over parts and corpora.

    Only of epochs that every part with a history has reached: else the line would jump where one stops.
    """
    values: dict[float, list[float]] = {}
    for rows in histories:
        for row in rows:
            found = [v for name, v in row.items() if name.startswith("val_") and name.endswith(ending)]
            values.setdefault(row["epoch"] + 1, []).extend(v for v in found if math.isfinite(v))
    last = min((rows[-1]["epoch"] + 1 for rows in histories if rows), default=0)
    return {epoch: sum(found) / len(found) for epoch, found in sorted(values.items()) if found and epoch <= last}


def kept_weights(path: Path) -> tuple[int, float] | None:
    """Epoch (0: before the first) and validation CCC of the weights that were kept, from `done.json`."""
    try:
        done = json.loads(path.read_text(encoding="utf-8"))
        return int(done["best_epoch"]), float(done[SCORE])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _line(axes, x: Sequence[float], y: Sequence[float], **style) -> None:
    """A line; what is a single point, which a line does not show, with a mark."""
    shown = sum(math.isfinite(value) for value in y)
    axes.plot(x, y, marker="o" if shown == 1 else None, markersize=4, **style)
