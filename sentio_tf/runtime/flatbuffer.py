"""What a `.tflite` says of itself, read without running it: signatures, operators, constants, metadata, hash."""

from __future__ import annotations

import hashlib
import re
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..contract import METADATA_NAME
from ..errors import ModelError

NO_MODEL = "expected a TFLite model, received a file that is none"
DAMAGED = "the TFLite model is cut short or damaged; get it again"
# What reading at random places ends in: outside of the file, an index or number too large, a field that is absent.
_DAMAGE = (struct.error, ValueError, LookupError, TypeError, AttributeError, OverflowError)
# Where the card says what `content_sha256` must be; before it is known, 64 zeros.
_STATED = re.compile(rb'"content_sha256":\s*"([0-9a-f]{64})"')
UNSEALED = "0" * 64


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    dtype: str  # as the schema names it, lower case: float32, int8, complex64 ...


@dataclass(frozen=True)
class Operator:
    name: str  # RFFT2D, CONV_2D ...; of a custom one its own name, FlexErf
    custom: bool
    inputs: tuple[int, ...]  # tensors of the subgraph; -1: an optional one that is absent
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Subgraph:
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]

    def counts(self) -> dict[str, int]:
        """Operators by name, most frequent first."""
        return dict(Counter(o.name for o in self.operators).most_common())

    def where(self, operator: Operator) -> str:
        """Name of the operator's first output: the converter puts the layer's name into it."""
        return self.tensors[operator.outputs[0]].name if operator.outputs else "no output"


@dataclass(frozen=True)
class Signature:
    name: str
    subgraph: int
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    def __str__(self) -> str:
        def said(tensors: Mapping[str, Tensor]) -> str:
            return ", ".join(f"{name} {t.dtype} {list(t.shape)}" for name, t in tensors.items())

        return f"{self.name}({said(self.inputs)}) -> {said(self.outputs)}"


@dataclass(frozen=True)
class Structure:
    signatures: Mapping[str, Signature]
    subgraphs: tuple[Subgraph, ...]
    constants: int  # bytes of all weights and tables
    minimum_runtime: str

    def custom(self) -> list[tuple[str, str]]:
        """Operators that are no builtins, each with the tensor that it makes."""
        return [(o.name, graph.where(o)) for graph in self.subgraphs for o in graph.operators if o.custom]


def structure(model: bytes) -> Structure:
    """The model's tables, every index and length checked against what it points at.

    Raises: ModelError if the bytes are no TFLite flatbuffer, are cut short or contradict themselves.
    """
    if model[4:8] != b"TFL3":
        raise ModelError(NO_MODEL)
    try:
        return _structure(model)
    except _DAMAGE:
        raise ModelError(DAMAGED) from None


def _structure(model: bytes) -> Structure:
    from ai_edge_litert import schema_py_generated as schema

    def many(count: int) -> range:
        """A damaged length must not become a loop of hours."""
        if count * 4 > len(model):
            raise ValueError(count)
        return range(count)

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    dtypes = {code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)}
    root: Any = schema.Model.GetRootAs(model, 0)
    buffers = [_buffer_bytes(root.Buffers(i), model) for i in many(root.BuffersLength())]
    codes = []
    for i in many(root.OperatorCodesLength()):
        code = root.OperatorCodes(i)
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # the second is all that old files have
        custom = number == schema.BuiltinOperator.CUSTOM
        codes.append((code.CustomCode().decode() if custom else names.get(number, f"operator {number}"), custom))
    used: set[int] = set()
    subgraphs = []
    for i in many(root.SubgraphsLength()):
        graph = root.Subgraphs(i)
        tensors, operators = [], []
        for j in many(graph.TensorsLength()):
            tensor = graph.Tensors(j)
            buffers[tensor.Buffer()]  # an index too large is damage
            used.add(tensor.Buffer())
            tensors.append(Tensor((tensor.Name() or b"").decode(), _ints(tensor.ShapeAsNumpy()), dtypes[tensor.Type()]))
        for j in many(graph.OperatorsLength()):
            operator = graph.Operators(j)
            ends = [_ints(e) for e in (operator.InputsAsNumpy(), operator.OutputsAsNumpy())]
            _inside(ends[0] + ends[1], len(tensors), lowest=-1)
            operators.append(Operator(*codes[operator.OpcodeIndex()], *ends))
        _inside(_ints(graph.InputsAsNumpy()) + _ints(graph.OutputsAsNumpy()), len(tensors))
        subgraphs.append(Subgraph(tuple(tensors), tuple(operators)))
    if not subgraphs:
        raise ValueError("no subgraph")
    signatures = {}
    for i in many(root.SignatureDefsLength()):
        signature = root.SignatureDefs(i)
        graph = subgraphs[signature.SubgraphIndex()]

        def ends_of(get, count, graph=graph):
            ends = [get(j) for j in many(count)]
            return {e.Name().decode(): graph.tensors[e.TensorIndex()] for e in ends}

        name = signature.SignatureKey().decode()
        signatures[name] = Signature(
            name,
            signature.SubgraphIndex(),
            ends_of(signature.Inputs, signature.InputsLength()),
            ends_of(signature.Outputs, signature.OutputsLength()),
        )
    return Structure(signatures, tuple(subgraphs), sum(buffers[i] for i in used), minimum_runtime(model))


