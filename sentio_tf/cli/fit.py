"""`sentio-tf fit`."""

from __future__ import annotations

from pathlib import Path

import click

from . import training
from .common import need


@click.command()
@click.argument("model")
@training.training_options
@click.option(
    "--features", metavar="SET|FILE", help="Of ridge, svr, xgboost: recipe, extended, bands, musicnn, vit, a table."
)
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
    weights,
    start,
    labels,
    skip_missing,
    only,
    tensorboard,
    form,
    features,
) -> None:
    """Train MODEL on labelled corpora and write a run directory.

    MODEL is a network: vit, musicnn or efficientnet_lite (pretrained), ast, crnn, short_chunk_cnn,
    cnn_transformer, sample_cnn, mobilevit; or ridge, svr, xgboost on features of whole songs.  configs/ has
    a recipe for each.

    CORPUS is deam, emomusic, pmemo, panda4q, musifeast17, emopia, vgmidi, jamendo, or folder for your
    own (labels.csv beside the audio); `sentio-tf data show` tells about each.  An interrupted run
    continues when the command is given again.
    """
    from .. import config as configuration

    version = [f"labels={labels}"] if labels else []
    options = training.common(cache, split, allow_divided, purge_divided, skip_missing)
    place = Path(out or f"runs/{model}")
    if config_file:
        training.check_model(config_file, model)
    if model in configuration.CLASSICAL:
        given = {"--only": only, "--weights": weights, "--tensorboard": tensorboard, "--start": start}
        if name := next((name for name, value in given.items() if value), None):
            raise click.UsageError(f"{name} is for networks, not for {model}")
        results = _classical(model, config_file, [*version, *overrides], features, sources, place, options)
    else:
        if features:
            raise click.UsageError(f"--features is for {', '.join(configuration.CLASSICAL)}")
        training.need_keras()
        from ..training.fit import fit as train

        source = [f"weights={weights}"] if weights else []
        config = configuration.load(config_file, (*version, *overrides, *source, f"model={model}"))
        begin = Path(start) if start else None
        results = train(config, sources, place, start=begin, only=only, tensorboard=tensorboard, **options)
    training.show(results, place, form)


def _classical(model, config_file, overrides, features, sources, out, options):
    from .. import config as configuration

    chosen = [f"features={features}"] if features else []
    config = configuration.load(config_file, (*overrides, *chosen, f"model={model}"), configuration.ClassicalConfig)
    modules = ["sklearn", "scipy", "skops", *(["xgboost"] if model == "xgboost" else [])]
    # TensorFlow, because the pipeline that caches and decodes brings it.
    need("train", *modules, *(["optuna"] if config.trials else []), "tensorflow", "keras")
    from ..training.classical import fit as train

    return train(config, sources, out, **options)
