import contextlib
import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf.errors import ModelError
from sentio_tf.models.torch_checkpoint import read

from . import torch_file

ARRAYS = {
    "conv.weight": np.arange(24, dtype="<f4").reshape(2, 3, 2, 2),
    "turned.weight": np.arange(36, dtype="<f4").reshape(2, 3, 2, 3).transpose(3, 2, 0, 1),
    "bn.num_batches_tracked": np.array(7, "<i8"),
    "bn.bias": np.float32([-1.5]),
}
SMALL = torch_file.dumps({"a.weight": np.arange(6, dtype="<f4").reshape(2, 3), "a.bias": np.ones(2, "<f4")})


class Calls:
    """A pickle of it calls `function(*arguments)` where it is loaded."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_tensors_as_saved():
    found = read(torch_file.dumps(ARRAYS))
    assert list(found) == list(ARRAYS)
    for name, value in found.items():
        np.testing.assert_array_equal(value, ARRAYS[name], strict=True)
    assert not ARRAYS["turned.weight"].flags.c_contiguous


def test_nothing_but_tensors_is_made(tmp_path):
    """A pickle may call anything: here nothing of it runs, and the first name is told."""
    target = tmp_path / "made"
    harmful = torch_file.dumps({}, other={"a": Calls(os.mkdir, str(target))})
    with pytest.raises(ModelError, match=r"expected a PyTorch checkpoint, .*it asks for posix\.mkdir"):
        read(harmful)
    assert not target.exists()


@pytest.mark.parametrize("call", [Calls(eval, "1"), Calls(getattr, "", "join"), Calls(np.dtype, "f4"), ModelError])
def test_foreign_names_are_refused(call):
    with pytest.raises(ModelError, match=r"it asks for [a-z_]+(\.\w+)+"):
        read(torch_file.dumps({}, other={"a": call}))


def test_a_pickle_in_the_beginning_is_refused_too(tmp_path):
    target = tmp_path / "made"
    with pytest.raises(ModelError, match=r"it asks for posix\.mkdir"):
        read(torch_file.dumps({}, beginning=(Calls(os.mkdir, str(target)),)))
    assert not target.exists()


def test_other_numbers_are_refused():
    with pytest.raises(ModelError, match=r"it asks for torch\.BoolStorage"):
        read(torch_file.dumps({"a": np.array([True])}))


def test_what_is_no_tensor_is_refused():
    with pytest.raises(ModelError, match=r"expected a PyTorch checkpoint"):
        read(torch_file.dumps({}, other={"epoch": 3}))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "pickle exhausted before seeing STOP"),
        (b"PK\x03\x04 a zip of later versions", ""),
        (torch_file.dumps({}, (1, 1001, {"little_endian": True})), "another beginning"),
        (torch_file.dumps({}, (*torch_file.BEGINNING[:2], {"little_endian": False})), "another byte order"),
        (SMALL[:-1], "7 bytes of a storage of 2 numbers|23 bytes of a storage of 6 numbers"),
    ],
)
def test_other_files_are_refused(data, reason):
    with pytest.raises(ModelError, match=rf"received something else \(.*({reason}).*\); get the wheel again"):
        read(data)


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((3,), (1,), 0), ((2,), (2,), 0), ((2,), (1,), 1), ((2,), (-1,), 1), ((-1,), (1,), 0), ((9,), (0,), 0)],
)
def test_a_tensor_stays_in_its_storage(shape, strides, offset, monkeypatch):
    def places(self):
        return self.rebuild, (self.storage, offset, shape, strides, False, {})

    monkeypatch.setattr(torch_file.Tensor, "__reduce__", places)
    with pytest.raises(ModelError, match=r"a tensor of shape .* of 2 numbers"):
        read(torch_file.dumps({"a": np.ones(2, "<f4")}))


def test_a_place_in_memory_that_no_file_needs_is_refused():
    """A single wrong byte made pickle ask for 30 GB."""
    tracemalloc.start()
    try:
        for end in (SMALL, b"."):
            with pytest.raises(ModelError, match=r"it asks for place 16777216 of its memory at byte 4"):
                read(b"\x80\x02K\x01r" + (1 << 24).to_bytes(4, "little") + end)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_no_single_byte_takes_memory():
    """Every place of the file, with each opcode that names a place or a length."""
    tracemalloc.start()
    try:
        for at in range(len(SMALL)):
            for code in b"rpjqX\x8a\x8b\x8d\x8e\x96B":
                with contextlib.suppress(ModelError):
                    read(SMALL[:at] + bytes([code]) + SMALL[at + 1 :])
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


@settings(deadline=None, max_examples=300)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_is_refused_or_read(place, byte, cut):
    """Never another error, and never memory beside the file's."""
    at = int(place * len(SMALL))
    if cut:
        with pytest.raises(ModelError, match=r"expected a PyTorch checkpoint, received something else"):
            read(SMALL[:at])
    else:
        with contextlib.suppress(ModelError):
            read(SMALL[:at] + bytes([byte]) + SMALL[at + 1 :])
