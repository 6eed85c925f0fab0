"""The file format: what is written is read, and what is damaged is noticed wherever the damage lies."""

import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf.pipeline.shards import ALIGN, MAGIC, Codes, Shard, ShardDamaged, write


def arrays(rng, sizes=((3, 128), (1, 128), (50, 128), (7, 1))):
    kinds = (np.uint8, np.int16)
    return [
        (f"id{i}", f"corpus/ü {i}", Codes(rng.integers(0, 120, s).astype(kinds[i % 2]), 0.5 / (i + 1), -3.0 * i))
        for i, s in enumerate(sizes)
    ]


def read_all(path):
    shard = Shard(path)
    for id_ in shard.entries:
        shard.read(id_)


def test_what_is_written_is_read(tmp_path, rng):
    made = arrays(rng)
    write(tmp_path / "a.shard", made)
    shard = Shard(tmp_path / "a.shard")
    assert list(shard.entries) == [id_ for id_, _, _ in made]
    for id_, key, codes in made:
        found = shard.read(id_)
        assert shard.entries[id_].key == key
        np.testing.assert_array_equal(found.codes, codes.codes)
        np.testing.assert_allclose(found[:], codes.zero + codes.scale * codes.codes.astype(np.float32), rtol=1e-6)
        assert found[:].dtype == np.float32
        np.testing.assert_array_equal(found[1:2], found[:][1:2])


@settings(deadline=None, max_examples=40)
@given(count=st.integers(1, 40), key=st.text(max_size=300), rows=st.integers(0, 9))
def test_headers_of_any_length(tmp_path_factory, count, key, rows):
    path = tmp_path_factory.mktemp("s") / "a.shard"
    rng = np.random.default_rng(count)
    made = [(f"{i}", key, Codes(rng.integers(0, 9, (rows, 5)).astype(np.uint8), 1.0)) for i in range(count)]
    write(path, made)
    shard = Shard(path)
    ends = 16
    for id_, _, codes in made:
        entry = shard.entries[id_]
        assert entry.offset % ALIGN == 0
        assert entry.offset >= ends, "nothing overlaps"
        ends = entry.offset + entry.nbytes
        np.testing.assert_array_equal(shard.read(id_).codes, codes.codes)


def test_an_independent_reader(tmp_path, rng):
    """The documented layout, read with struct and json alone."""
    made = arrays(rng)
    write(tmp_path / "a.shard", made)
    content = (tmp_path / "a.shard").read_bytes()
    assert content[:8] == MAGIC == b"SENTIO\x00\x01"
    length, checksum = struct.unpack("<II", content[8:16])
    header = content[16 : 16 + length]
    assert zlib.crc32(header) == checksum
    for entry, (id_, _, codes) in zip(json.loads(header)["entries"], made, strict=True):
        assert entry["id"] == id_
        raw = content[entry["offset"] :][: codes.codes.nbytes]
        assert zlib.crc32(raw) == entry["crc32"]
        np.testing.assert_array_equal(np.frombuffer(raw, entry["dtype"]).reshape(entry["rows"], -1), codes.codes)


def test_every_single_damaged_byte_is_noticed(tmp_path, rng):
    path = tmp_path / "a.shard"
    write(path, arrays(rng, ((2, 40), (1, 30))))
    whole = path.read_bytes()
    shard = Shard(path)
    used = set(range(16 + struct.unpack("<I", whole[8:12])[0]))
    for entry in shard.entries.values():
        used |= set(range(entry.offset, entry.offset + entry.nbytes))
    for place in sorted(used):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(ShardDamaged):
            read_all(path)


@pytest.mark.parametrize("length", [0, 7, 15, 16, 40, -1])
def test_a_cut_file_is_noticed(tmp_path, rng, length):
    path = tmp_path / "a.shard"
    write(path, arrays(rng))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ShardDamaged):
        Shard(path)


def test_a_failed_write_leaves_nothing(tmp_path, rng, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sentio_tf.pipeline.shards.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "a.shard", arrays(rng))
    assert list(tmp_path.iterdir()) == []
