"""Tracks to batches without TensorFlow: the examples of `data.dataset`, bit for bit, made by threads."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..audio.augment import Augment
from ..contract import N_FRAMES
from ..corpora.track import Track
from ..errors import ConfigError
from .cache import Spec
from .data import Example, Order, blend, check_options, goals, prepare, render_tracks

TRIES = 100  # to close a generator that another thread is in, IDLE_S apart
IDLE_S = 0.1  # how long a thread waits for work before it looks whether it is still wanted

Batch = tuple[np.ndarray, np.ndarray]


def batches(
    tracks: Sequence[Track],
    spec: Spec = Spec(),
    *,
    augment: Augment | None = None,
    frames: int = N_FRAMES,
    samples: int | None = None,
    batch: int = 32,
    repeats: dict[str, float] | None = None,
    unlabelled: bool = False,
    seed: int = 0,
    skip: int = 0,
    workers: int | None = None,
    ahead: int = 2,
    report: Callable[[str], None] | None = None,
) -> Iterator[Batch]:
    """Endless batches `(x, y)` of random crops, float32, equal to those of `dataset`; for Keras on JAX.

    Threads make them and end with the iterator: when it is closed or dropped, when an example fails, or
    with the interpreter.  What fails is raised where the batch would have come.

    Args:
        ahead: batches made while one is used, 1 or more; memory holds one more.
        Others: as of `dataset`.

    Raises: as `dataset`; ConfigError for decoder "tfio", which is TensorFlow's.
    """
    if spec.decoder == "tfio":
        raise ConfigError("decoder: tfio decodes in TensorFlow's graph, received batches without it; use 'native'")
    if ahead < 1:
        raise ConfigError(f"ahead: expected 1 batch or more, received {ahead}; give a number above 0")
    check_options(spec, augment=augment, samples=samples, skip=skip)
    targets = goals(tracks, augment=augment, unlabelled=unlabelled)
    tracks = render_tracks(tracks, spec.root)
    example, order = prepare(
        tracks,
        targets,
        spec,
        augment=augment,
        frames=frames,
        samples=samples,
        repeats=repeats,
        seed=seed,
        report=report,
    )
    rows = grouped(order, batch, skip=skip * batch)
    return made(rows, example, augment, workers=workers or os.cpu_count() or 2, ahead=ahead)


def grouped(order: Order, batch: int, *, skip: int = 0) -> Iterator[Batch]:
    """Rows and targets of `order` from `skip` on, `batch` at a time, without end: int64 and float32 `(batch, 3)`."""
    number, first = order.find(skip)
    rows, found = (part[first:] for part in order.epoch(number))
    while True:
        while len(rows) < batch:
            number += 1
            more = order.epoch(number)
            rows, found = np.concatenate([rows, more[0]]), np.concatenate([found, more[1]])
        yield rows[:batch], found[:batch]
        rows, found = rows[batch:], found[batch:]


def made(
    rows: Iterator[Batch], example: Example, augment: Augment | None, *, workers: int, ahead: int
) -> Iterator[Batch]:
    """Each batch of `rows` with its examples, `ahead` of them in work while one is used."""

    def join(parts: list[Future], y: np.ndarray, seeds: np.ndarray) -> Batch:
        x = np.stack([part.result() for part in parts])
        return blend(augment, x, y, seeds) if augment and augment.mixup_alpha else (x, y)

    waiting: deque[Future] = deque()
    with threads(workers) as submit:
        for places, y in rows:
            parts = [submit(example, *place) for place in places]
            waiting.append(submit(join, parts, y, places[:, 2]))
            if len(waiting) > ahead:
                yield waiting.popleft().result()


@contextmanager
def threads(workers: int) -> Iterator[Callable[..., Future]]:
    """`submit(function, *arguments)` to threads, begun in that order: a job may wait for earlier ones.

    An executor of the standard library would finish all that was submitted before the interpreter ends.
    """
    # Not SimpleQueue: its get(timeout) never returns where another thread took what woke this one (CPython 3.11).
    todo: queue.Queue[tuple[Future, Callable, tuple]] = queue.Queue()
    closed = threading.Event()
    main = threading.main_thread()

    def work() -> None:
        while not closed.is_set() and main.is_alive():
            try:
                future, function, arguments = todo.get(timeout=IDLE_S)
            except queue.Empty:
                continue
            # What was taken is always done: a later job may wait for it.
            try:
                future.set_result(function(*arguments))
            except BaseException as error:
                future.set_exception(error)
            del future, function, arguments  # or an idle thread would keep a batch

    def submit(function: Callable[..., Any], *arguments: Any) -> Future:
        if not main.is_alive():
            raise RuntimeError("the interpreter is closing")
        future: Future = Future()
        todo.put((future, function, arguments))
        return future

    pool = [threading.Thread(target=work, name=f"sentio-batches-{i}") for i in range(workers)]
    for thread in pool:
        thread.start()
    try:
        yield submit
    finally:
        closed.set()
        if threading.current_thread() not in pool:  # an iterator that was dropped may be collected in any thread
            for thread in pool:
                thread.join()


@contextmanager
def closed(stream: Any) -> Iterator[None]:
    """On leaving it, an endless generator is closed, and its threads end; other streams are left alone.

    What read it may have a thread inside it still, and be kept alive itself: Keras on TensorFlow is.
    """
    try:
        yield
    finally:
        close: Callable[[], None] = getattr(stream, "close", lambda: None)
        for _ in range(TRIES):
            try:
                close()
                break
            except ValueError:  # it is at work
                time.sleep(IDLE_S)
