"""Keras waveform model -> ONNX for servers and the web: standard operators, front end inside, card in the metadata.

The way is TensorFlow's graph and tf2onnx, Keras' own way.  What tf2onnx lacks is added here: the real FFT of
`keras.ops.stft` becomes products of matrices, which run on every backend of onnxruntime, on its web build, too.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..contract import METADATA_NAME, Card, SignatureContract
from ..errors import ModelError
from ..terminal import quiet
from .runner import Runner, outputs_of

OPSET = 17  # onnxruntime 1.12 of 2022 knows it
STANDARD = ("", "ai.onnx")  # two names of one domain
NO_CARD = (
    f"expected a model with a card (metadata entry {METADATA_NAME}), received one without; "
    "export it with sentio-tf export"
)


def to_onnx(model: keras.Model, card: Card | None = None) -> bytes:
    """ONNX model of a waveform model: waveform `(1, samples)` -> valence_arousal `(1, 2)` and what else it has.

    Args:
        model: of `graph.waveform_model`, or any of the same input and outputs.
        card: goes into `metadata_props` as `sentio.json`; see `embed` to add it later.

    Raises: ModelError without the extra `onnx`, for another model or card, and naming operators and nodes where the
        graph needs any that ONNX lacks.
    """
    outputs = outputs_of(model, card)
    need("tf2onnx")
    need("onnx")
    proto = _convert(model, outputs)
    if missing := foreign(proto):
        said = ", ".join(f"{op} in {node}" for op, node in missing[:3]) + (" ..." if len(missing) > 3 else "")
        raise ModelError(
            f"expected operators of ONNX (opset {OPSET}), received {said}; build that layer of other operations"
        )
    content: bytes = proto.SerializeToString()
    return content if card is None else embed(content, card)


def embed(content: bytes, card: Card) -> bytes:
    """The ONNX model with `card` as metadata entry `sentio.json`, replacing any it had.  Raises: ModelError."""
    proto = _parse(content)
    kept = [(entry.key, entry.value) for entry in proto.metadata_props if entry.key != METADATA_NAME]
    del proto.metadata_props[:]
    for key, value in [*kept, (METADATA_NAME, card.to_json())]:
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    return bytes(proto.SerializeToString())


def read_card(content: bytes) -> Card:
    """The card of an ONNX model.  Raises: ModelError if the bytes are none, or hold no card that can be used."""
    for entry in _parse(content).metadata_props:
        if entry.key == METADATA_NAME:
            return Card.from_json(entry.value)
    raise ModelError(NO_CARD)


class OnnxRunner(Runner):
    """An ONNX model in onnxruntime on the CPU, called like `runtime.engine.Engine`.

    Args:
        source: the file, or its content.
        threads: within an operator.

    Raises: ModelError without the extra `onnx`, if the file cannot be read, is no ONNX model, has no card that can be
        used, or its inputs and outputs are not those of the card.
    """

    def __init__(self, source: str | Path | bytes, *, threads: int = 1):
        onnxruntime = need("onnxruntime")
        name = "model" if isinstance(source, bytes) else str(source)
        if isinstance(source, bytes):
            content = source
        else:
            try:
                content = Path(source).read_bytes()
            except OSError as error:
                raise ModelError(f"{name}: the model cannot be read ({error.strerror}); check the name") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4  # what is wrong is raised
        try:
            with quiet():
                self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's have no base of their own
            raise ModelError(f"{name}: the model does not load ({_line(error)}); export it again") from None
        raw = self._session.get_modelmeta().custom_metadata_map.get(METADATA_NAME)
        try:
            if raw is None:
                raise ModelError(NO_CARD)
            card = Card.from_json(raw)
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from None
        inputs = {i.name: i.shape for i in self._session.get_inputs()}
        outputs = {o.name: o.shape for o in self._session.get_outputs()}
        super().__init__(name, card, inputs, outputs)
        self._outputs = list(outputs)

    def _run(self, batch):
        return dict(zip(self._outputs, self._session.run(None, {self.card.signature.input: batch}), strict=True))


def need(module: str) -> Any:
    """A module of the extra `onnx`.  Raises: ModelError with the install line if it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ModelError(f"ONNX needs {module}; install it with: pip install 'sentio-tf[onnx]'") from None


