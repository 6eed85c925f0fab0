"""The picture of `data doctor`: where the labels lie, how quadrants are filled, and the swap test."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..corpora.doctor.findings import Report
from ..corpora.split import GRID
from ..corpora.track import Track
from .plots import AROUSAL, CORNERS, FAINT, INK, QUADRANTS, VALENCE, footer

COLOURS = (VALENCE, AROUSAL, "#3a8f5c", "#8456a8", "#b08a1e", "#5b6472")
MANY = 8000  # points drawn, at most


def labels(report: Report):
    """A figure of the labels of a report: the plane with its margins, quadrants by corpus, the swap test."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    rated = [t for t in report.tracks if t.rated]
    beside = [bool(report.quadrants), bool(report.swaps)]
    wide = bool(rated) and any(beside)
    size = (13.2, 7.2) if wide else (7.6, 7.2) if rated else (7.6, 2.4 + 0.5 * len(report.quadrants))
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(rect=(0, 0.03, 1, 0.97)))
    total = len(report.tracks)
    names = ", ".join(Counter(t.corpus for t in report.tracks))
    title = f"{names}: {total} tracks" + (f", labels {report.version}" if report.version else "")
    figure.suptitle(title, x=0.012, ha="left", fontsize=14, fontweight="bold", color=INK)
    if wide:
        left, right = np.asarray(figure.subfigures(1, 2, width_ratios=(1, 0.82), wspace=0.04))
    else:
        left = right = figure.subfigures(1, 1)
    if rated:
        _plane(left, rated)
    if any(beside) and (wide or not rated):
        heights = [
            h
            for h, there in zip(
                (0.5 + 0.35 * len(report.quadrants), 0.4 + 0.4 * len(report.swaps)), beside, strict=True
            )
            if there
        ]
        axes = np.atleast_1d(right.subplots(len(heights), 1, height_ratios=heights))
        if beside[0]:
            _bars(axes[0], report)
        if beside[1]:
            _swaps(axes[-1], report)
    footer(figure, "sentio-tf data doctor")
    return figure


def _plane(figure, rated: list[Track]) -> None:
    """Scatter of the ratings over tinted quadrants and the grid of the splits, with histograms at two sides."""
    from matplotlib.patches import Rectangle

    axes = figure.add_subplot()
    # Inside the plane's own coordinates, so that bars stand above the points they count.
    top, side = axes.inset_axes((0, 1.02, 1, 0.15), sharex=axes), axes.inset_axes((1.02, 0, 0.15, 1), sharey=axes)
    for name, (word, x, y) in CORNERS.items():
        rectangle = Rectangle((min(0, x), min(0, y)), 1, 1, facecolor=QUADRANTS[name], edgecolor="none", zorder=0)
        axes.add_patch(rectangle)
        axes.text(0.97 * x, 0.95 * y, word, ha="right" if x > 0 else "left", va="center", color=FAINT, fontsize=11)
    for edge in np.linspace(-1, 1, GRID + 1)[1:-1]:
        axes.axvline(edge, color="white", linewidth=1.2, zorder=1)
        axes.axhline(edge, color="white", linewidth=1.2, zorder=1)
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=1)
    axes.axhline(0, color=FAINT, linewidth=0.8, zorder=1)
    corpora = list(Counter(t.corpus for t in rated))
    bins = np.linspace(-1, 1, 21)
    rng = np.random.default_rng(0)
    for i, corpus in enumerate(corpora):
        own = [t for t in rated if t.corpus == corpus]
        v, a = (np.array([getattr(t, axis) for t in own], float) for axis in ("valence", "arousal"))
        colour = COLOURS[i % len(COLOURS)]
        shown = rng.permutation(len(own))[:MANY]
        alpha = float(np.clip(12 / np.sqrt(len(own)), 0.15, 0.8))
        style = {"s": 16, "color": colour, "alpha": alpha, "linewidths": 0, "zorder": 3}
        axes.scatter(v[shown], a[shown], **style)
        # Shares, so that a small corpus is seen beside a large one; outlines, so that several can be.
        bars = {"color": colour, "alpha": 0.55}
        if len(corpora) > 1:
            bars = {"color": colour, "histtype": "step", "linewidth": 1.6}
        for histogram, values, way in ((top, v, "vertical"), (side, a, "horizontal")):
            histogram.hist(values, bins, weights=np.full(len(own), 1 / len(own)), orientation=way, **bars)
        # One opaque point for the legend.
        axes.plot([], [], "o", color=colour, markersize=6, label=f"{corpus} ({len(own)})")
    axes.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal", xlabel="valence", ylabel="arousal")
    ticks = [-1, -0.5, 0, 0.5, 1]
    axes.set(xticks=ticks, yticks=ticks)
    axes.tick_params(colors=INK, labelsize=9, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for histogram in (top, side):
        histogram.axis("off")
    if len(corpora) > 1:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3, frameon=False, fontsize=9)


def _bars(axes, report: Report) -> None:
    """Share of the tracks in each quadrant, a bar a corpus."""
    shades = {"Q1": "#e9b949", "Q2": "#dd6b5b", "Q3": "#6c86bd", "Q4": "#67a877", "on an axis": "#a3a9b5"}
    words = {name: f"{name} {word}" for name, (word, _, _) in CORNERS.items()}
    corpora = list(report.quadrants)
    for row, corpus in enumerate(corpora):
        counts = report.quadrants[corpus]
        total, start = max(1, sum(counts.values())), 0.0
        for name, count in counts.items():
            share = count / total
            label = words.get(name, name) if row == 0 else None
            axes.barh(row, share, left=start, height=0.62, color=shades[name], label=label)
            if share > 0.015:
                size = 9 if share > 0.05 else 7
                axes.text(start + share / 2, row, str(count), ha="center", va="center", fontsize=size, color="white")
            start += share
    axes.set(yticks=range(len(corpora)), yticklabels=corpora, xlim=(0, 1), xticks=[])
    axes.set_ylim(len(corpora) - 0.4, -0.6)
    axes.tick_params(length=0, labelsize=10, colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title("tracks by quadrant", loc="left", fontsize=11, color=INK)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.02), ncols=3, frameon=False, fontsize=9, handlelength=1)


def _swaps(axes, report: Report) -> None:
    """Correlation of song-level columns, as the file has them, with the means of labels over time."""
    names = ("V with V", "A with A", "V with A", "A with V")
    fields = ("valence_valence", "arousal_arousal", "valence_arousal", "arousal_valence")
    values = np.array([[getattr(t, f) for f in fields] for t in report.swaps], float)
    axes.imshow(np.nan_to_num(values), cmap="Blues", vmin=-0.3, vmax=2.4, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        high = value == np.nanmax(values[row])
        text = "-" if np.isnan(value) else f"{value:.3f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=11, color=INK, weight="bold" if high else None)
    words = {True: "exchanged", False: "right", None: "undecided"}
    colours = {True: AROUSAL, False: "#3a8f5c", None: FAINT}
    for row, test in enumerate(report.swaps):
        axes.text(3.62, row, words[test.swapped], va="center", fontsize=11, color=colours[test.swapped], weight="bold")
    axes.set(xticks=range(4), xticklabels=names, yticks=range(len(values)), xlim=(-0.5, 4.9))
    axes.set_yticklabels([f"{t.block}\n{t.songs} songs" for t in report.swaps])
    axes.axvline(1.5, color="white", linewidth=4)
    axes.tick_params(length=0, labelsize=9.5, colors=INK, top=True, labeltop=True, bottom=False, labelbottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(
        "correlation of song-level labels, as in the file,\nwith labels over time", loc="left", fontsize=11, color=INK
    )
