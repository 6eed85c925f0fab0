"""The log-mel front end as a Keras layer: the same on every backend, and in the exported graph."""

from __future__ import annotations

import dataclasses
import itertools

import keras
import numpy as np
from keras import ops

from ..audio.dft import mel_groups, two_stage
from ..audio.mel import filterbank, hann
from ..contract import MEL, MelSpec

TRANSFORMS = ("fft", "matmul")
PIECE = 162  # frames that `matmul` takes at a time: what lies between its products then fits a cache


@keras.saving.register_keras_serializable("sentio_tf")
class LogMel(keras.layers.Layer):
    """Waveform `(batch, samples)` in [-1, 1] -> log-mel `(batch, n_mels, frames, 1)` in dB.

    Equal to `librosa.power_to_db(librosa.feature.melspectrogram(y, ...))` within 1e-3 dB away from
    the floor; `frames = 1 + samples // hop_length`.  Only the FFT bins that a filter uses are
    multiplied.  `keras.layers.MelSpectrogram` is another spectrogram (no slaney normalisation,
    reflect padding) and is not used for that reason.

    Args:
        spec: parameters of the front end.
        transform: `fft`, or `matmul`: the same by two matrix products (`audio.dft`), within 2e-3 dB near the floor.
            TFLite's own FFT works in double precision without vector instructions and is slower than those, which
            delegates take, too.

    Raises: ValueError for another transform, or frames that `matmul` cannot cut.
    """

    def __init__(self, spec: MelSpec | dict = MEL, transform: str = "fft", **kwargs):
        kwargs.setdefault("dtype", "float32")  # power spans 10 decades: never half precision
        super().__init__(**kwargs)
        if transform not in TRANSFORMS:
            raise ValueError(f"expected transform one of {', '.join(TRANSFORMS)}. Received: {transform}")
        self.spec = MelSpec(**spec) if isinstance(spec, dict) else spec
        self.transform = transform
        if transform == "matmul":
            self.tables, self.groups = two_stage(self.spec), mel_groups(self.spec)

    def call(self, waveform):
        half = self.spec.n_fft // 2
        padded = ops.pad(ops.cast(waveform, "float32"), ((0, 0), (half, half)))
        return floored(self.decibels(padded), self.spec.top_db)

    def decibels(self, padded):
        """`(batch, n_fft + (frames - 1) * hop_length)` -> `(batch, n_mels, frames, 1)` in dB, neither padded nor
        floored: frames of a stream."""
        power = self._by_fft(padded) if self.transform == "fft" else self._by_matmul(padded)
        db = ops.log(ops.maximum(power, self.spec.amin)) * np.float32(10 / np.log(10))
        return ops.expand_dims(ops.transpose(db, (0, 2, 1)), -1)

    def _by_fft(self, padded):
        """`(batch, samples)` -> mel power `(batch, frames, n_mels)`."""
        spec = self.spec
        first, last, weights = filterbank(spec)
        window = hann(spec.n_fft)
        real, imag = ops.stft(padded, spec.n_fft, spec.hop_length, spec.n_fft, window=window, center=False)
        real, imag = real[..., first:last], imag[..., first:last]
        return ops.matmul(ops.square(real) + ops.square(imag), weights)

    def _by_matmul(self, padded):
        """As `_by_fft`, a piece of at most `PIECE` frames after the other."""
        n_fft, hop = self.spec.n_fft, self.spec.hop_length
        frames = (padded.shape[1] - n_fft) // hop + 1
        cuts = np.linspace(0, frames, -(-frames // PIECE) + 1).round().astype(int).tolist()
        pieces = [
            self._piece(padded[:, first * hop : (last - 1) * hop + n_fft]) for first, last in itertools.pairwise(cuts)
        ]
        return ops.concatenate(pieces, axis=1) if len(pieces) > 1 else pieces[0]

    def _piece(self, padded):
        """As `_by_fft`.  The inner sums are a convolution over hops, a group of channels for each n2: no frame is
        ever cut out."""
        spec, n1, n2 = self.spec, self.tables.n1, self.tables.n2
        taps, rows = spec.n_fft // spec.hop_length, spec.hop_length // n2
        frames = (padded.shape[1] - spec.n_fft) // spec.hop_length + 1
        hops = frames + taps - 1
        x = ops.reshape(padded[:, : hops * spec.hop_length], (-1, hops, rows, n2))
        x = ops.reshape(ops.transpose(x, (0, 1, 3, 2)), (-1, 1, hops, n2 * rows))
        half = n1 // 2 + 1
        inner = self.tables.inner.reshape(n2, taps, rows, 2 * half).transpose(1, 2, 0, 3)
        x = ops.conv(x, inner.reshape(1, taps, rows, n2 * 2 * half), padding="valid")
        x = ops.transpose(ops.reshape(x, (-1, frames, 2 * n2, half)), (0, 1, 3, 2))  # (..., k1, [n2, real|imaginary])
        x = ops.reshape(x, (-1, 2 * n2))
        count = self.tables.outer.shape[-1]
        x = ops.square(ops.matmul(x, self.tables.outer.reshape(2 * n2, 2 * count)))
        power = ops.reshape(x[:, :count] + x[:, count:], (-1, half, count))
        power = ops.transpose(power, (0, 2, 1))  # bins side by side, for groups of them
        parts = []
        for group in self.groups:
            columns = [power[:, slice(*span)] for span in (group.columns, group.mirrored)]
            part = ops.matmul(
                ops.reshape(ops.concatenate(columns, axis=1), (-1, group.weights.shape[0] * half)),
                group.weights.reshape(-1, group.weights.shape[2]),
            )
            parts.append(ops.pad(part, ((0, 0), (group.bands[0], spec.n_mels - group.bands[1]))))
        return ops.reshape(sum(parts[1:], parts[0]), (-1, frames, spec.n_mels))

    def compute_output_shape(self, shape):
        return shape[0], self.spec.n_mels, None if shape[1] is None else self.spec.frames(shape[1]), 1

    def get_config(self):
        return {**super().get_config(), "spec": dataclasses.asdict(self.spec), "transform": self.transform}


def floored(db, top_db: float):
    """Log-mel `(batch, bands, frames, 1)` [dB], nothing more than `top_db` below the clip's own maximum."""
    return ops.maximum(db, ops.max(db, axis=(1, 2), keepdims=True) - top_db)
