"""Keras network -> TFLite graph from raw waveform to [valence, arousal], front end inside."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ..audio.mel import log_mel
from ..contract import MEL, WINDOW_SAMPLES, MelSpec, SignatureContract, StreamContract
from ..errors import ModelError
from ..layers.deviation import StandardDeviation
from ..layers.domain import DomainDistance, lag_of
from ..layers.logmel import LogMel, floored
from ..layers.musicnn_mel import MusicnnDecibels, MusicnnMel
from ..terminal import quiet
from . import scopes

if TYPE_CHECKING:
    from ..training.deviation import Deviation

DISTANCE = "domain_distance"
DEVIATION = "valence_arousal_std"
FRONT_END = "front_end"
MEL_INSIDE = "mel"


def waveform_model(
    network: keras.Model,
    *,
    spec: MelSpec = MEL,
    domain: tuple[np.ndarray, np.ndarray] | None = None,
    deviation: Deviation | None = None,
    transform: str = "fft",
) -> keras.Model:
    """Waveform `(batch, 661500)` -> {"valence_arousal": (batch, 2)[, "domain_distance": (batch,)]
    [, "valence_arousal_std": (batch, 2)]}.

    Args:
        network: log-mel `(batch, 128, 1292, 1)` -> `(batch, 2)`.
        domain: mean and std of `DomainDistance`, or None.
        deviation: what the network's run has learnt of its errors, or None.
        transform: of the front end, see `LogMel`; `fft` is what training used, `matmul` what is exported.

    Raises: ModelError if the network's input or output is another.
    """
    expected = (None, spec.n_mels, spec.frames(WINDOW_SAMPLES), 1)
    if tuple(network.input_shape) != expected or tuple(network.output_shape) != (None, 2):
        raise ModelError(
            f"expected a network {expected} -> (None, 2), received {network.input_shape} -> {network.output_shape}"
        )
    waveform = keras.Input((WINDOW_SAMPLES,), name=SignatureContract.input)
    mel = LogMel(spec, transform, name=FRONT_END)(waveform)
    outputs = _answers(network, deviation, mel)
    if domain is not None:
        outputs[DISTANCE] = DomainDistance(*domain, name=DISTANCE)(mel)
    return keras.Model(waveform, outputs, name="predict")


def hearing_model(
    network: keras.Model,
    samples: int,
    *,
    domain: tuple[np.ndarray, np.ndarray] | None = None,
    deviation: Deviation | None = None,
) -> keras.Model:
    """As `waveform_model`, of a network that takes sound itself, `(batch, samples)` -> `(batch, 2)`.

    Raises: ModelError if the network's input or output is another, or it has a domain and makes no mel itself.
    """
    expected = (None, samples)
    if tuple(network.input_shape) != expected or tuple(network.output_shape) != (None, 2):
        raise ModelError(
            f"expected a network {expected} -> (None, 2), received {network.input_shape} -> {network.output_shape}"
        )
    waveform = keras.Input((samples,), name=SignatureContract.input)
    if domain is None:
        return keras.Model(waveform, _answers(network, deviation, waveform), name="predict")
    front = next((layer for layer in network.layers if isinstance(layer, MusicnnMel)), None)
    if front is None:
        raise ModelError(f"expected a network that makes a mel itself, received {network.name}; leave the domain out")
    outputs = _answers(network, deviation, waveform, front.output)
    mel = MusicnnDecibels(name="decibels")(outputs.pop(MEL_INSIDE))
    outputs[DISTANCE] = DomainDistance(*domain, lag=lag_of(front.spec), name=DISTANCE)(mel)
    return keras.Model(waveform, outputs, name="predict")


def _answers(network: keras.Model, deviation: Deviation | None, x, mel=None) -> dict[str, Any]:
    """Outputs of the network; the deviation stands outside it, in float whatever the network is quantised to.

    With `mel`, a tensor inside the network, its value is another one, `MEL_INSIDE`.
    """
    inside = {SignatureContract.output: network.output}
    if deviation is not None:
        from ..training.deviation import before_head

        inside[DEVIATION] = before_head(network)
    if mel is not None:
        inside[MEL_INSIDE] = mel
    if len(inside) == 1:
        return {SignatureContract.output: network(x)}
    # Inside the name of the network, by which the file's operators are found.
    found = dict(zip(inside, keras.Model(network.input, [*inside.values()], name=network.name)(x), strict=True))
    if deviation is not None:
        found[DEVIATION] = deviation.layer(name=DEVIATION)(found[DEVIATION])
    return found


Entry = tuple[str, tuple[int, ...], Callable[..., dict[str, Any]]]


def entries(model: keras.Model) -> dict[str, Entry]:
    """Signature -> (name of its input, shape of one, function), of a model of this module.

    Beside `predict`, where the mel is made outside the network: `front_end`, a second of a stream to frames that are
    neither padded nor floored, and `network`, the frames of a window to the answers.  The second of the first is
    `predict`; weights are in the file once.
    """
    name = SignatureContract.name
    whole: dict[str, Entry] = {
        name: (SignatureContract.input, model.input_shape[1:], lambda x: dict(model(x, training=False)))
    }
    front = next((layer for layer in model.layers if isinstance(layer, LogMel)), None)
    if front is None:
        return whole
    network = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    distance = next((layer for layer in model.layers if isinstance(layer, DomainDistance)), None)
    deviation = next((layer for layer in model.layers if isinstance(layer, StandardDeviation)), None)
    spec = front.spec

    def network_of(log_mel):
        mel = floored(log_mel, spec.top_db)
        found = network(mel, training=False)
        answers, features = found if deviation else (found, None)
        outputs = {SignatureContract.output: answers}
        if deviation:
            outputs[DEVIATION] = deviation(features)
        return outputs if distance is None else {**outputs, DISTANCE: distance(mel)}

    stream = StreamContract()
    frames = (1, spec.n_mels, spec.frames(WINDOW_SAMPLES), 1)
    return {
        **whole,
        stream.front_end: (
            stream.samples_name,
            (stream.samples(spec),),
            lambda x: {stream.mel_name: front.decibels(x)},
        ),
        stream.network: (stream.mel_name, frames[1:], network_of),
    }


def front_end(model: keras.Model) -> Callable[[np.ndarray], np.ndarray] | None:
    """`f(waveform) -> log-mel (128, 1292, 1)` of a model of this module; None where the network has its own."""
    layer = next((layer for layer in model.layers if isinstance(layer, LogMel)), None)
    return None if layer is None else lambda waveform: log_mel(waveform, spec=layer.spec)[..., None]


def archive(functions: Mapping[str, Any], folder: str) -> None:
    """Write `tf.function`s with an input signature as SavedModel, by signature, without what training would need."""
    import tensorflow as tf

    # A Keras 3 model inside a plain tf.Module would export READ_VARIABLE ops and answer noise.  It is not tracked: the
    # archive finds the variables that its functions read, and would write those of a tracked model a second time.
    written = keras.export.ExportArchive()
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with quiet():
        for name, function in functions.items():
            function.get_concrete_function()  # or the archive would trace it once for each of its own purposes
            written.add_endpoint(name, function)
        written.write_out(folder, options=options, verbose=False)


def to_tflite(model: keras.Model) -> bytes:
    """Float TFLite flatbuffer of a model of this module: builtin operators only, signatures as in `entries`.

    Raises: ModelError naming the operators, and their layers, if the graph needs any that TFLite's builtins lack.
    """
    import tensorflow as tf

    functions = {}
    for name, (argument, shape, function) in entries(model).items():
        spec = tf.TensorSpec((1, *shape), tf.float32, name=argument)
        functions[name] = tf.function(function, input_signature=[spec], autograph=False)
    with tempfile.TemporaryDirectory() as folder:
        archive(functions, folder)
        with quiet():
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(functions))
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            try:
                return converter.convert()
            except Exception as error:  # ConverterError, or whatever MLIR raises
                raise ModelError(f"the graph does not convert to TFLite builtins: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if missing := scopes.missing(str(error)):
        said = ", ".join(f"{op} in layer {layer}" for op, layer in missing)
        return f"they lack {said}; build that layer of other operations"
    lines = [line.strip() for line in str(error).splitlines() if "op" in line.lower()]
    return (lines or str(error).splitlines() or [type(error).__name__])[0][:300]
