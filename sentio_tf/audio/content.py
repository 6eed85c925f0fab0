"""What a file is, wherever it lies: a hash of its bytes, by which caches and run directories know it."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from pathlib import Path

CHUNK = 1 << 20
SETTLED_NS = 2 * 10**9  # since the last change: times of change are as coarse as that on some file systems
NAME = "content.tsv"
LINE = re.compile(r"([0-9a-f]{64})\t(-?[0-9]+)\t(-?[0-9]+)\t(-?[0-9]+)\t(.+)")
# Size, time of change of the content, and of the entry: the first can be set, and files swapped that keep it.
Part = tuple[int, int, int, str]
_known: dict[Part, str] = {}
_notes: Path | None = None
_unwritten: list[Part] = []  # as long as there is no folder for them


def content_id(path: Path) -> str:
    """SHA-256 of a file's bytes, hex digits.

    A file is read once, and again where its size or a time of change is another: within a process, and over all that
    `remember` the same notes.  A path whose file is on another machine says its own, see `corpora.packed.Absent`.

    Raises: OSError if the file cannot be read.
    """
    if own := getattr(path, "content", ""):
        return own
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):  # a pipe would never end
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
    part = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, str(path.resolve()))
    if part not in _known:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while data := file.read(CHUNK):
                digest.update(data)
        _known[part] = digest.hexdigest()
        if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > SETTLED_NS:
            _unwritten.append(part)
            _write()
    return _known[part]


def remember(folder: Path) -> None:
    """Know the files that other processes have read, by the notes in `folder`, and note there what is read from now on.

    Notes are a convenience: what is not legible or cannot be written costs time and nothing else.  They are not written
    before there is such a folder.
    """
    global _notes
    if (file := folder / NAME) == _notes:
        _write()
        return
    _notes = file
    _unwritten.clear()
    try:
        lines = file.read_bytes().decode("utf-8", "surrogateescape").split("\n")
    except OSError:
        return
    for match in filter(None, map(LINE.fullmatch, lines)):
        digest, size, changed, entry, path = match.groups()
        _known[int(size), int(changed), int(entry), path] = digest


def _write() -> None:
    if _notes is None or not _notes.parent.is_dir():
        return
    lines = ["\t".join([_known[part], *map(str, part)]) + "\n" for part in _unwritten if "\n" not in part[-1]]
    _unwritten.clear()
    try:
        with _notes.open("ab", buffering=0) as file:
            for line in lines:  # each one write: processes append side by side
                file.write(line.encode("utf-8", "surrogateescape"))
    except (OSError, ValueError):
        pass
