"""`sentio-tf models`."""

from __future__ import annotations

import click


@click.command()
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def models(form) -> None:
    """The models that ship with this version: size, licence, terms and honest metrics."""
    import json

    from ..runtime.predictor import shipped

    registry = shipped()
    if form == "json":
        click.echo(json.dumps(registry["models"], indent=2))
        return
    for entry in registry["models"]:
        default = "  (default)" if entry["name"] == registry["default"] else ""
        click.echo(f"{entry['name']}{default}")
        click.echo(f"  {entry['bytes'] / 1e6:.1f} MB, {entry['quantization']}, licence {entry['licence']}")
        for line in entry["summary"]:
            click.echo(f"  {line}")
