"""Post-training quantisation of the network behind a float mel front end.

INT8 over the whole graph destroys the answer, because a power spectrum spans ten decades.  So what is
quantised is named here, by the scope of the tensors: the network, and in it nothing before the normalised mel.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..contract import SignatureContract
from ..errors import ModelError
from ..runtime.flatbuffer import Structure, structure
from ..terminal import quiet
from . import scopes

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
# Between convolutions these stay INT8, where all they take is: they choose, move or add what is INT8 already.
FLOWING = (
    "ADD",
    "AVERAGE_POOL_2D",
    "CONCATENATION",
    "HARD_SWISH",
    "LOGISTIC",  # of SiLU
    "MAX_POOL_2D",
    "MUL",
    "PAD",
    "RELU",
    "RESHAPE",
    "RESIZE_NEAREST_NEIGHBOR",
    "STRIDED_SLICE",
    "TRANSPOSE",
)
QUANTIZATIONS = ("none", "float16", "dynamic", "int8")
ENGINES = ("ai-edge", "converter")
# Regular expressions for names of layers that are never quantised: dB, statistics and pictures of them.
FLOAT_LAYERS = (
    "normalize",
    "clip_zscore",
    "band_statistics",
    "statistics_[a-z0-9]+",
    "pairs",
    "resize",
    "musicnn_mel",  # a front end inside the network
)
NETWORK = "network"  # signature of a file that also takes log-mels


def quantize(
    model: bytes,
    kind: str,
    *,
    scope: str,
    representative: Iterable[np.ndarray] = (),
    front_end: Callable[[np.ndarray], np.ndarray] | None = None,
    float_layers: Sequence[str] = (),
    only_layers: Sequence[str] | None = None,
    ranges: dict[str, Any] | None = None,
    engine: str = "",
) -> bytes:
    """Quantise a float model of `graph.to_tflite`.

    Args:
        kind: `none`; `float16` weights; `dynamic`: INT8 weights per channel, activations quantised
            while running; `int8`: convolutions INT8 in and out, with weights per channel, ranges from
            `representative`, and what lies between them INT8 too (`FLOWING`); dense layers as in `dynamic`.
            Softmax and LayerNorm stay float: with them in INT8 too a transformer may lose its answer.
        scope: name of the network inside the graph; everything outside stays float.
        representative: waveforms float32 `(661500,)` of the training part, for `int8`.
        front_end: waveform -> log-mel `(128, 1292, 1)`; needed for `int8` where the model has a signature `network`.
        float_layers: names of Keras layers that stay float, or regular expressions for whole names.
        only_layers: the only layers that may be quantised; None: all.
        ranges: what `measure` found, instead of `representative`, to quantise one model several times.
        engine: one of `ENGINES`; "": `ai-edge`.  `converter` is TFLite's own quantiser, for `int8` only, which
            takes every operator of the network into INT8: for networks of convolutions, ReLU and dense layers.

    Raises: ModelError for an unknown kind, engine or layer, or for int8 without any representative waveform.
    """
    if kind not in QUANTIZATIONS:
        raise ModelError(f"expected quantization one of {', '.join(QUANTIZATIONS)}, received {kind!r}")
    engine = engine or ENGINES[0]
    if engine not in ENGINES:
        raise ModelError(f"expected engine one of {', '.join(ENGINES)}, received {engine!r}")
    if engine == "converter" and kind != "int8":
        raise ModelError(f"engine converter: expected int8, received {kind}, where it cannot spare the front end")
    if kind == "none":
        return model
    waveforms = [np.asarray(w, np.float32) for w in representative]
    if kind == "int8" and not waveforms and (ranges is None or engine == "converter"):
        raise ModelError("int8 needs representative music to measure activations, received none; give --data")
    graph = structure(model)
    left = scopes.within(scope, spared(graph, scope, float_layers, only_layers))
    if engine == "converter":
        return _by_converter(model, graph, scope, left, _samples(graph, waveforms, front_end))
    if kind == "int8" and ranges is None:
        ranges = measure(model, waveforms, scope=scope, front_end=front_end)
    return _by_ai_edge(model, graph, kind, scope=scope, left=left, ranges=ranges)


def spared(
    graph: Structure, scope: str, float_layers: Sequence[str] = (), only_layers: Sequence[str] | None = None
) -> list[str]:
    """Regular expressions for the names of all layers that stay float; see `quantize`.  Raises: ModelError."""
    known = scopes.layers(graph, scope)
    found = [*FLOAT_LAYERS, *scopes.chosen(known, float_layers)]
    if only_layers is not None:
        # A layer alone takes along what is fused with it.
        texts = [scopes.names_of(part, op) for part in graph.subgraphs for op in part.operators]
        operators = [scopes.layers_of(text, scope) for text in texts]
        fused = {name for names in operators if names and names[0] in only_layers for name in names}
        found += [re.escape(name) for name in known if name not in fused]
    return found


def measure(
    model: bytes,
    waveforms: Sequence[np.ndarray],
    *,
    scope: str,
    front_end: Callable[[np.ndarray], np.ndarray] | None = None,
) -> dict[str, Any]:
    """Smallest and largest value of every tensor over all `waveforms`, for `quantize`.  Arguments as there."""
    from ai_edge_quantizer import calibrator, recipe_manager
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    graph = structure(model)
    twins = _twins(graph, scope)
    samples = _samples(graph, waveforms, front_end)
    if twins:  # the front end need not be measured, and is most of the work
        samples = {NETWORK: samples[NETWORK]}
    # The library's default is a moving average that hardly leaves the first window's range: ten times the error.
    # And where it keeps all tensors instead, those inside a recurrence's loop are gone.
    mode = calibrator.CalibrationMode.CALIBRATION_PROFILER_BASED
    with quiet(), _expected_warnings():
        work = calibrator.Calibrator(model, num_threads=1, mode=mode, qsv_update_func=min_max_update)
        work.calibrate(samples, recipe_manager.RecipeManager())
    ranges = work.get_model_qsvs()
    return ranges | {other: ranges[name] for name, other in twins.items() if name in ranges}


def learnt_ranges(model: bytes, learnt: Mapping[str, tuple[float, float]], *, scope: str) -> dict[str, Any]:
    """Ranges, as of `measure`, of the tensors behind layers whose ranges training has learnt.

    Args:
        learnt: smallest and largest value that operators give, by the layer they are called after, see
            `training.quantize_aware.plain`.  A range without width, behind a layer that has died, is left to `measure`:
            XNNPACK takes no scale of 0.

    Raises: ModelError for a layer that the graph does not know.
    """
    learnt = {name: (low, high) for name, (low, high) in learnt.items() if high > low}
    found: dict[str, Any] = {}
    seen: set[str] = set()
    for part in structure(model).subgraphs:
        ends: dict[str, Sequence[int]] = {}  # of operators of one layer, the last makes what it gives
        for op in part.operators:
            # Others may be in the name, too: equal constants of several layers are one.
            name = next(iter(scopes.layers_of(scopes.names_of(part, op), scope)), "")
            if name in learnt:
                ends[name] = op.outputs
        for name, outputs in ends.items():
            low, high = (np.array([bound], np.float32) for bound in learnt[name])
            found |= {part.tensors[i].name: {"min": low, "max": high} for i in outputs}
        seen |= ends.keys()
    if missing := [name for name in learnt if name not in seen]:
        raise ModelError(
            f"expected the graph to keep layer {missing[0]}, whose range was learnt, received one without; "
            "train it again with this version"
        )
    return found


def _twins(graph: Structure, scope: str) -> dict[str, str]:
    """Tensor of `network` -> the same one of `predict`, which need not be measured again; {} if the graphs differ."""
    if not {SignatureContract.name, NETWORK} <= graph.signatures.keys():
        return {}
    inside = re.compile(scopes.within(scope))
    parts = [graph.subgraphs[graph.signatures[name].subgraph] for name in (NETWORK, SignatureContract.name)]
    ways = [[op for op in part.operators if inside.search(scopes.names_of(part, op))] for part in parts]
    if [op.name for op in ways[0]] != [op.name for op in ways[1]]:
        return {}
    found: dict[str, str] = {}
    for one, other in zip(*ways, strict=True):
        pairs = zip((*one.inputs, *one.outputs), (*other.inputs, *other.outputs), strict=True)
        found |= {parts[0].tensors[i].name: parts[1].tensors[j].name for i, j in pairs if i >= 0}
    return found


def integer_operators(graph: Structure, scope: str, left: str) -> list[tuple[str, str]]:
    """Operators that `int8` keeps in INT8, by builtin name and names of outputs.

    Convolutions, and of `FLOWING` what takes nothing but INT8 and constants; none in the bodies of loops.
    """
    inside = scopes.within(scope)
    found = []
    for signature in graph.signatures.values():
        part = graph.subgraphs[signature.subgraph]
        given = {t.name for t in signature.inputs.values()}
        made = {i for op in part.operators for i in op.outputs} | {
            i for i, tensor in enumerate(part.tensors) if tensor.name in given
        }
        integer: set[int] = set()
        for op in part.operators:
            text = scopes.names_of(part, op)
            if not re.search(inside, text) or re.search(left, text):
                continue
            inputs = made.intersection(op.inputs)
            # ai-edge-quantizer cannot give a constant, such as a class token, the range of what it is joined with.
            if op.name == "CONCATENATION" and len(inputs) < len(set(op.inputs)):
                continue
            if op.name in CONVOLUTIONS or (op.name in FLOWING and inputs and inputs <= integer):
                integer |= set(op.outputs)
                found.append((op.name, text))
    return found


def _samples(
    graph: Structure, waveforms: Sequence[np.ndarray], front_end: Callable[[np.ndarray], np.ndarray] | None
) -> dict[str, list[dict[str, np.ndarray]]]:
    """Signature -> inputs: each signature has a subgraph of its own, whose activations are measured by themselves."""
    found = {SignatureContract.name: [{SignatureContract.input: w[None]} for w in waveforms]}
    if NETWORK in graph.signatures:
        if front_end is None:
            raise ModelError(f"signature {NETWORK}: expected a front end to make its log-mels, received none")
        (name,) = graph.signatures[NETWORK].inputs
        found[NETWORK] = [{name: np.asarray(front_end(w), np.float32)[None]} for w in waveforms]
    return found


def _by_ai_edge(
    model: bytes,
    graph: Structure,
    kind: str,
    *,
    scope: str,
    left: str,
    ranges: dict[str, Any] | None,
) -> bytes:
    from ai_edge_quantizer import qtyping, quantizer
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    work = quantizer.Quantizer(bytearray(model))
    operation = qtyping.TFLOperationName
    network = scopes.within(scope)
    if kind == "float16":
        half = qtyping.OpQuantizationConfig(
            weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        )
        for name in ("FULLY_CONNECTED", *CONVOLUTIONS):
            work.update_quantization_recipe(network, operation[name], half, AlgorithmName.FLOAT_CASTING)
    elif kind == "dynamic":
        work.add_dynamic_config(network, operation.ALL_SUPPORTED, num_bits=8)
    else:
        work.add_dynamic_config(network, operation.FULLY_CONNECTED, num_bits=8)
        for name, names in integer_operators(graph, scope, left):
            exact = f"^{re.escape(names)}$"
            work.add_static_config(exact, operation[name], activation_num_bits=8, weight_num_bits=8)
    work.update_quantization_recipe(left, operation.ALL_SUPPORTED, algorithm_key=AlgorithmName.NO_QUANTIZE)
    try:
        with quiet(), _expected_warnings(), contextlib.redirect_stdout(io.StringIO()):  # it prints sizes
            result = work.quantize(ranges if kind == "int8" else None)
    except (ValueError, RuntimeError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(f"engine ai-edge cannot quantise this network ({reason}); choose another --quantize") from None
    if result.quantized_model is None:
        raise ModelError(f"ai-edge-quantizer gave no model for {kind!r}")
    return bytes(result.quantized_model)


def _by_converter(
    model: bytes, graph: Structure, scope: str, left: str, samples: dict[str, list[dict[str, np.ndarray]]]
) -> bytes:
    """TFLite's own quantiser on a finished graph: it can be told by name which operators to leave alone."""
    if any(op.name == "WHILE" for part in graph.subgraphs for op in part.operators):  # it would end the process
        raise ModelError("engine converter cannot quantise recurrent networks; use engine ai-edge")
    from tensorflow.lite.python import convert
    from tensorflow.lite.python.optimize import calibrator

    inside = scopes.within(scope)
    names = [part.tensors[i].name for part in graph.subgraphs for op in part.operators for i in op.outputs]
    outside = [name for name in names if not re.search(inside, name) or re.search(left, name)]

    def windows():
        for signature, inputs in samples.items():
            yield from ((signature, one) for one in inputs)

    try:
        with quiet(), _expected_warnings():
            measured = _only_ranges_of(calibrator.Calibrator(model).calibrate(windows), set(outside))
            return bytes(convert.mlir_quantize(measured, denylisted_nodes=outside))
    except (ValueError, RuntimeError, convert.ConverterError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(f"engine converter cannot quantise this network ({reason}); use engine ai-edge") from None


def _only_ranges_of(measured: bytes, outside: set[str]) -> bytes:
    """A measured model without the ranges that only operators outside have.

    The quantiser leaves these operators in float, but takes what has a range through INT8 in front of their slices
    all the same: a power spectrum, too.
    """
    from tensorflow.lite.tools import flatbuffer_utils

    tree = flatbuffer_utils.read_model_from_bytearray(bytearray(measured))
    for graph in tree.subgraphs:
        names = [(tensor.name or b"").decode() for tensor in graph.tensors]
        inside = [op for op in graph.operators if not outside.issuperset(names[i] for i in op.outputs)]
        used = {i for op in inside for i in (*op.inputs, *op.outputs)}
        for i, tensor in enumerate(graph.tensors):
            if i not in used:
                tensor.quantization = None
    return bytes(flatbuffer_utils.convert_object_to_bytearray(tree))


@contextlib.contextmanager
def _expected_warnings() -> Iterator[None]:
    """What the quantisers know and do all the same."""
    log = logging.getLogger()
    level = log.level
    with warnings.catch_warnings():
        # All tensors are kept on purpose; LiteRT warns of the memory that takes.
        warnings.filterwarnings("ignore", message="(?s).*experimental_preserve_all_tensors.*")
        # TFLite's own interpreter, which its quantiser uses itself.
        warnings.filterwarnings("ignore", message=r"(?s).*tf\.lite\.Interpreter is deprecated.*")
        # Signatures share weights, and ai-edge-quantizer says so of each that it has quantised before.
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)
