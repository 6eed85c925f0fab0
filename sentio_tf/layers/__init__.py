"""Keras layers; importing the package registers all of them for loading saved models."""

from . import logmel, normalize, specaugment, transformer

__all__ = ["logmel", "normalize", "specaugment", "transformer"]
