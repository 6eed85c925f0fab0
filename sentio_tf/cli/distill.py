"""`sentio-tf distill`."""

from __future__ import annotations

from pathlib import Path

import click

from . import training


@click.command()
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    required=True,
    type=click.Path(file_okay=False),
    metavar="RUN",
    help="A finished run on the same split; of several the answers are averaged.",
)
@click.option("--student", required=True, metavar="MODEL", help="A network: efficientnet_lite, mobilevit, musicnn, ...")
@click.option(
    "--alone", type=click.Path(file_okay=False), metavar="RUN", help="The same student without a teacher, to compare."
)
@training.training_options
def distill(
    teachers,
    student,
    alone,
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
) -> None:
    """Train a small network on what finished runs say of the music, and measure what it kept of them.

    Teachers are runs of `sentio-tf fit` with the same --data and --split: what judges the student, they have not heard
    either.  Music without labels may be added (--data folder:MUSIC, with `unlabelled: true` in its corpus.yaml): the
    teachers label it.  The run directory is like any other; `retention` in its metrics.json is the student's CCC as a
    share of its teachers'.
    """
    from .. import config as configuration

    training.need_keras()
    from ..training.distill import distill as train
    from ..training.distill import lines

    if config_file:
        training.check_model(config_file, student)
    place = Path(out or f"runs/{student}-distilled")
    given = [f"labels={labels}"] if labels else []
    given += [*overrides, *([f"weights={weights}"] if weights else []), f"model={student}"]
    results = train(
        configuration.load(config_file, given, configuration.DistillConfig),
        sources,
        place,
        [Path(run) for run in teachers],
        alone=Path(alone) if alone else None,
        start=Path(start) if start else None,
        only=only,
        tensorboard=tensorboard,
        **training.common(cache, split, allow_divided, purge_divided, skip_missing),
    )
    training.show(results, place, form, lines)
