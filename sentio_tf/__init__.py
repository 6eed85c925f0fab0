"""Music emotion recognition: valence and arousal of a song, each in [-1, 1].

>>> import sentio_tf
>>> sentio_tf.load().predict("song.mp3").valence
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .runtime.predictor import load as load

__all__ = ["__version__", "load"]


def __getattr__(name: str):
    # numpy and LiteRT are imported when a model is loaded, not when somebody asks for --help.
    if name == "load":
        from .runtime.predictor import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
