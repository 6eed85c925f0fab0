"""Locks between processes that share a folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


class Locks:
    """Named locks between processes: one byte each of one file, freed by the system when a process dies."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> Locks:
        self._file = self.path.open("a+b")
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def acquire(self, name: str, *, wait: bool) -> bool:
        """Take the lock; without `wait`, False where another process has it."""
        try:
            import fcntl
        except ImportError:  # no such locks on Windows: work may be done twice, never wrongly
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, self._place(name))
        except (BlockingIOError, PermissionError):
            return False
        except OSError:  # no locks on this file system: as on Windows
            return True
        return True

    def release(self, name: str) -> None:
        """Give the lock back."""
        try:
            import fcntl
        except ImportError:
            return
        with suppress(OSError):
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, self._place(name))

    @staticmethod
    def _place(name: str) -> int:
        return int(name[:15], 16)  # below 2^60: a byte beyond the file's end may be locked
