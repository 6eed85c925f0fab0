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

_depth = 0  # calls inside `quiet` now
_sink: IO[bytes] | None = None  # opened once: decoding enters here for every block


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what C++ writes to file descriptor 2; show its end if an unexpected error comes out.

    The descriptor is the process', so only the main thread redirects it: threads that take turns in here
    would keep it redirected, and whatever anybody had to say would be lost.
    """
    global _depth, _sink
    if sys.stderr is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    if _depth:  # redirected already
        yield
        return
    sys.stderr.flush()
    if _sink is None:
        _sink = tempfile.TemporaryFile()  # noqa: SIM115  kept for the life of the process
    saved = os.dup(2)
    os.dup2(_sink.fileno(), 2)
    _depth = 1
    show = False
    try:
        yield
    except (SentioError, ValueError, RuntimeError):
        raise  # expected: becomes one line
    except BaseException:
        show = True
        raise
    finally:
        _depth = 0
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        if show:
            _sink.seek(0)
            sys.stderr.write(_sink.read().decode(errors="replace")[-4000:])
        _sink.seek(0)
        _sink.truncate()


def printable(text: str) -> str:
    """Control characters and lone surrogates as escapes: a file name must not steer a terminal or a picture."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in safe)
