"""`sentio-tf listen`."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING

import click

from ..errors import AudioError, SentioError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from ..contract import Segment

ENCODINGS = ("s16le", "f32le")
INTERRUPTED = 130  # what shells say of a program that Ctrl-C ended
DIGITS = 4
FIELDS = ("start_s", "end_s", "valence", "arousal", "quadrant", "mood")


@click.command()
@click.argument("path", metavar="PATH|-")
@click.option("--model", metavar="NAME|FILE", help="Shipped model or .tflite file [default: see sentio-tf models].")
@click.option("--every", type=click.FloatRange(0.5, 30), default=1.0, metavar="SECONDS", show_default=True,
              help="Between answers, rounded to whole steps of the model (.998 s).")  # fmt: skip
@click.option("--eager", is_flag=True, help="Answer before a whole window (30 s) was heard, too.")
@click.option("--rate", type=click.IntRange(1_000, 768_000), metavar="HZ", help="Of standard input; needed with -.")
@click.option("--encoding", type=click.Choice(ENCODINGS), help="Of standard input [default: s16le].")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option("--threads", type=click.IntRange(1, 64), help="Threads of the model [default: up to 4].")
def listen(path, model, every, eager, rate, encoding, form, threads) -> None:
    """A live timeline: about every second, valence and arousal of the last 30 s, a line each (JSON: an object a line).

    PATH is an audio file; - is mono sound without a header on standard input, for as long as it comes:

    \b
    arecord -t raw -f S16_LE -c 1 -r 44100 | sentio-tf listen - --rate 44100
    ffmpeg -i URL -f f32le -ac 1 -ar 22050 - | sentio-tf listen - --rate 22050 --encoding f32le

    Windows of silence give no line.  Ctrl-C ends it.
    """
    live = path == "-"
    if not math.isfinite(every):
        raise click.UsageError(f"--every: expected seconds from 0.5 to 30, received {every}")
    if live and rate is None:
        raise click.UsageError("--rate: expected the sample rate of the sound on standard input, received none")
    if not live and (rate or encoding):
        raise click.UsageError(f"--rate, --encoding: expected with - only; {path} says its own")
    if live and (sys.stdin is None or sys.stdin.isatty()):
        raise click.UsageError("-: expected sound on standard input, received a terminal or nothing; pipe it in")
    if sys.stdout is None:
        raise SentioError("expected a place to print to, received a closed standard output")
    try:
        _listen(path, model, every, eager, rate, encoding or ENCODINGS[0], form, threads)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _listen(path, model, every, eager, rate, encoding, form, threads) -> None:
    from ..runtime.predictor import find_model, load

    predictor = load(find_model(model, live=True), threads=threads)
    stream = predictor.stream(every_s=every, eager=eager)
    audio = predictor.card.audio
    if not stream.incremental:
        click.echo(f"{predictor.card.name} has no signatures for streams: each answer costs a whole window", err=True)
    if path == "-" and form == "table":
        first = stream.step_s if eager else audio.samples / audio.sample_rate
        click.echo(f"listening: an answer every {stream.step_s:.2f} s, the first after {first:.2f} s", err=True)
    write = _writer(form)
    answers = 0
    for block in _blocks(path, audio.sample_rate, rate, encoding):
        for segment in stream.push(block):
            write(segment)
            answers += 1
    heard = stream.heard_s
    for segment in stream.finish():
        write(segment)
        answers += 1
    if not answers:
        raise AudioError(f"{path}: silent throughout ({heard:.1f} s); there is nothing to judge")


def _blocks(path: str, sample_rate: int, rate: int, encoding: str) -> Iterator[np.ndarray]:
    if path != "-":
        from ..audio import decode

        return decode.blocks(path, sample_rate=sample_rate)
    from ..audio.pcm import pcm_blocks

    return pcm_blocks(sys.stdin.buffer, rate=rate, encoding=encoding, sample_rate=sample_rate)


def _writer(form: str):
    """A function that prints a segment at once, after the head of a table."""
    from ..runtime.mood import mood, quadrant

    head = {
        "csv": ",".join(FIELDS),
        "table": f"{'window':17}  valence  arousal  quadrant, mood",
    }
    if form in head:
        _say(head[form])

    def write(segment: Segment) -> None:
        v, a = segment.valence, segment.arousal
        values = [*(round(n, DIGITS) for n in (segment.start_s, segment.end_s, v, a)), quadrant(v, a), mood(v, a)]
        if form == "json":
            _say(json.dumps(dict(zip(FIELDS, values, strict=True)), allow_nan=False))
        elif form == "csv":
            _say(",".join(map(str, values)))
        else:
            span = f"{_clock(segment.start_s)} - {_clock(segment.end_s)}"
            _say(f"{span:17}  {_signed(v):>7}  {_signed(a):>7}  {values[-2]} {values[-1]}")

    return write


def _say(line: str) -> None:
    try:
        click.echo(line)  # flushes
    except BrokenPipeError:
        raise  # click ends quietly
    except OSError as error:
        raise SentioError(f"the answers cannot be written ({error.strerror}); free space or print elsewhere") from None


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"  # + 0.0 turns -0.0 into 0.0


def _clock(seconds: float) -> str:
    """m:ss, h:mm:ss from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
