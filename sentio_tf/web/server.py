"""A server for one page on this machine: the types that browsers insist on, and the headers that allow threads."""

from __future__ import annotations

import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ..errors import SentioError


class Handler(SimpleHTTPRequestHandler):
    """Types of its own: those of the operating system may call a script text/plain."""

    extensions_map = {  # noqa: RUF012  # as its base class has it
        "": "application/octet-stream",
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".mjs": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
    }

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args) -> None:
        """Nothing: the browser's own tools show requests."""


def serve(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of `folder` on this machine alone (127.0.0.1), not yet running; port 0: any that is free.

    Raises: SentioError if the port is taken.
    """
    handler = functools.partial(Handler, directory=str(folder))
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise SentioError(f"expected a free port, received {port} ({error.strerror}); name another --port") from None
