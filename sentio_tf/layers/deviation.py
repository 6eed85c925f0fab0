"""How far an answer may be off, computed from what the network's head hears."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("sentio_tf")
class StandardDeviation(keras.layers.Layer):
    """Features `(batch, d)` -> standard deviation of valence and arousal `(batch, 2)`, above 0.

    exp(clip(features kernel + bias, low, high)): the logarithm is linear, and what lies beyond the training songs is as
    unsure as the least sure of them, see `training.deviation`.

    Args:
        kernel: `(d, 2)`.
        bias, low, high: `(2,)`.
        logarithm: give the logarithm, whose mean over windows is a song's.
    """

    def __init__(self, kernel, bias, low, high, *, logarithm: bool = False, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.kernel, self.bias, self.low, self.high = (np.asarray(a, np.float32) for a in (kernel, bias, low, high))
        self.logarithm = logarithm

    def call(self, features):
        found = ops.minimum(ops.maximum(ops.matmul(features, self.kernel) + self.bias, self.low), self.high)
        return found if self.logarithm else ops.exp(found)

    def compute_output_shape(self, shape):
        return (shape[0], 2)

    def get_config(self):
        arrays = {name: getattr(self, name).tolist() for name in ("kernel", "bias", "low", "high")}
        return {**super().get_config(), **arrays, "logarithm": self.logarithm}
