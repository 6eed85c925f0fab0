"""Augmentation of waveforms as layers, active in training only."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("sentio_tf")
class RandomGain(keras.layers.Layer):
    """Random level per clip on waveforms `(batch, samples)`: a gain uniform in +-`gain_db` [dB].

    Nothing is clipped: what is louder than full scale stays so.

    Args:
        gain_db: 0 for none.
        polarity: turn every other clip on average upside down, which no listener hears.
    """

    def __init__(self, gain_db: float = 6.0, polarity: bool = False, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.gain_db, self.polarity, self.seed = gain_db, polarity, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, x, training=False):
        if not training or not (self.gain_db or self.polarity):
            return x
        draw = keras.random.uniform((ops.shape(x)[0], 2), -1.0, 1.0, seed=self.generator, dtype=x.dtype)
        gain = ops.exp(draw[:, :1] * (self.gain_db * np.log(10) / 20))
        return x * (gain * ops.where(draw[:, 1:] < 0, -1.0, 1.0) if self.polarity else gain)

    def get_config(self):
        return {**super().get_config(), "gain_db": self.gain_db, "polarity": self.polarity, "seed": self.seed}
