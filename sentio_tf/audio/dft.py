"""A windowed real DFT as two matrix products (Cooley & Tukey 1965): fast where products are and FFTs are not.

With n = n2 + N2 n1 and k = k1 + N1 k2 (N = N1 N2),

    X[k] = sum_n2 W_N2^(n2 k2) ( W_N^(n2 k1) sum_n1 W_N1^(n1 k1) w[n] x[n] ),   W_N = exp(-2 pi i / N).

The inner sum has a matrix for every n2, into which the window w and the twiddle factor go; the outer one has the same
matrix for every k1.  The input is real, so k1 beyond N1/2 are the conjugates of others, and only those k2 are made that
a mel filter uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..contract import MEL, MelSpec
from .mel import filterbank, hann

INNER = 64  # N1; 32 takes as many products, 64 moves less memory


@dataclass(frozen=True, eq=False)
class TwoStage:
    """Tables of a DFT of `n1 * n2` points at `bins` = [lowest, highest + 1), float32.

    `inner`: `(n2, n1, 2, n1 / 2 + 1)`, last two axes real and imaginary part and k1.
    `outer`: `(n2, 2, 2, k2)`, from real and imaginary part to those of `k2` outputs.
    `bin_of`: `(n1 / 2 + 1, k2)`, which bin each (k1, k2) holds, -1 where it is one of no use or a second copy.
    """

    n1: int
    n2: int
    inner: np.ndarray
    outer: np.ndarray
    bin_of: np.ndarray


@lru_cache
def two_stage(spec: MelSpec = MEL, n1: int = INNER) -> TwoStage:
    """Tables for the bins that the mel filters of `spec` use.

    Raises: ValueError if the frames of `spec` cannot be cut so: `n1` must divide `n_fft`, and the hop be a multiple
        of `n_fft / n1` that divides `n_fft`.
    """
    n = spec.n_fft
    n2 = n // n1
    if n % n1 or spec.hop_length % n2 or n % spec.hop_length:
        raise ValueError(f"expected n_fft a multiple of {n1} and of hop_length. Received: {n}, {spec.hop_length}")
    first, last, _ = filterbank(spec)
    k1 = np.arange(n1 // 2 + 1)
    place, fine = np.arange(n1)[None, :, None], np.arange(n2)[:, None, None]
    window = hann(n).astype(np.float64).reshape(n1, n2).T[:, :, None]
    turned = window * np.exp(-2j * np.pi * k1 * (place / n1 + fine / n))  # (n2, n1, k1)
    # Beside the bins below `last` those above n - last, whose conjugates hold the other half of k1.
    count = min((last - 1) // n1 + 1, n2 // 2)
    k2 = np.r_[np.arange(count), np.arange(n2 - count, n2)]
    wave = np.exp(-2j * np.pi * np.arange(n2)[:, None] * k2 / n2)  # (n2, k2)
    outer = np.stack([np.stack([wave.real, wave.imag], 1), np.stack([-wave.imag, wave.real], 1)], 1)
    bins = k1[:, None] + n1 * k2
    bins = np.where(bins > n // 2, n - bins, bins)
    seen = np.unique(bins, return_index=True)[1]
    once = np.isin(np.arange(bins.size), seen).reshape(bins.shape)
    bin_of = np.where(once & (bins >= first) & (bins < last), bins, -1)
    inner = np.stack([turned.real, turned.imag], 2)
    return TwoStage(n1, n2, inner.astype(np.float32), outer.astype(np.float32), bin_of)


@dataclass(frozen=True, eq=False)
class MelGroup:
    """Mel filters over `columns` = [first, last + 1) of k2 and the mirrored columns that hold the other half of k1.

    `weights` float32 `(columns, k1, bands)`, first those from the left, then the mirrored; `bands` = [first, last + 1).
    """

    columns: tuple[int, int]
    mirrored: tuple[int, int]
    bands: tuple[int, int]
    weights: np.ndarray


@lru_cache
def mel_groups(spec: MelSpec = MEL, n1: int = INNER) -> tuple[MelGroup, ...]:
    """The mel filters of `spec` over the outputs of `two_stage(spec, n1)`, without most of their zeros.

    A column of k2 holds `n1` bins side by side, of which few filters use any: groups of columns that double in width
    take a third of the products, and of the table.
    """
    first, _, weights = filterbank(spec)
    bin_of = two_stage(spec, n1).bin_of
    ordered = np.where((bin_of >= 0)[..., None], weights[np.maximum(bin_of, first) - first], np.float32(0))
    half = bin_of.shape[1] // 2
    groups, low = [], 0
    while low < half:
        high = min(half, max(1, 2 * low))
        mirrored = (2 * half - high, 2 * half - low)
        part = np.concatenate([ordered[:, low:high], ordered[:, slice(*mirrored)]], axis=1).transpose(1, 0, 2)
        used = np.flatnonzero(part.any(axis=(0, 1)))
        bands = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        groups.append(MelGroup((low, high), mirrored, bands, np.ascontiguousarray(part[..., slice(*bands)])))
        low = high
    return tuple(groups)
