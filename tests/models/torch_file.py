"""What `torch.save` wrote before PyTorch 1.6, without PyTorch."""

from __future__ import annotations

import io
import pickle
import sys
from collections import OrderedDict
from types import ModuleType
from typing import NamedTuple
from unittest import mock

import numpy as np

BEGINNING = (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}})
KINDS = {"f": "FloatStorage", "i": "LongStorage", "b": "BoolStorage"}


class Storage(NamedTuple):
    kind: type
    key: str
    values: np.ndarray


class Tensor:
    def __init__(self, array: np.ndarray, kind: type, key: str, rebuild):
        values = np.ravel(array, order="K")  # as it lies in memory
        self.storage, self.rebuild = Storage(kind, key, values), rebuild
        self.view = array.shape, tuple(s // array.itemsize for s in array.strides)

    def __reduce__(self):
        return self.rebuild, (self.storage, 0, *self.view, False, OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return "storage", obj.kind, obj.key, "cpu", obj.values.size, None
        return None


def dumps(arrays: dict[str, np.ndarray], beginning=BEGINNING, other=None) -> bytes:
    """A state dictionary of arrays, each in a storage of its own; `other`: of the same dictionary, pickled as it is."""

    def _rebuild_tensor_v2():
        raise AssertionError("never called here")

    torch, utils = ModuleType("torch"), ModuleType("torch._utils")
    kinds = {code: type(name, (), {"__module__": "torch"}) for code, name in KINDS.items()}
    for kind in kinds.values():
        setattr(torch, kind.__name__, kind)
    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2

    tensors = [Tensor(a, kinds[a.dtype.kind], str(1000 - i), _rebuild_tensor_v2) for i, a in enumerate(arrays.values())]
    state = OrderedDict(zip(arrays, tensors, strict=True)) | (other or {})
    state._metadata = OrderedDict({"": {"version": 1}})  # a module's; it makes the pickle set an attribute
    storages = sorted((t.storage for t in tensors), key=lambda s: s.key)
    file = io.BytesIO()
    with mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        for content in (*beginning, state, [s.key for s in storages]):
            Pickler(file, protocol=2).dump(content)
    for storage in storages:
        file.write(storage.values.size.to_bytes(8, "little") + storage.values.tobytes())
    return file.getvalue()
