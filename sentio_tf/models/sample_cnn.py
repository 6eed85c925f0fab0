"""Sample-level CNN (Lee et al. 2017, arXiv:1703.01789): music from the bare waveform, three samples at a time."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from ..contract import WINDOW_SAMPLES
from ..layers.waveform import RandomGain
from .common import chunked, head, seed_of

CHUNK = 3**10  # samples, 2.68 s at 22 050 Hz: the paper's 3^9 network behind a convolution of stride 3
DROPOUT = 0.5


@dataclass(frozen=True)
class Size:
    """Filters of the strided convolution, of the nine blocks (convolution, then maximum over 3), of the last layer."""

    first: int
    blocks: tuple[int, int, int, int, int, int, int, int, int]
    last: int


SIZES = {
    "published": Size(128, (128, 128, 256, 256, 256, 256, 256, 256, 512), 512),  # table 2
    "small": Size(32, (32, 32, 64, 64, 64, 64, 64, 64, 128), 128),  # a quarter of the filters: for CPUs
}


def build(
    *,
    size: str = "published",
    samples: int = WINDOW_SAMPLES,
    dropout: float = DROPOUT,
    gain_db: float = 6.0,
    polarity: bool = True,
    seed: int | None = None,
) -> keras.Model:
    """Waveform `(batch, samples)` in [-1, 1] at 22 050 Hz -> `(batch, 2)` = [valence, arousal] in [-1, 1].

    The window is cut into chunks of 59 049 samples (2.7 s), evenly spread, overlapping where they do not divide it;
    their answers are averaged.  The same weights serve any number of samples.

    Args:
        size: row of `SIZES`; published 1.85 M parameters (1.86 M in convolutions and the paper's head of 50 tags, its
            batch normalisation not counted), small .12 M.
        samples: of the input, at least a chunk.
        dropout: before the head.
        gain_db, polarity: augmentation, see `RandomGain`; 0 and False for none.
        seed: of augmentation and dropout.

    Raises: ValueError for an unknown size, or less sound than a chunk.
    """
    if size not in SIZES:
        raise ValueError(f"expected size one of {', '.join(SIZES)}. Received: {size}")
    waveform = keras.Input((samples,), name="waveform")
    x = RandomGain(gain_db, polarity, seed=seed_of(seed, "gain"), dtype="float32", name="random_gain")(waveform)
    x, n = chunked(x, CHUNK, axis=1)
    x = layers.Reshape((CHUNK, 1), dtype="float32", name="samples")(x)
    output = head(trunk(x, size), dropout=dropout, chunks=n, seed=seed)
    return keras.Model(waveform, output, name=f"sample_cnn_{size}")


def trunk(x, size: str):
    """Chunks `(batch, 59049, 1)` -> features `(batch, last)`, table 2 of the paper."""
    row = SIZES[size]
    x = _conv(x, row.first, 3, stride=3, name="first")
    for i, filters in enumerate(row.blocks, 1):
        x = _conv(x, filters, 3, name=f"block{i}")
        x = layers.MaxPooling1D(3, name=f"block{i}_max")(x)
    x = _conv(x, row.last, 1, name="last")
    return layers.Flatten(name="features")(x)  # one frame is left


def _conv(x, filters: int, width: int, *, stride: int = 1, name: str):
    """Convolution, batch normalisation, ReLU: `(batch, frames, c)` -> `(batch, frames / stride, filters)`."""
    x = layers.Conv1D(filters, width, stride, padding="same", kernel_initializer="he_uniform", name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_act")(x)
