"""`sentio-tf evaluate`, `compare` and `report`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..errors import SentioError
from ..terminal import printable
from .common import need

RESAMPLES = click.option(
    "--resamples", type=click.IntRange(100, 1_000_000), default=None, help="Of the bootstrap over groups."
)
AXES = ("valence", "arousal")
FORMAT = click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--by", type=click.Choice(["quadrant", "genre"]), multiple=True, help="Tables of parts of each corpus; repeatable."
)
@click.option("--worst", type=click.IntRange(1, 100_000), metavar="N", help="The N largest errors, with names.")
@click.option("--part", default="test", show_default=True, help="Of the predictions: test or validation.")
@click.option(
    "--data", "sources", multiple=True, metavar="CORPUS:ROOT", help="Judge the final model on another corpus."
)
@click.option("--features", metavar="FILE", help="With --data: table of features, where the run was trained on one.")
@click.option("--cache", type=click.Path(file_okay=False), help="Renderings and features [default: $SENTIO_CACHE].")
@click.option("--out", type=click.Path(dir_okay=False), help="With --data: write the predictions as CSV.")
@click.option("--labels", metavar="VERSION", help="With --data: version of the labels (deam: corrected, official).")
@RESAMPLES
@FORMAT
def evaluate(paths, by, worst, part, sources, features, cache, out, labels, resamples, form) -> None:
    """Metrics of runs, with 95 % intervals over artists, songs or series.

    RUN is a run directory of `sentio-tf fit`, or a predictions.csv of any program (track_id, valence,
    arousal, valence_hat, arousal_hat; optional corpus, group, fold, genre, ..., all in [-1, 1]).  Beside
    each metric stand the predictor that knows only the mean of the other folds, and the ceiling that
    the disagreement of the raters sets.  Runs that differ in their seed only are also averaged.
    """
    import json

    from ..evaluation import runs

    if (out or labels or features) and not sources:
        raise click.UsageError("--features, --out and --labels go with --data")
    opened = (
        runs.open_runs(paths, split=part) if not sources else _applied(paths, sources, cache, labels, features, out)
    )
    found = [runs.evaluation(run, resamples=resamples or 1000, worst=worst or 20) for run in opened]
    if form == "json":
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for values in found:
        _print_evaluation(values, by=by, worst=worst)
    for same in runs.by_experiment(opened):
        if len(same) > 1:
            _print_seeds(runs.over_seeds([found[opened.index(run)] for run in same]), same)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="RUN_A RUN_B...")
@click.option("--metric", type=click.Choice(["ccc", "pearson", "r2", "rmse", "mae"]), default="ccc", show_default=True)
@click.option("--common", is_flag=True, help="Take the tracks that both have, where they are not the same.")
@click.option("--part", default="test", show_default=True, help="Of the predictions: test or validation.")
@RESAMPLES
@FORMAT
def compare(paths, metric, common, part, resamples, form) -> None:
    """Is one run better than another on the same songs?

    Paired bootstrap over groups (artists, songs, series) of the difference, Holm-corrected over all
    comparisons, beside a permutation test; for quadrant hits McNemar's test, exchanging whole groups.
    """
    import json

    from ..evaluation import runs

    if len(paths) < 2:
        raise click.UsageError(f"expected two runs or more, received {len(paths)}")
    opened = runs.open_runs(paths, split=part)
    verdicts, notes = runs.compare_runs(opened, metric=metric, common=common, resamples=resamples or 10_000)
    for note in notes:
        click.echo(f"note: {printable(note)}", err=True)
    if form == "json":
        click.echo(json.dumps([runs.as_dict(v) for v in verdicts], indent=2, ensure_ascii=False))
        return
    if not verdicts:
        raise SentioError("expected songs of two groups or more to compare, received fewer; see the notes above")
    _print_verdicts(verdicts)


@click.command()
@click.argument("path", metavar="RUN")
@click.option("--out", type=click.Path(dir_okay=False), help="HTML file [default: RUN/report.html].")
@click.option("--part", default="test", show_default=True, help="Of the predictions: test or validation.")
@RESAMPLES
def report(path, out, part, resamples) -> None:
    """One HTML page about a run that needs nothing else: no network, no other file."""
    from .. import __version__
    from ..evaluation import runs
    from ..evaluation.report import render

    run = runs.open_run(path, split=part)
    page = render(
        runs.evaluation(run, resamples=resamples or 1000), run.predictions, run.history, runs.about(run, __version__)
    )
    file = Path(out) if out else Path(path) / "report.html" if Path(path).is_dir() else Path(path).with_suffix(".html")
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SentioError(f"{file}: the report cannot be written ({error.strerror}); choose another --out") from None
    click.echo(f"report: {file}")


def _applied(paths, sources, cache, labels, features, out):
    """Final models of runs on other corpora."""
    need("train", "sklearn", "scipy", "skops", "tensorflow", "keras")
    from ..evaluation import runs
    from ..training import apply

    if out and len(paths) > 1:
        raise click.UsageError("--out takes the predictions of one run")
    opened = []
    for path in paths:
        found = apply.apply(
            Path(path),
            sources,
            cache=Path(cache) if cache else None,
            labels=labels or "",
            features=features,
            out=Path(out) if out else None,
            report=lambda text: click.echo(text, err=True),
        )
        made = runs.open_run(path)
        protocol = "final model on other corpora, what shares a group or recording with its training left out"
        seed = {"model": made.metrics.get("model", ""), "seed": made.seed}
        opened.append(runs.Run(made.name, found, {"protocol": protocol, **seed}, {}, made.config))
    return runs.distinct(opened, paths)


def _console():
    from rich.console import Console

    return Console(emoji=False, highlight=False, width=None if sys.stdout.isatty() else 140)


def _table(*columns, title=None, left=1):
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, title=title, title_justify="left")
    for k, column in enumerate(columns):
        # Names keep their width where a terminal is narrow; what does not fit is folded.
        table.add_column(column, justify="left" if k < left else "right", no_wrap=k >= left, overflow="fold")
    return table


def _value(values, metric, digits=3, bare=False):
    value = values.get(metric)
    if not value:
        return "-"
    text = f"{value['value']:.{digits}f}"
    return f"{text} [{value['low']:.2f}, {value['high']:.2f}]" if "low" in value and not bare else text


def _print_evaluation(values, *, by, worst) -> None:
    from rich.text import Text

    console = _console()
    head = [
        values["model"],
        values["protocol"] or "protocol not stated",
        f"scale {values['scale']}",
        "95 % intervals over groups",
    ]
    console.print(Text(f"{printable(values['name'])}: {', '.join(h for h in head if h)}"))
    for corpus, own in values["corpora"].items():
        title = Text(
            f"{printable(corpus)}: {_count(own['tracks'], 'song')}, {_count(own['groups'], 'group')}", style="bold"
        )
        if own["tracks"] < 2:
            console.print(title)
            console.print("  one song: no metric is defined")
        elif own["label"] == "rating":
            console.print(_rated(title, own))
        else:
            console.print(_signed(title, own))
        for kind in by:
            _print_parts(console, corpus, own["quadrants" if kind == "quadrant" else "genres"], kind)
        if worst:
            _print_worst(console, own["worst"][:worst])
    for warning in values["warnings"]:
        click.echo(f"warning: {printable(warning)}", err=True)


def _count(n, word) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def _rated(title, own):
    table = _table("", "valence", "arousal", title=title)
    axes = [own[axis] for axis in AXES]

    def row(name, cells):
        table.add_row(name, *("-" if c is None else c if isinstance(c, str) else f"{c:.3f}" for c in cells))

    row("CCC", [_value(v, "ccc") for v in axes])
    row("R²", [_value(v, "r2") for v in axes])
    row("Pearson r", [_value(v, "pearson") for v in axes])
    row("  ceiling, as raters disagree", [v["ceiling"] and v["ceiling"]["pearson"] for v in axes])
    row("RMSE", [_value(v, "rmse") for v in axes])
    constant = f"  of the mean of {axes[0]['constant']['mean_of']}"
    row(constant, [v["constant"]["rmse"] for v in axes])
    row("MAE", [_value(v, "mae") for v in axes])
    row(constant, [v["constant"]["mae"] for v in axes])
    row("sd of answers / of ratings", [v["sd_ratio"] for v in axes])
    row("right side of 0", [_value(v, "accuracy") for v in axes])
    row(constant, [v["constant"]["accuracy"] for v in axes])
    row("right quadrant", [_value(own["quadrant"], "accuracy"), ""])
    row("  always the most frequent one", [own["quadrant"]["constant"], ""])
    return table


def _signed(title, own):
    table = _table("", "right side of 0", "of a constant", "area under ROC", title=title)
    for axis in AXES:
        v = own[axis]
        table.add_row(axis, _value(v, "accuracy"), f"{v['constant']['accuracy']:.3f}", _value(v, "auc"))
    flat = f"{own['quadrant']['constant']:.3f}"
    table.add_row("quadrant", _value(own["quadrant"], "accuracy"), flat, f"F1 {_value(own['quadrant'], 'f1')}")
    return table


def _print_parts(console, corpus, parts, by) -> None:
    """Of a quadrant the bias: a correlation within a part that the truth selected would mislead."""
    from rich.text import Text

    rated = any("bias" in own.get("valence", {}) for own in parts.values())
    metric = "accuracy" if not rated else "bias" if by == "quadrant" else "ccc"
    word = {"ccc": "CCC", "bias": "bias", "accuracy": "side"}[metric]
    title = Text(f"{printable(corpus)} by {by}; no interval below 10 groups")
    narrow = console.width < 100
    heads = [f"{axis[0] if narrow else axis} {word}" for axis in AXES]
    table = _table(by, "songs", "groups", *heads, "right" if narrow else "right quadrant", title=title)
    for name, own in parts.items():
        if own["tracks"]:
            cells = [_value(own.get(axis, {}), metric, 2, narrow) for axis in AXES]
            cells.append(_value(own, "accuracy", 2, narrow))
            table.add_row(Text(printable(name)), str(own["tracks"]), str(own["groups"]), *cells)
    if table.row_count:
        console.print(table)
    else:
        console.print(f"  {by}: not known of these songs")


def _print_worst(console, rows) -> None:
    from rich.text import Text

    genres = any(row["genre"] for row in rows)
    names = ("song", *(("genre",) if genres else ()))
    table = _table(*names, "truth (v, a)", "answer (v, a)", "error", "fold", title="largest errors", left=len(names))
    for row in rows:
        points = (f"{row[k][0]:+.2f}, {row[k][1]:+.2f}" for k in ("reference", "estimated"))
        lead = [Text(printable(row[name])) for name in (("track_id", "genre") if genres else ("track_id",))]
        table.add_row(*lead, *points, f"{row['error']:.2f}", Text(printable(row["fold"])))
    console.print(table)


def _print_seeds(values, same) -> None:
    from rich.text import Text

    console = _console()
    seeds = ", ".join(str(run.seed) for run in same)
    table = _table("corpus", "axis", "metric", "mean", "sd", title=Text(f"{len(same)} seeds ({seeds})"), left=3)
    for corpus, axes in values.items():
        for axis, found in axes.items():
            for metric in ("ccc", "pearson", "accuracy", "f1"):
                if metric in found:
                    v = found[metric]
                    spread = f"{v['sd']:.3f}" if v["sd"] is not None else "-"
                    table.add_row(Text(printable(corpus)), axis, metric, f"{v['mean']:.3f}", spread)
    console.print(table)


def _p(value) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _print_verdicts(verdicts) -> None:
    """A table a pair and corpus, narrow enough for any terminal."""
    from itertools import groupby

    from rich.text import Text

    console = _console()
    words = {"sign_accuracy": "side", "quadrant_accuracy": "right"}
    narrow = console.width < 80
    for (a, b, corpus), rows in groupby(verdicts, key=lambda v: (v.a, v.b, v.corpus)):
        own = list(rows)
        first = own[0].comparison
        title = f"{corpus}: {first.n} songs, {first.groups} groups\nA = {a}\nB = {b}"
        table = _table("", "A", "B", "A - B", "p Holm", "p perm.", title=Text(printable_lines(title)))
        for v in own:
            c = v.comparison
            sure = c.groups >= 10 and c.p_holm is not None and c.p_holm < 0.05
            interval = "" if narrow else f" [{c.low:+.2f}, {c.high:+.2f}]"
            cells = (f"{c.a:.3f}", f"{c.b:.3f}", f"{c.difference:+.3f}{interval}")
            name = f"{v.axis} {words.get(c.metric, c.metric)}"
            table.add_row(name, *cells, _p(c.p_holm), _p(c.p_permutation), style="bold" if sure else "")
        console.print(table)
        for v in own:
            if v.mcnemar:
                test = f"only A {v.mcnemar.only_a}, only B {v.mcnemar.only_b}, p {_p(v.mcnemar.p)}"
                console.print(f"right quadrant, McNemar over groups: {test}")
    count = len(verdicts)
    console.print(f"95 % intervals and p Holm of a paired bootstrap over groups, corrected for {count} comparisons.")


def printable_lines(text: str) -> str:
    """`printable` that keeps the ends of lines."""
    return "\n".join(printable(line) for line in text.split("\n"))
