"""MobileViT (Mehta & Rastegari 2021, arXiv:2110.02178): the student that goes on the phone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from ..contract import MEL, N_FRAMES
from ..layers.normalize import BandStatistics, ClipZScore
from ..layers.transformer import encoder_block
from .common import augmented, conv, masked, seed_of


@dataclass(frozen=True)
class Size:
    """A row of the paper's table: channels of the five stages, transformer widths, MV2 expansion.

    `imagenet_parameters` is the paper's count with its 1000-class head on RGB (table 3b / figure 6).
    """

    channels: tuple[int, int, int, int, int]
    dims: tuple[int, int, int]
    expansion: int
    imagenet_parameters: float


SIZES = {
    "xxs": Size((16, 24, 48, 64, 80), (64, 80, 96), 2, 1.3e6),
    "xs": Size((32, 48, 64, 80, 96), (96, 120, 144), 4, 2.3e6),
    "s": Size((32, 64, 96, 128, 160), (144, 192, 240), 4, 5.6e6),
}
DEPTHS = (2, 4, 3)  # transformer blocks of the three MobileViT blocks
HEADS = 4
STEM = 16
HEAD_EXPANSION = 4


@keras.saving.register_keras_serializable("sentio_tf")
class Resize(layers.Layer):
    """Bilinear resize (half-pixel centres) of `(batch, H, W, c)` to `height` x `width`.

    Not `keras.layers.Resizing`: its call defaults to training=True, which it hands on to every layer
    after it, so that `model(x)` would use batch statistics and dropout.
    """

    def __init__(self, height: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.height, self.width = height, width

    def call(self, x):
        return ops.image.resize(x, (self.height, self.width), interpolation="bilinear")

    def get_config(self):
        return {**super().get_config(), "height": self.height, "width": self.width}


@keras.saving.register_keras_serializable("sentio_tf")
class Unfold(layers.Layer):
    """`(batch, H, W, dim)` -> `(batch * 4, H/2 * W/2, dim)`: pixels at the same place of their 2x2 patch."""

    def call(self, x):
        height, width, dim = x.shape[1:]
        x = ops.reshape(x, (-1, height // 2, 2, width // 2, 2, dim))
        return ops.reshape(ops.transpose(x, (0, 2, 4, 1, 3, 5)), (-1, height * width // 4, dim))

    # Given, because JAX does not infer that a batch of unknown size is a multiple of 4.
    def compute_output_shape(self, shape):
        batch, height, width, dim = shape
        return None if batch is None else 4 * batch, height * width // 4, dim


@keras.saving.register_keras_serializable("sentio_tf")
class Fold(layers.Layer):
    """Inverse of `Unfold` for a map of `height` x `width`."""

    def __init__(self, height: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.height, self.width = height, width

    def call(self, x):
        dim = x.shape[-1]
        x = ops.reshape(x, (-1, 2, 2, self.height // 2, self.width // 2, dim))
        return ops.reshape(ops.transpose(x, (0, 3, 1, 4, 2, 5)), (-1, self.height, self.width, dim))

    def compute_output_shape(self, shape):
        return None if shape[0] is None else shape[0] // 4, self.height, self.width, shape[-1]

    def get_config(self):
        return {**super().get_config(), "height": self.height, "width": self.width}


def inverted_residual(x, filters: int, *, stride: int, expansion: int, activation: str, name: str):
    """MobileNetV2 block (Sandler et al. 2018, arXiv:1801.04381)."""
    y = conv(x, x.shape[-1] * expansion, 1, activation=activation, name=f"{name}_expand")
    y = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False, name=f"{name}_depthwise")(y)
    y = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_depthwise_bn")(y)
    y = layers.Activation(activation, name=f"{name}_depthwise_act")(y)
    y = conv(y, filters, 1, activation=None, name=f"{name}_project")
    if stride == 1 and x.shape[-1] == filters:
        y = layers.Add(name=f"{name}_add")([x, y])
    return y


def mobilevit_block(x, dim: int, depth: int, *, activation: str, dropout: float, name: str):
    """Local convolution, global transformer over unfolded pixels, fusion (paper, section 3.1)."""
    height, width, channels = x.shape[1:]
    y = conv(x, channels, 3, activation=activation, name=f"{name}_local")
    y = layers.Conv2D(dim, 1, use_bias=False, name=f"{name}_in")(y)
    y = Unfold(name=f"{name}_unfold")(y)
    for i in range(depth):
        y = encoder_block(
            y, heads=HEADS, mlp_dim=2 * dim, activation=activation, dropout=dropout, name=f"{name}_block{i}"
        )
    y = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm")(y)
    y = Fold(height, width, name=f"{name}_fold")(y)
    y = conv(y, channels, 1, activation=activation, name=f"{name}_out")
    y = layers.Concatenate(name=f"{name}_concat")([x, y])
    return conv(y, channels, 3, activation=activation, name=f"{name}_fuse")


def backbone(x, size: str, *, activation: str = "silu", dropout: float = 0.0):
    """`(batch, H, W, channels)` -> `(batch, H/32, W/32, 4 * last width)`; H and W multiples of 64."""
    row = SIZES[size]
    kw: dict[str, Any] = {"expansion": row.expansion, "activation": activation}
    x = conv(x, STEM, 3, stride=2, activation=activation, name="stem")
    x = inverted_residual(x, row.channels[0], stride=1, name="stage1", **kw)
    for i in range(3):
        x = inverted_residual(x, row.channels[1], stride=2 if i == 0 else 1, name=f"stage2_{i}", **kw)
    for stage, (dim, depth) in enumerate(zip(row.dims, DEPTHS, strict=True), start=3):
        x = inverted_residual(x, row.channels[stage - 1], stride=2, name=f"stage{stage}", **kw)
        x = mobilevit_block(x, dim, depth, activation=activation, dropout=dropout, name=f"stage{stage}_vit")
    return conv(x, HEAD_EXPANSION * row.channels[-1], 1, activation=activation, name="last")


def build(
    *,
    size: str = "xxs",
    normalize: layers.Layer,
    frames: int = N_FRAMES,
    height: int = 128,
    width: int | None = None,
    activation: str = "silu",
    dropout: float = 0.1,
    head_dropout: float = 0.45,
    statistics: int = 256,
    clip_zscore: bool = True,
    gain_db: float = 2.0,
    tilt_db: float = 3.0,
    masks: int = 2,
    noise: float = 0.2,
    seed: int | None = None,
) -> keras.Model:
    """Log-mel `(batch, 128, frames, 1)` in dB -> `(batch, 2)` = [valence, arousal] in [-1, 1].

    The mel is averaged over pairs of frames (and of bands, for `height` 64) and resized to `height` x
    `width` inside the model (320 columns for 30 s).  The network holds no position, so weights
    trained on short crops serve windows of any length.

    Args:
        size: row of `SIZES`; xxs 1.06 M, xs 2.04 M, s 5.05 M parameters with this head.
        normalize: layer on the mel, see `layers.normalize`.
        frames: frames of the input.
        height: rows after resizing, 128 or 64.
        width: columns after resizing, a multiple of 64; default 320 for 30 s, in proportion.
        statistics: hidden units of a second path on per-band statistics (mean, sd, movement), whose
            logits are added to the network's; 0 for none.
        clip_zscore: normalise each clip before the convolutions: timbre and rhythm without level,
            while the statistics keep the level.
        gain_db, tilt_db, masks: augmentation, see `common.augmented`; the masks are behind the statistics.
        noise: sd of what is added to the statistics in training; 0 for none.
        seed: of augmentation and dropout.

    Raises: ValueError for an unknown size or a width that is no multiple of 64.
    """
    if size not in SIZES:
        raise ValueError(f"expected size one of {', '.join(SIZES)}. Received: {size}")
    width = width or column_count(frames)
    if width % 64 or height not in (64, 128):
        raise ValueError(f"expected height 64 or 128 and width a multiple of 64. Received: {height}, {width}")
    mel = keras.Input((MEL.n_mels, frames, 1), name="log_mel")
    x = augmented(mel, normalize, gain_db=gain_db, tilt_db=tilt_db, masks=0, seed=seed)
    # Both heads start at 0: random logits of this size would saturate the tanh for hundreds of steps.
    logits = []
    if statistics:
        # Before the masks: statistics of a masked clip are not those of a noisy one.
        y = BandStatistics(name="band_statistics")(x)
        y = layers.BatchNormalization(momentum=0.9, name="statistics_bn")(y)
        y = layers.GaussianNoise(noise, seed=seed_of(seed, "noise"), name="statistics_noise")(y)
        y = layers.Dropout(head_dropout / 3, seed=seed_of(seed, "drop1"), name="statistics_drop1")(y)
        y = layers.Dense(statistics, activation=activation, name="statistics_dense")(y)
        y = layers.Dropout(head_dropout * 2 / 3, seed=seed_of(seed, "drop2"), name="statistics_drop2")(y)
        logits.append(layers.Dense(2, kernel_initializer="zeros", name="statistics_logits")(y))
    y = ClipZScore(name="clip_zscore")(x) if clip_zscore else x
    y = masked(y, masks, seed=seed)
    y = layers.AveragePooling2D((MEL.n_mels // height, 2), name="pairs")(y)
    # Bilinear at a ratio of 2 averages two neighbours: with the pairs above, an antialiased resize.
    y = Resize(height, width, name="resize")(y)
    y = backbone(y, size, activation=activation, dropout=dropout)
    y = layers.GlobalAveragePooling2D(name="pool")(y)
    y = layers.Dropout(head_dropout, seed=seed_of(seed, "drop"), name="pool_drop")(y)
    logits.append(layers.Dense(2, kernel_initializer="zeros", name="pool_logits")(y))
    y = layers.Add(name="logits")(logits) if statistics else logits[0]
    output = layers.Activation("tanh", dtype="float32", name="valence_arousal")(y)
    return keras.Model(mel, output, name=f"mobilevit_{size}")


def column_count(frames: int) -> int:
    """Columns for `frames`: 320 for a window of 30 s, else in proportion, to a multiple of 64."""
    return max(64, round(frames * 320 / N_FRAMES / 64) * 64)
