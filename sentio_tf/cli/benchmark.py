"""`sentio-tf benchmark`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..errors import SentioError
from ..terminal import printable


def _threads(_context, _option, value: str) -> tuple[int, ...]:
    try:
        counts = tuple(dict.fromkeys(int(v) for v in value.split(",")))
    except ValueError:
        counts = ()
    if not counts or not all(1 <= c <= 64 for c in counts):
        raise click.BadParameter(f"expected numbers from 1 to 64 with commas between them, received {value!r}")
    return counts


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="NAME|FILE...")
@click.option("--threads", default="1,2", show_default=True, callback=_threads, help="Numbers of threads.")
@click.option("--runs", type=click.IntRange(1, 10_000), default=30, show_default=True, help="Windows of each.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False), metavar="FILE", help="Write the JSON there, too.")
def benchmark(paths, threads, runs, form, out) -> None:
    """Time of a window, memory and size of models (shipped names or .tflite files), side by side.

    Each file and number of threads gets a process of its own; they take turns of five windows.  Exit code 1
    if a file cannot be measured; the others still are.
    """
    import json

    from ..runtime import bench
    from ..runtime.predictor import shipped_model

    if out and not Path(out).resolve().parent.is_dir():
        raise click.UsageError(f"--out: expected a file in a folder that is there, received {out}")
    found = bench.measure([str(shipped_model(p) or p) for p in paths], threads=threads, runs=runs)
    text = json.dumps(found, indent=2, ensure_ascii=False)
    if out:
        try:
            Path(out).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise SentioError(f"{out}: cannot be written ({error.strerror}); choose another --out") from None
    for file in found["files"]:
        if "error" in file:
            click.echo(f"error: {printable(file['error'])}", err=True)
    if form == "json":
        click.echo(text)
    else:
        _print_table(found)
    if any("error" in file for file in found["files"]):
        sys.exit(1)


def _print_table(found) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    good = [file for file in found["files"] if "error" not in file]
    if not good:
        return
    console = Console(emoji=False) if sys.stdout.isatty() else Console(emoji=False, width=160)
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("model", overflow="fold")
    heads = ("size\n[MB]", "threads", "window [ms]\nmedian / p95", "front end\n[ms]", "network [ms]\nmedian / p95")
    for head in (*heads, "time,\nx first", "load\n[ms]", "memory\n[MiB]", "beyond\nLiteRT"):
        table.add_column(head, justify="right", no_wrap=True)
    for file in good:
        for i, result in enumerate(file["results"]):
            first = i == 0
            table.add_row(
                escape(printable(Path(file["path"]).name)) if first else "",
                f"{file['bytes'] / 1e6:.2f}" if first else "",
                str(result["threads"]),
                _pair(result["whole"]),
                "-" if result["front_end_ms"] is None else f"{result['front_end_ms']:.1f}",
                _pair(result["network"]),
                f"{result['ratio']:.2f}",
                f"{result['load_ms']:.0f}",
                _mebibytes(result["peak_bytes"]),
                _mebibytes(result["model_bytes"]),
            )
    console.print(table)
    machine, others = found["machine"], found["others"]
    click.echo(f"{found['runs']} windows each; {machine['cpu']}, {machine['cores']} cores; LiteRT {found['litert']}")
    click.echo(f"others took {others:.1f} cores meanwhile; LiteRT alone takes {_mebibytes(found['litert_bytes'])} MiB")
    if found["busy"]:
        click.echo("warning: measured on a busy machine: neither times nor ratios can be relied on", err=True)


def _pair(times) -> str:
    return "-" if times is None else f"{times['median_ms']:.1f} / {times['p95_ms']:.1f}"


def _mebibytes(size) -> str:
    return "-" if size is None else f"{size / 2**20:.0f}"
