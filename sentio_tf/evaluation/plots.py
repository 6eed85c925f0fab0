"""Pictures: a song on the circumplex with its trajectory, and its timeline under the waveform."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..audio import decode
from ..contract import Card, Prediction
from ..errors import AudioError, SentioError
from ..terminal import printable

INK, FAINT, GRID = "#1f2430", "#8a90a0", "#e3e6ec"
VALENCE, AROUSAL = "#1f6fb2", "#d1512d"
# Light tints of the quadrants: excited, tense, sad, serene.
QUADRANTS = {"Q1": "#fdf3d8", "Q2": "#fbe3e0", "Q3": "#e2e8f3", "Q4": "#e3f1e6"}
CORNERS = {"Q1": ("excited", 1, 1), "Q2": ("tense", -1, 1), "Q3": ("sad", -1, -1), "Q4": ("serene", 1, -1)}
PEAKS = 1200  # columns of a drawn waveform


def songs(predictions: Sequence[Prediction], card: Card):
    """A figure: one song with waveform and timeline, or several songs on one circumplex."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if len(predictions) > 1:
        figure = Figure(figsize=(11.2, 8.2), layout=ConstrainedLayoutEngine(rect=(0, 0.03, 1, 0.97)))
        axes = figure.add_subplot()
        circumplex(axes)
        _points(axes, predictions)
        footer(figure, f"sentio-tf, {card.name}")
        return figure
    song = predictions[0]
    figure = Figure(figsize=(13.2, 6.4), layout=ConstrainedLayoutEngine(rect=(0, 0.03, 1, 0.97)))
    left, right = np.asarray(figure.subfigures(1, 2, width_ratios=(1, 1.12)))
    _trajectory(left.add_subplot(), song)
    wave, line = right.subplots(2, 1, sharex=True, height_ratios=(1, 2.4))
    _waveform(wave, song)
    _timeline(line, song)
    figure.suptitle(_title(song), x=0.012, ha="left", fontsize=14, fontweight="bold", color=INK)
    note = f"sentio-tf, {card.name}"
    if song.valence_std and song.arousal_std:
        note += "; the grey ellipse is one standard deviation of its error"
    footer(figure, note)
    return figure


def save(figure, path: str | Path) -> None:
    """Write the figure as its ending says.  Raises: SentioError if it cannot be written."""
    metadata = {"Date": None} if str(path).endswith(".svg") else None
    try:
        with warnings.catch_warnings():
            # A title in a script that the font lacks is drawn as boxes; the answer is not affected.
            warnings.filterwarnings("ignore", message=".*missing from font.*")
            figure.savefig(path, dpi=150, facecolor="white", metadata=metadata)
    except OSError as error:
        raise SentioError(f"{path}: the plot cannot be written ({error.strerror}); choose another --plot") from None


def circumplex(axes) -> None:
    """Empty circumplex: tinted quadrants, unit circle, named axes."""
    from matplotlib.patches import Circle, Rectangle

    disc = Circle((0, 0), 1, facecolor="none", edgecolor=FAINT, linewidth=1.1, zorder=2)
    axes.add_patch(disc)
    for name, (word, x, y) in CORNERS.items():
        patch = Rectangle((min(0, x), min(0, y)), 1, 1, facecolor=QUADRANTS[name], edgecolor="none", zorder=0)
        axes.add_patch(patch)
        patch.set_clip_path(disc)
        axes.text(0.62 * x, 0.62 * y, word, ha="center", va="center", color=FAINT, fontsize=12, zorder=1)
    axes.plot([-1, 1], [0, 0], color=FAINT, linewidth=0.8, zorder=1)
    axes.plot([0, 0], [-1, 1], color=FAINT, linewidth=0.8, zorder=1)
    for radius in (0.5,):
        axes.add_patch(Circle((0, 0), radius, facecolor="none", edgecolor="white", linewidth=1.2, zorder=1))
    style = {"color": INK, "fontsize": 10.5}
    axes.text(1.03, 0, "pleasant", ha="left", va="center", rotation=-90, **style)
    axes.text(-1.03, 0, "unpleasant", ha="right", va="center", rotation=90, **style)
    axes.text(0, 1.03, "energetic", ha="center", va="bottom", **style)
    axes.text(0, -1.03, "calm", ha="center", va="top", **style)
    axes.set(xlim=(-1.14, 1.14), ylim=(-1.14, 1.14), aspect="equal")
    axes.axis("off")


