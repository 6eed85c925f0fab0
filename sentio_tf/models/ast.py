"""Audio Spectrogram Transformer (Gong et al. 2021, arXiv:2104.01778), scaled down: patches of the mel as words.

The paper's has 12 layers of width 768 on overlapping patches, 87 M parameters, and starts from a network of
pictures.  Here patches do not overlap, positions are separable and their mean is pooled.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from ..contract import MEL, N_FRAMES
from ..layers.positions import GridPositions
from .common import augmented, chunked_or_whole, encoder, head, row_of


@dataclass(frozen=True)
class Size:
    """Width of a token, number of blocks, heads of each."""

    width: int
    depth: int
    heads: int


SIZES = {
    "small": Size(384, 6, 6),
    "tiny": Size(192, 4, 3),  # for CPUs
}
PATCH = 16  # bands and frames


def build(
    *,
    size: str = "small",
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

    Patches of 16 x 16, 8 x 80 in 30 s; what is left over at the end, less than a patch, is not heard.  The
    positions are those of a window of 30 s, of which a shorter input uses the first, so that late ones learn
    nothing from short crops: train on whole windows, or give `chunk_s`.

    Args:
        size: row of `SIZES`; small 10.78 M, tiny 1.85 M parameters.
        normalize: layer on the mel, see `layers.normalize`.
        frames: frames of the input.
        chunk_s: length of chunks [s] whose answers are averaged, and which the positions are of; None: the whole.
        dropout: in the blocks.
        head_dropout: before the answers.
        gain_db, tilt_db, masks: augmentation, see `common.augmented`.
        seed: of the augmentation and the head's dropout.

    Raises: ValueError for an unknown size, less than a patch, more than 30 s or less than a chunk.
    """
    row = row_of(SIZES, size)
    mel = keras.Input((MEL.n_mels, frames, 1), name="log_mel")
    x = augmented(mel, normalize, gain_db=gain_db, tilt_db=tilt_db, masks=masks, seed=seed)
    x, longest, chunks = chunked_or_whole(x, chunk_s)
    if x.shape[2] < PATCH:
        raise ValueError(f"expected {PATCH} frames or more. Received: {x.shape[2]}")
    x = layers.Conv2D(row.width, PATCH, PATCH, name="patches")(x)
    x = GridPositions(MEL.n_mels // PATCH, longest // PATCH, name="positions")(x)
    x = layers.Reshape((-1, row.width), name="tokens")(x)
    x = layers.Dropout(dropout, seed=seed, name="drop")(x)
    x = encoder(x, depth=row.depth, heads=row.heads, dropout=dropout)
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    x = layers.LayerNormalization(epsilon=1e-5, name="norm")(x)
    return keras.Model(mel, head(x, dropout=head_dropout, chunks=chunks, seed=seed), name=f"ast_{size}")
