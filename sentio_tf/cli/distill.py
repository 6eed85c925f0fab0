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
def distill(teachers, student, alone, options: training.Options) -> None:
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

    if options.config_file:
        training.check_model(options.config_file, student)
    place = Path(options.out or f"runs/{student}-distilled")
    results = train(
        configuration.load(options.config_file, options.of_network(student), configuration.DistillConfig),
        options.sources,
        place,
        [Path(run) for run in teachers],
        alone=Path(alone) if alone else None,
        **options.network(),
    )
    training.show(results, place, options.form, lines)
