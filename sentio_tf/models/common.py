"""What the networks share: the augmented mel, chunks, blocks and the head."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

from keras import layers

from ..contract import AXES, MEL, N_FRAMES
from ..layers.chunks import ChunkMean, Chunks
from ..layers.specaugment import RandomEqualizer, SpecAugment
from ..layers.transformer import encoder_block

MLP = 4  # hidden units of a transformer's MLP are so many times its width
Row = TypeVar("Row")


def row_of(sizes: Mapping[str, Row], size: str) -> Row:
    """The row `size` of a model's table.  Raises: ValueError for another name."""
    if size not in sizes:
        raise ValueError(f"expected size one of {', '.join(sizes)}. Received: {size}")
    return sizes[size]


def seed_of(seed: int | None, name: str) -> int | None:
    """A layer's own seed: layers with one seed would draw the same numbers, and masks go with levels."""
    return None if seed is None else zlib.crc32(f"{seed}:{name}".encode()) % 2**31


def frame_count(seconds: float) -> int:
    """Frames of the mel in `seconds`, as a training crop of that length has them."""
    return round(seconds * MEL.sample_rate / MEL.hop_length)


def augmented(mel, normalize: layers.Layer, *, gain_db: float, tilt_db: float, masks: int, seed: int | None):
    """Log-mel `(batch, 128, frames, 1)` in dB -> the same, normalised: level and tilt before, masks after it.

    Args:
        normalize: layer on the mel, see `layers.normalize`.
        gain_db, tilt_db: augmentation, see `RandomEqualizer`.
        masks: over the bands, and as many over time, see `SpecAugment`; 0 for none.
        seed: of the augmentation.
    """
    x = RandomEqualizer(gain_db, tilt_db, seed=seed_of(seed, "equalizer"), dtype="float32", name="random_equalizer")(
        mel
    )
    return masked(normalize(x), masks, seed=seed)


def masked(x, masks: int, *, seed: int | None):
    """A normalised mel with `masks` over the bands, and as many over time, see `SpecAugment`; 0 for none."""
    if not masks:
        return x
    own = seed_of(seed, "masks")
    return SpecAugment(freq_masks=masks, time_masks=masks, seed=own, dtype="float32", name="specaugment")(x)


def chunked(x, length: int, *, axis: int = 2):
    """Chunks of `length` along `axis`, see `Chunks`, and how many an item has: `(x, n)`.

    Raises: ValueError for a window shorter than a chunk.
    """
    cut = Chunks(length, axis, dtype="float32", name="chunks")
    return cut(x), cut.count


def chunked_or_whole(x, seconds: float | None):
    """The mel in chunks of `seconds`, or whole: `(x, longest, n)`, frames that need positions and `n` for `head`.

    Raises: ValueError for a window shorter than a chunk.
    """
    if seconds is None:
        return x, N_FRAMES, None
    longest = frame_count(seconds)
    x, n = chunked(x, longest)
    return x, longest, n


def conv(x, filters: int, kernel: int, *, stride: int = 1, activation: str | None, name: str):
    """Convolution, batch normalisation, activation."""
    x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.Activation(activation, name=f"{name}_act")(x) if activation else x


def residual_block(x, filters: int, *, stride: int = 1, name: str):
    """Two 3x3 convolutions beside the input, or beside a third where size or width change (arXiv:2006.00751)."""
    y = conv(x, filters, 3, stride=stride, activation="relu", name=f"{name}_1")
    y = conv(y, filters, 3, activation=None, name=f"{name}_2")
    if stride != 1 or x.shape[-1] != filters:
        x = conv(x, filters, 3, stride=stride, activation=None, name=f"{name}_3")
    x = layers.Add(name=f"{name}_add")([x, y])
    return layers.Activation("relu", name=f"{name}_act")(x)


def encoder(x, *, depth: int, heads: int, dropout: float):
    """Pre-norm blocks block0, block1, ... with GELU, `(batch, tokens, dim)` in and out; see `encoder_block`."""
    mlp_dim = MLP * x.shape[-1]
    for i in range(depth):
        x = encoder_block(x, heads=heads, mlp_dim=mlp_dim, activation="gelu", dropout=dropout, name=f"block{i}")
    return x


def head(
    x,
    *,
    dropout: float | Sequence[float],
    units: Sequence[int] = (),
    activation: str = "relu",
    chunks: int | None = None,
    seed: int | None = None,
):
    """Features `(batch, d)` -> "valence_arousal" `(batch, 2)` in [-1, 1], float32; its layers are named head_*.

    Args:
        dropout: before each dense layer, one rate or one for each (the last: before the two answers).
        units, activation: of hidden dense layers.
        chunks: of an item, whose answers are averaged: `(batch * chunks, d)` -> `(batch, 2)`; None: no chunks.
        seed: of the dropout.

    Raises: ValueError for another number of rates.
    """
    rates = [dropout] * (len(units) + 1) if isinstance(dropout, (int, float)) else list(dropout)
    if len(rates) != len(units) + 1:
        raise ValueError(f"expected {len(units) + 1} dropout rates, one a dense layer. Received: {rates}")
    for i, (width, rate) in enumerate(zip(units, rates, strict=False), 1):
        x = layers.Dropout(rate, seed=seed_of(seed, f"drop{i}"), name=f"head_drop{i}")(x)
        x = layers.Dense(width, activation=activation, name=f"head_dense{i}")(x)
    x = layers.Dropout(rates[-1], seed=seed_of(seed, "drop"), name="head_drop")(x)
    # Zeros: random logits would saturate the tanh for hundreds of steps.
    x = layers.Dense(len(AXES), kernel_initializer="zeros", dtype="float32", name="head_logits")(x)
    name = "_".join(AXES)
    if chunks is None:
        return layers.Activation("tanh", dtype="float32", name=name)(x)
    x = layers.Activation("tanh", dtype="float32", name="head_answers")(x)
    return ChunkMean(chunks, dtype="float32", name=name)(x)
