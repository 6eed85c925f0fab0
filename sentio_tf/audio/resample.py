"""The one resampler of phones and browsers: a windowed sinc that any language computes in twenty lines.

Decoders of phones and browsers give the file's own rate; what resamples there differs from system to system (Chromium's
reaches 29 dB against soxr HQ).  So the card states a filter, and Kotlin, Swift and JavaScript compute it as this module
does.  On a desktop `predict` uses soxr; the answers agree, see the tests.

Sample n of the output lies at p = n rate_in / rate_out of the input, and is the sum over the `taps` input samples k
around it of x[k] h(p - k), divided by the sum of these h, where with c = cutoff min(1, rate_out / rate_in) and
w = (taps - 1) / 2

    h(t) = sinc(c t) I0(beta sqrt(1 - (t / w)^2)) for |t| <= w, else 0

(Kaiser 1974; Crochiere & Rabiner 1983, chapter 2).  Outside the file lies silence.  p has rate_out / gcd distinct
fractions, so h is a table of so many rows.  There are round(samples rate_out / rate_in) outputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..contract import RESAMPLER

BLOCK = 16_384  # outputs that are computed at once


@dataclass(frozen=True)
class KaiserSinc:
    """A filter, independent of rates.

    Args:
        taps: odd number of input samples that make an output.
        beta: of the Kaiser window.
        cutoff: middle of the transition, as a share of the lower Nyquist frequency.

    Raises: ValueError for an even number of taps, or none; a beta below 0; a cutoff outside (0, 1].
    """

    taps: int = RESAMPLER["taps"]
    beta: float = RESAMPLER["beta"]
    cutoff: float = RESAMPLER["cutoff"]

    def __post_init__(self):
        if self.taps < 3 or self.taps % 2 == 0 or not self.beta >= 0 or not 0 < self.cutoff <= 1:
            raise ValueError(
                f"expected an odd number of taps, beta >= 0 and 0 < cutoff <= 1. Received: {self.taps}, {self.beta}, "
                f"{self.cutoff}"
            )

    def at(self, t: np.ndarray, scale: float) -> np.ndarray:
        """h(t) for distances in input samples; `scale` is min(1, rate_out / rate_in)."""
        width = (self.taps - 1) / 2
        window = np.i0(self.beta * np.sqrt(np.maximum(0, 1 - (t / width) ** 2)))
        return np.where(np.abs(t) <= width, np.sinc(self.cutoff * scale * t) * window, 0.0)


class Resampler:
    """A stream of mono samples from one rate to another; memory does not grow.

    Args:
        rate_in, rate_out: [Hz].
        kernel: the filter.

    Raises: ValueError unless both rates are positive integers.
    """

    def __init__(self, rate_in: int, rate_out: int, kernel: KaiserSinc = KaiserSinc()):
        if not all(isinstance(r, (int, np.integer)) and r > 0 for r in (rate_in, rate_out)):
            raise ValueError(f"expected rates in Hz, whole and above 0. Received: {rate_in}, {rate_out}")
        shared = math.gcd(rate_in, rate_out)
        self.up, self.down = rate_out // shared, rate_in // shared
        self.kernel = kernel
        self.half = (kernel.taps - 1) // 2
        self._heard = 0  # input samples
        self._made = 0  # output samples
        self._first = -self.half  # index in the input of _buffer[0]; before the file lies silence
        self._buffer = np.zeros(self.half, np.float32)

    @cached_property
    def table(self) -> np.ndarray:
        """Row f: weights of the `taps` samples around an output whose place has the fraction f / up, `(up, taps)`."""
        return self._weights(np.arange(self.up))

    def _weights(self, fractions: np.ndarray) -> np.ndarray:
        around = np.arange(-self.half, self.half + 1)
        found = self.kernel.at(fractions[:, None] / self.up - around, min(1.0, self.up / self.down))
        return found / found.sum(axis=1, keepdims=True)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """What can be known now that `samples`, float32 `(n,)`, have been heard."""
        self._heard += len(samples)
        self._buffer = np.concatenate([self._buffer, np.asarray(samples, np.float32)])
        # The last output whose taps have all been heard: place <= heard - 1 - half.
        last = (self._heard - 1 - self.half) * self.up // self.down
        return self._until(last + 1)

    def finish(self) -> np.ndarray:
        """The rest; behind the file lies silence.  Of an empty file nothing."""
        total = (2 * self._heard * self.up + self.down) // (2 * self.down)  # rounded, halves up
        self._buffer = np.concatenate([self._buffer, np.zeros(self.half + 1, np.float32)])
        return self._until(total)

    def _until(self, end: int) -> np.ndarray:
        parts = []
        while self._made < end:
            n = np.arange(self._made, min(end, self._made + BLOCK), dtype=np.int64)
            place, fraction = np.divmod(n * self.down, self.up)
            # Rates without a large common divisor would need a table of gigabytes.
            weights = self.table[fraction] if self.up <= BLOCK // 8 else self._weights(fraction)
            start = place - self.half - self._first
            taken = np.lib.stride_tricks.sliding_window_view(self._buffer, self.kernel.taps)[start]
            parts.append(np.einsum("nk,nk->n", taken, weights).astype(np.float32))
            self._made += len(n)
        keep = min(self._made * self.down // self.up - self.half - self._first, len(self._buffer))
        if keep > 0:
            self._buffer, self._first = self._buffer[keep:], self._first + keep
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def resample(samples: np.ndarray, rate_in: int, rate_out: int, kernel: KaiserSinc = KaiserSinc()) -> np.ndarray:
    """A whole recording, float32 `(n,)`, see `Resampler`."""
    if rate_in == rate_out:
        return np.asarray(samples, np.float32)
    stream = Resampler(rate_in, rate_out, kernel)
    return np.concatenate([stream.push(samples), stream.finish()])
