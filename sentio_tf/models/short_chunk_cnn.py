"""Short-chunk CNN (Won et al. 2020, arXiv:2006.00751): small filters, small pooling, 3.69 s at a time."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from ..contract import MEL, N_FRAMES
from .common import augmented, chunked, conv, frame_count, head, residual_block, row_of


@dataclass(frozen=True)
class Size:
    """Channels of the seven blocks; the last is also the width of the dense layer."""

    channels: tuple[int, int, int, int, int, int, int]


SIZES = {
    "published": Size((128, 128, 256, 256, 256, 256, 512)),
    "small": Size((32, 32, 64, 64, 64, 64, 128)),  # for CPUs
}
CHUNK_S = 3.69  # 59 049 samples at the paper's 16 kHz; 159 frames of ours
SHORTEST = 2**7  # frames, of which seven poolings leave one


def build(
    *,
    size: str = "published",
    residual: bool = False,
    normalize: layers.Layer,
    frames: int = N_FRAMES,
    chunk_s: float = CHUNK_S,
    head_dropout: float = 0.5,
    gain_db: float = 2.0,
    tilt_db: float = 3.0,
    masks: int = 2,
    seed: int | None = None,
) -> keras.Model:
    """Log-mel `(batch, 128, frames, 1)` in dB -> `(batch, 2)` = [valence, arousal] in [-1, 1].

    The window is cut into chunks.  Of each: seven times convolution 3x3, batch normalisation, ReLU and maximum of
    2x2 (or residual blocks of stride 2), the maximum over what time is left, a dense layer, the answers; their
    mean is the window's.  9 chunks of 30 s, which overlap a little: nine times a chunk's memory.

    Args:
        size: row of `SIZES`; published 3.67 M (paper 3.7 M, with 50 tags), residual 12.09 M (12.1 M); small
            0.23 M, residual 0.76 M parameters.
        residual: the paper's "+ Res": two convolutions beside a third in each block.
        normalize: layer on the mel, see `layers.normalize`.
        frames: frames of the input, a chunk or more.
        chunk_s: length of a chunk [s].
        head_dropout: before the answers.
        gain_db, tilt_db, masks: augmentation, see `common.augmented`.
        seed: of augmentation and dropout.

    Raises: ValueError for an unknown size, chunks of less than 128 frames (3 s) or a window shorter than a chunk.
    """
    row = row_of(SIZES, size)
    mel = keras.Input((MEL.n_mels, frames, 1), name="log_mel")
    x = augmented(mel, normalize, gain_db=gain_db, tilt_db=tilt_db, masks=masks, seed=seed)
    length = frame_count(chunk_s)
    if length < SHORTEST:
        raise ValueError(f"expected chunks of {SHORTEST} frames (3 s) or more. Received: {length} ({chunk_s} s)")
    x, chunks = chunked(x, length)
    for i, channels in enumerate(row.channels, 1):
        if residual:
            x = residual_block(x, channels, stride=2, name=f"block{i}")
        else:
            x = conv(x, channels, 3, activation="relu", name=f"block{i}")
            x = layers.MaxPooling2D(2, name=f"block{i}_pool")(x)
    x = layers.GlobalMaxPooling2D(name="pool")(x)
    x = layers.Dense(row.channels[-1], use_bias=False, name="dense")(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="dense_bn")(x)
    x = layers.Activation("relu", name="dense_act")(x)
    output = head(x, dropout=head_dropout, chunks=chunks, seed=seed)
    return keras.Model(mel, output, name=f"short_chunk_cnn_{'res_' if residual else ''}{size}")
