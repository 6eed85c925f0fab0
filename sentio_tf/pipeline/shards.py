"""The cache's file format: many tracks in one file, each with a checksum (docs/cache.md).

A shard is, in this order, little-endian:

    bytes 0-7    magic `SENTIO\\0\\1`
    bytes 8-11   uint32, length of the header
    bytes 12-15  uint32, CRC-32 of the header
    header       JSON in UTF-8: {"entries": [{id, key, offset, rows, width, dtype, scale, zero, crc32}, ...]}
    payload      the arrays, `rows x width` in C order, each from a multiple of 64 bytes on

A value is `zero + scale * code`; `offset` counts from the start of the file, `crc32` covers the codes.
A shard is written once, whole, under another name and then renamed; it is never changed.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MAGIC = b"SENTIO\0\1"
ALIGN = 64
SUFFIX = ".shard"


class ShardDamaged(Exception):
    """A shard that is not whole, or whose bytes are not those that were written."""


@dataclass(frozen=True)
class Codes:
    """An array as it lies in a shard: `zero + scale * codes`, codes `(rows, width)`."""

    codes: np.ndarray
    scale: float
    zero: float = 0.0

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: slice) -> np.ndarray:
        """The values of some rows, float32 `(n, width)`."""
        values = self.codes[rows].astype(np.float32)
        values *= np.float32(self.scale)
        if self.zero:
            values += np.float32(self.zero)
        return values


@dataclass(frozen=True)
class Entry:
    """Where an array lies in a shard and what it belongs to."""

    id: str
    key: str
    offset: int
    rows: int
    width: int
    dtype: str
    scale: float
    zero: float
    crc32: int

    @property
    def nbytes(self) -> int:
        return self.rows * self.width * np.dtype(self.dtype).itemsize


def write(path: Path, arrays: Sequence[tuple[str, str, Codes]]) -> None:
    """Write a shard of `(id, key, codes)`; it appears whole or not at all.  Raises: OSError."""
    entries: list[dict[str, Any]] = []
    header = b""
    start = 0
    # Offsets depend on the header's length, which depends on the offsets' digits: repeat until it fits.
    while True:
        place = start
        entries = []
        for id_, key, array in arrays:
            codes = np.ascontiguousarray(array.codes)
            about = {"id": id_, "key": key, "offset": place, "rows": codes.shape[0], "width": codes.shape[1]}
            about |= {
                "dtype": codes.dtype.str,
                "scale": array.scale,
                "zero": array.zero,
                "crc32": zlib.crc32(codes.data),
            }
            entries.append(about)
            place = _aligned(place + codes.nbytes)
        header = json.dumps({"entries": entries}, separators=(",", ":"), ensure_ascii=False).encode()
        if (needed := _aligned(16 + len(header))) <= start:
            break
        start = needed + ALIGN
    descriptor, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(MAGIC + struct.pack("<II", len(header), zlib.crc32(header)) + header)
            for entry, (_, _, array) in zip(entries, arrays, strict=True):
                file.write(bytes(entry["offset"] - file.tell()))
                file.write(np.ascontiguousarray(array.codes).data)
            file.flush()
            os.fsync(file.fileno())  # a rename must not overtake the bytes when the power goes
        os.replace(part, path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise


def _aligned(place: int) -> int:
    return -(-place // ALIGN) * ALIGN


def _version(descriptor: int) -> tuple[int, int]:
    """Tells a file from another one that was renamed to its place."""
    stat = os.fstat(descriptor)
    return stat.st_ino, stat.st_mtime_ns


class Shard:
    """A shard; mapped when it is first read, because a mapping holds a descriptor.

    Raises: ShardDamaged if the header is not whole or does not fit the file, OSError if it cannot be read.
    """

    def __init__(self, path: Path):
        self.path = path
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(16)
            if len(head) < 16 or head[:8] != MAGIC:
                raise ShardDamaged("not a shard of this version")
            length, checksum = struct.unpack("<II", head[8:])
            header = file.read(length) if length <= size else b""
            if len(header) < length or zlib.crc32(header) != checksum:
                raise ShardDamaged("its header does not fit its checksum")
            self.entries = {e["id"]: Entry(**e) for e in json.loads(header)["entries"]}
            if any(e.offset + e.nbytes > size for e in self.entries.values()):
                raise ShardDamaged("it is cut short")
            self.version = _version(file.fileno())
        self._map: mmap.mmap | None = None
        self._sound: set[str] = set()

    def read(self, id_: str) -> Codes:
        """The array of an entry; its checksum is compared the first time.  Raises: ShardDamaged, OSError."""
        entry = self.entries[id_]
        mapped = self._map
        if mapped is None:
            with self.path.open("rb") as file:
                mapped = self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            if entry.offset + entry.nbytes > len(mapped):
                raise ShardDamaged("it is cut short")
        codes = np.frombuffer(mapped, entry.dtype, entry.rows * entry.width, entry.offset)
        if id_ not in self._sound:
            if zlib.crc32(codes.data) != entry.crc32:
                raise ShardDamaged(f"the bytes of {entry.key} do not fit their checksum")
            self._sound.add(id_)
        return Codes(codes.reshape(entry.rows, entry.width), entry.scale, entry.zero)

    def release(self) -> None:
        """Give the mapping up; arrays that were read keep it for themselves, the next read maps anew."""
        self._map = None

    def is_in_place(self) -> bool:
        """Whether the file is still the one that was opened."""
        try:
            with self.path.open("rb") as file:
                return _version(file.fileno()) == self.version
        except OSError:
            return False
