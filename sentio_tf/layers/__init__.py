"""Keras layers; importing the package registers all of them for loading saved models."""

from . import domain, logmel, normalize, specaugment, transformer

__all__ = ["domain", "logmel", "normalize", "specaugment", "transformer"]
