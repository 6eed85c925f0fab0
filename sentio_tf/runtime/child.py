"""A module of this package run in a process of its own: LiteRT ends the one it is in when a model is damaged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

# The first keeps the folder that the user stands in out of the child's imports (Python 3.11 and newer).
ENVIRONMENT = {"PYTHONSAFEPATH": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


class Child:
    """`python -m MODULE ARGUMENTS`, which prints answers as lines of JSON objects."""

    def __init__(self, module: str, arguments: Sequence[str]):
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=os.environ | ENVIRONMENT,
        )
        self.said: list[str] = []  # the last it wrote to stderr
        self.listener = threading.Thread(target=self._listen, daemon=True)  # or a full pipe would stop the process
        self.listener.start()

    def _listen(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            if line.strip() and not line.startswith("INFO"):
                self.said = [*self.said[-20:], line.strip()]

    def ask(self, line: object) -> None:
        """Write a line to its stdin."""
        assert self.process.stdin
        with suppress(BrokenPipeError):  # then `answer` tells why
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()

    def answer(self, longest_s: float) -> dict[str, Any]:
        """The next object it prints; `error` in one line where it ended, or said nothing for `longest_s`."""
        assert self.process.stdout
        late = threading.Event()

        def stop() -> None:
            late.set()
            self.process.kill()

        killer = threading.Timer(longest_s, stop)
        killer.start()
        try:
            for line in self.process.stdout:
                with suppress(ValueError):  # half a line of a process that died
                    if line.startswith("{"):
                        return json.loads(line)
        finally:
            killer.cancel()
        if late.is_set():
            return {"error": f"LiteRT gave no answer in {longest_s:g} s"}
        code = self.process.wait()
        self.listener.join(5)
        return {"error": ended(code, self.said)}

    def end(self) -> None:
        """Stop it, whatever it does."""
        self.process.kill()
        self.process.wait()
        self.listener.join(5)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe
            with suppress(BrokenPipeError):
                pipe.close()


def ended(code: int, said: Sequence[str]) -> str:
    """How a process that ran LiteRT ended, in words."""
    if code < 0:
        try:
            return f"LiteRT was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"LiteRT was ended by signal {-code}"
    return f"LiteRT ended with exit code {code}" + (f" ({said[-1][:160]})" if said else "")
