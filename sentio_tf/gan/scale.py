"""Decibels to what a tanh reaches and back: each band by its mean and sd (Donahue et al. 2019, arXiv:1802.04208)."""

from __future__ import annotations

import keras
import numpy as np

CLIP = 3.0  # standard deviations that become 1, as SpecGAN has it


@keras.saving.register_keras_serializable("sentio_tf")
class BandScale(keras.layers.Layer):
    """`(batch, bands, frames, 1)` in [-1, 1] -> dB, the inverse of `scaled`: x * 3 sd + mean of each band.

    Args: mean and sd [dB] of each band over the training part, `(bands,)`; see `pipeline.band_statistics`.
    """

    def __init__(self, mean, std, **kwargs):
        super().__init__(**kwargs)
        self.mean, self.std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        if self.mean.shape != self.std.shape or self.mean.ndim != 1 or not (self.std > 0).all():
            raise ValueError(f"expected mean and std (bands,), std > 0. Received: {self.mean.shape}, {self.std.shape}")
        self._mean, self._step = (a.reshape(1, -1, 1, 1) for a in (self.mean, CLIP * self.std))

    def call(self, x):
        return x * self._step + self._mean

    def scaled(self, x):
        """dB -> [-1, 1]; what lies more than three sd from its band's mean is clipped.  Arrays or tensors."""
        return keras.ops.clip((x - self._mean) / self._step, -1.0, 1.0)

    def clipped_share(self, x: np.ndarray) -> float:
        """Share of the values [dB] that `scaled` clips: what the generator cannot make."""
        return float((np.abs(np.asarray(x, np.float64) - self._mean) > self._step).mean())

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "mean": self.mean.tolist(), "std": self.std.tolist()}
