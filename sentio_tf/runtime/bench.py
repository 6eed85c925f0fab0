"""How long a window takes, and how much memory: several files side by side, each in processes of its own.

All processes load first; then they take turns, so that a busy moment of the machine hits all alike.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..contract import SignatureContract
from ..errors import ModelError
from . import flatbuffer
from .child import Child

NETWORK = "network"  # signature log_mel -> valence_arousal, where a file has it
PER_TURN = 5  # windows
BUSY = 0.3  # cores that others take; with more, the numbers are not to be trusted
LONGEST_S = 300.0  # that a process may take for its next answer
SCHEMA = "sentio-benchmark/1"


def measure(paths: Sequence[str | Path], *, threads: Sequence[int] = (1, 2), runs: int = 30) -> dict[str, Any]:
    """Every file with every number of threads.

    Args:
        paths: `.tflite` files; the first that can be measured is what others are compared with.
        runs: windows of each.

    Returns: what `--format json` prints: `machine`, `litert`, `others` [cores that other processes took, median
        of the turns], `busy`, `runs`, `litert_bytes` [memory of a process that only imports LiteRT] and `files`,
        each with `path` and either `error` or `bytes` and `results`, one a number of threads (`_summary`).
    """
    files: list[dict[str, Any]] = [{"path": str(path)} for path in paths]
    workers: dict[tuple[int, int], Child] = {}
    found: dict[tuple[int, int], dict[str, Any]] = {}
    base = _baseline()
    try:
        for i, file in enumerate(files):
            try:
                file["bytes"] = _checked(Path(file["path"]))
            except ModelError as error:
                file["error"] = str(error)
                continue
            for count in threads:  # one after the other: packing weights takes all cores
                worker = workers[i, count] = Child(__name__, [file["path"], str(count)])
                found[i, count] = {"whole": [], "network": [], "others": [], **worker.answer(LONGEST_S)}
        for left in range(runs, 0, -PER_TURN):
            for key, worker in workers.items():
                if "error" not in found[key]:
                    worker.ask(min(left, PER_TURN))
                    _join(found[key], worker.answer(LONGEST_S))
    finally:
        for worker in workers.values():
            worker.end()
    loads = [load for f in found.values() for load in f["others"]]
    for i, file in enumerate(files):
        mine = {count: found[i, count] for count in threads if (i, count) in found}
        errors = [f["error"] for f in mine.values() if "error" in f]
        if errors:
            file["error"] = f"{file['path']}: the model does not run ({errors[0]}); see sentio-tf verify"
        if "error" not in file:
            file["results"] = [_summary(count, f, base) for count, f in mine.items()]
    _compare(files)
    others = statistics.median(loads) if loads else None
    return {
        "schema": SCHEMA,
        "sentio_tf": __version__,
        "litert": _litert_version(),
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"},
        "runs": runs,
        "others": None if others is None else round(others, 2),
        "busy": others is not None and others > BUSY,
        "litert_bytes": base,
        "files": files,
    }


def _checked(path: Path) -> int:
    """Size of a model whose tables are whole.  Raises: ModelError naming the file."""
    from .checks import read

    content = read(path)
    try:
        structure = flatbuffer.structure(content)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    name = SignatureContract.name
    if name not in structure.signatures or len(structure.signatures[name].inputs) != 1:
        names = ", ".join(structure.signatures) or "none"
        raise ModelError(f"{path}: expected a signature {name} of one input, received {names}; see sentio-tf verify")
    return len(content)


def _join(found: dict[str, Any], turn: dict[str, Any]) -> None:
    """Add a turn to what is known."""
    if "error" in turn:
        found["error"] = turn["error"]
        return
    found["whole"] += turn["whole"]
    found["network"] += turn["network"]
    found["others"].append(turn["others"])


def _summary(threads: int, found: dict[str, Any], base: int | None) -> dict[str, Any]:
    """One file with one number of threads: times [ms], memory [bytes]; None where it is not known."""
    whole, network = times(found["whole"]), times(found["network"])
    front = None if network is None or whole is None else round(whole["median_ms"] - network["median_ms"], 3)
    return {
        "threads": threads,
        "whole": whole,
        "front_end_ms": front,  # difference of the medians
        "network": network,
        "load_ms": round(1e3 * found["load"], 3),
        "first_ms": round(1e3 * found["first"], 3),
        "peak_bytes": found["peak"],
        "model_bytes": None if base is None or found["peak"] is None else found["peak"] - base,
        "others": round(statistics.median(found["others"]), 2),
    }


def times(seconds: Sequence[float]) -> dict[str, Any] | None:
    if not seconds:
        return None
    median, p95 = np.percentile(1e3 * np.asarray(seconds), [50, 95])
    return {"median_ms": round(float(median), 3), "p95_ms": round(float(p95), 3), "runs": len(seconds)}


def _compare(files: list[dict[str, Any]]) -> None:
    """Give each result its `ratio`: median time as a multiple of the first file's with as many threads."""
    good = [file for file in files if "error" not in file]
    for file in good:
        for mine, first in zip(file["results"], good[0]["results"], strict=True):
            mine["ratio"] = round(mine["whole"]["median_ms"] / first["whole"]["median_ms"], 3)