def foreign(proto: Any) -> list[tuple[str, str]]:
    """Operators, each with its node, that the standard domain of ONNX lacks; nodes are named as Keras' layers."""
    defs = need("onnx").defs

    def walk(graph) -> Iterator[tuple[str, str]]:
        for node in graph.node:
            if node.domain not in STANDARD:
                yield f"{node.domain}.{node.op_type}", node.name
            elif not defs.has(node.op_type, OPSET, ""):
                yield node.op_type, node.name
            for attribute in node.attribute:
                for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                    yield from walk(inner)

    return list(dict.fromkeys(walk(proto.graph)))


def _convert(model: keras.Model, outputs: list[str]) -> Any:
    """The graph as tf2onnx sees it, an `onnx.ModelProto`; operators that it does not know stay in it."""
    import tensorflow as tf

    # As `tf2onnx.convert.from_function`, which would make tensors that a layer captured inputs of the model, and
    # copies the graph before every optimisation.
    with quiet(), _silent("tf2onnx"):
        from tf2onnx import optimizer, tf_loader, tfonnx

        spec = tf.TensorSpec((1, model.input_shape[1]), tf.float32, name=SignatureContract.input)

        def predict(waveform):
            answer = model(waveform, training=False)
            return dict(answer) if isinstance(answer, dict) else {SignatureContract.output: answer}

        function = tf.function(predict, input_signature=[spec], autograph=False).get_concrete_function()
        source = [function.inputs[0].name]  # what follows was captured
        # Flat outputs are in the order of the dictionary's sorted names.
        names = sorted(function.structured_outputs)
        targets = dict(zip(names, (tensor.name for tensor in function.outputs), strict=True))
        renamed = {source[0]: spec.name, **{tensor: name for name, tensor in targets.items()}}
        try:
            with tf.device("/cpu:0"):
                ends = list(targets.values())
                frozen = tf_loader.from_function(function, source, ends)
                with tf.Graph().as_default():
                    frozen = tf_loader.tf_optimize(source, ends, _inlined(frozen))
                with tf.Graph().as_default() as graph:
                    tf.import_graph_def(frozen, name="")
                    converted = tfonnx.process_tf_graph(
                        graph,
                        opset=OPSET,
                        custom_op_handlers=dict(HANDLERS),
                        input_names=source,
                        output_names=[targets[name] for name in outputs],
                        tensors_to_rename=renamed,
                        continue_on_error=True,
                    )
                    proto = optimizer.optimize_graph(converted, catch_errors=False).make_model(model.name)
        except Exception as error:  # whatever a handler or an optimisation raises
            raise ModelError(f"the graph does not convert to ONNX: {_line(error)}") from error
    for unused in [o for o in proto.opset_import if o.domain not in STANDARD]:
        proto.opset_import.remove(unused)
    return proto


