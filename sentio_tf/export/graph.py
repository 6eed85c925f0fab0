"""Keras network -> TFLite graph from raw waveform to [valence, arousal], front end inside."""

from __future__ import annotations

import tempfile

import keras
import numpy as np

from ..contract import MEL, WINDOW_SAMPLES, MelSpec, SignatureContract
from ..errors import ModelError
from ..layers.domain import DomainDistance
from ..layers.logmel import LogMel
from ..terminal import quiet

DISTANCE = "domain_distance"


def waveform_model(
    network: keras.Model, *, spec: MelSpec = MEL, domain: tuple[np.ndarray, np.ndarray] | None = None
) -> keras.Model:
    """Waveform `(batch, 661500)` -> {"valence_arousal": (batch, 2)[, "domain_distance": (batch,)]}.

    Args:
        network: log-mel `(batch, 128, 1292, 1)` -> `(batch, 2)`.
        domain: mean and std of `DomainDistance`, or None.

    Raises: ModelError if the network's input or output is another.
    """
    expected = (None, spec.n_mels, spec.frames(WINDOW_SAMPLES), 1)
    if tuple(network.input_shape) != expected or tuple(network.output_shape) != (None, 2):
        raise ModelError(
            f"expected a network {expected} -> (None, 2), received {network.input_shape} -> {network.output_shape}"
        )
    waveform = keras.Input((WINDOW_SAMPLES,), name="waveform")
    mel = LogMel(spec, name="front_end")(waveform)
    outputs = {SignatureContract.output: network(mel)}
    if domain is not None:
        outputs[DISTANCE] = DomainDistance(*domain, name=DISTANCE)(mel)
    return keras.Model(waveform, outputs, name="predict")


def to_tflite(model: keras.Model) -> bytes:
    """Float TFLite flatbuffer of a `waveform_model`: builtin operators only, one signature `predict`.

    Raises: ModelError naming the operators if the graph needs any that TFLite's builtins lack.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        # A Keras 3 model inside a plain tf.Module would export READ_VARIABLE ops and answer noise.
        archive = keras.export.ExportArchive()
        archive.track(model)
        spec = tf.TensorSpec((1, WINDOW_SAMPLES), tf.float32, name=SignatureContract.input)

        def predict(waveform):
            return dict(model(waveform, training=False))

        archive.add_endpoint(SignatureContract.name, predict, input_signature=[spec])
        with quiet():
            archive.write_out(folder, verbose=False)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SignatureContract.name])
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            try:
                return converter.convert()
            except Exception as error:  # ConverterError, or whatever MLIR raises
                raise ModelError(f"the graph does not convert to TFLite builtins: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if "op" in line.lower()]
    return (lines or str(error).splitlines() or [type(error).__name__])[0][:300]
