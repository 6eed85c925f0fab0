"""Distance from the training data, computed inside the exported graph."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from .normalize import BandStatistics


@keras.saving.register_keras_serializable("sentio_tf")
class DomainDistance(keras.layers.Layer):
    """Log-mel `(batch, 128, frames, 1)` in dB -> distance `(batch,)`, about 1 for training music.

    sqrt(mean(((statistics - mean) @ projection)^2)): a Mahalanobis distance in the principal
    components of the training windows, see `training.domain`.

    Args:
        mean: `(features,)`.
        projection: whitening, `(features, components)`.
    """

    def __init__(self, mean, projection, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.mean, self.projection = np.asarray(mean, np.float32), np.asarray(projection, np.float32)
        self.statistics = BandStatistics(dtype="float32")

    def call(self, mel):
        scores = ops.matmul(self.statistics(mel) - self.mean, self.projection)
        return ops.sqrt(ops.mean(ops.square(scores), axis=-1))

    def get_config(self):
        return {**super().get_config(), "mean": self.mean.tolist(), "projection": self.projection.tolist()}
