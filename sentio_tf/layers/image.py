"""A mel as a picture, for networks that learnt from pictures."""

from __future__ import annotations

import keras
from keras import ops

FLAT_DB = 1e-3  # a clip of less range than this is silence or one constant tone: nothing to stretch


@keras.saving.register_keras_serializable("sentio_tf")
class MelImage(keras.layers.Layer):
    """Log-mel `(batch, bands, frames, 1)` in dB -> `(batch, size, size, 3)` in [-1, 1], low bands at the top.

    Each clip's minimum becomes -1 and its maximum 1 (a clip without range: all -1); resized bilinearly with
    antialiasing; three equal channels.

    Args:
        size: height and width [pixels].
    """

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, mel):
        low = ops.min(mel, axis=(1, 2, 3), keepdims=True)
        high = ops.max(mel, axis=(1, 2, 3), keepdims=True)
        x = 2 * (mel - low) / ops.maximum(high - low, FLAT_DB) - 1
        x = ops.image.resize(x, (self.size, self.size), interpolation="bilinear", antialias=True)
        return ops.repeat(x, 3, axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.size, self.size, 3)

    def get_config(self):
        return {**super().get_config(), "size": self.size}
