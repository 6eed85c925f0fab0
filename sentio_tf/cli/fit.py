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
def fit(model, options: training.Options, features) -> None:
    """Train MODEL on labelled corpora and write a run directory.

    MODEL is a network: vit, musicnn or efficientnet_lite (pretrained), ast, crnn, short_chunk_cnn,
    cnn_transformer, sample_cnn, mobilevit; or ridge, svr, xgboost on features of whole songs.  configs/ has
    a recipe for each.

    CORPUS is deam, emomusic, pmemo, panda4q, musifeast17, emopia, vgmidi, jamendo, or folder for your
    own (labels.csv beside the audio); `sentio-tf data show` tells about each.  An interrupted run
    continues when the command is given again.
    """
    from .. import config as configuration

    place = Path(options.out or f"runs/{model}")
    if options.config_file:
        training.check_model(options.config_file, model)
    if model in configuration.CLASSICAL:
        given = {
            "--only": options.only,
            "--weights": options.weights,
            "--tensorboard": options.tensorboard,
            "--start": options.start,
        }
        if name := next((name for name, value in given.items() if value), None):
            raise click.UsageError(f"{name} is for networks, not for {model}")
        results = _classical(model, options, features, place)
    else:
        if features:
            raise click.UsageError(f"--features is for {', '.join(configuration.CLASSICAL)}")
        training.need_keras()
        from ..training.fit import fit as train

        config = configuration.load(options.config_file, options.of_network(model))
        results = train(config, options.sources, place, **options.network())
    training.show(results, place, options.form)


def _classical(model, options: training.Options, features, out: Path):
    from .. import config as configuration

    chosen = [f"features={features}"] if features else []
    settings = options.settings(*chosen, f"model={model}")
    config = configuration.load(options.config_file, settings, configuration.ClassicalConfig)
    modules = ["sklearn", "scipy", "skops", *(["xgboost"] if model == "xgboost" else [])]
    # TensorFlow, because the pipeline that caches and decodes brings it.
    need("train", *modules, *(["optuna"] if config.trials else []), "tensorflow", "keras")
    from ..training.classical import fit as train

    return train(config, options.sources, out, **options.common())