def cpu_name() -> str:
    """The processor as the system names it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _litert_version() -> str:
    from importlib.metadata import version

    return version("ai-edge-litert")


def _baseline() -> int | None:
    """Memory [bytes] of a process that has imported what `serve` needs, and done nothing."""
    child = Child(__name__, [])
    try:
        return child.answer(LONGEST_S).get("peak")
    finally:
        child.end()


# -- inside a process -----------------------------------------------------------------------------------


def serve(path: str, threads: int) -> None:
    """Print how long loading and the first window took and the peak memory; then for each line on stdin, a number
    of windows, their times [s], those of the network alone, and how many cores other processes took meanwhile."""
    from ai_edge_litert.interpreter import Interpreter

    began = time.perf_counter()
    interpreter = Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    load = time.perf_counter() - began
    whole = _call(interpreter, SignatureContract.name, scale=0.1, offset=0)
    first = _time(whole)
    # Before the second signature, which takes memory of its own that an app does not need.
    print(json.dumps({"load": load, "first": first, "peak": peak_bytes()}), flush=True)
    # Decibels about as they are in music; zeros or ones could be faster than what is real.
    has_network = NETWORK in interpreter.get_signature_list()
    network = _call(interpreter, NETWORK, scale=15, offset=-30) if has_network else None
    for call in (whole, network):
        if call:
            call()
    for line in sys.stdin:
        with other_load() as others:
            windows = [_time(whole) for _ in range(int(line))]
            parts = [_time(network) for _ in range(int(line))] if network else []
        print(json.dumps({"whole": windows, "network": parts, "others": others[0]}), flush=True)


def _call(interpreter: Any, signature: str, *, scale: float, offset: float):
    """A function that runs the signature once on noise."""
    runner = interpreter.get_signature_runner(signature)
    ((name, details),) = runner.get_input_details().items()
    noise = np.random.default_rng(0).standard_normal(details["shape"], dtype=np.float32)
    given = {name: (scale * noise + offset).astype(details["dtype"])}
    return lambda: runner(**given)


def _time(call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def peak_bytes() -> int | None:
    """Most memory that this process held.  What getrusage tells begins with what its parent held, so Linux is asked."""
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024
    except (OSError, LookupError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextmanager
def other_load() -> Iterator[list[float]]:
    """Gets, when it is left, how many cores were busy with other processes; 0 where the machine does not tell."""

    def busy() -> float:
        try:
            user, nice, system = map(int, Path("/proc/stat").read_text().split(maxsplit=4)[1:4])
        except OSError:
            return time.process_time()
        return (user + nice + system) / os.sysconf("SC_CLK_TCK")

    load: list[float] = []
    began, before, own = time.perf_counter(), busy(), time.process_time()
    yield load
    spent = busy() - before - (time.process_time() - own)
    load.append(max(0.0, spent / (time.perf_counter() - began)))


def _main(*arguments: str) -> None:
    """A model and its number of threads to serve; nothing: print what memory the imports alone take."""
    from ai_edge_litert import interpreter  # noqa: F401

    if arguments:
        serve(arguments[0], int(arguments[1]))
    else:
        print(json.dumps({"peak": peak_bytes()}), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
