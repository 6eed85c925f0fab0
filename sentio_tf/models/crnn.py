"""Convolutional recurrent network (Choi et al. 2017, arXiv:1609.04243): convolutions hear, a recurrence sums up.

The paper's have 0.1 to 3 M parameters, four convolutions and two GRUs.  Here are three convolutions and two
bidirectional LSTMs.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from ..contract import MEL, N_FRAMES
from .common import augmented, conv, head, row_of


@dataclass(frozen=True)
class Size:
    """Channels of the convolutions, units a direction of the two LSTMs."""

    channels: tuple[int, int, int]
    units: tuple[int, int]


SIZES = {
    "recipe": Size((64, 128, 256), (128, 64)),
    "small": Size((16, 32, 64), (64, 32)),  # for CPUs
}
POOL = (4, 2)  # bands and frames, after each convolution: 2 bands are left of 128
STRIDE = POOL[1] ** 3  # frames of the mel in a step of the recurrence, .19 s


def build(
    *,
    size: str = "recipe",
    normalize: layers.Layer,
    frames: int = N_FRAMES,
    dropout: float = 0.1,
    head_dropout: float = 0.3,
    gain_db: float = 2.0,
    tilt_db: float = 3.0,
    masks: int = 2,
    seed: int | None = None,
) -> keras.Model:
    """Log-mel `(batch, 128, frames, 1)` in dB -> `(batch, 2)` = [valence, arousal] in [-1, 1].

    Three times convolution 3x3, batch normalisation, ReLU, maximum of 4 bands x 2 frames, dropout; then a
    bidirectional LSTM over the steps, and a second whose last states are the features.  No positions: weights
    trained on short crops serve windows of any length.

    Args:
        size: row of `SIZES`; recipe 1.19 M, small 0.16 M parameters.
        normalize: layer on the mel, see `layers.normalize`.
        frames: frames of the input, 8 or more.
        dropout: after each convolution.
        head_dropout: before the answers.
        gain_db, tilt_db, masks: augmentation, see `common.augmented`.
        seed: of augmentation and dropout.

    Raises: ValueError for an unknown size or too few frames.
    """
    row = row_of(SIZES, size)
    if frames < STRIDE:
        raise ValueError(f"expected {STRIDE} frames or more. Received: {frames}")
    mel = keras.Input((MEL.n_mels, frames, 1), name="log_mel")
    x = augmented(mel, normalize, gain_db=gain_db, tilt_db=tilt_db, masks=masks, seed=seed)
    for i, channels in enumerate(row.channels, 1):
        x = conv(x, channels, 3, activation="relu", name=f"block{i}")
        x = layers.MaxPooling2D(POOL, name=f"block{i}_pool")(x)
        x = layers.Dropout(dropout, seed=seed, name=f"block{i}_drop")(x)
    bands, steps, channels = x.shape[1:]
    x = layers.Permute((2, 1, 3), name="time_first")(x)
    x = layers.Reshape((steps, bands * channels), name="steps")(x)
    first, second = row.units
    # Named, or the paths of their weights would depend on what was built before.
    x = layers.Bidirectional(layers.LSTM(first, return_sequences=True, name="lstm"), name="lstm1")(x)
    x = layers.Bidirectional(layers.LSTM(second, name="lstm"), name="lstm2")(x)
    return keras.Model(mel, head(x, dropout=head_dropout, seed=seed), name=f"crnn_{size}")
