"""Distance from the training music, computed inside the exported graph."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from ..contract import MEL, MelSpec

GROUP = 4  # adjacent mel bands that share a feature
LAG = 8  # frames of the default front end, .19 s: where notes and beats move and noise does not


def lag_of(spec: MelSpec) -> int:
    """Frames of another front end that last as long as `LAG` of the default."""
    return round(LAG * (MEL.hop_length / MEL.sample_rate) * (spec.sample_rate / spec.hop_length))


@keras.saving.register_keras_serializable("sentio_tf")
class DomainStatistics(keras.layers.Layer):
    """Log-mel `(batch, bands, frames, 1)` in dB -> `(batch, 5 bands / 4)`: how the sound is built, not how loud.

    Per group of four bands, all as logarithms: sd over time; mean absolute change over `lag` frames;
    mean absolute change to the next band; raggedness over bands of the time-mean and of the sd.
    Noise is smooth where music is ragged, tones are ragged and still.  The level is not among them.
    """

    def __init__(self, lag: int = LAG, **kwargs):
        super().__init__(**kwargs)
        self.lag = lag

    def get_config(self):
        return {**super().get_config(), "lag": self.lag}

    def call(self, mel):
        x = mel[..., 0]
        mean = ops.mean(x, axis=2)
        std = ops.sqrt(ops.mean(ops.square(x - mean[:, :, None]), axis=2) + 1e-3)
        movement = ops.mean(ops.abs(x[:, :, self.lag :] - x[:, :, : -self.lag]), axis=2) + 1e-2
        step = ops.mean(ops.abs(x[:, 1:] - x[:, :-1]), axis=2)
        # One band has no upper neighbour; its lower one stands in.
        step = ops.concatenate([step, step[:, -1:]], axis=1) + 1e-2

        def ragged(values, floor):
            change = ops.abs(values[:, 1:] - values[:, :-1])
            return ops.log(grouped(ops.concatenate([change, change[:, -1:]], axis=1)) + floor)

        def grouped(values):
            return ops.mean(ops.reshape(values, (-1, values.shape[1] // GROUP, GROUP)), axis=2)

        parts = [grouped(ops.log(std)), grouped(ops.log(movement)), grouped(ops.log(step))]
        return ops.concatenate([*parts, ragged(mean, 0.05), ragged(std, 0.02)], axis=1)


@keras.saving.register_keras_serializable("sentio_tf")
class DomainDistance(keras.layers.Layer):
    """Log-mel `(batch, bands, frames, 1)` in dB -> distance `(batch,)`, about 1 for training music.

    sqrt(mean(((statistics - mean) / std)^2)), see `training.domain`.

    Args:
        mean, std: of `DomainStatistics` over the training windows, `(5 bands / 4,)`.
        lag: see there.
    """

    def __init__(self, mean, std, lag: int = LAG, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.mean, self.std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        self.statistics = DomainStatistics(lag, dtype="float32")

    def call(self, mel):
        scores = (self.statistics(mel) - self.mean) * (1 / self.std)
        return ops.sqrt(ops.mean(ops.square(scores), axis=-1))

    def get_config(self):
        own = {"mean": self.mean.tolist(), "std": self.std.tolist(), "lag": self.statistics.lag}
        return {**super().get_config(), **own}
