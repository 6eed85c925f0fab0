"""`sentio-tf gan fit|sample|score`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from .common import need, progress_bar

DATA = click.option(
    "--data", "sources", multiple=True, required=True, metavar="CORPUS:ROOT", help="May be given repeatedly."
)
CACHE = click.option("--cache", type=click.Path(file_okay=False), help="Renderings and mels [default: $SENTIO_CACHE].")
FORM = click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
FORCE = click.option("--force", is_flag=True, help="Take a GAN whose training failed or did not end.")


@click.group()
def gan() -> None:
    """Synthetic spectrograms of a valence and an arousal: train a GAN, draw from it, judge it.

    What a GAN makes can enter the training part of `sentio-tf fit` only.  Whether it helps there is measured:
    docs/gan.md, docs/results.md.
    """


@gan.command()
@DATA
@click.option("--config", "config_file", type=click.Path(dir_okay=False), help="YAML file, see configs/gan-*.yaml.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Overrides a field, e.g. epochs=5.")
@click.option("--split", type=click.Path(dir_okay=False), help="Only its training part is learnt from.")
@click.option("--fold", default="", metavar="NAME", help="Of a split with folds: the one whose songs judge.")
@click.option("--allow-divided", is_flag=True, help="Take a --split that divides groups, as published ones may.")
@click.option("--purge-divided", is_flag=True, help="Take it without the training songs of groups that judge.")
@click.option("--labels", metavar="VERSION", help="Of the labels, where there are several.")
@click.option("--skip-missing", is_flag=True, help="Leave out labelled tracks whose file is missing.")
@click.option("--out", type=click.Path(file_okay=False), default="runs/gan", show_default=True, help="Run directory.")
@CACHE
@FORM
def fit(
    sources, config_file, overrides, split, fold, allow_divided, purge_divided, labels, skip_missing, out, cache, form
) -> None:
    """Train a conditional GAN on the training part of labelled corpora.

    The training is given up, and says why, where it is no contest any more: the discriminator wins or collapses, its
    loss comes to its least, or the samples are all alike.  An interrupted training continues when the command is given
    again.
    """
    _need()
    from .. import config as configuration
    from ..gan.fit import fit as train
    from ..gan.report import lines

    settings = [*([f"labels={labels}"] if labels else []), *overrides]
    found = train(
        configuration.load(config_file, settings, configuration.GanConfig),
        sources,
        Path(out),
        fold=fold,
        split=Path(split) if split else None,
        allow_divided=allow_divided,
        purge_divided=purge_divided,
        skip_missing=skip_missing,
        cache=Path(cache) if cache else None,
        report=lambda text: click.echo(text, err=True),
        progress=progress_bar(),
    )
    _show(found, form, lines, f"next: sentio-tf gan sample {out} --out CORPUS; curves: {Path(out) / 'curves.png'}")


@gan.command()
@click.argument("run", type=click.Path(file_okay=False))
@click.option("--out", type=click.Path(file_okay=False), required=True, help="New folder, a corpus folder:OUT.")
@click.option("--count", type=click.IntRange(1), default=256, show_default=True)
@click.option(
    "--labels",
    "way",
    type=click.Choice(["density", "uniform"]),
    default="density",
    show_default=True,
    help="Labels like those of the training songs, or anywhere in the plane.",
)
@click.option("--min-confidence", type=float, default=0.3, show_default=True, help="Of the discriminator, 0 to 1.")
@click.option(
    "--tolerance",
    type=float,
    default=1.0,
    show_default=True,
    help="Of a regressor that reads the labels, in its errors.",
)
@click.option("--wav", "sounds", type=click.IntRange(0), default=0, help="Render so many to sound, by Griffin-Lim.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@FORCE
@FORM
def sample(run, out, count, way, min_confidence, tolerance, sounds, seed, force, form) -> None:
    """Draw spectrograms from the GAN of a finished RUN and write them as a corpus that may only train.

    What the discriminator takes for generated, and what does not sound like its label to a regressor that knows other
    songs, is left out.  More than two spectrograms a training song are a warning.
    """
    _need()
    from ..gan.sample import sample as draw

    about = draw(
        Path(run),
        Path(out),
        count,
        way=way,
        min_confidence=min_confidence,
        tolerance=tolerance,
        sounds=sounds,
        seed=seed,
        force=force,
        report=lambda text: click.echo(text, err=True),
        progress=progress_bar(),
    )
    if form == "json":
        click.echo(json.dumps(about, indent=2))
        return
    click.echo(f"{about['kept']} of {about['drawn']} draws kept, {about['ratio']:g} for one training song")
    click.echo(f"the eye: {Path(out) / 'sheet.png'}")
    click.echo(f"next: sentio-tf fit MODEL --data ... --data folder:{out} --split ... --set final=false")


@gan.command()
@click.argument("run", type=click.Path(file_okay=False))
@DATA
@click.option("--corpus", type=click.Path(file_okay=False), help="Judge a folder of gan sample, not new samples.")
@click.option("--samples", type=click.IntRange(8), default=256, show_default=True)
@click.option("--audio", is_flag=True, help="The Frechet Audio Distance on musicnn features, too; some minutes.")
@click.option("--sounds", type=click.IntRange(2), default=32, show_default=True, help="Of each kind, for --audio.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@FORCE
@CACHE
@FORM
def score(run, sources, corpus, samples, audio, sounds, seed, force, cache, form) -> None:
    """How far the samples of a RUN are from music, between other real songs (ceiling) and noise (floor).

    --data is what the RUN was trained on.
    """
    _need()
    from ..gan.report import lines
    from ..gan.score import score as judge

    found = judge(
        Path(run),
        sources,
        corpus=Path(corpus) if corpus else None,
        samples=samples,
        audio=audio,
        sounds=sounds,
        seed=seed,
        force=force,
        cache=Path(cache) if cache else None,
        report=lambda text: click.echo(text, err=True),
        progress=progress_bar(),
    )
    _show(found, form, lines, "")


def _show(found, form, lines, after: str) -> None:
    if form == "json":
        click.echo(json.dumps(found, indent=2))
        return
    for line in lines(found):
        click.echo(line)
    if after:
        click.echo(after)


def _need() -> None:
    need("train", "tensorflow", "keras", "sklearn", "scipy", "matplotlib")
