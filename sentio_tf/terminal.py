"""What native libraries write to the terminal, kept away from users and scripts."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from .errors import SentioError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what C++ writes to file descriptor 2; show its end if an unexpected error comes out."""
    if sys.stderr is None:  # closed by the caller: nothing to keep away
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        except (SentioError, ValueError, RuntimeError):
            raise  # expected: becomes one line
        except BaseException:
            sys.stderr.flush()
            os.dup2(saved, 2)
            sink.seek(0)
            sys.stderr.write(sink.read().decode(errors="replace")[-4000:])
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)


def printable(text: str) -> str:
    """Control characters and lone surrogates as escapes: a file name must not steer a terminal or a picture."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in safe)