def _inlined(frozen: Any) -> Any:
    """A graph whose functions may all be inlined: Keras keeps convolutions in groups for a compiler of its own."""
    for part in [*frozen.node, *frozen.library.function]:
        for mark in [key for key in part.attr if key in ("_XlaMustCompile", "_noinline")]:
            del part.attr[mark]
    return frozen


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """Hold a logger back: what it says of operators is raised as one line."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _parse(content: bytes) -> Any:
    onnx = need("onnx")
    try:
        proto = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's DecodeError; onnx must not say which protobuf
        raise ModelError(f"expected an ONNX model, received other bytes ({_line(error)})") from None
    if not proto.graph.node:
        raise ModelError("expected an ONNX model, received one without a graph")
    return proto


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


# Operators that tf2onnx lacks.  A complex tensor (..., n) is a real one here, (..., 2, n).


def _rfft(graph, node, name, args) -> None:
    """RFFT of N = first * second samples by Cooley and Tukey (1965), as two products with small matrices.

    With n = second * n1 + n2 and k = k1 + first * k2,
    X[k] = sum_n2 W_N^(n2 k1) W_second^(n2 k2) (sum_n1 W_first^(n1 k1) x[n]),  W_N = exp(-2 pi i / N).
    """
    samples = graph.get_shape(node.input[0])
    size = int(np.reshape(graph.get_node_by_output(node.input[1]).get_tensor_value(as_list=False), -1)[0])
    readers = {reader.type for reader in graph.find_output_consumers(node.output[0])}
    if not readers <= {"Real", "Imag"} or samples is None or -1 in samples or samples[-1] != size:
        raise ValueError(f"expected Real and Imag of a spectrum of {samples}. Received: {readers}, {size}")
    first = next(d for d in range(int(size**0.5), 0, -1) if size % d == 0)
    second, bins = size // first, size // 2 + 1
    count = (bins - 1) // first + 1  # k2 that are wanted
    k1, n2, k2 = np.arange(first), np.arange(second), np.arange(count)
    inner = np.exp(-2j * np.pi * np.outer(k1, k1) / first)  # (n1, k1)
    twiddle = np.exp(-2j * np.pi * np.outer(n2, k1) / size)  # (n2, k1)
    outer = np.exp(-2j * np.pi * np.outer(k2, n2) / second)  # (k2, n2)
    outer = np.block([[outer.real, -outer.imag], [outer.imag, outer.real]])

    lead = samples[:-1]
    rows = int(np.prod(lead))
    make = _maker(graph, node)
    x = make("Reshape", [node.input[0], np.array([rows, first, second])], [rows, first, second])
    x = make("Transpose", [x], [rows, second, first], perm=[0, 2, 1])
    part = [rows, second, first]
    real, imag = make("MatMul", [x, inner.real], part), make("MatMul", [x, inner.imag], part)

    def times(a, b):
        return make("Mul", [a, b], part)

    turned = [
        make("Sub", [times(real, twiddle.real), times(imag, twiddle.imag)], part),
        make("Add", [times(real, twiddle.imag), times(imag, twiddle.real)], part),
    ]
    x = make("Concat", turned, [rows, 2 * second, first], axis=1)
    x = make("MatMul", [outer, x], [rows, 2 * count, first])
    x = make("Reshape", [x, np.array([*lead, 2, count * first])], [*lead, 2, count * first])
    ends = [np.array([value]) for value in (0, bins, len(lead) + 1)]
    make("Slice", [x, *ends], [*lead, 2, bins], last=True)


def _real(graph, node, name, args) -> None:
    _gather(graph, node, 0)


def _imag(graph, node, name, args) -> None:
    _gather(graph, node, 1)


def _gather(graph, node, index: int) -> None:
    shape = graph.get_shape(node.output[0])
    _maker(graph, node)("Gather", [node.input[0], np.array(index)], shape, last=True, axis=len(shape) - 1)


def _erfc(graph, node, name, args) -> None:
    """1 - erf(x): exact enough for GELU, which multiplies it by x."""
    shape = graph.get_shape(node.output[0])
    make = _maker(graph, node)
    make("Sub", [np.array(1.0), make("Erf", [node.input[0]], shape)], shape, last=True)


HANDLERS: dict[str, tuple[Callable[..., None], list[str]]] = {
    "RFFT": (_rfft, []),
    "Real": (_real, []),
    "Imag": (_imag, []),
    "Erfc": (_erfc, []),
}


def _maker(graph, node):
    """`make(op, inputs, shape, last=False, **attributes)` adds float operators in place of `node`.

    Inputs are names of tensors or arrays, which become constants; `last` gives `node`'s own output.
    """
    from onnx import TensorProto

    graph.remove_node(node.name)
    made = iter(range(1000))

    def make(op: str, inputs: list[Any], shape: list[int], last: bool = False, **attributes) -> str:
        def tensor(value) -> str:
            if isinstance(value, str):
                return value
            kind = np.int64 if value.dtype.kind == "i" else np.float32
            return str(graph.make_const(f"{node.name}/const{next(made)}", value.astype(kind)).output[0])

        here = {"name": node.name, "outputs": [node.output[0]]} if last else {"name": f"{node.name}/{next(made)}"}
        added = graph.make_node(
            op, [tensor(v) for v in inputs], attr=attributes, shapes=[shape], dtypes=[TensorProto.FLOAT], **here
        )
        return str(added.output[0])

    return make
