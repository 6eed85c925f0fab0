"""`sentio-tf export`."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import SentioError
from .common import need


class Export(click.Group):
    """What is no command of the group is a run: `export RUN ...` needs no further word."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(context, args if args and args[0] in self.commands else ["run", *args])


@click.group(cls=Export)
def export() -> None:
    """Write a run's model for use elsewhere, or (golden) what code that uses a model is tested on."""


@export.command(epilog="`sentio-tf export golden --out DIR` writes the files that phone and browser code is tested on.")
@click.argument("run", type=click.Path(file_okay=False))
@click.option("--data", "sources", multiple=True, required=True, metavar="CORPUS:ROOT", help="The run's corpora.")
@click.option(
    "--to",
    type=click.Choice(["tflite", "onnx", "savedmodel"]),
    default="tflite",
    show_default=True,
    help="A .tflite for apps; in float an .onnx for servers and the web, or a SavedModel folder.",
)
@click.option(
    "--quantize",
    type=click.Choice(["none", "float16", "dynamic", "int8"]),
    help="Of the network; the mel front end always stays float.  [default: dynamic; not tflite: none]",
)
@click.option(
    "--engine",
    type=click.Choice(["ai-edge", "converter"]),
    default="ai-edge",
    show_default=True,
    help="Of int8: convolutions and what lies between them, or TFLite's own, which takes every operator.",
)
@click.option("--float", "float_layers", multiple=True, metavar="LAYER", help="Leave this layer float (or a pattern).")
@click.option(
    "--representative", type=click.IntRange(2), default=64, show_default=True, help="Songs that int8 measures."
)
@click.option("--report", "report_file", type=click.Path(dir_okay=False), metavar="JSON", help="Error of every layer.")
@click.option("--full", is_flag=True, help="With --report: each layer's share of the error of the answer; minutes.")
@click.option("--fold", default="final", show_default=True, help="Whose model: of this fold, or of all tracks.")
@click.option("--name", help="Name in the card [default: from the run].")
@click.option("--licence", help="Of the weights, for the card [default: what the corpora allow].")
@click.option("--cache", type=click.Path(file_okay=False), help="Renderings and mels [default: $SENTIO_CACHE].")
@click.option("--out", type=click.Path(), required=True, metavar="FILE", help="The file (or folder) to write.")
def run(
    run, sources, to, quantize, engine, float_layers, representative, report_file, full, fold, name, licence, cache, out
) -> None:
    """Write a run's model for use elsewhere, prove it equal to Keras on real windows, and put its card inside.

    Exit code 1 if the exported model differs from Keras by more than its tolerance.  --report names the layers
    whose quantisation costs most; --float leaves them alone.
    """
    kind = quantize or ("dynamic" if to == "tflite" else "none")
    if to != "tflite" and kind != "none":
        raise click.UsageError(f"--quantize {kind}: {to} is exported in float")
    if full and not report_file:
        raise click.UsageError("--full goes with --report")
    if report_file and kind not in ("dynamic", "int8"):
        raise click.UsageError(f"--report: expected --quantize dynamic or int8, received {kind}")
    if engine == "converter" and kind != "int8":
        raise click.UsageError(f"--engine converter: expected --quantize int8, received {kind}")
    if float_layers and kind == "none":
        raise click.UsageError("--float: expected a --quantize that quantises, received none")
    if report_file and not Path(report_file).resolve().parent.is_dir():
        raise click.UsageError(f"--report: expected a file in a folder that is there, received {report_file}")
    wanted, other = ("folder", Path(out).is_file()) if to == "savedmodel" else ("file", Path(out).is_dir())
    if other:
        raise click.UsageError(f"--out: expected a {wanted}, received {out}")
    need("train", "tensorflow", "keras", "ai_edge_quantizer")
    if to == "onnx":
        need("onnx", "tf2onnx", "onnxruntime")
    from ..export import export_run
    from ..export.settings import Quantization

    how = Quantization(
        kind, tuple(float_layers), engine if kind == "int8" else "", representative,
        ("full" if full else "layers") if report_file else "",
    )  # fmt: skip
    done = export_run(
        Path(run),
        Path(out),
        sources=sources,
        to=to,
        quantization=how,
        fold=fold,
        name=name,
        licence=licence,
        cache=Path(cache) if cache else None,
        report=lambda line: click.echo(line, err=True),
    )
    from ..export import parity

    size = sum(f.stat().st_size for f in ([Path(out)] if Path(out).is_file() else Path(out).rglob("*")) if f.is_file())
    click.echo(f"{out}: {size / 1e6:.2f} MB, {kind}")
    for line in parity.lines(done.card.parity):
        click.echo(f"against Keras: {line}")
    if done.layers:
        for line in done.layers.lines():
            click.echo(line)
        try:
            done.layers.write(Path(report_file))
        except OSError as error:
            raise SentioError(f"{report_file}: cannot be written ({error.strerror}); choose another --report") from None


@export.command()
@click.option("--model", metavar="NAME|FILE", help="A shipped model or a .tflite [default: the live one].")
@click.option("--out", type=click.Path(file_okay=False), required=True, metavar="DIR", help="The folder to write into.")
def golden(model, out) -> None:
    """Write golden files for a model: what each step of an app must give, from downmix to answer.

    Card, downmix, resampler, windows, answers, timeline, circumplex and latencies as JSON, sounds as raw float32 and as
    short wav, mp3, m4a and ogg files.
    """
    from ..export.golden import write_golden
    from ..runtime.predictor import find_model

    written = write_golden(find_model(model, live=True), Path(out))
    size = sum(file.stat().st_size for file in written)
    click.echo(f"{out}: {len(written)} files, {size / 1e3:.0f} kB, for {find_model(model, live=True).name}")
