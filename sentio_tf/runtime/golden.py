"""A waveform that every language can make for itself, and what the model must answer to it."""

from __future__ import annotations

import hashlib

import numpy as np

from ..contract import SAMPLE_RATE, WINDOW_SAMPLES


def golden_waveform(samples: int = WINDOW_SAMPLES, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """A chord of four plucked saw tones a second, float32 `(samples,)`; integer arithmetic only.

    Sample i of tone f is ((i * step_f) mod 65536 - 32768) * envelope / 2^31, summed over the tones;
    the envelope falls linearly from 8192 to 0 within each second.  No sine, no rounding of floats:
    any language computes it bit by bit.
    """
    i = np.arange(samples, dtype=np.int64)
    envelope = 8192 - (8192 * (i % sample_rate)) // sample_rate
    total = np.zeros(samples, np.int64)
    for hertz in (131, 165, 196, 262):
        step = 65536 * hertz // sample_rate
        total += ((i * step) % 65536 - 32768) * envelope
    return (total / 2**31).astype(np.float32)


def sha256(waveform: np.ndarray) -> str:
    """Hash of the float32 little-endian samples."""
    return hashlib.sha256(np.ascontiguousarray(waveform, "<f4").tobytes()).hexdigest()
