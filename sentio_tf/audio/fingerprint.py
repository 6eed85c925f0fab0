"""Is this the same recording?  A robust fingerprint and a search for pairs that share one.

Haitsma & Kalker 2002, A highly robust audio fingerprinting system (ISMIR): 32 bits a frame, each the
sign of the change in time of the energy difference between two neighbouring bands, 33 bands from 300
to 2000 Hz over long windows.  Survives codecs, level and equalisers; not another tempo or key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..contract import SAMPLE_RATE
from .mel import hann

N_FFT = 8192  # .37 s: neighbouring frames overlap by 94 %, so a cut between two frames does little harm
HOP = 512
BANDS = 33
LOW_HZ, HIGH_HZ = 300.0, 2000.0
# Frames whose loudest band is so far below the loudest frame say nothing but noise.
QUIET_DB = 50.0

# The authors call two blocks the same below .35; over the whole overlap of two songs less is needed.
SAME = 0.25
SHORTEST_S = 5.0  # sound that must be heard in both
VOTES = 4  # frames that must agree exactly, at one offset, before a pair is compared
COMMON = 32  # a code that more frames have than this tells songs apart no longer
PROPOSING = 4_000_000  # frames that propose, about
_MIDDLE = 1 << 23  # offsets are packed into 24 bits, recordings into 20 each


def fingerprint(y: np.ndarray) -> np.ndarray:
    """Codes of a waveform at 22 050 Hz, uint32 `(frames,)`, a frame each 512 samples; 0 where it is quiet."""
    y = np.asarray(y, np.float32)
    if len(y) < N_FFT + HOP:
        return np.zeros(0, np.uint32)
    edges = np.round(np.geomspace(LOW_HZ, HIGH_HZ, BANDS + 1) * N_FFT / SAMPLE_RATE).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(y, N_FFT)[::HOP]
    energy = np.empty((len(frames), BANDS))
    window = hann(N_FFT)
    for i in range(0, len(frames), 32):
        spectrum = np.fft.rfft(frames[i : i + 32] * window)[:, edges[0] : edges[-1]]
        energy[i : i + 32] = np.add.reduceat(spectrum.real**2 + spectrum.imag**2, edges[:-1] - edges[0], axis=1)
    step = np.diff(energy, axis=1)
    bits = np.diff(step, axis=0) < 0
    codes = np.packbits(bits, axis=1).view(">u4")[:, 0].astype(np.uint32)
    level = energy.max(axis=1)[1:]
    codes[level <= level.max() * 10 ** (-QUIET_DB / 10)] = 0
    return codes


@dataclass(frozen=True)
class Match:
    """Two recordings that share sound for `overlap_s`: `second` begins `offset_s` after `first` does."""

    first: int
    second: int
    offset_s: float
    overlap_s: float
    bit_error_rate: float


def bit_error_rate(a: np.ndarray, b: np.ndarray) -> float:
    """Share of the bits that differ, over frames that are quiet in neither; .5 is what strangers have."""
    heard = (a != 0) & (b != 0)
    if not heard.any():
        return 0.5
    return float(np.unpackbits((a[heard] ^ b[heard]).view(np.uint8)).mean())


def matches(prints: Sequence[np.ndarray]) -> list[Match]:
    """Pairs among the fingerprints that are the same recording, or parts of one.

    Frames with exactly equal codes propose a pair and an offset; a proposal with `VOTES` of them is
    compared bit by bit over the whole overlap.  Memory is bounded: of very many frames only codes of
    some hashes propose, the same ones in every recording.
    """
    if not prints:
        return []
    thin = max(1, -(-sum(map(len, prints)) // PROPOSING))
    chosen = [_proposing(p, thin) for p in prints]
    codes = np.concatenate([p[at] for p, at in zip(prints, chosen, strict=True)])
    owner = np.repeat(np.arange(len(prints), dtype=np.int32), [len(at) for at in chosen])
    place = np.concatenate(chosen).astype(np.int32)
    order = np.argsort(codes, kind="stable")
    codes, owner, place = codes[order], owner[order], place[order]
    changes = np.flatnonzero(np.diff(codes)) + 1
    run = np.diff(np.r_[0, changes, len(codes)])
    rare = np.repeat(run <= COMMON, run)
    proposals = [np.zeros(0, np.uint64)]
    # Frames of equal code lie side by side: compare each with its 1st, 2nd, ... follower.
    for gap in range(1, min(COMMON, len(codes))):
        same = np.flatnonzero((codes[gap:] == codes[:-gap]) & (owner[gap:] != owner[:-gap]) & rare[gap:])
        # The order is stable and frames were in order of their recordings: the first is the lower one.
        i, j = owner[same].astype(np.uint64), owner[same + gap].astype(np.uint64)
        offset = (place[same + gap].astype(np.int64) - place[same] + _MIDDLE).astype(np.uint64)
        proposals.append(i << np.uint64(44) | j << np.uint64(24) | offset)
    keys, votes = np.unique(np.concatenate(proposals), return_counts=True)
    best: dict[tuple[int, int], Match] = {}
    for key in keys[votes >= VOTES].tolist():
        i, j, offset = key >> 44, key >> 24 & 0xFFFFF, (key & 0xFFFFFF) - _MIDDLE
        if match := _compare(prints, i, j, offset):
            known = best.get((i, j))
            if known is None or match.bit_error_rate < known.bit_error_rate:
                best[i, j] = match
    return sorted(best.values(), key=lambda m: (m.first, m.second))


def _proposing(codes: np.ndarray, thin: int) -> np.ndarray:
    """Places of the codes that propose: the first of each run, since a held note repeats its code."""
    fresh = (codes != 0) & np.r_[True, np.diff(codes) != 0][: len(codes)]
    if thin > 1:
        fresh &= (codes * np.uint32(2654435761) >> np.uint32(16)) % thin == 0  # Knuth's multiplicative hash
    return np.flatnonzero(fresh)


def _compare(prints: Sequence[np.ndarray], i: int, j: int, offset: int) -> Match | None:
    """`offset`: place in j minus place in i of the same sound."""
    a, b = prints[i][max(0, -offset) :], prints[j][max(0, offset) :]
    length = min(len(a), len(b))
    a, b = a[:length], b[:length]
    # Only what is heard in both counts: two fades that share a click are not the same recording.
    heard_s = int(((a != 0) & (b != 0)).sum()) * HOP / SAMPLE_RATE
    if heard_s < SHORTEST_S:
        return None
    rate = bit_error_rate(a, b)
    if rate > SAME:
        return None
    return Match(i, j, -offset * HOP / SAMPLE_RATE, heard_s, rate)
