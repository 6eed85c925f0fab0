"""`sentio-tf predict`."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import SentioError
from ..terminal import printable

if TYPE_CHECKING:
    from ..contract import Prediction

    Answer = Prediction | tuple[str, SentioError]

DIGITS = 4


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--model", metavar="NAME|FILE", help="Shipped model or .tflite file [default: see sentio-tf models].")
@click.option("--timeline", is_flag=True, help="Answer every window, not only the song.")
@click.option("--hop", type=click.FloatRange(0.1, 30), metavar="SECONDS", help="Step between windows [default: 15].")
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE", help="Draw the circumplex (png, svg or pdf).")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option("--threads", type=click.IntRange(1, 64), help="Threads of the model [default: up to 4].")
def predict(paths, model, timeline, hop, plot, form, threads) -> None:
    """Valence and arousal of audio files (wav, mp3, flac, ogg, opus, m4a, aac, webm ...).

    A file that cannot be read gets one line on stderr; the others are still answered and the exit
    code is 1.
    """
    from ..runtime.predictor import load

    if plot and Path(plot).suffix.lower() not in (".png", ".svg", ".pdf"):
        raise click.UsageError(f"--plot: expected a file ending in .png, .svg or .pdf, received {plot}")
    if hop is not None and not math.isfinite(hop):
        raise click.UsageError(f"--hop: expected seconds from 0.1 to 30, received {hop}")
    if sys.stdout is None:
        raise SentioError("expected a place to print to, received a closed standard output")
    predictor = load(model, threads=threads)
    answers: list[Answer] = list(_with_progress(predictor, paths, hop))
    good = [a for a in answers if not isinstance(a, tuple)]
    # First what a reader of stdout that stops early must not cut off.
    for answer in answers:
        if isinstance(answer, tuple):
            click.echo(f"error: {printable(str(answer[1]))}", err=True)
        elif form == "table" or (form == "csv" and timeline):
            for warning in answer.warnings:
                click.echo(f"warning: {printable(answer.path)}: {warning}", err=True)
    if plot and good:
        from ..evaluation import plots

        plots.save(plots.songs(good, predictor.card), plot)
        click.echo(f"plot: {plot}", err=True)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names that are no Unicode
    try:
        print_answers(answers, form=form, timeline=timeline)
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # click ends quietly
    except OSError as error:
        raise SentioError(f"the answers cannot be written ({error.strerror}); free space or print elsewhere") from None
    if len(good) < len(answers):
        sys.exit(1)


def _with_progress(predictor, paths, hop):
    """Answers in order, with a bar on a terminal where there are several files."""
    if len(paths) < 2 or sys.stderr is None or not sys.stderr.isatty():
        yield from predictor.predict_many(paths, hop_s=hop)
        return
    from rich.console import Console
    from rich.progress import Progress

    # Drawn from this thread only: decoding holds back what native libraries write to the same terminal.
    with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("Listening", total=len(paths))

        def step(_) -> None:
            bar.advance(task)
            bar.refresh()

        bar.refresh()
        yield from predictor.predict_many(paths, hop_s=hop, report=step)


def print_answers(answers: list[Answer], *, form: str, timeline: bool) -> None:
    """Answers as table, JSON or CSV on stdout."""
    {"table": _print_table, "json": _print_json, "csv": _print_csv}[form](answers, timeline)


def _record(answer: Answer, timeline: bool) -> dict:
    if isinstance(answer, tuple):
        return {"path": answer[0], "error": str(answer[1])}
    return _rounded(answer.to_dict(timeline=timeline))


def _rounded(value):
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list) else value


def _print_json(answers: list[Answer], timeline: bool) -> None:
    import json

    click.echo(json.dumps([_record(a, timeline) for a in answers], indent=2, allow_nan=False))


def _print_csv(answers: list[Answer], timeline: bool) -> None:
    import csv

    fields = (
        "path,model,valence,arousal,valence_std,arousal_std,quadrant,mood,duration_s,windows,in_domain,warnings,error"
    )
    if timeline:
        fields = "path,start_s,end_s,valence,arousal,error"
    writer = csv.DictWriter(sys.stdout, fields.split(","), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for answer in answers:
        record = _record(answer, timeline)
        if timeline and "timeline" in record:
            writer.writerows({"path": record["path"], **segment} for segment in record["timeline"])
        else:
            if "warnings" in record:
                record["warnings"] = "; ".join(record["warnings"])
            writer.writerow(record)


def _print_table(answers: list[Answer], timeline: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    # A pipe or a file has no width: let the table be as wide as the names need.
    console = (
        Console(emoji=False)
        if sys.stdout.isatty()
        else Console(emoji=False, width=max(100, *(len(_name(a)) + 90 for a in answers)))
    )
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    songs = [a for a in answers if not isinstance(a, tuple)]
    strange = any(a.in_domain is False for a in songs)
    # The numbers stay whole: the name takes what they leave.
    room = max(12, console.width - (68 if strange else 59))
    table.add_column("song / window" if timeline else "song", no_wrap=True, overflow="ellipsis", max_width=room)
    for column in ("valence", "arousal"):
        table.add_column(column, justify="right", no_wrap=True, min_width=12)
    table.add_column("quadrant, mood", no_wrap=True, min_width=14)
    table.add_column("length", justify="right", no_wrap=True, min_width=7)
    if strange:
        table.add_column("domain", no_wrap=True, min_width=6)
    for answer in songs:
        row = [
            _name(answer),
            _with_std(answer.valence, answer.valence_std),
            _with_std(answer.arousal, answer.arousal_std),
            f"{answer.quadrant} {answer.mood}",
            clock(answer.duration_s),
        ]
        if strange:
            row.append({True: "in", False: "out", None: "-"}[answer.in_domain])
        table.add_row(*row)
        if timeline:
            from ..runtime.mood import mood, quadrant

            for s in answer.timeline:
                v, a = s.valence, s.arousal
                span = f"  {clock(s.start_s)} - {clock(s.end_s)}"
                cells = [span, _signed(v), _signed(a), f"{quadrant(v, a)} {mood(v, a)}", ""]
                table.add_row(*cells, *[""] * strange, style="dim")
    if table.row_count:
        console.print(table)


def _with_std(value: float, std: float | None) -> str:
    return _signed(value) if std is None else f"{_signed(value)} ± {std:.2f}"


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"  # + 0.0 turns -0.0 into 0.0


def _name(answer: Answer) -> str:
    from rich.markup import escape

    path = answer[0] if isinstance(answer, tuple) else answer.path
    return escape(printable(Path(path).name))


def clock(seconds: float) -> str:
    """m:ss, h:mm:ss from an hour on; below ten seconds with tenths."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