def _trajectory(axes, song: Prediction) -> None:
    from matplotlib.patches import Ellipse

    circumplex(axes)
    v = np.array([s.valence for s in song.timeline])
    a = np.array([s.arousal for s in song.timeline])
    if song.valence_std and song.arousal_std:
        spread = Ellipse(
            (song.valence, song.arousal),
            2 * song.valence_std,
            2 * song.arousal_std,
            facecolor=INK,
            alpha=0.07,
            edgecolor="none",
            zorder=2,
        )
        axes.add_patch(spread)
    if len(v) > 1:
        axes.plot(v, a, color=INK, linewidth=1, alpha=0.45, zorder=3)
        shades = np.linspace(0.15, 1, len(v))
        axes.scatter(v, a, c=shades, cmap="viridis_r", vmin=0, vmax=1, s=34, edgecolor="white", linewidth=0.7, zorder=4)
        # Start and end, each pushed away from the song's mean so that the labels do not meet.
        for i, word in ((0, "start"), (-1, "end")):
            side = 1 if v[i] >= song.valence else -1
            axes.annotate(
                word,
                (v[i], a[i]),
                xytext=(9 * side, -3 if i == 0 else 3),
                textcoords="offset points",
                ha="left" if side > 0 else "right",
                va="top" if i == 0 else "bottom",
                fontsize=9,
                color=INK,
                zorder=6,
            )
    axes.plot(song.valence, song.arousal, marker="o", markersize=13, color="white", zorder=5)
    axes.plot(song.valence, song.arousal, marker="o", markersize=9.5, color=AROUSAL, zorder=5)


def _points(axes, predictions: Sequence[Prediction]) -> None:
    """Numbered points with a legend: names beside points would cover one another."""
    for i, song in enumerate(predictions, start=1):
        axes.plot(song.valence, song.arousal, marker="o", markersize=15, color=AROUSAL, alpha=0.85, zorder=3)
        axes.text(song.valence, song.arousal, str(i), color="white", fontsize=8, ha="center", va="center", zorder=4)
    shown = [f"{i}  {_short(Path(p.path).stem, 34)}" for i, p in enumerate(predictions[:24], start=1)]
    if len(predictions) > 24:
        shown.append(f"... and {len(predictions) - 24} more")
    axes.text(1.2, 1, "\n".join(shown), fontsize=9, color=INK, va="top", linespacing=1.5)


def _waveform(axes, song: Prediction) -> None:
    high, low, end_s = _peaks(song)
    seconds = np.linspace(0, end_s, len(high))
    axes.fill_between(seconds, low, high, color=FAINT, linewidth=0, alpha=0.8)
    top = max(0.05, float(np.abs(np.concatenate([high, low])).max()))
    axes.set(ylim=(-1.05 * top, 1.05 * top), yticks=[])
    for side in ("top", "left", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="x", length=0, labelbottom=False)


def _peaks(song: Prediction) -> tuple[np.ndarray, np.ndarray, float]:
    """Highest and lowest sample per column, with bounded memory: blocks are reduced as they come."""
    rate = 8000
    column = max(1, int(song.duration_s * rate / PEAKS))
    highs, lows, rest, total = [], [], np.empty(0, np.float32), 0
    try:
        for block in decode.blocks(song.path, sample_rate=rate):
            total += len(block)
            rest = np.concatenate([rest, block])
            whole = len(rest) // column * column
            if whole:
                grid = rest[:whole].reshape(-1, column)
                highs.append(grid.max(axis=1))
                lows.append(grid.min(axis=1))
                rest = rest[whole:]
    except AudioError:
        pass  # the answer is there; a file that vanished since costs only its waveform
    if not highs:
        return np.zeros(2), np.zeros(2), song.duration_s
    return np.concatenate(highs), np.concatenate(lows), total / rate


def _timeline(axes, song: Prediction) -> None:
    middle = np.array([(s.start_s + s.end_s) / 2 for s in song.timeline])
    for name, colour in (("arousal", AROUSAL), ("valence", VALENCE)):
        values = np.array([getattr(s, name) for s in song.timeline])
        # Hold the first and last value to the song's edges: windows there reach that far.
        x = np.concatenate([[song.timeline[0].start_s], middle, [song.timeline[-1].end_s]])
        y = np.concatenate([values[:1], values, values[-1:]])
        axes.plot(x, y, color=colour, linewidth=2, label=name, zorder=3, solid_capstyle="round")
        axes.plot(middle, values, "o", color=colour, markersize=5, markeredgecolor="white", zorder=4)
    axes.axhline(0, color=FAINT, linewidth=0.9, zorder=1)
    axes.set(xlim=(0, max(song.duration_s, 1e-3)), ylim=(-1.06, 1.06), yticks=[-1, -0.5, 0, 0.5, 1])
    axes.grid(axis="y", color=GRID, linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(lambda s, _: f"{int(s) // 60}:{int(s) % 60:02}")
    if song.duration_s <= 600:
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 1.5, 2, 3, 5, 6, 10], integer=True))
    axes.tick_params(colors=INK, labelsize=9, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.legend(loc="upper left", bbox_to_anchor=(0, 1.08), ncols=2, frameon=False, fontsize=10)
    axes.set_xlabel("time (m:ss), each point the middle of a 30 s window", color=FAINT, fontsize=9)


def _title(song: Prediction) -> str:
    return (
        f"{_short(Path(song.path).stem, 60)}: {song.mood}   "
        f"(valence {song.valence:+.2f}, arousal {song.arousal:+.2f}, {song.quadrant})"
    )


def _short(text: str, length: int) -> str:
    # A dollar sign would start matplotlib's mathematics.
    text = printable(text)
    text = text if len(text) <= length else text[: length - 1] + "…"
    return text.replace("$", r"\$")


def footer(figure, note: str) -> None:
    """A small line below everything: what made the picture."""
    figure.text(0.995, 0.008, note, ha="right", va="bottom", fontsize=8, color=FAINT)
