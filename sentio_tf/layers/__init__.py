"""Keras layers; importing the package registers all of them for loading saved models."""

from . import domain, image, logmel, normalize, specaugment, transformer

__all__ = ["domain", "image", "logmel", "normalize", "specaugment", "transformer"]
