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
@click.option("--labels", metavar="VERSION", help="Of the labels, where there are several (deam: corrected, official).")
@click.option("--skip-missing", is_flag=True, help="Leave out labelled tracks whose file is missing.")
@click.option("--only", multiple=True, metavar="PART", help="Train only fold 0, 1, ... or final; may be repeated.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def fit(
    model, sources, config_file, overrides, out, cache, split, allow_divided, labels, skip_missing, only, form
) -> None:
    """Train MODEL on labelled corpora and write a run directory.

    CORPUS is deam, emomusic, pmemo, panda4q, musifeast17, emopia, vgmidi, jamendo, or folder for your
    own (labels.csv beside the audio); `sentio-tf data show` tells about each.  An interrupted run
    continues when the command is given again.
    """
    need("train", "tensorflow", "keras", "sklearn", "scipy")
    import json

    from .. import config as configuration
    from ..training.fit import fit as train

    version = [f"labels={labels}"] if labels else []
    config = configuration.load(config_file, (f"model={model}", *version, *overrides))
    results = train(
        config,
        sources,
        Path(out or f"runs/{model}"),
        cache=Path(cache) if cache else None,
        split=Path(split) if split else None,
        allow_divided=allow_divided,
        skip_missing=skip_missing,
        only=only,
        report=lambda text: click.echo(text, err=True),
        progress=progress_bar(),
    )
    if not results:
        return
    if form == "json":
        click.echo(json.dumps(results, indent=2))
        return
    from ..evaluation.summary import lines

    click.echo(f"{results['protocol']}, scale {results['scale']}, 95 % intervals over groups")
    for line in lines(results["corpora"]):
        click.echo(line)
