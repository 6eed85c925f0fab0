"""The front end that musicnn was trained with: mel power at 16 kHz, compressed, in patches of 3 s."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..contract import MelSpec
from .mel import power_mel
from .windows import MIN_TAIL_S

# Pons & Serra 2019, arXiv:1909.06654; librosa's other defaults (slaney bands from 0 Hz to half the rate).
SPEC = MelSpec(sample_rate=16_000, n_fft=512, hop_length=256, n_mels=96, fmin=0.0, fmax=8000.0)
PATCH_FRAMES = 187  # 3 s, the length it was trained on
GAIN = 10_000.0  # of the compression


def musicnn_mel(y: np.ndarray, *, rfft: Callable[[np.ndarray], np.ndarray] = np.fft.rfft) -> np.ndarray:
    """Waveform `(samples,)` in [-1, 1] at 16 kHz -> float32 `(frames, 96)`, log10(1 + 10000 mel power).

    Equal to librosa >= 0.10 (padded with zeros) within 1e-5.  The network's own package rounds the power to
    half precision first, which overflows in loud music and is left out here.
    """
    power = power_mel(y, spec=SPEC, rfft=rfft)
    return np.log10(1 + np.float32(GAIN) * power)


def decibels(mel: np.ndarray) -> np.ndarray:
    """Frames `(frames, 96)` of `musicnn_mel` -> log-mel `(96, frames)` in dB above a power of 1e-4, at least 0."""
    return 10 * mel.T


def patches(mel: np.ndarray) -> np.ndarray:
    """Frames `(frames, bands)` -> patches `(n, 187, bands)`, n >= 1, side by side; the rule of `audio.windows`.

    A rest of more than a second is covered by one more patch, which ends with the last frame; what is
    shorter than a patch is repeated.
    """
    frames = len(mel)
    if frames < PATCH_FRAMES:
        return np.resize(mel, (1, PATCH_FRAMES, mel.shape[1]))
    starts = list(range(0, frames - PATCH_FRAMES + 1, PATCH_FRAMES))
    rest = frames - (starts[-1] + PATCH_FRAMES)
    if rest * SPEC.hop_length > MIN_TAIL_S * SPEC.sample_rate:
        starts.append(frames - PATCH_FRAMES)
    return np.stack([mel[start : start + PATCH_FRAMES] for start in starts])
