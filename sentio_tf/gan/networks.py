"""Generator and discriminator of log-mels, conditional on valence and arousal (Radford et al. 2016, arXiv:1511.06434).

Both work on spectrograms in [-1, 1], see `scale`; `build` gives a pair of one size.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from ..contract import AXES, MEL, N_FRAMES
from ..models.common import row_of

LATENT = 100  # numbers drawn from a normal distribution, of which the generator makes a spectrogram
GRID = (8, 81)  # bands and frames it starts from: 16 times that is 128 x 1296
UPSCALE = 16
SLOPE = 0.2  # of LeakyReLU
KERNEL = 4  # of convolutions with stride 2: a multiple of it, so that every output hears as many inputs


@dataclass(frozen=True)
class Size:
    """Channels of the generator from `GRID` on, and of the discriminator, one number a stage of stride 2.

    `patch` is the step between the last stage and the spectrogram: 2 is one more stage of stride 2; 4 makes 4 x 4
    values of each place at once (Shi et al. 2016, arXiv:1609.05158), and the discriminator takes in as many.  `hidden`
    is the width of the discriminator's features.
    """

    generator: tuple[int, ...]
    discriminator: tuple[int, ...]
    hidden: int
    patch: int


SIZES = {
    "recipe": Size((1024, 256, 128, 64), (64, 128, 256, 512), hidden=512, patch=2),
    # The two stages next to the spectrogram would be nearly all of the work: as patches they leave it to the others.
    "compact": Size((64, 32, 16), (16, 32, 64), hidden=128, patch=4),
}
CONDITIONS = ("projection", "concatenate")


def generator(size: str = "compact") -> keras.Model:
    """[latent `(batch, 100)`, condition `(batch, 2)` in [-1, 1]] -> `(batch, 128, 1292, 1)` in [-1, 1].

    A dense layer makes C x 8 x 81; doublings of bands and frames make 128 x 1296, of which two frames at each end
    are cut.  Parameters: recipe 73.2 M, compact 4.3 M.

    Raises: ValueError for an unknown size.
    """
    row = row_of(SIZES, size)
    bands, frames = GRID
    latent = keras.Input((LATENT,), name="latent")
    condition = keras.Input((len(AXES),), name="condition")
    x = layers.Concatenate(name="input")([latent, condition])
    x = layers.Dense(bands * frames * row.generator[0], name="dense")(x)
    x = layers.Reshape((bands, frames, row.generator[0]), name="grid")(x)
    x = _activated(x, "grid")
    for i, channels in enumerate(row.generator[1:], 1):
        x = layers.Conv2DTranspose(channels, KERNEL, strides=2, padding="same", use_bias=False, name=f"stage{i}")(x)
        x = _activated(x, f"stage{i}")
    if row.patch == 2:
        x = layers.Conv2DTranspose(1, KERNEL, strides=2, padding="same", name="spectrogram")(x)
    else:
        x = layers.Conv2D(row.patch**2, 3, padding="same", name="patches")(x)
        x = _spread(x, row.patch)
    extra = (UPSCALE * frames - N_FRAMES) // 2
    x = layers.Cropping2D(((0, 0), (extra, extra)), name="crop")(x)
    x = layers.Activation("tanh", dtype="float32", name="log_mel")(x)
    return keras.Model([latent, condition], x, name=f"generator_{size}")


def discriminator(size: str = "compact", *, condition: str = "projection", spectral_norm: bool = True) -> keras.Model:
    """[`(batch, 128, 1292, 1)` in [-1, 1], condition `(batch, 2)`] -> logit `(batch, 1)`, above 0 for real music.

    Stages of stride 2 to 8 bands, the mean over time (music may begin anywhere, but a band is a band), a dense
    layer, and a linear answer.  Parameters: recipe 4.9 M, compact 0.12 M.

    Args:
        condition: "projection" adds the inner product of the features with an embedding of the condition (Miyato &
            Koyama 2018, arXiv:1802.05637); "concatenate" gives valence and arousal as two more channels at the input.
        spectral_norm: keep the largest singular value of every kernel at 1 (Miyato et al. 2018, arXiv:1802.05957).

    Raises: ValueError for an unknown size or condition.
    """
    row = row_of(SIZES, size)
    if condition not in CONDITIONS:
        raise ValueError(f"expected condition one of {', '.join(CONDITIONS)}. Received: {condition}")
    normed = (
        (lambda layer: layers.SpectralNormalization(layer, name=f"{layer.name}_sn"))
        if spectral_norm
        else (lambda layer: layer)
    )
    mel = keras.Input((MEL.n_mels, N_FRAMES, 1), name="log_mel")
    asked = keras.Input((len(AXES),), name="condition")
    x = mel if row.patch == 2 else _gathered(mel, row.patch)
    if condition == "concatenate":
        bands, frames = x.shape[1:3]
        plane = layers.Reshape((1, 1, len(AXES)), name="plane")(asked)
        plane = layers.UpSampling2D((bands, frames), name="planes")(plane)
        x = layers.Concatenate(name="conditioned")([x, plane])
    for i, channels in enumerate(row.discriminator, 1):
        stride = 1 if row.patch > 2 and i == 1 else 2
        kernel = 3 if stride == 1 else KERNEL
        x = normed(layers.Conv2D(channels, kernel, strides=stride, padding="same", name=f"stage{i}"))(x)
        x = layers.LeakyReLU(SLOPE, name=f"stage{i}_act")(x)
    x = layers.AveragePooling2D((1, x.shape[2]), name="time_mean")(x)
    x = layers.Flatten(name="bands")(x)
    x = normed(layers.Dense(row.hidden, name="features"))(x)
    x = layers.LeakyReLU(SLOPE, name="features_act")(x)
    logit = normed(layers.Dense(1, name="real"))(x)
    if condition == "projection":
        e = normed(layers.Dense(row.hidden // 2, name="embedding1"))(asked)
        e = layers.LeakyReLU(SLOPE, name="embedding1_act")(e)
        e = normed(layers.Dense(row.hidden, name="embedding2"))(e)
        logit = layers.Add(name="logit")([logit, layers.Dot(1, name="fits")([x, e])])
    return keras.Model([mel, asked], logit, name=f"discriminator_{size}")


def _activated(x, name: str):
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_act")(x)


def _spread(x, patch: int):
    """`(batch, bands, frames, patch^2)` -> `(batch, patch bands, patch frames, 1)`."""
    bands, frames = x.shape[1:3]
    x = layers.Reshape((bands, frames, patch, patch), name="spread")(x)
    x = layers.Permute((1, 3, 2, 4), name="spread_order")(x)
    return layers.Reshape((patch * bands, patch * frames, 1), name="spread_out")(x)


def _gathered(x, patch: int):
    """The inverse of `_spread`."""
    bands, frames = x.shape[1] // patch, x.shape[2] // patch
    x = layers.Reshape((bands, patch, frames, patch), name="gather")(x)
    x = layers.Permute((1, 3, 2, 4), name="gather_order")(x)
    return layers.Reshape((bands, frames, patch**2), name="gather_out")(x)
