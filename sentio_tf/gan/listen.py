"""Spectrograms to sound and back: Griffin-Lim for the ear, and the Frechet Audio Distance on musicnn features."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import soxr

from ..audio import mel as front_end
from ..audio.musicnn_mel import SPEC, musicnn_mel, patches
from ..contract import MEL, MelSpec
from ..errors import ConfigError
from ..models import musicnn, pretrained
from ..pipeline.cache import fast_rfft
from .quality import frechet

ROUNDS = 32  # of Griffin-Lim


@lru_cache
def _spread(spec: MelSpec) -> np.ndarray:
    """Pseudo-inverse of the filter bank, `(n_mels, n_fft / 2 + 1)`."""
    first, last, weights = front_end.filterbank(spec)
    inverse = np.zeros((spec.n_mels, spec.n_fft // 2 + 1))
    inverse[:, first:last] = np.linalg.pinv(weights.astype(np.float64))
    return inverse


def magnitude(log_mel: np.ndarray, spec: MelSpec = MEL) -> np.ndarray:
    """Log-mel `(n_mels, frames)` [dB] -> magnitudes `(n_fft / 2 + 1, frames)`: least squares, negative power cut."""
    power = 10 ** (np.asarray(log_mel, np.float64) / 10)
    return np.sqrt(np.maximum(_spread(spec).T @ power, 0)).astype(np.float32)


def griffin_lim(log_mel: np.ndarray, *, spec: MelSpec = MEL, rounds: int = ROUNDS) -> np.ndarray:
    """Log-mel `(n_mels, frames)` [dB] -> waveform `(samples,)` at `spec.sample_rate`, with phases of its own.

    Griffin & Lim 1984 in the fast form of Perraudin et al. 2013; from the same start every time.

    Raises: ConfigError where librosa is missing.
    """
    try:
        import librosa
    except ImportError:
        raise ConfigError(
            "sound: expected librosa, received an environment without it; install it with: "
            "pip install 'sentio-tf[train]'"
        ) from None
    found = librosa.griffinlim(
        magnitude(log_mel, spec), n_iter=rounds, hop_length=spec.hop_length, n_fft=spec.n_fft, random_state=0
    )
    return np.asarray(found, np.float32)


class Ear:
    """musicnn as a listener: waveforms to the 200 features before its tags, a row a patch of 3 s.

    Args:
        root: folder of the caches, for the published weights.
        report: takes a line before a download.

    Raises: ModelError if the weights cannot be had.
    """

    def __init__(self, root: Path, *, report: Callable[[str], None] | None = None):
        tagger = musicnn.tagger(pretrained.load(pretrained.fetch("musicnn", root, report=report)))
        self.network = keras.Model(tagger.input, tagger.get_layer("penultimate").output)

    def hear(self, sound: np.ndarray) -> np.ndarray:
        """Waveform at 22 050 Hz -> `(patches, 200)`."""
        y = soxr.resample(sound, MEL.sample_rate, SPEC.sample_rate, "HQ")
        return np.asarray(self.network.predict_on_batch(patches(musicnn_mel(y, rfft=fast_rfft()))))

    def embed(self, sounds: Iterable[np.ndarray]) -> np.ndarray:
        """All patches of all sounds, `(n, 200)`."""
        return np.concatenate([self.hear(sound) for sound in sounds])


def audio_distance(
    ear: Ear,
    train: Iterable[np.ndarray],
    held: Iterable[np.ndarray],
    made: Iterable[np.ndarray],
    floor: Iterable[np.ndarray],
    recorded: Iterable[np.ndarray],
) -> dict[str, Any]:
    """Frechet Audio Distance (Kilgour et al. 2019, arXiv:1812.08466) to training songs, the smaller the nearer.

    There is no sound of a generated spectrogram, so all log-mels `(128, frames)` [dB] go through Griffin-Lim, the real
    ones, too: what it costs is on both sides.  `phase` is what it costs alone: training songs as recorded against
    the same through Griffin-Lim.  Covariances are shrunk, see `quality.frechet`.

    Args: recorded: waveforms of the training songs.
    """
    through = lambda mels: ear.embed(griffin_lim(mel) for mel in mels)
    reference = through(train)
    found = {name: frechet(reference, through(mels)) for name, mels in
             (("generated", made), ("ceiling", held), ("floor", floor))}  # fmt: skip
    return {**found, "phase": frechet(ear.embed(recorded), reference), "patches": len(reference)}
