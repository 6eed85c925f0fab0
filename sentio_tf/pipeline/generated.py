"""Spectrograms that a network generated: tracks of which there is no sound, only a log-mel."""

from __future__ import annotations

import numpy as np

from ..contract import MEL, N_FRAMES, MelSpec
from ..corpora.track import Track
from ..errors import DataError

SUFFIX = ".npy"


def read_log_mel(track: Track, holds: str, mel: MelSpec) -> np.ndarray:
    """The log-mel of a generated track, float32 `(128, frames)` in dB.

    Raises: DataError for a cache of anything but this project's log-mels, since there is no sound to make it of, and
        for a file that holds no finite log-mel of one window.
    """
    if holds != "log-mel" or (mel != MEL and _front_end(mel) != _front_end(MEL)):
        raise DataError(
            f"{track.key}: generated, so there is a log-mel of the default front end only, received a cache of "
            f"{holds}; leave the corpus out, or train a network on log-mels without augmentation of the waveform"
        )
    try:
        found = np.load(track.path, allow_pickle=False)
        whole = found.shape == (mel.n_mels, N_FRAMES) and np.issubdtype(found.dtype, np.floating)
        if not whole or not np.isfinite(found).all():
            raise ValueError(f"{found.dtype} {found.shape}")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{track.path}: expected a finite log-mel ({mel.n_mels}, {N_FRAMES}) of sentio-tf gan sample, received "
            f"something else ({error}); draw the corpus again"
        ) from None
    return found.astype(np.float32)


def _front_end(mel: MelSpec) -> tuple:
    # The floor belongs to a window and is applied when one is cut.
    return mel.sample_rate, mel.n_fft, mel.hop_length, mel.n_mels, float(mel.fmin), float(mel.fmax), mel.amin
