"""Music tagging transformer (Won et al. 2021, arXiv:2111.13457): convolutions hear, self-attention sums up."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from ..contract import MEL, N_FRAMES
from ..layers.positions import ClassToken, Positions
from .common import augmented, chunked_or_whole, encoder, head, residual_block, row_of


@dataclass(frozen=True)
class Size:
    """Channels of the convolutions, width of a token, number of blocks, heads of each."""

    channels: int
    width: int
    depth: int
    heads: int


SIZES = {
    "published": Size(128, 256, 4, 8),
    "compact": Size(128, 64, 4, 8),  # the paper's student
    "small": Size(32, 64, 2, 4),  # for CPUs
}
POOLS = ((2, 2), (2, 2), (2, 1))  # bands and frames, after each residual block
STRIDE = 4  # frames of the mel in a token, .09 s


def build(
    *,
    size: str = "published",
    normalize: layers.Layer,
    frames: int = N_FRAMES,
    chunk_s: float | None = None,
    dropout: float = 0.1,
    head_dropout: float = 0.3,
    gain_db: float = 2.0,
    tilt_db: float = 3.0,
    masks: int = 2,
    seed: int | None = None,
) -> keras.Model:
    """Log-mel `(batch, 128, frames, 1)` in dB -> `(batch, 2)` = [valence, arousal] in [-1, 1].

    Three residual blocks, each with a maximum over bands and frames, make a token of every 4 frames: 323 in 30 s.
    A class token, learnable positions and pre-norm blocks follow; the class token gives the answers.  The positions
    are those of a window of 30 s, of which a shorter input uses the first, so that late ones learn nothing from
    short crops: train on whole windows, or give `chunk_s`.

    Args:
        size: row of `SIZES`; published 4.51 M (paper 4.6 M, with 50 tags and 513 positions),
            compact 1.10 M, small 0.20 M parameters.
        normalize: layer on the mel, see `layers.normalize`.
        frames: frames of the input.
        chunk_s: length of chunks [s] whose answers are averaged, and which the positions are of; None: the whole.
        dropout: on the tokens and in the blocks.
        head_dropout: before the answers.
        gain_db, tilt_db, masks: augmentation, see `common.augmented`.
        seed: of the augmentation, the tokens' and the head's dropout.

    Raises: ValueError for an unknown size, less than a token, more than 30 s or less than a chunk.
    """
    row = row_of(SIZES, size)
    mel = keras.Input((MEL.n_mels, frames, 1), name="log_mel")
    x = augmented(mel, normalize, gain_db=gain_db, tilt_db=tilt_db, masks=masks, seed=seed)
    x, longest, chunks = chunked_or_whole(x, chunk_s)
    if x.shape[2] < STRIDE:
        raise ValueError(f"expected {STRIDE} frames or more. Received: {x.shape[2]}")
    for i, pool in enumerate(POOLS, 1):
        x = residual_block(x, row.channels, name=f"conv{i}")
        x = layers.MaxPooling2D(pool, name=f"conv{i}_pool")(x)
    bands, tokens, channels = x.shape[1:]
    x = layers.Permute((2, 1, 3), name="time_first")(x)
    x = layers.Reshape((tokens, bands * channels), name="flat")(x)
    x = layers.Dense(row.width, name="tokens")(x)
    x = ClassToken(name="class_token")(x)
    x = Positions(1 + longest // STRIDE, name="positions")(x)
    x = layers.Dropout(dropout, seed=seed, name="drop")(x)
    x = encoder(x, depth=row.depth, heads=row.heads, dropout=dropout)
    x = layers.Cropping1D((0, tokens), name="first")(x)
    x = layers.Flatten(name="class")(x)
    x = layers.LayerNormalization(epsilon=1e-5, name="norm")(x)
    return keras.Model(mel, head(x, dropout=head_dropout, chunks=chunks, seed=seed), name=f"cnn_transformer_{size}")