def _buffer_bytes(buffer: Any, model: bytes) -> int:
    """Size of a buffer, which lies in its table or, if it is large, behind all tables.  Raises: ValueError."""
    place = buffer._tab.Offset(4)
    start, size = (
        (buffer._tab.Vector(place), buffer._tab.VectorLen(place)) if place else (buffer.Offset(), buffer.Size())
    )
    if start + size > len(model):
        raise ValueError(size)
    return size


def _ints(vector: Any) -> tuple[int, ...]:
    return () if isinstance(vector, int) else tuple(vector.tolist())  # the schema gives 0 for an absent vector


def _inside(indices: tuple[int, ...], count: int, *, lowest: int = 0) -> None:
    if indices and not (lowest <= min(indices) and max(indices) < count):
        raise ValueError(indices)


def as_primary(model: bytes, subgraph: int) -> bytes:
    """The model with `subgraph` and the first one in each other's place: LiteRT tells of the nodes of the first only.

    For looking, not for use: control flow and signatures still name the old places.
    """
    from ai_edge_litert import schema_py_generated as schema

    root: Any = schema.Model.GetRootAs(model, 0)
    vector = root._tab.Vector(root._tab.Offset(8))  # Model.subgraphs
    places = (vector, vector + 4 * subgraph)
    targets = [place + struct.unpack_from("<I", model, place)[0] for place in places]
    changed = bytearray(model)
    for place, target in zip(places, reversed(targets), strict=True):
        struct.pack_into("<I", changed, place, target - place)
    return bytes(changed)


# -- metadata ---------------------------------------------------------------------------------------


def read_metadata(model: bytes, name: str = METADATA_NAME) -> bytes | None:
    """Content of the flatbuffer's metadata entry `name`, None if there is none.

    Raises: ModelError if the bytes are no TFLite flatbuffer or are cut short.
    """
    span = _metadata_span(model, name)
    return None if span is None else model[span]


def _metadata_span(model: bytes, name: str) -> slice | None:
    """Where the content of a metadata entry lies.

    Walks four tables of the TFLite schema (Model.metadata -> Metadata.buffer -> Model.buffers) by
    hand, as phones do.
    """
    if len(model) < 8 or model[4:8] != b"TFL3":
        raise ModelError(NO_MODEL)

    def u32(at: int) -> int:
        return int(struct.unpack_from("<I", model, at)[0])

    def field(table: int, index: int) -> int | None:
        """Position of a field of a table, None if it is absent."""
        vtable = table - struct.unpack_from("<i", model, table)[0]
        slot = 4 + 2 * index
        if slot >= struct.unpack_from("<H", model, vtable)[0]:
            return None
        offset = struct.unpack_from("<H", model, vtable + slot)[0]
        return table + offset if offset else None

    def follow(at: int) -> int:
        return at + u32(at)

    try:
        root = follow(0)
        entries, buffers = field(root, 6), field(root, 4)  # Model.metadata, Model.buffers
        if entries is None or buffers is None:
            return None
        vector = follow(entries)
        if 4 * u32(vector) > len(model):
            raise struct.error
        for i in range(u32(vector)):
            entry = follow(vector + 4 + 4 * i)
            label, number = field(entry, 0), field(entry, 1)  # Metadata.name, Metadata.buffer
            if label is None:
                continue
            text = follow(label)
            if model[text + 4 : text + 4 + u32(text)] != name.encode():
                continue
            index = u32(number) if number is not None else 0
            data = field(follow(follow(buffers) + 4 + 4 * index), 0)  # Buffer.data
            if data is None:
                return slice(0, 0)
            content = follow(data)
            end = content + 4 + u32(content)
            if end > len(model):
                raise struct.error
            return slice(content + 4, end)
    except struct.error:
        raise ModelError(DAMAGED) from None
    return None


def minimum_runtime(model: bytes) -> str:
    """The oldest runtime that knows every operator version, as the converter stamped it; '' if it did not."""
    return (read_metadata(model, "min_runtime_version") or b"").rstrip(b"\0").decode(errors="replace")


# -- hash -------------------------------------------------------------------------------------------


def _stated_span(model: bytes) -> slice | None:
    """Where the card's 64 hexadecimal digits lie; None without card or digits."""
    card = _metadata_span(model, METADATA_NAME)
    found = None if card is None else _STATED.search(model[card])
    return None if card is None or found is None else slice(card.start + found.start(1), card.start + found.end(1))


def stated_sha256(model: bytes) -> str:
    """The hash that the card states, '' if it states none."""
    span = _stated_span(model)
    return "" if span is None else model[span].decode()


def content_sha256(model: bytes) -> str:
    """SHA-256 of the whole file, card included, with the 64 digits where the card states this hash as zeros.

    So the file holds its own hash, and every other byte is covered.

    Raises: ModelError as `read_metadata`.
    """
    span = _stated_span(model) or slice(0, 0)
    digest = hashlib.sha256(memoryview(model)[: span.start])
    digest.update(b"0" * (span.stop - span.start))
    digest.update(memoryview(model)[span.stop :])
    return digest.hexdigest()


def seal(model: bytes) -> bytes:
    """The model whose card states its hash; the card must have `"content_sha256"` of 64 digits (`UNSEALED`).

    Raises: ModelError if it has none.
    """
    span = _stated_span(model)
    if span is None:
        raise ModelError(
            "expected a card with 64 digits of content_sha256 to fill in, received none; embed the card first"
        )
    return model[: span.start] + content_sha256(model).encode() + model[span.stop :]
