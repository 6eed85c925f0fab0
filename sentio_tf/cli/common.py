"""What several commands share."""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings

import click

from ..errors import SentioError
from ..terminal import quiet


def require(extra: str, *modules: str) -> None:
    """Raises: SentioError with the install line if any of `modules` is missing."""
    missing = [m for m in modules if importlib.util.find_spec(m) is None]
    if missing:
        raise SentioError(f"this command needs {', '.join(missing)}; install it with: pip install 'sentio-tf[{extra}]'")


def need(extra: str, *modules: str) -> None:
    """Import TensorFlow without its chatter, where it is among the modules.

    Raises: SentioError with the install line if any of `modules` is missing.
    """
    require(extra, *modules)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Keras says this of every tf.data dataset.
    warnings.filterwarnings("ignore", message=".*shuffle=True.*")
    # And this of attention within one token, which short crops have in the last stage.
    warnings.filterwarnings("ignore", message=".*softmax over axis.*")
    if "tensorflow" in modules:
        with quiet():
            import tensorflow  # noqa: F401


def progress_bar():
    """`progress(step, done, total)` that draws a bar on a terminal and a line per tenth elsewhere."""
    last: dict[str, int] = {}

    def show(step: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            filled = 30 * done // total
            end = "\n" if done == total else ""
            click.echo(f"\r{step:7} {'━' * filled}{'╌' * (30 - filled)} {done}/{total}{end}", err=True, nl=False)
        elif (tenth := 10 * done // total) != last.get(step):
            last[step] = tenth
            click.echo(f"{step} {done}/{total}", err=True)

    return show
