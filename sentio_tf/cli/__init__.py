"""The command `sentio-tf`: every command parses, makes one call and prints.

Nothing heavy is imported before a command needs it, so that `--help` is instant.
"""

from __future__ import annotations

import sys

import click

from .. import __version__
from ..errors import SentioError
from .benchmark import benchmark
from .data import data
from .distill import distill
from .evaluate import compare, evaluate, report
from .export import export
from .features import features
from .fit import fit
from .gan import gan
from .listen import listen
from .models import models
from .predict import predict
from .verify import verify
from .web import web


class Group(click.Group):
    """Expected failures become one line on stderr and exit code 1."""

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except SentioError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(1)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sentio-tf")
def main() -> None:
    """Where a song lies between unpleasant and pleasant (valence) and calm and energetic (arousal).

    Both are in [-1, 1] on Russell's circumplex.
    """


TRAINING = (data, features, fit, distill, gan, evaluate, compare, report)
for command in (predict, listen, models, *TRAINING, export, web, verify, benchmark):
    main.add_command(command)
