"""Pictures: sample sheets for the eye, and the curves of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..contract import MEL, WINDOW_SAMPLES
from ..errors import ConfigError
from ..training.curves import FAINT, GRID, INK, Rows, read

SECONDS = WINDOW_SAMPLES / MEL.sample_rate
COLUMNS = 4


def draw_sheet(path: Path, mels: np.ndarray, titles: Sequence[str], *, heading: str = "") -> None:
    """Log-mels `(n, bands, frames, 1)` [dB] side by side, all in one range of colours.

    Raises: ConfigError if the picture cannot be written.
    """
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(mels))
    rows = -(-len(mels) // columns)
    figure = Figure(figsize=(3 * columns, 1.75 * rows + 0.5), layout="constrained", facecolor="white")
    low, high = np.quantile(mels, [0.02, 0.998])
    axes = figure.subplots(rows, columns, squeeze=False)
    image = None
    for place, ax in enumerate(axes.ravel()):
        if place >= len(mels):
            ax.set_visible(False)
            continue
        image = ax.imshow(
            mels[place, :, :, 0], origin="lower", aspect="auto", cmap="magma", vmin=low, vmax=high,
            extent=(0, SECONDS, 0, MEL.n_mels),
        )  # fmt: skip
        ax.set_title(titles[place], fontsize=8, loc="left", color=INK)
        ax.tick_params(labelsize=6, colors=FAINT)
        last = place + columns >= len(mels)
        ax.set_xlabel("s" if last else "", fontsize=7, color=FAINT)
        ax.set_ylabel("mel band" if place % columns == 0 else "", fontsize=7, color=FAINT)
    if image is not None:
        bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.01)
        bar.set_label("dB", fontsize=7)
        bar.ax.tick_params(labelsize=6)
    figure.suptitle(heading, fontsize=9, color=FAINT, x=0.01, ha="left")
    _save(figure, path, dpi=80)


def draw_curves(out: Path, *, least: float) -> None:
    """`curves.png` of `history.csv`: losses, accuracy of the discriminator, gradients, who waited, scores of samples.

    Args:
        least: the loss that the discriminator must stay away from.

    Raises: ConfigError if the picture cannot be written.
    """
    from matplotlib.figure import Figure

    rows = read(out / "history.csv")
    figure = Figure(figsize=(15, 6.4), layout="constrained", facecolor="white")
    panels = [
        ("losses; dotted: a discriminator that errs no more", [("d_loss", "discriminator"), ("g_loss", "generator")]),
        (
            "share of spectrograms that the discriminator has right",
            [
                ("d_accuracy", "all"),
                ("d_real", "real"),
                ("d_fake", "generated"),
                ("d_known", "real, of the training, as it is"),
                ("d_held", "real, not trained on"),
            ],
        ),
        ("norm of the gradients", [("d_gradient", "discriminator"), ("g_gradient", "generator")]),
        ("share of steps in which one waited for the other", [("d_waits", "discriminator"), ("g_waits", "generator")]),
        ("composite score of samples", [("composite", "")]),
        ("diversity of samples, real music is 1", [("diversity", "")]),
    ]
    for ax, (title, lines) in zip(figure.subplots(2, 3).ravel(), panels, strict=True):
        for name, label in lines:
            _line(ax, rows, name, label)
        ax.set_title(title, loc="left", fontsize=10, color=INK)
        ax.set_xlabel("epoch", color=INK, fontsize=9)
        ax.grid(color=GRID, linewidth=0.8)
        ax.tick_params(colors=FAINT, labelcolor=INK, labelsize=8)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        if "losses" in title:
            ax.axhline(least, color=FAINT, linestyle=":", linewidth=1)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(fontsize=8, framealpha=0.85, edgecolor="white", ncols=1 if len(lines) < 3 else 2)
            if len(lines) > 2:  # shares of 0 to 1, and room for what the lines are
                ax.set_ylim(0, 1.4)
                ax.set_yticks(np.linspace(0, 1, 6))
                ax.legend_.set_loc("upper left")
    figure.suptitle(out.name, fontsize=9, color=FAINT, x=0.01, ha="left")
    _save(figure, out / "curves.png", dpi=100)


def _line(ax, rows: Rows, name: str, label: str) -> None:
    points = [(row["epoch"] + 1, row[name]) for row in rows if np.isfinite(row.get(name, np.nan))]
    if points:
        mark = "o" if len(points) == 1 else None
        ax.plot(*zip(*points, strict=True), label=label, linewidth=1.4, marker=mark, markersize=4)


def _save(figure, path: Path, *, dpi: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=dpi)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); choose another folder") from None
