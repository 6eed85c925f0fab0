"""A stream of samples to windows of fixed length: the one rule for hop, tail and short files.

1. Windows start at 0, hop, 2 hop, ... as long as they fit.
2. If more than `MIN_TAIL_S` is left uncovered, one more window ends exactly with the file.
3. A file shorter than a window is repeated until it fills one: every frame holds real music, where
   zero padding would look like half a song of silence.

So every file of at least one sample gives at least one window, and no window holds padding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..contract import HOP_S, MIN_TAIL_S, SAMPLE_RATE, WINDOW_SAMPLES


@dataclass(frozen=True)
class Window:
    """`samples` float32 `(window,)`; `start_s` and `end_s` say which part of the file they hold."""

    start_s: float
    end_s: float
    samples: np.ndarray
    repeated: bool = False


def windows(
    blocks: Iterable[np.ndarray],
    *,
    size: int = WINDOW_SAMPLES,
    hop_s: float = HOP_S,
    sample_rate: int = SAMPLE_RATE,
) -> Iterator[Window]:
    """Cut `blocks` of mono samples into windows of `size` samples; holds two windows at most.

    Raises: ValueError unless 0 < hop <= window (a larger hop would skip music).
    """
    hop = round(hop_s * sample_rate)
    if not 0 < hop <= size:
        raise ValueError(f"expected a hop of more than 0 and at most {size / sample_rate:g} s. Received: {hop_s}")
    buffer = np.empty(0, np.float32)
    first = 0  # index in the file of buffer[0]
    start = 0  # index in the file of the next window
    total = 0
    covered = 0
    pending: list[np.ndarray] = []

    def cut(begin: int, end: int) -> Window:
        return Window(begin / sample_rate, end / sample_rate, buffer[begin - first : end - first].copy())

    for block in blocks:
        pending.append(block)
        total += len(block)
        if total < start + size:
            continue
        buffer = np.concatenate([buffer, *pending])
        pending.clear()
        while total >= start + size:
            yield cut(start, start + size)
            covered = start + size
            start += hop
        # The last window may begin up to one hop before the next start: keep that much.
        keep = max(0, min(start, total - size) - hop)
        if keep > first:
            buffer, first = buffer[keep - first :], keep
    if total == 0:
        return
    buffer = np.concatenate([buffer, *pending])
    if covered == 0:
        yield Window(0.0, total / sample_rate, np.resize(buffer, size), repeated=total < size)
    elif total - covered > MIN_TAIL_S * sample_rate:
        yield cut(total - size, total)
