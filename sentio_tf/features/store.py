"""Vectors of songs by key in one SQLite file that several processes may use at a time."""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from ..errors import DataError

BUSY_S = 60  # another process may hold the lock as long as a slow disk takes


class Store:
    """Vectors by key in an SQLite file; without a file it holds nothing."""

    def __init__(self, file: sqlite3.Connection | None, name: str, report: Callable[[str], None] | None):
        self._file, self._name, self._report = file, name, report

    def read(self, keys: Iterable[str], length: int) -> dict[str, np.ndarray]:
        """What is there of `keys`, checked; damaged entries are left out and reported."""
        found: dict[str, np.ndarray] = {}
        if self._file is None:
            return found
        damaged = 0
        for key in keys:
            row = self._file.execute("SELECT crc, vector FROM vectors WHERE key = ?", (key,)).fetchone()
            if row is None:
                continue
            crc, blob = row
            whole = isinstance(blob, bytes) and len(blob) == 4 * length and zlib.crc32(blob) == crc
            if whole:
                found[key] = np.frombuffer(blob, "<f4").astype(np.float32)
            else:
                damaged += 1
        if damaged and self._report:
            self._report(f"{self._name}: {damaged} damaged entries; their vectors are computed again")
        return found

    def write(self, key: str, vector: np.ndarray) -> None:
        """Keep a vector at once: a killed run continues where it stopped."""
        if self._file is not None:
            blob = vector.astype("<f4").tobytes()
            self._file.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", (key, zlib.crc32(blob), blob))


@contextmanager
def open_store(path: Path | None, report: Callable[[str], None] | None = None) -> Iterator[Store]:
    """The vectors kept in a file; one that is no database, or a broken one, is replaced.  None: nothing is kept.

    Raises: DataError for whatever SQLite or the disk say, then or inside the block.
    """
    if path is None:
        yield Store(None, "", report)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = _connect_or_replace(path, report)
    except OSError as error:
        raise _unusable(path, error.strerror or error) from None
    except sqlite3.Error as error:
        raise _unusable(path, error) from None
    with closing(connection):
        try:
            yield Store(connection, path.name, report)
        except sqlite3.Error as error:
            raise _unusable(path, error) from None


def _unusable(path: Path, reason: object) -> DataError:
    return DataError(
        f"{path}: the cache cannot be used ({reason}); free space, make the folder writable or name another --cache, "
        "and run again to continue"
    )


def _connect_or_replace(path: Path, report: Callable[[str], None] | None) -> sqlite3.Connection:
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            return _connect(path)
        except sqlite3.OperationalError as error:  # locked, full, not writable: nothing to be replaced
            # SQLite does not wait for others while it changes to WAL, which several processes do to a new file.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        except sqlite3.DatabaseError as error:
            if report:
                report(f"{path}: damaged ({error}) and removed; its vectors are computed again")
            for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                path.with_name(name).unlink(missing_ok=True)
            return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    """An open, writable, sound database.  Raises: sqlite3.DatabaseError."""
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)  # every statement is a transaction
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, crc INTEGER, vector BLOB)")
        (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state.splitlines()[-1])
        connection.execute("PRAGMA user_version = 1")  # a write: what cannot be written is known before hours of work
    except BaseException:
        connection.close()
        raise
    return connection
