"""`sentio-tf export`."""

from __future__ import annotations

from pathlib import Path

import click

from .common import need


@click.command()
@click.argument("run", type=click.Path(file_okay=False))
@click.option(
    "--quantize",
    type=click.Choice(["none", "float16", "dynamic", "int8"]),
    default="dynamic",
    show_default=True,
    help="Of the network; the mel front end always stays float.",
)
@click.option("--data", "sources", multiple=True, required=True, metavar="CORPUS:ROOT", help="The run's corpora.")
@click.option("--name", help="Name in the card [default: from the run].")
@click.option("--licence", help="Of the weights, for the card [default: what the corpora allow].")
@click.option("--cache", type=click.Path(file_okay=False), help="Renderings and mels [default: $SENTIO_CACHE].")
@click.option("--out", type=click.Path(dir_okay=False), required=True, metavar="FILE", help="The .tflite to write.")
def export(run, quantize, sources, name, licence, cache, out) -> None:
    """Write a run's model as .tflite, prove it equal to Keras on real windows, and put its card inside.

    Exit code 1 if the exported model differs from Keras by more than its tolerance.
    """
    need("train", "tensorflow", "keras", "ai_edge_quantizer")
    from ..export import export_run

    card = export_run(
        Path(run),
        Path(out),
        sources=sources,
        quantization=quantize,
        name=name,
        licence=licence,
        cache=Path(cache) if cache else None,
    )
    parity = card.parity
    click.echo(f"{out}: {Path(out).stat().st_size / 1e6:.2f} MB, {quantize}")
    click.echo(
        f"against Keras on {parity['windows']} windows: max {parity['max']:.4f}, mean {parity['mean']:.5f}, "
        f"CCC lost valence {parity['ccc_lost']['valence']:+.4f}, arousal {parity['ccc_lost']['arousal']:+.4f}"
    )
