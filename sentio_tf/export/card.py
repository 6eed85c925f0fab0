"""The card in the flatbuffer's own metadata table."""

from __future__ import annotations

import numpy as np

from ..contract import METADATA_NAME, Card
from ..errors import ModelError


def embed(model: bytes, card: Card) -> bytes:
    """The model with `card` as metadata entry `sentio.json`, replacing any it had."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    if model[4:8] != b"TFL3":
        raise ModelError("expected a TFLite model to put the card into, received other bytes")

    class AlignedBuffer(schema.BufferT):
        """Weights start at multiples of 16 bytes, as the schema asks and Python's packer forgets."""

        def Pack(self, builder):
            if self.data is None:
                return super().Pack(builder)
            content = bytes(self.data)
            builder.StartVector(1, len(content), 16)
            head = builder.head - len(content)
            builder.head = head
            builder.Bytes[head : head + len(content)] = content
            vector = builder.EndVector()
            schema.BufferStart(builder)
            schema.BufferAddData(builder, vector)
            return schema.BufferEnd(builder)

    class SharedQuantization(schema.QuantizationParametersT):
        """What several tensors have alike is written once: signatures share weights, and zero points are zeros."""

        def Pack(self, builder):
            if not (self.min is None and self.max is None and self.details is None):
                return super().Pack(builder)
            scale, zero = vector(builder, self.scale, "<f4"), vector(builder, self.zeroPoint, "<i8")
            key = (scale, zero, self.quantizedDimension)
            if key not in tables:
                schema.QuantizationParametersStart(builder)
                if scale:
                    schema.QuantizationParametersAddScale(builder, scale)
                if zero:
                    schema.QuantizationParametersAddZeroPoint(builder, zero)
                schema.QuantizationParametersAddQuantizedDimension(builder, self.quantizedDimension)
                tables[key] = schema.QuantizationParametersEnd(builder)
            return tables[key]

    def vector(builder, values, dtype: str) -> int:
        """Place of a vector in the file; 0 for none."""
        if values is None:
            return 0
        array = np.asarray(values, dtype)
        key = (dtype, array.tobytes())
        if key not in vectors:
            vectors[key] = builder.CreateNumpyVector(array)
        return vectors[key]

    vectors: dict[tuple[str, bytes], int] = {}
    tables: dict[tuple[int, int, int], int] = {}
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    for buffer in tree.buffers:
        buffer.__class__ = AlignedBuffer
        # Quantizers put large buffers behind the flatbuffer; bring them in, where every reader looks.
        if buffer.data is None and buffer.size:
            buffer.data = model[buffer.offset : buffer.offset + buffer.size]
        buffer.offset = buffer.size = 0
    for graph in tree.subgraphs:
        for tensor in graph.tensors:
            if tensor.quantization is not None:
                tensor.quantization.__class__ = SharedQuantization
    names = [entry.name for entry in tree.metadata or []]
    content = list(card.to_json().encode())
    if METADATA_NAME.encode() in names:
        tree.buffers[tree.metadata[names.index(METADATA_NAME.encode())].buffer].data = content
    else:
        buffer = AlignedBuffer()
        buffer.data = content
        entry = schema.MetadataT()
        entry.name, entry.buffer = METADATA_NAME, len(tree.buffers)
        tree.buffers.append(buffer)
        tree.metadata = [*(tree.metadata or []), entry]
    builder = flatbuffers.Builder(len(model) + len(content) + 65536)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())
