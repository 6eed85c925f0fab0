"""`sentio-tf web`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(), metavar="DIR")
@click.option("--model", metavar="NAME|FILE", help="Shipped model or .tflite file [default: see sentio-tf models].")
@click.option("--serve", "serving", is_flag=True, help="Then show it at an address of this machine, until Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Of --serve; 0: any.")
@click.option("--cache", type=click.Path(file_okay=False), help="Libraries of the page [default: $SENTIO_CACHE].")
def web(folder, model, serving, port, cache) -> None:
    """Write a page that judges songs in the browser, with a model: plain files for any web server.

    It needs npm once, for LiteRT.js and Mediabunny.  The page keeps itself for times without a network and asks for
    nothing but its own files; no sound leaves the browser.
    """
    from ..config import cache_root
    from ..web import write_page
    from ..web.server import serve

    out = Path(folder)
    files = write_page(
        out, model, cache=Path(cache) if cache else cache_root(), report=lambda line: click.echo(line, err=True)
    )
    size = sum((out / name).stat().st_size for name in files) / 1e6
    click.echo(f"{out}: {len(files)} files, {size:.1f} MB; a browser loads about a third of them")
    if not serving:
        click.echo(f"show it: sentio-tf web {folder} --serve, or any web server with https")
        return
    with serve(out, port) as server:
        click.echo(f"http://127.0.0.1:{server.server_port}/  (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("ended")
