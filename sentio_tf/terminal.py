"""What native libraries write to the terminal, kept away from users and scripts."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

from .errors import SentioError

_lock = threading.RLock()
_depth = 0  # threads and calls inside `quiet` now
_saved = -1  # where descriptor 2 led before the first of them
_sink: IO[bytes] | None = None  # opened once: decoding enters here for every block


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what C++ writes to file descriptor 2; show its end if an unexpected error comes out.

    May be entered by several threads at once: the descriptor is the process', so the first one in
    redirects it and the last one out puts it back.
    """
    if sys.stderr is None:  # closed by the caller: nothing to keep away
        yield
        return
    _enter()
    try:
        yield
    except (SentioError, ValueError, RuntimeError):
        _leave()
        raise  # expected: becomes one line
    except BaseException:
        _leave(show=True)
        raise
    else:
        _leave()


def _enter() -> None:
    global _depth, _saved, _sink
    with _lock:
        if _depth == 0:
            sys.stderr.flush()
            if _sink is None:
                _sink = tempfile.TemporaryFile()  # noqa: SIM115  kept for the life of the process
            _saved = os.dup(2)
            os.dup2(_sink.fileno(), 2)
        _depth += 1


def _leave(*, show: bool = False) -> None:
    global _depth
    with _lock:
        assert _sink is not None
        _depth -= 1
        if show:
            _sink.seek(0)
            os.write(_saved, _sink.read()[-4000:])
        if _depth == 0:
            sys.stderr.flush()
            os.dup2(_saved, 2)
            os.close(_saved)
            _sink.seek(0)
            _sink.truncate()


def printable(text: str) -> str:
    """Control characters and lone surrogates as escapes: a file name must not steer a terminal or a picture."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in safe)
