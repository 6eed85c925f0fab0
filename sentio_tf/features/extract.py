"""Features of many files, side by side, each computed once.

The cache is one SQLite file, `features.sqlite`: several processes may use it at a time.  An entry belongs to a path,
its size and time of change, the part of the file, the set, and the version of the table.
"""

from __future__ import annotations

import hashlib
import importlib.util
import multiprocessing
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..audio import decode
from ..audio.content import content_id, remember
from ..errors import AudioError, DataError, SentioError
from .store import open_store
from .table import columns, version

NAME = "features.sqlite"
Progress = Callable[[int, int], None]  # done, total


@dataclass(frozen=True)
class Item:
    """A file, or the part of it from `start_s` [s] on, `duration_s` [s] long (None: to its end)."""

    path: Path
    start_s: float = 0.0
    duration_s: float | None = None


def extract(
    items: Sequence[Item],
    set: str = "recipe",
    *,
    cache: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    report: Callable[[str], None] | None = None,
) -> tuple[list[str], np.ndarray, dict[int, str]]:
    """Features of every item, but for those that cannot be read.

    Args:
        set: "recipe" (164) or "extended" (193), see `table`.
        cache: folder of `features.sqlite`; without one everything is computed anew.
        workers: processes [default: one a core]; 1 works in this process.
        progress: called as `progress(done, total)` after each item.
        report: called with a line for each damage of the cache that was found and mended.

    Returns: `(names, matrix, failed)`: columns, float32 `(items, columns)`, and `{index of an item: reason}` of those
        that could not be read; their rows are NaN.

    Raises: DataError if the cache cannot be read or written, or a worker dies; SentioError without SciPy.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"expected one worker or more. Received: {workers}")
    names = columns(set)
    for module in ("scipy", "threadpoolctl"):  # the latter comes with scikit-learn
        if importlib.util.find_spec(module) is None:
            raise SentioError(f"features need {module}; install it with: pip install 'sentio-tf[train]'")
    failed: dict[int, str] = {}
    if cache:
        remember(Path(cache))
    wanted: dict[str, list[int]] = {}  # the same part of a file may be asked for twice
    for index, item in enumerate(items):
        try:
            wanted.setdefault(_key(item, set), []).append(index)
        except AudioError as error:
            failed[index] = str(error)
    done = len(failed)

    def step(key: str) -> None:
        nonlocal done
        done += len(wanted[key])
        if progress:
            progress(done, len(items))

    with open_store(cache and Path(cache) / NAME, report) as store:
        found = store.read(wanted, len(names))
        for key in found:
            step(key)
        missing = {key: items[own[0]] for key, own in wanted.items() if key not in found}
        # Closed whatever happens, so that no worker goes on for nobody.
        with closing(_compute_all(missing, set, workers or os.cpu_count() or 1)) as results:
            for key, result in results:
                if isinstance(result, str):
                    failed |= dict.fromkeys(wanted[key], result)
                else:
                    found[key] = result
                    store.write(key, result)
                step(key)
    matrix = np.full((len(items), len(names)), np.nan, np.float32)
    for key, vector in found.items():
        matrix[wanted[key]] = vector
    return names, matrix, dict(sorted(failed.items()))


def compute_item(item: Item, set: str) -> np.ndarray:
    """Decode and compute one item: float32 `(columns,)`.  Raises: AudioError if it cannot be read."""
    from .analyse import vector_of

    return vector_of(decode.blocks(item.path, offset_s=item.start_s, duration_s=item.duration_s), set)


def _key(item: Item, set: str) -> str:
    path = Path(item.path)
    decode.check_readable(path)
    try:
        content = content_id(path)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror}); check the name and its permissions") from None
    parts = (content, item.start_s, item.duration_s, set, version(set))
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()


# -- computing --------------------------------------------------------------------------------------


def _single_thread() -> None:
    """In a worker: one BLAS thread, or the workers' threads wait for one another."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def _guarded(item: Item, set: str) -> np.ndarray | str:
    """The features, or the reason why there are none: one strange file must not lose the others."""
    try:
        return compute_item(item, set)
    except SentioError as error:
        return str(error)
    except Exception as error:
        return f"{item.path}: {type(error).__name__}: {error}"


def _compute_all(missing: dict[str, Item], set: str, workers: int) -> Generator[tuple[str, np.ndarray | str]]:
    """Key and result of each item as they are finished."""
    workers = min(workers, len(missing))
    if workers <= 1:
        for key, item in missing.items():
            yield key, _guarded(item, set)
        return
    # Spawned: a fork of a process with threads (BLAS, a notebook) may never come to an end.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_single_thread) as pool:
        try:
            jobs = {pool.submit(_guarded, item, set): key for key, item in missing.items()}
            for job in as_completed(jobs):
                yield jobs.pop(job), job.result()
        except BrokenProcessPool:
            raise DataError(
                "a worker was killed: out of memory, or this is a script that starts processes without "
                "`if __name__ == '__main__':`; run again to continue, or with 1 worker"
            ) from None
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
