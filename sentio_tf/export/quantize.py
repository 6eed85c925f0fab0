"""Post-training quantisation of the network behind a float mel front end (ai-edge-quantizer).

INT8 over the whole graph destroys the answer, because a power spectrum spans ten decades.  So the
recipes here name what they quantise, by the scope of the tensors: the network, and in it nothing before
the normalised mel.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator

import numpy as np

from ..contract import SignatureContract
from ..errors import ModelError
from ..terminal import quiet

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
QUANTIZATIONS = ("none", "float16", "dynamic", "int8")
FLOAT_LAYERS = ".*/(normalize|clip_zscore|band_statistics|statistics_[a-z0-9]+|pairs|resize)(_[0-9]+)?/.*"


def quantize(model: bytes, kind: str, *, scope: str, representative: Iterable[np.ndarray] = ()) -> bytes:
    """Quantise a float model of `graph.to_tflite`.

    Args:
        kind: `none`; `float16` weights; `dynamic`: INT8 weights per channel, activations quantised
            while running; `int8`: convolutions INT8 in and out, ranges from `representative`, dense
            layers as in `dynamic`, and float between them.  With SiLU, softmax and LayerNorm in INT8
            too the answer is lost.
        scope: name of the network inside the graph; everything outside stays float.
        representative: waveforms float32 `(661500,)` of the training part, for `int8`.

    Raises: ModelError for an unknown kind, or for int8 without any representative waveform.
    """
    if kind == "none":
        return model
    if kind not in QUANTIZATIONS:
        raise ModelError(f"expected quantization one of {', '.join(QUANTIZATIONS)}, received {kind!r}")
    samples = [{SignatureContract.input: np.asarray(w, np.float32)[None]} for w in representative]
    if kind == "int8" and not samples:
        raise ModelError("int8 needs representative music to measure activations, received none; give --data")
    from ai_edge_quantizer import qtyping, quantizer
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    work = quantizer.Quantizer(bytearray(model))
    everything = qtyping.TFLOperationName.ALL_SUPPORTED
    network = f".*/{scope}(_[0-9]+)?/.*"
    calibration = None
    if kind == "float16":
        half = qtyping.OpQuantizationConfig(
            weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        )
        for operation in ("FULLY_CONNECTED", *CONVOLUTIONS):
            work.update_quantization_recipe(
                network, qtyping.TFLOperationName[operation], half, AlgorithmName.FLOAT_CASTING
            )
    elif kind == "dynamic":
        work.add_dynamic_config(network, everything, num_bits=8)
    else:
        for operation in CONVOLUTIONS:
            work.add_static_config(
                network, qtyping.TFLOperationName[operation], activation_num_bits=8, weight_num_bits=8
            )
        work.add_dynamic_config(network, qtyping.TFLOperationName.FULLY_CONNECTED, num_bits=8)
    work.update_quantization_recipe(FLOAT_LAYERS, everything, algorithm_key=AlgorithmName.NO_QUANTIZE)
    if kind == "int8":
        with quiet(), _expected_warnings():
            calibration = work.calibrate({SignatureContract.name: samples})
    with quiet(), _expected_warnings(), contextlib.redirect_stdout(io.StringIO()):  # it prints sizes
        result = work.quantize(calibration)
    if result.quantized_model is None:
        raise ModelError(f"ai-edge-quantizer gave no model for {kind!r}")
    return bytes(result.quantized_model)


@contextlib.contextmanager
def _expected_warnings() -> Iterator[None]:
    """The quantizer keeps all tensors on purpose; LiteRT warns of the memory that takes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*experimental_preserve_all_tensors.*")
        yield
