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
        roles = ("default", "live")
        named = [{**e, **{r: e["name"] == registry[r] for r in roles}} for e in registry["models"]]
        click.echo(json.dumps(named, indent=2))
        return
    for entry in registry["models"]:
        words = {"default": "default", "live": "default of listen and web"}
        said = [text for role, text in words.items() if entry["name"] == registry[role]]
        click.echo(entry["name"] + (f"  ({', '.join(said)})" if said else ""))
        click.echo(f"  {entry['bytes'] / 1e6:.1f} MB, {entry['quantization']}, licence {entry['licence']}")
        for line in entry["summary"]:
            click.echo(f"  {line}")
