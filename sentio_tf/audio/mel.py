"""Log-mel spectrogram in numpy: the twin of `layers.logmel`, and the constants both share."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ..contract import MEL, MelSpec

# Slaney's Auditory Toolbox (1998): linear to 1 kHz, then 27 steps per factor 6.4.
_LINEAR_HZ = 200.0 / 3
_BREAK_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27


def hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """Slaney mel of a frequency [Hz]."""
    hz = np.asarray(hz, np.float64)
    log = _BREAK_HZ / _LINEAR_HZ + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz >= _BREAK_HZ, log, hz / _LINEAR_HZ)


def mel_to_hz(mel: np.ndarray | float) -> np.ndarray:
    """Inverse of `hz_to_mel` [Hz]."""
    mel = np.asarray(mel, np.float64)
    break_mel = _BREAK_HZ / _LINEAR_HZ
    log = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, break_mel) - break_mel))
    return np.where(mel >= break_mel, log, mel * _LINEAR_HZ)


@lru_cache
def band_edges(spec: MelSpec = MEL) -> np.ndarray:
    """Lower edge, centres and upper edge [Hz], shape `(n_mels + 2,)`."""
    return mel_to_hz(np.linspace(hz_to_mel(spec.fmin), hz_to_mel(spec.fmax), spec.n_mels + 2))


@lru_cache
def filterbank(spec: MelSpec = MEL) -> tuple[int, int, np.ndarray]:
    """Triangular, area-normalised (slaney) filters over the FFT bins that any filter uses.

    Returns `(lowest, highest + 1, weights)`, weights float32 `(bins, n_mels)`.
    """
    bins = np.fft.rfftfreq(spec.n_fft, 1 / spec.sample_rate)[:, None]
    edges = band_edges(spec)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    weights = np.maximum(0, np.minimum(rising, falling)) * (2 / (high - low))
    used = np.flatnonzero(weights.any(axis=1))
    first, last = int(used[0]), int(used[-1]) + 1
    return first, last, weights[first:last].astype(np.float32)


@lru_cache
def hann(n_fft: int) -> np.ndarray:
    """Periodic Hann window, float32 `(n_fft,)`."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)


@lru_cache
def _banded(spec: MelSpec) -> tuple[tuple[int, int, int, int, np.ndarray], ...]:
    """The filter bank in groups of bands, `(first bin, last bin, first band, last band, weights)`.

    A group's filters use few of the bins; leaving out the zeros saves five sixths of the product.
    """
    _, _, weights = filterbank(spec)
    groups = []
    for start in range(0, spec.n_mels, 16):
        part = weights[:, start : start + 16]
        used = np.flatnonzero(part.any(axis=1))
        low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        groups.append((low, high, start, start + part.shape[1], np.ascontiguousarray(part[low:high])))
    return tuple(groups)


def power_mel(
    y: np.ndarray, *, spec: MelSpec = MEL, chunk: int = 64, rfft: Callable[[np.ndarray], np.ndarray] = np.fft.rfft
) -> np.ndarray:
    """Waveform to mel power, float32 `(frames, n_mels)`, equal to `librosa.feature.melspectrogram(...).T`.

    Arguments as of `log_mel`; `spec.amin` and `spec.top_db` do not matter.
    """
    y = np.pad(np.asarray(y, np.float32), spec.n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(y, spec.n_fft)[:: spec.hop_length]
    window = hann(spec.n_fft)
    first, last, _ = filterbank(spec)
    power = np.empty((len(frames), spec.n_mels), np.float32)
    for i in range(0, len(frames), chunk):
        spectrum = rfft(frames[i : i + chunk] * window)[:, first:last]
        energy = spectrum.real**2
        energy += spectrum.imag**2
        for low, high, start, stop, weights in _banded(spec):
            power[i : i + chunk, start:stop] = energy[:, low:high] @ weights
    return power


def log_mel(
    y: np.ndarray, *, spec: MelSpec = MEL, chunk: int = 64, rfft: Callable[[np.ndarray], np.ndarray] = np.fft.rfft
) -> np.ndarray:
    """Waveform to log-mel in dB.

    Args:
        y: float32 `(samples,)` in [-1, 1] at `spec.sample_rate`.
        chunk: frames transformed at once; 64 stay in the cache of one core.
        rfft: real FFT of the rows; SciPy's is faster where it is at hand.

    Returns: float32 `(n_mels, frames)` in dB, `frames = 1 + samples // hop_length`, equal to
    `librosa.power_to_db(librosa.feature.melspectrogram(...))` within 1e-3 dB.
    """
    db = 10 * np.log10(np.maximum(power_mel(y, spec=spec, chunk=chunk, rfft=rfft), spec.amin))
    return np.maximum(db, db.max() - spec.top_db).T
