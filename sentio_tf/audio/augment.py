"""Augmentation of waveforms, log-mels and batches in numpy: usable eagerly and in `tf.numpy_function`.

Conventions: `y` is a waveform, float32 `(samples,)` in [-1, 1] at 22 050 Hz; `x` a log-mel, float32
`(128, frames)` or `(128, frames, 1)` in dB.  Inputs are never written to; where there is nothing to
do, the result may be the input itself.  Whatever is random draws from the `rng` given, so the same
seed gives the same bits.  Operations on waveforms do not clip; `Augment.waveform` does, once.

Labels are kept, which is true only of small changes: tempo, register and dynamics are cues of
emotion themselves (Eerola, Friberg & Bresin 2013, doi:10.3389/fpsyg.2013.00487).  So everything is
off by default, and `Augment` bounds how far a clip may be changed.

Raises, everywhere: ConfigError for a parameter out of its range, AudioError for a waveform that is
empty, not finite or not `(samples,)` of floats, DataError for a log-mel or batch of another shape.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import soxr

from ..contract import MEL, SAMPLE_RATE, SILENCE_PEAK
from ..errors import AudioError, ConfigError, DataError
from .mel import hann

# Exponent of the amplitude spectrum: 0, -3 and -6 dB per octave of power.
COLORS = {"white": 0.0, "pink": -0.5, "brown": -1.0}
# A waveform may overshoot between two operations; beyond this it holds something else.
ABSURD_PEAK = 1e4
# Frames transformed at once: they stay in the cache of one core.
_CHUNK = 64


def _number(name: str, value: Any, low: float, high: float, unit: str = "") -> float:
    """`value` as float, ConfigError unless it is a number from `low` to `high`."""
    # True is an integer to Python, and never meant as one.
    known = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not known or not low <= value <= high:
        raise ConfigError(
            f"{name}: expected a number from {low:g} to {high:g}{unit and ' ' + unit}, received {value!r}; "
            "choose one in that range"
        )
    return float(value)


def _integer(name: str, value: Any, low: int, high: int) -> int:
    known = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not known or not low <= value <= high:
        raise ConfigError(
            f"{name}: expected an integer from {low} to {high}, received {value!r}; choose one in that range"
        )
    return int(value)


def _color(name: str, value: Any) -> str:
    if not isinstance(value, str) or value not in COLORS:
        raise ConfigError(f"{name}: expected one of {', '.join(COLORS)}, received {value!r}; choose one of them")
    return value


def _samples(y: Any) -> tuple[np.ndarray, float]:
    """The waveform as float32 and its peak."""
    y = np.asarray(y)
    if y.ndim != 1 or not len(y) or y.dtype.kind != "f":
        raise AudioError(
            f"expected a waveform of floats (samples,), received {y.dtype} {y.shape}; load it with audio.decode.load"
        )
    y = y.astype(np.float32, copy=False)
    peak = float(np.maximum(y.max(), -y.min()))
    if not peak <= ABSURD_PEAK:  # NaN fails every comparison
        raise AudioError(f"expected finite samples in [-1, 1], received a peak of {peak}; decode the file again")
    return y, peak


def _rms(y: np.ndarray) -> float:
    return float(np.sqrt(np.square(y).mean(dtype=np.float64)))


def gain(y: np.ndarray, *, db: float) -> np.ndarray:
    """`y` louder by `db` (-60 to 60 dB).

    Louder is heard as more aroused, a little: a few dB, as between two masterings, keep the label.
    """
    y, _ = _samples(y)
    return y * np.float32(10 ** (_number("db", db, -60, 60, "dB") / 20))


def _fast_length(n: int) -> int:
    """A little above `n`, with small factors only: the FFT of a prime length takes ten times longer."""
    return min(odd << max(0, (-(-n // odd) - 1).bit_length()) for odd in (1, 3, 5, 9, 15, 25, 27, 45, 75, 81))


@lru_cache(maxsize=8)
def _slope(n: int, color: str) -> tuple[int, np.ndarray]:
    """First bin at or above `MEL.fmin` and the amplitudes from there on, for a real FFT of `n` samples."""
    first = -int(-MEL.fmin * n // SAMPLE_RATE)
    bins = np.arange(first, n // 2 + 1, dtype=np.float64)
    return first, ((bins / first) ** COLORS[color]).astype(np.float32)


def colored_noise(samples: int, *, color: str, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise with a power of 0 (white), -3 (pink) or -6 dB (brown) per octave.

    Pink and brown are shaped in the frequency domain and hold nothing below the front end's 20 Hz,
    where brown noise would otherwise spend all its power on a drift that nobody hears.

    Args:
        samples: at least 1.
        color: "white", "pink" or "brown".

    Returns: float32 `(samples,)`, RMS 1.
    """
    samples = _integer("samples", samples, 1, 1 << 31)
    if _color("color", color) == "white":
        y = rng.standard_normal(samples, np.float32)
    else:
        # Long enough for bins below any audible frequency, however short the noise.
        n = _fast_length(max(samples, 4096))
        first, slope = _slope(n, color)
        spectrum = np.zeros(n // 2 + 1, np.complex64)
        spectrum[first:] = rng.standard_normal(2 * len(slope), np.float32).view(np.complex64) * slope
        y = np.fft.irfft(spectrum, n)[:samples].astype(np.float32, copy=False)
    return y * np.float32(1 / max(_rms(y), 1e-30))


def add_noise(y: np.ndarray, *, snr_db: float, color: str, rng: np.random.Generator) -> np.ndarray:
    """`y` plus noise whose power lies exactly `snr_db` (-60 to 120 dB) below that of `y`.

    A silent `y` (peak below -80 dBFS) has no such noise and is returned as it is.
    """
    y, peak = _samples(y)
    snr_db = _number("snr_db", snr_db, -60, 120, "dB")
    _color("color", color)
    if peak < SILENCE_PEAK:
        return y
    noise = colored_noise(len(y), color=color, rng=rng)
    return y + np.float32(_rms(y) * 10 ** (-snr_db / 20)) * noise


def time_shift(y: np.ndarray, *, samples: int) -> np.ndarray:
    """`y` turned by `samples` (later if positive), its end becoming its beginning.

    The label of a clip holds for all of it, so it does not matter where the clip begins.
    """
    y, _ = _samples(y)
    return np.roll(y, _integer("samples", samples, -len(y), len(y)))


def _unit(spectrum: np.ndarray) -> np.ndarray:
    """Every number divided by its magnitude; 1, phase 0, for silence."""
    magnitude = np.abs(spectrum)
    tiny = magnitude.dtype.type(1e-15)
    if (silent := magnitude < tiny).any():
        spectrum = np.where(silent, 1, spectrum)
        magnitude = np.where(silent, 1, magnitude)
    return spectrum * (1 / magnitude)  # numpy divides complex numbers slowly


def phase_vocoder(spectrum: np.ndarray, *, rate: float) -> np.ndarray:
    """Resample the frames of an STFT in time, phases continued (Flanagan & Golden 1966; Ellis 2002).

    As analysis and synthesis hop by the same step, the expected phase advance cancels modulo 2 pi,
    and the phase of an output frame is the sum of the differences between the input frames walked
    over.  That sum telescopes: where the walk takes the next input frame, it is that frame's own
    phase; only where a frame is skipped or used again a constant rotation is added.  So no angle is
    computed, and nothing is lost in sums of millions of radians.

    Args:
        spectrum: complex64 or complex128 `(frames, bins)`.
        rate: input frames per output frame, 0.2 to 5.

    Returns: same dtype, `(ceil(frames / rate), bins)`, equal to `librosa.phase_vocoder` transposed.
    """
    spectrum = np.asarray(spectrum)
    if spectrum.ndim != 2 or not spectrum.size or spectrum.dtype.kind != "c":
        raise DataError(f"expected a complex STFT (frames, bins), received {spectrum.dtype} {spectrum.shape}; give one")
    steps = np.arange(0, len(spectrum), _number("rate", rate, 0.2, 5))
    low = steps.astype(np.intp)
    share = (steps - low).astype(spectrum.real.dtype)[:, None]
    # Two frames of silence end the walk.
    spectrum = np.concatenate([spectrum, np.zeros((2, spectrum.shape[1]), spectrum.dtype)])

    came = np.concatenate([[0], low[:-1] + 1])  # the input frame whose phase is reached
    jumps = np.flatnonzero(came[:-1] != low[:-1])
    turns = np.ones((1 + len(jumps), spectrum.shape[1]), spectrum.dtype)
    turn = _unit(spectrum[came[jumps]]) * _unit(spectrum[low[jumps]]).conj()
    np.multiply.accumulate(turn, out=turns[1:])
    passed = np.searchsorted(jumps, np.arange(len(low)))  # jumps before each frame

    out = np.empty((len(low), spectrum.shape[1]), spectrum.dtype)
    for i in range(0, len(low), _CHUNK):
        part = slice(i, i + _CHUNK)
        level = np.abs(spectrum[low[part]])
        level += share[part] * (np.abs(spectrum[low[part] + 1]) - level)
        np.multiply(_unit(spectrum[came[part]]), turns[passed[part]], out=out[part])
        out[part] *= level
    return out


@lru_cache
def _hann64() -> np.ndarray:
    """`mel.hann` before it is rounded."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(MEL.n_fft) / MEL.n_fft)


def _stft(y: np.ndarray) -> np.ndarray:
    """Centred with zeros, complex64 `(1 + samples // hop_length, 1 + n_fft // 2)`.

    Window and transform in double precision: single would leave the phases of near-silent bins to
    rounding, and the vocoder carries a phase on to when the bin sounds.
    """
    y = np.pad(y, MEL.n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(y, MEL.n_fft)[:: MEL.hop_length]
    window = _hann64()
    spectrum = np.empty((len(frames), MEL.n_fft // 2 + 1), np.complex64)
    for i in range(0, len(frames), _CHUNK):
        spectrum[i : i + _CHUNK] = np.fft.rfft(frames[i : i + _CHUNK] * window)
    return spectrum


def _istft(spectrum: np.ndarray, samples: int) -> np.ndarray:
    """Inverse of `_stft` by least squares (Griffin & Lim 1984), float32 `(samples,)`."""
    overlap = MEL.n_fft // MEL.hop_length
    window = hann(MEL.n_fft)
    blocks = np.zeros((len(spectrum) + overlap - 1, MEL.hop_length), np.float32)
    norm = np.zeros_like(blocks)
    for i in range(0, len(spectrum), _CHUNK):
        part = (np.fft.irfft(spectrum[i : i + _CHUNK]) * window).reshape(-1, overlap, MEL.hop_length)
        for k in range(overlap):
            blocks[i + k : i + k + len(part)] += part[:, k]
    for k in range(overlap):
        norm[k : k + len(spectrum)] += np.square(window).reshape(overlap, -1)[k]
    middle = slice(MEL.n_fft // 2, MEL.n_fft // 2 + samples)
    # Every sample asked for lies within a hop of a frame's middle, so the sum is at least 1/4.
    return blocks.ravel()[middle] / norm.ravel()[middle]


def _vocode(y: np.ndarray, rate: float, ratio: float) -> np.ndarray:
    """Tempo times `rate`, frequencies times `ratio`, in one pass of the vocoder."""
    if rate == ratio == 1:
        return y
    samples = max(1, round(len(y) / rate))
    stretched = _istft(phase_vocoder(_stft(y), rate=rate / ratio), max(1, round(len(y) * ratio / rate)))
    if ratio == 1:
        return stretched
    shifted = soxr.resample(stretched, SAMPLE_RATE * ratio, SAMPLE_RATE, quality="HQ")[:samples]
    return np.pad(shifted, (0, samples - len(shifted)))


def time_stretch(y: np.ndarray, *, rate: float) -> np.ndarray:
    """`y` played faster (`rate` > 1) or slower at the same pitch, as `librosa.effects.time_stretch`.

    Tempo is one of the strongest cues of arousal: see the module's note.

    Args:
        rate: 0.5 to 2.

    Returns: float32 `(max(1, round(samples / rate)),)`; transients are smeared by up to 2048 samples.
    """
    y, _ = _samples(y)
    return _vocode(y, _number("rate", rate, 0.5, 2), 1)


def pitch_shift(y: np.ndarray, *, semitones: float) -> np.ndarray:
    """`y` higher by `semitones` (-12 to 12) at the same tempo, as `librosa.effects.pitch_shift`.

    Stretched by a phase vocoder, then resampled by soxr HQ; timbre moves with the pitch.
    """
    y, _ = _samples(y)
    return _vocode(y, 1, 2 ** (_number("semitones", semitones, -12, 12) / 12))


def spec_augment(
    x: np.ndarray,
    *,
    rng: np.random.Generator,
    freq_masks: int = 2,
    freq_share: float = 0.15,
    time_masks: int = 2,
    time_share: float = 0.15,
    fill: float | None = None,
) -> np.ndarray:
    """Mask bands and frames (Park et al. 2019, arXiv:1904.08779), without time warping.

    Args:
        x: `(bands, frames)` or `(bands, frames, 1)` in dB.
        freq_masks, time_masks: 0 to 64; each mask's width is uniform from 0 to the share below.
        freq_share, time_share: widest mask as a share of the bands or frames, 0 to 1, rounded down.
        fill: value inside the masks [dB]; None: the clip's mean.

    Returns: a new array like `x`.
    """
    out = np.array(x, np.float32)
    if out.ndim not in (2, 3) or not out.size or out.shape[2:] not in ((), (1,)):
        raise DataError(f"expected a log-mel (bands, frames) or (bands, frames, 1), received {out.shape}; reshape it")
    masks = {
        0: (_integer("freq_masks", freq_masks, 0, 64), _number("freq_share", freq_share, 0, 1)),
        1: (_integer("time_masks", time_masks, 0, 64), _number("time_share", time_share, 0, 1)),
    }
    mean = out.mean()
    if not np.isfinite(mean):
        raise DataError("expected a log-mel of finite values, received NaN or inf; compute it again")
    value = mean if fill is None else _number("fill", fill, -1000, 1000, "dB")
    for axis, (count, share) in masks.items():
        size = out.shape[axis]
        widths = rng.integers(int(share * size), size=count, endpoint=True)
        starts = rng.integers(size - widths, endpoint=True)
        for start, width in zip(starts, widths, strict=True):
            np.moveaxis(out, axis, 0)[start : start + width] = value
    return out


def mixup(x: np.ndarray, y: np.ndarray, *, alpha: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Blend every example with another of its kind (Zhang et al. 2018, arXiv:1710.09412).

    `x' = lambda x + (1 - lambda) x_partner`, the same of `y`, lambda ~ Beta(alpha, alpha) for each
    example.  Lambda is folded to at least 1/2: pairs have no order, and so each example stays nearest
    to its own row.  Ratings are blended with ratings and signs with signs, because the mean of a
    rating and a sign is neither; sign targets then lie in [-1, 1].  An example that is the only one
    of its kind in the batch is left as it is.

    Args:
        x: float32 `(batch, ...)`.
        y: float32 `(batch, 3)` = [valence, arousal, rated], rated 0 or 1; see `losses`.
        alpha: 0.01 to 10; 0.2 to 0.4 are usual, larger blends more evenly.

    Returns: new arrays like `x` and `y`.
    """
    alpha = _number("alpha", alpha, 0.01, 10)
    x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
    if x.ndim < 2 or y.shape != (len(x), 3) or not np.isin(y[:, 2], (0, 1)).all() or not np.isfinite(y).all():
        raise DataError(
            "expected x (batch, ...) and finite y (batch, 3) whose last column is 0 or 1, "
            f"received {x.shape} and {y.shape}; build the targets with pipeline.target"
        )
    share = rng.beta(alpha, alpha, len(x))
    share = np.minimum(share, 1 - share).astype(np.float32)  # the partner's, 1 - lambda
    partner = np.arange(len(x))
    for rated in (0, 1):
        # Each takes its neighbour in a random ring: a partner for all, never itself.
        ring = rng.permutation(np.flatnonzero(y[:, 2] == rated))
        partner[ring] = np.roll(ring, 1)

    def blend(values: np.ndarray) -> np.ndarray:
        out = values[partner]
        out -= values
        out *= share.reshape(-1, *[1] * (values.ndim - 1))
        out += values
        return out

    return blend(x), blend(y)


# Largest value and unit of each number; the smallest is 0.
_LIMITS: dict[str, tuple[float, str]] = {
    "gain_db": (24, "dB"),
    "shift": (0.2, "of the clip"),
    "pitch_semitones": (2, "semitones"),
    "stretch": (0.25, ""),
    "probability": (1, ""),
    "freq_share": (0.5, "of the bands"),
    "time_share": (0.5, "of the frames"),
    "mixup_alpha": (4, ""),
}
_MASKS = 8


@dataclass(frozen=True)
class Augment:
    """What is done to a training example; by default nothing.

    Waveform (each with `probability`): `gain_db` uniform in +- [dB], `noise_snr_db` uniform in a
    range [dB] with one of `noise_colors`, circular `shift` uniform in +- that share of the clip,
    `pitch_semitones` uniform in +-, `stretch` 0.1 for a tempo between 1/1.1 and 1.1, uniform in its
    logarithm.  Log-mel (always): see `spec_augment`.  Batch (always): see `mixup`.

    Raises: ConfigError naming the field, the range and what was received.
    """

    gain_db: float = 0.0  # largest change of level [dB], 0 to 24
    noise_snr_db: tuple[float, float] | None = None  # lowest and highest SNR [dB], 0 to 80; None: no noise
    noise_colors: tuple[str, ...] = ("white", "pink", "brown")  # one is drawn
    shift: float = 0.0  # largest share of the clip, 0 to 0.2
    pitch_semitones: float = 0.0  # largest shift, 0 to 2; a register is a cue of emotion
    stretch: float = 0.0  # largest change of tempo as a share, 0 to 0.25; tempo is a cue of arousal
    probability: float = 0.5  # of each waveform operation, for each clip by itself, 0 to 1
    freq_masks: int = 0  # 0 to 8
    freq_share: float = 0.15  # widest mask as a share of the bands, 0 to 0.5
    time_masks: int = 0  # 0 to 8
    time_share: float = 0.15  # widest mask as a share of the frames, 0 to 0.5
    mixup_alpha: float = 0.0  # of the Beta distribution, 0.01 to 4; 0: no mixup

    def __post_init__(self):
        for name, (high, unit) in _LIMITS.items():
            _number(name, getattr(self, name), 0, high, unit)
        for name in ("freq_masks", "time_masks"):
            _integer(name, getattr(self, name), 0, _MASKS)
        if self.mixup_alpha:
            _number("mixup_alpha", self.mixup_alpha, 0.01, _LIMITS["mixup_alpha"][0])
        # YAML knows lists only; tuples keep the dataclass hashable.
        if (snr := self.noise_snr_db) is not None:
            if not isinstance(snr, (list, tuple)) or len(snr) != 2:
                raise ConfigError(
                    f"noise_snr_db: expected [lowest, highest] within 0 to 80 dB, received {snr!r}; give two numbers"
                )
            low, high = (_number("noise_snr_db", value, 0, 80, "dB") for value in snr)
            if low > high:
                raise ConfigError(f"noise_snr_db: expected [lowest, highest], received {snr!r}; swap them")
            object.__setattr__(self, "noise_snr_db", (low, high))
        if not isinstance(self.noise_colors, (list, tuple)) or not self.noise_colors:
            raise ConfigError(
                f"noise_colors: expected a list out of {', '.join(COLORS)}, received {self.noise_colors!r}; "
                "name at least one"
            )
        object.__setattr__(self, "noise_colors", tuple(_color("noise_colors", c) for c in self.noise_colors))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Augment:
        """From a mapping of a YAML file, fields left out at their defaults.

        Raises: ConfigError for an unknown key or a value out of its range.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(values, dict):
            raise ConfigError(f"augment: expected 'field: value' lines, received {values!r}; fields are {known}")
        if unknown := [key for key in values if key not in known]:
            raise ConfigError(f"augment: unknown field {unknown[0]!r}; known are {', '.join(known)}")
        return cls(**values)

    @property
    def needs_waveform(self) -> bool:
        """Whether `waveform` may change anything: if not, mels can come from a cache."""
        amounts = (self.gain_db, self.noise_snr_db is not None, self.shift, self.pitch_semitones, self.stretch)
        return self.probability > 0 and any(amounts)

    def waveform(self, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Stretch, pitch, shift, noise, gain; float32 `(samples,)` as `y`, clipped to [-1, 1].

        A clip that became longer loses its end, one that became shorter is continued with its
        beginning.  Tempo and pitch change in one pass of the vocoder.  A loud master with a positive
        gain is clipped, which sounds harsher: keep `gain_db` to a few dB.
        """
        y, _ = _samples(y)
        # All draws come first, and all are made, so that one operation does not change the others' values.
        stretched, pitched, shifted, noisy, louder = rng.random(5) < self.probability
        tempo, pitch, turn, level = rng.uniform(-1, 1, 4)
        place, color = rng.random(2)
        rate = (1 + self.stretch) ** tempo if stretched else 1.0
        ratio = 2 ** (self.pitch_semitones * pitch / 12) if pitched else 1.0
        y = np.resize(_vocode(y, rate, ratio), len(y))
        if shifted and self.shift:
            y = time_shift(y, samples=round(turn * self.shift * len(y)))
        if noisy and self.noise_snr_db is not None:
            low, high = self.noise_snr_db
            name = self.noise_colors[int(color * len(self.noise_colors))]
            y = add_noise(y, snr_db=low + place * (high - low), color=name, rng=rng)
        if louder and self.gain_db:
            y = gain(y, db=level * self.gain_db)
        return np.clip(y, -1, 1)

    def spectrogram(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Masks on one log-mel `(bands, frames)` or `(bands, frames, 1)`; see `spec_augment`."""
        return spec_augment(
            x,
            rng=rng,
            freq_masks=self.freq_masks,
            freq_share=self.freq_share,
            time_masks=self.time_masks,
            time_share=self.time_share,
        )

    def batch(self, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Mixup of a batch `(batch, bands, frames, 1)` and its targets `(batch, 3)`; see `mixup`."""
        return mixup(x, y, alpha=self.mixup_alpha, rng=rng) if self.mixup_alpha else (x, y)
