"""Keras models: log-mel `(batch, 128, frames, 1)` -> `(batch, 2)` = [valence, arousal]."""

from . import mobilevit

MODELS = {"mobilevit": mobilevit.build}
