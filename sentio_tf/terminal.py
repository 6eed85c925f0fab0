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
