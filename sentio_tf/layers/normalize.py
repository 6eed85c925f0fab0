"""Two ways to normalise a log-mel, chosen by name: `dataset` keeps loudness, `clip` throws it away."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("sentio_tf")
class BandNormalize(keras.layers.Layer):
    """`dataset`: each mel band by its mean and sd [dB] over the training set, `(batch, mels, frames, 1)`."""

    def __init__(self, mean, std, **kwargs):
        super().__init__(**kwargs)
        self.mean, self.std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        if self.mean.shape != self.std.shape or self.mean.ndim != 1 or not (self.std > 0).all():
            raise ValueError(f"expected mean and std (mels,), std > 0. Received: {self.mean.shape}, {self.std.shape}")

    def call(self, x):
        scale = (1 / self.std).reshape(1, -1, 1, 1)
        return x * scale - (self.mean / self.std).reshape(1, -1, 1, 1)

    def get_config(self):
        return {**super().get_config(), "mean": self.mean.tolist(), "std": self.std.tolist()}


@keras.saving.register_keras_serializable("sentio_tf")
class ClipZScore(keras.layers.Layer):
    """`clip`: the whole clip by its own mean and sd, the published recipe; silence gives zeros."""

    def call(self, x):
        x = x - ops.mean(x, axis=(1, 2, 3), keepdims=True)
        return x * ops.rsqrt(ops.mean(ops.square(x), axis=(1, 2, 3), keepdims=True) + 1e-6)


@keras.saving.register_keras_serializable("sentio_tf")
class BandStatistics(keras.layers.Layer):
    """`(batch, mels, frames, 1)` -> `(batch, 3 mels)`: mean, sd and mean absolute step over time.

    What the classical baselines of the field see of a clip: timbre, dynamics and movement per band.
    """

    def call(self, x):
        x = x[..., 0]
        mean = ops.mean(x, axis=2)
        std = ops.sqrt(ops.mean(ops.square(x - mean[:, :, None]), axis=2) + 1e-6)
        step = ops.mean(ops.abs(x[:, :, 1:] - x[:, :, :-1]), axis=2)
        return ops.concatenate([mean, std, step], axis=1)
