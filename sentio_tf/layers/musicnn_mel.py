"""musicnn's front end as a Keras layer: the twin of `audio.musicnn_mel`, on every backend."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from ..audio.mel import filterbank, hann
from ..audio.musicnn_mel import GAIN, SPEC


@keras.saving.register_keras_serializable("sentio_tf")
class MusicnnMel(keras.layers.Layer):
    """Waveform `(batch, samples)` in [-1, 1] at 16 kHz -> `(batch, frames, 96)`, log10(1 + 10000 mel power).

    `frames = 1 + samples // 256`; equal to `audio.musicnn_mel.musicnn_mel` within 1e-5.
    """

    spec = SPEC

    def __init__(self, **kwargs):
        kwargs.setdefault("dtype", "float32")  # power spans 10 decades: never half precision
        super().__init__(**kwargs)
        self.first, self.last, self.weights_mel = filterbank(SPEC)
        self.window = hann(SPEC.n_fft)

    def call(self, waveform):
        half = SPEC.n_fft // 2
        y = ops.pad(ops.cast(waveform, "float32"), ((0, 0), (half, half)))
        real, imag = ops.stft(y, SPEC.n_fft, SPEC.hop_length, SPEC.n_fft, window=self.window, center=False)
        real, imag = real[..., self.first : self.last], imag[..., self.first : self.last]
        power = ops.matmul(ops.square(real) + ops.square(imag), self.weights_mel)
        return ops.log(1 + GAIN * power) * np.float32(1 / np.log(10))

    def compute_output_shape(self, shape):
        return shape[0], None if shape[1] is None else SPEC.frames(shape[1]), SPEC.n_mels


@keras.saving.register_keras_serializable("sentio_tf")
class MusicnnDecibels(keras.layers.Layer):
    """Output of `MusicnnMel` -> log-mel `(batch, 96, frames, 1)`: the twin of `audio.musicnn_mel.decibels`."""

    def __init__(self, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)

    def call(self, mel):
        return 10 * ops.transpose(mel, (0, 2, 1))[..., None]

    def compute_output_shape(self, shape):
        return shape[0], shape[2], shape[1], 1
