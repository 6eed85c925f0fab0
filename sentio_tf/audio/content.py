"""What a file is, wherever it lies: a hash of its bytes, by which caches and run directories know it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

CHUNK = 1 << 20
_known: dict[tuple[str, int, int], str] = {}  # (path, size, time of change) -> hash; of this process


def content_id(path: Path) -> str:
    """SHA-256 of a file's bytes, hex digits.

    A file is read once in a process, and again where its size or time of change is another.  A path whose file is on
    another machine says its own, see `corpora.packed.Absent`.

    Raises: OSError if the file cannot be read.
    """
    if own := getattr(path, "content", ""):
        return own
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):  # a pipe would never end
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
    part = (str(path.resolve()), found.st_size, found.st_mtime_ns)
    if part not in _known:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while data := file.read(CHUNK):
                digest.update(data)
        _known[part] = digest.hexdigest()
    return _known[part]
