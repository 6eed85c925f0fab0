"""Keras layers; importing the package registers all of them for loading saved models."""

from . import (
    chunks,
    domain,
    fake_quant,
    grid,
    image,
    logmel,
    musicnn_mel,
    normalize,
    positions,
    specaugment,
    transformer,
    waveform,
)

__all__ = [
    "chunks",
    "domain",
    "fake_quant",
    "grid",
    "image",
    "logmel",
    "musicnn_mel",
    "normalize",
    "positions",
    "specaugment",
    "transformer",
    "waveform",
]
