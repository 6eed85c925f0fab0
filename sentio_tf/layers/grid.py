"""Maps of several networks on one grid of bands and time, as features or as attention."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

EPSILON = 1e-6


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
