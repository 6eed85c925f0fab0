"""Augmentation of log-mel spectrograms as layers, active in training only."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable("sentio_tf")
class RandomEqualizer(keras.layers.Layer):
    """Random level and spectral tilt per clip on a log-mel in dB, `(batch, mels, frames, 1)`.

    Stands for mastering, microphones and codecs: level uniform in +-`gain_db`, tilt uniform in
    +-`tilt_db` from the lowest to the highest band.
    """

    def __init__(self, gain_db: float = 6.0, tilt_db: float = 6.0, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.gain_db, self.tilt_db, self.seed = gain_db, tilt_db, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, x, training=False):
        if not training:
            return x
        draw = keras.random.uniform((ops.shape(x)[0], 2, 1, 1), -1.0, 1.0, seed=self.generator, dtype=x.dtype)
        line = ops.reshape(ops.linspace(-0.5, 0.5, x.shape[1]), (1, -1, 1, 1))
        return x + self.gain_db * draw[:, :1] + self.tilt_db * draw[:, 1:] * ops.cast(line, x.dtype)

    def get_config(self):
        return {**super().get_config(), "gain_db": self.gain_db, "tilt_db": self.tilt_db, "seed": self.seed}


@keras.saving.register_keras_serializable("sentio_tf")
class SpecAugment(keras.layers.Layer):
    """Frequency and time masks (Park et al. 2019, arXiv:1904.08779), without time warping.

    Input `(batch, mels, frames, 1)`, normalised, because masks are filled with 0.

    Args:
        freq_masks, freq_share: number of masks, and largest width as a share of the bands.
        time_masks, time_share: the same over the frames.
    """

    def __init__(
        self,
        freq_masks: int = 2,
        freq_share: float = 0.15,
        time_masks: int = 2,
        time_share: float = 0.15,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.freq_masks, self.freq_share = freq_masks, freq_share
        self.time_masks, self.time_share = time_masks, time_share
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def _keep(self, batch, size: int, masks: int, share: float):
        """`(batch, size)`: 0 inside any of `masks` random intervals, 1 elsewhere."""
        draw = keras.random.uniform((batch, masks, 2), seed=self.generator)
        width = draw[:, :, :1] * share * size
        start = draw[:, :, 1:] * (size - width)
        place = ops.reshape(ops.arange(size, dtype="float32"), (1, 1, size))
        inside = ops.logical_and(place >= start, place < start + width)
        return 1.0 - ops.cast(ops.any(inside, axis=1), "float32")

    def call(self, x, training=False):
        if not training:
            return x
        batch, mels, frames = ops.shape(x)[0], x.shape[1], x.shape[2]
        if self.freq_masks:
            keep = self._keep(batch, mels, self.freq_masks, self.freq_share)
            x = x * ops.cast(keep[:, :, None, None], x.dtype)
        if self.time_masks:
            keep = self._keep(batch, frames, self.time_masks, self.time_share)
            x = x * ops.cast(keep[:, None, :, None], x.dtype)
        return x

    def get_config(self):
        names = ("freq_masks", "freq_share", "time_masks", "time_share", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
