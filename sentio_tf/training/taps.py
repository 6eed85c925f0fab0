"""What a teacher shows of its inside, and where a student is asked for the same: maps over bands and time.

A tap is a tensor `(batch, bands, time, channels)` of a network.  Networks differ in all four, so teacher and student
are brought to one grid, on which the student's channels are projected to the teacher's (features), or both are reduced
to how strongly each place of the grid is active (attention).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from ..errors import ConfigError
from ..layers.chunks import ChunkMean
from ..models.vit import ViTPart

FINER = 4  # attention is read where time is so many times finer than at the end
EPSILON = 1e-6

Taps = dict[str, Any]  # "features", "attention" -> Keras tensor (batch, bands, time, channels)


def taps(name: str, network: keras.Model) -> Taps:
    """Both taps of a network of `models.MODELS`.  Raises: ConfigError for a network that has none."""
    if name not in TAPS:
        raise ConfigError(
            f"features, attention: expected networks with taps ({', '.join(TAPS)}), received {name}; set "
            "terms.features and terms.attention to 0, its answers alone are taught then"
        )
    return TAPS[name](network)


def _convolutions(network: keras.Model) -> Taps:
    """The last map, and the last one whose time is `FINER` times as fine; of networks that end with a mean over it."""
    maps = [layer.output for layer in network.layers if _is_map(layer)]
    last = network.get_layer("pool").input
    finer = [x for x in maps if x.shape[2] >= FINER * last.shape[2] and x.shape[-1] > 1]
    return {"features": last, "attention": (finer or [last])[-1]}


def _is_map(layer: keras.layers.Layer) -> bool:
    shape = getattr(layer.output, "shape", ())
    return len(shape) == 4 and None not in shape[1:]


def _musicnn(network: keras.Model) -> Taps:
    """What is pooled, mean over the patches, and the frames of front and mid-end of the first of its networks."""
    mean = next(layer for layer in network.layers if isinstance(layer, ChunkMean))
    frames = next(layer.output for layer in network.layers if layer.name.endswith("_features"))
    return {
        "features": ops.reshape(mean.output, (-1, 1, 1, mean.output.shape[-1])),
        "attention": ops.reshape(frames, (-1, 1, mean.n * frames.shape[1], frames.shape[-1])),
    }


def _vit(network: keras.Model) -> Taps:
    """The patches behind the middle block, without the class token: the last blocks know pictures, not sound."""
    blocks = [layer.output for layer in network.layers if isinstance(layer, ViTPart)]
    tokens = blocks[len(blocks) // 2]
    side = math.isqrt(tokens.shape[1])
    first = tokens.shape[1] - side * side
    grid = ops.reshape(tokens[:, first:], (-1, side, side, tokens.shape[-1]))
    return {"features": grid, "attention": grid}


TAPS: dict[str, Callable[[keras.Model], Taps]] = {
    "efficientnet_lite": _convolutions,
    "mobilevit": _convolutions,
    "musicnn": _musicnn,
    "vit": _vit,
}


def averaging(size: int, goal: int) -> np.ndarray:
    """Matrix `(goal, size)` that averages `size` places over `goal` equal parts of their extent; rows sum to 1.

    With more parts than places it repeats them.
    """
    edges = np.linspace(0, size, goal + 1)
    low = np.maximum(edges[:-1, None], np.arange(size))
    high = np.minimum(edges[1:, None], np.arange(size) + 1)
    return (np.maximum(high - low, 0) / np.diff(edges)[:, None]).astype(np.float32)


def on_grid(x, bands: int, time: int):
    """`(batch, H, T, channels)` -> `(batch, bands, time, channels)`, averaged over equal parts of H and T."""
    rows, columns = averaging(x.shape[1], bands), averaging(x.shape[2], time)
    # Products alone, so that every backend and converter has it.
    x = ops.tensordot(ops.transpose(x, (0, 3, 1, 2)), ops.convert_to_tensor(columns.T), axes=1)
    x = ops.tensordot(ops.transpose(x, (0, 1, 3, 2)), ops.convert_to_tensor(rows.T), axes=1)
    return ops.transpose(x, (0, 3, 2, 1))


def attention_map(x, bands: int, time: int):
    """`(batch, H, T, channels)` -> `(batch, bands, time)`, how active each place is, with an L2 norm of 1.

    Zagoruyko & Komodakis 2017, arXiv:1612.03928, equation 2 with p = 2: the mean of squares over the channels, here
    over the grid's parts as well.  For tokens of a transformer, it is the norm of what each token has gathered; unlike
    maps of single heads it needs no equal number of them.
    """
    energy = on_grid(ops.mean(ops.square(x), axis=-1, keepdims=True), bands, time)[..., 0]
    return energy / ops.sqrt(ops.sum(ops.square(energy), axis=(1, 2), keepdims=True) + EPSILON)


def common(teacher, student) -> tuple[int, int]:
    """The finest grid `(bands, time)` that both taps have."""
    return min(teacher.shape[1], student.shape[1]), min(teacher.shape[2], student.shape[2])


@keras.saving.register_keras_serializable("sentio_tf")
class OnGrid(keras.layers.Layer):
    """`on_grid` as a layer of a functional network, or `attention_map` with `energy`."""

    def __init__(self, bands: int, time: int, energy: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.bands, self.time, self.energy = bands, time, energy

    def call(self, x):
        return (attention_map if self.energy else on_grid)(x, self.bands, self.time)

    def compute_output_shape(self, shape):
        grid = (shape[0], self.bands, self.time)
        return grid if self.energy else (*grid, shape[-1])

    def get_config(self):
        return {**super().get_config(), "bands": self.bands, "time": self.time, "energy": self.energy}
