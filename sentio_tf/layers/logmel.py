"""The log-mel front end as a Keras layer: the same on every backend, and in the exported graph."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
from keras import ops

from ..audio.mel import filterbank, hann
from ..contract import MEL, MelSpec


@keras.saving.register_keras_serializable("sentio_tf")
class LogMel(keras.layers.Layer):
    """Waveform `(batch, samples)` in [-1, 1] -> log-mel `(batch, n_mels, frames, 1)` in dB.

    Equal to `librosa.power_to_db(librosa.feature.melspectrogram(y, ...))` within 1e-3 dB away from
    the floor; `frames = 1 + samples // hop_length`.  Only the FFT bins that a filter uses are
    multiplied.  `keras.layers.MelSpectrogram` is another spectrogram (no slaney normalisation,
    reflect padding) and is not used for that reason.

    Args:
        spec: parameters of the front end.
    """

    def __init__(self, spec: MelSpec | dict = MEL, **kwargs):
        kwargs.setdefault("dtype", "float32")  # power spans 10 decades: never half precision
        super().__init__(**kwargs)
        self.spec = MelSpec(**spec) if isinstance(spec, dict) else spec
        self.first, self.last, self.weights_mel = filterbank(self.spec)
        self.window = hann(self.spec.n_fft)

    def call(self, waveform):
        spec = self.spec
        half = spec.n_fft // 2
        y = ops.pad(ops.cast(waveform, "float32"), ((0, 0), (half, half)))
        real, imag = ops.stft(y, spec.n_fft, spec.hop_length, spec.n_fft, window=self.window, center=False)
        real, imag = real[..., self.first : self.last], imag[..., self.first : self.last]
        power = ops.matmul(ops.square(real) + ops.square(imag), self.weights_mel)
        db = ops.log(ops.maximum(power, spec.amin)) * np.float32(10 / np.log(10))
        db = ops.maximum(db, ops.max(db, axis=(1, 2), keepdims=True) - spec.top_db)
        return ops.expand_dims(ops.transpose(db, (0, 2, 1)), -1)

    def compute_output_shape(self, shape):
        return shape[0], self.spec.n_mels, None if shape[1] is None else self.spec.frames(shape[1]), 1

    def get_config(self):
        return {**super().get_config(), "spec": dataclasses.asdict(self.spec)}
