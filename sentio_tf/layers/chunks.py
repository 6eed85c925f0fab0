"""Windows cut into chunks for networks of fixed extent, and the mean of the chunks' answers."""

from __future__ import annotations

import math

import keras
from keras import ops


def chunk_starts(size: int, length: int) -> list[int]:
    """First frames of the fewest chunks of `length` that cover `size`, evenly spread; the last one ends at `size`.

    Raises: ValueError if `size` is less than one chunk.
    """
    if not 1 <= length <= size:
        raise ValueError(f"expected a window no shorter than a chunk of {length}. Received: {size}")
    count = math.ceil(size / length)
    return [round(i * (size - length) / max(1, count - 1)) for i in range(count)]


@keras.saving.register_keras_serializable("sentio_tf")
class Chunks(keras.layers.Layer):
    """`(batch, bands, frames, 1)` -> `(batch * n, bands, length, 1)`; the chunks of an item stay together.

    With `axis` 1, waveforms `(batch, samples)` -> `(batch * n, length)` or sequences.  Where they lie:
    `chunk_starts`; n is `count` once built.  Slices that are known beforehand, no gather: builtins in TFLite.

    Args:
        length: of a chunk [frames or samples].
        axis: that is cut: 2, the frames of a mel, or 1, the samples of a waveform.

    Raises: ValueError for a window shorter than a chunk, or of unknown size.
    """

    def __init__(self, length: int, axis: int = 2, **kwargs):
        super().__init__(**kwargs)
        if length < 1 or axis not in (1, 2):
            raise ValueError(f"expected length >= 1 and axis 1 or 2. Received: {length}, {axis}")
        self.length, self.axis = length, axis

    def build(self, shape):
        if shape[self.axis] is None:
            raise ValueError(f"expected a known size of axis {self.axis}. Received: {shape}")
        self.starts = chunk_starts(shape[self.axis], self.length)
        self.count = len(self.starts)
        super().build(shape)

    def call(self, x):
        if self.count == 1:
            return x
        before = (slice(None),) * self.axis
        parts = ops.stack([x[(*before, slice(start, start + self.length))] for start in self.starts], axis=1)
        return ops.reshape(parts, (-1, *parts.shape[2:]))

    def compute_output_shape(self, shape):
        batch = None if shape[0] is None else shape[0] * len(chunk_starts(shape[self.axis], self.length))
        return (batch, *shape[1 : self.axis], self.length, *shape[self.axis + 1 :])

    def get_config(self):
        return {**super().get_config(), "length": self.length, "axis": self.axis}


@keras.saving.register_keras_serializable("sentio_tf")
class ChunkMean(keras.layers.Layer):
    """`(batch * n, d)` -> `(batch, d)`: the mean over the `n` chunks of each item, as `Chunks` lays them.

    Raises: ValueError for n < 1.
    """

    def __init__(self, n: int, **kwargs):
        super().__init__(**kwargs)
        if n < 1:
            raise ValueError(f"expected n >= 1. Received: {n}")
        self.n = n

    def call(self, x):
        return x if self.n == 1 else ops.mean(ops.reshape(x, (-1, self.n, x.shape[-1])), axis=1)

    def compute_output_shape(self, shape):
        return (None if shape[0] is None else shape[0] // self.n, shape[1])

    def get_config(self):
        return {**super().get_config(), "n": self.n}
