"""`sentio-tf verify`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .common import need


@click.command()
@click.argument("model", metavar="NAME|FILE")
@click.option("--run", type=click.Path(file_okay=False), help="Compare with the Keras model of this run, too.")
@click.option("--data", "sources", multiple=True, metavar="CORPUS:ROOT", help="With --run: the run's corpora.")
@click.option("--cache", type=click.Path(file_okay=False), help="With --run: renderings [default: $SENTIO_CACHE].")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def verify(model, run, sources, cache, form) -> None:
    """Is an exported model what its card promises?  Every check has its line; exit code 1 if one fails.

    Needs nothing but the file (or the name of a shipped model): signature, builtins only, card complete, file
    as it was exported, golden output, no NaN.  With --run and --data also: the answers to real windows of songs
    that calibration did not use, beside those of Keras.
    """
    import dataclasses
    import json

    from ..runtime import checks
    from ..runtime.predictor import shipped_model

    if bool(run) != bool(sources) or (cache and not run):
        raise click.UsageError("--run and --data go together, and --cache with them")
    report = checks.verify(shipped_model(model) or model)
    if run:
        need("train", "tensorflow", "keras")
        from ..export import recheck

        check = recheck.check(report, Path(run), sources=sources, cache=Path(cache) if cache else None)
    else:
        check = checks.Check("parity", checks.SKIPPED, "give --run and --data to compare with Keras")
    report = dataclasses.replace(report, checks=(*report.checks, check))
    if form == "json":
        click.echo(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))
    else:
        _print(report)
    if not report.good:
        sys.exit(1)


def _print(report) -> None:
    from ..terminal import printable

    click.echo(printable(report.path))
    width = max(len(check.name) for check in report.checks)
    for check in report.checks:
        click.echo(f"  {check.name:{width}}  {check.state:7}  {check.detail}")
    for name, counts in report.operators.items():
        click.echo(f"operators of {name or 'the first subgraph'}: {_counted(counts)}")
        taken = report.delegation.get(name)
        if taken:
            where = f"in {taken['parts']} parts; outside: {_counted(taken['outside'])}"
            click.echo(f"  XNNPACK takes {taken['taken']} of {taken['of']}, {where}")
    failed = sum(check.state == "failed" for check in report.checks)
    click.echo("all checks passed" if not failed else f"{failed} of {len(report.checks)} checks failed")


def _counted(counts) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
