"""Models of four operators, made without TensorFlow: what is tested is the way around a network."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from sentio_tf.contract import Card, SignatureContract
from sentio_tf.export.card import embed
from sentio_tf.runtime.flatbuffer import UNSEALED, minimum_runtime, seal
from sentio_tf.runtime.golden import golden_waveform, sha256

SAMPLES = 661_500
OPERATOR = schema.BuiltinOperator
FLOAT, INT = schema.TensorType.FLOAT32, schema.TensorType.INT32


class Builder:
    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes, self.model.subgraphs, self.model.signatureDefs = [], [], []
        self.model.buffers = [schema.BufferT()]
        self.model.metadata = []

    def buffer(self, content: bytes) -> int:
        buffer = schema.BufferT()
        buffer.data = list(content)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def code(self, builtin: int, custom: str = "") -> int:
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
        code.customCode = custom or None
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def graph(self, signature: str, inputs: dict[str, int], outputs: dict[str, int], tensors, operators) -> None:
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = tensors, operators
        graph.inputs, graph.outputs = list(inputs.values()), list(outputs.values())
        definition = schema.SignatureDefT()
        definition.signatureKey, definition.subgraphIndex = signature, len(self.model.subgraphs)
        definition.inputs = [named(n, i) for n, i in inputs.items()]
        definition.outputs = [named(n, i) for n, i in outputs.items()]
        self.model.subgraphs.append(graph)
        self.model.signatureDefs.append(definition)

    def bytes(self) -> bytes:
        entry = schema.MetadataT()
        entry.name, entry.buffer = "min_runtime_version", self.buffer(b"1.5.0".ljust(16, b"\0"))
        self.model.metadata.append(entry)
        builder = flatbuffers.Builder(4096)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def named(name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry


def tensor(name: str, shape: list[int], kind: int = FLOAT, buffer: int = 0) -> Any:
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, shape, kind, buffer
    return made


def operator(code: int, inputs: list[int], outputs: list[int], options: Any = None, kind: int = 0) -> Any:
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = code, inputs, outputs
    made.builtinOptions, made.builtinOptionsType = options, kind
    return made


def model(*, custom: str = "", divide: bool = False, network: bool = False, samples: int = SAMPLES) -> bytes:
    """`predict`: tanh of the mean, twice, as valence and arousal.

    Args:
        custom: name of an operator that no runtime knows, in place of tanh.
        divide: the mean by itself, which is NaN for silence.
        network: a second signature `network(log_mel [1, 4, 4, 1])` of one operator.
    """
    b = Builder()
    axis = b.buffer(np.array([1], "<i4").tobytes())
    mean, join = schema.ReducerOptionsT(), schema.ConcatenationOptionsT()
    mean.keepDims, join.axis = True, 1
    options = schema.BuiltinOptions
    tensors = [
        tensor("waveform", [1, samples]),
        tensor("axis", [1], INT, axis),
        tensor("predict/front_end/mean", [1, 1]),
        tensor("predict/tiny/ratio", [1, 1]),
        tensor("predict/tiny/pair", [1, 2]),
        tensor("predict/tiny/tanh", [1, 2]),
    ]
    second = b.code(OPERATOR.DIV) if divide else b.code(OPERATOR.ADD)
    kind, made = (options.DivOptions, schema.DivOptionsT()) if divide else (options.AddOptions, schema.AddOptionsT())
    last = b.code(OPERATOR.CUSTOM, custom) if custom else b.code(OPERATOR.TANH)
    operators = [
        operator(b.code(OPERATOR.MEAN), [0, 1], [2], mean, options.ReducerOptions),
        operator(second, [2, 2], [3], made, kind),
        operator(b.code(OPERATOR.CONCATENATION), [3, 2], [4], join, options.ConcatenationOptions),
        operator(last, [4], [5]),
    ]
    b.graph("predict", {"waveform": 0}, {"valence_arousal": 5}, tensors, operators)
    if network:
        logistic = operator(b.code(OPERATOR.LOGISTIC), [0], [1])
        ends = [tensor("log_mel", [1, 4, 4, 1]), tensor("network/logistic", [1, 4, 4, 1])]
        b.graph("network", {"log_mel": 0}, {"valence_arousal": 1}, ends, [logistic])
    return b.bytes()


def with_card(content: bytes, *, sealed: bool = True, **changes: Any) -> bytes:
    """The model with a complete card; of what runs, its golden answer is the true one."""
    waveform = golden_waveform()
    answer = [0.0, 0.0]
    if "golden" not in changes:
        answer = run(content, waveform)
    values: dict[str, Any] = {
        "name": "tiny",
        "version": "0.0.0",
        "licence": "CC0-1.0",
        "git_commit": "unknown",
        "signature": SignatureContract(),
        "training": {"corpora": ["folder"]},
        "metrics": {"folder": {}},
        "parity": {"max": 0.0},
        "minimum_runtime": minimum_runtime(content),
        "golden": {"waveform": "golden_waveform", "sha256": sha256(waveform), "valence_arousal": answer},
        **changes,
    }
    if not sealed:
        return embed(content, Card(**values))
    return seal(embed(content, Card(**values, content_sha256=UNSEALED)))


def run(content: bytes, waveform: np.ndarray) -> list[float]:
    runner = Interpreter(model_content=content, num_threads=1).get_signature_runner("predict")
    return runner(waveform=waveform[None])["valence_arousal"][0].tolist()
