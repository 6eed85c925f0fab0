"""Descriptors: functions of spectra, onsets, chroma and levels, equal to the calls of `table`.

Nothing of librosa is imported; the tests compare with it.  What takes its time there is done in another way with the
same result: medians along one long row, autocorrelation of the lags that are asked for, sorting of single bands,
pitches of spectral peaks only.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.special

from ..audio.mel import filterbank, hann
from ..contract import SAMPLE_RATE, MelSpec

N_FFT = 2048
HOP = 512
CHUNK = 128  # frames transformed at once: half a MiB of spectrum stays in a core's cache
BINS = 1 + N_FFT // 2
FREQUENCIES = np.arange(BINS) * (SAMPLE_RATE / N_FFT)  # Hz
MEL_128 = MelSpec(fmin=0.0, fmax=SAMPLE_RATE / 2)  # librosa's default: up to Nyquist
TINY = np.finfo(np.float32).tiny
FLOOR = 1e-10  # power that decibels are taken of at least
TOP_DB = 80.0  # below the loudest value of the segment: the floor of decibels

ROLLOFF = 0.85
CONTRAST_FMIN = 200.0  # Hz; seven bands: below it and six octaves
CONTRAST_SHARE = 0.02
MEDIAN = 31  # frames or bands, as FitzGerald's
TEMPO_WINDOW = 384  # frames, 8.9 s
LAGS = 87  # of the tempogram; 9 to 86 frames are 287 to 30 BPM
FIRST_LAG = 9
# Longer than window + lags, so that the circular autocorrelation wraps into lags nobody asks for.
TEMPO_FFT = scipy.fft.next_fast_len(TEMPO_WINDOW + LAGS, real=True)
TUNING_BAND = (14, 372)  # bins of 150 to 4000 Hz
BRIGHT_BIN = 140  # the first above 1500 Hz
ROUGH_PEAKS = 20
FRAME_S = HOP / SAMPLE_RATE

# Krumhansl & Kessler 1982 (Psychological Review 89, 334-368): fit of the twelve tones above the tonic.
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


def or_one(scale: np.ndarray) -> np.ndarray:
    """Divisors, 1 where nothing is to be divided."""
    return np.where(scale < TINY, 1, scale)


def decibels(power: np.ndarray) -> np.ndarray:
    """`10 log10`, 1e-10 at least, and not more than 80 dB below the loudest of all."""
    db = 10 * np.log10(np.maximum(power, FLOOR))
    return np.maximum(db, db.max() - TOP_DB)


@lru_cache
def _mel_groups() -> list[tuple[int, int, int, int, np.ndarray]]:
    """The mel filters in groups of 16 bands: `(first bin, last bin, first band, last band, weights)`."""
    offset, _, weights = filterbank(MEL_128)
    groups = []
    for band in range(0, MEL_128.n_mels, 16):
        part = weights[:, band : band + 16]
        used = np.flatnonzero(part.any(axis=1))
        low, high = used[0], used[-1] + 1
        groups.append((offset + low, offset + high, band, band + 16, np.ascontiguousarray(part[low:high])))
    return groups


def mel_power(power: np.ndarray) -> np.ndarray:
    """Power of 128 mel bands up to Nyquist: `(frames, 1025)` to `(frames, 128)`."""
    mel = np.empty((len(power), MEL_128.n_mels), np.float32)
    for low, high, first, last, weights in _mel_groups():
        mel[:, first:last] = power[:, low:high] @ weights
    return mel


@lru_cache
def _moments() -> np.ndarray:
    return np.stack([np.ones(BINS), FREQUENCIES, FREQUENCIES**2], axis=1)


def centroid_and_bandwidth(magnitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the frequency [Hz], weighted; `(frames, 1025)` to twice `(frames,)`."""
    # Double precision: the difference of two squares of a pure tone is small.
    total, first, second = (magnitude.astype(np.float64) @ _moments()).T
    total = or_one(total)
    centroid = first / total
    bandwidth = np.sqrt(np.maximum(second / total - centroid**2, 0))
    return centroid.astype(np.float32), bandwidth.astype(np.float32)


def rolloff(magnitude: np.ndarray) -> np.ndarray:
    """Frequency [Hz] of the first bin up to which 85 % of the magnitude lie, `(frames,)`."""
    summed = np.cumsum(magnitude, axis=1)
    below = np.count_nonzero(summed < ROLLOFF * summed[:, -1:], axis=1)
    return FREQUENCIES[below].astype(np.float32)


@lru_cache
def _contrast_bands() -> list[tuple[int, int, int]]:
    """First bin, last bin and how many bins are a peak or a valley, of seven bands (Jiang et al. 2002).

    A band begins one bin below its lower edge and leaves its own last bin to the next, as in librosa.
    """
    edges = [0.0, *(CONTRAST_FMIN * 2.0 ** np.arange(7))]
    bands = []
    for i, (low, high) in enumerate(pairwise(edges)):
        inside = np.flatnonzero((low <= FREQUENCIES) & (high >= FREQUENCIES))
        first, last = inside[0] - (i > 0), inside[-1] + 1
        share = max(1, round(CONTRAST_SHARE * (last - first)))
        bands.append((int(first), int(last) - (i < 6), share))
    return bands


def contrast_levels(magnitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the quietest and of the loudest 2 % of the bins of seven bands, each `(frames, 7)`."""
    valley, peak = np.empty((2, len(magnitude), 7), np.float32)
    for i, (first, last, share) in enumerate(_contrast_bands()):
        band = magnitude[:, first:last]
        if share == 1:
            valley[:, i], peak[:, i] = band.min(axis=1), band.max(axis=1)
        else:
            band = np.sort(band, axis=1)
            valley[:, i], peak[:, i] = band[:, :share].mean(axis=1), band[:, -share:].mean(axis=1)
    return valley, peak


def flux(magnitude: np.ndarray, before: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each spectrum of sum 1 from the one before it, `(frames,)`, and the last spectrum.

    The first frame of all has 0.
    """
    shape = magnitude / or_one(magnitude.sum(axis=1, keepdims=True))
    change = np.diff(shape, axis=0, prepend=shape[:1] if before is None else before)
    return np.sqrt(np.einsum("ij,ij->i", change, change)), shape[-1:]


def zero_crossing_rate(y: np.ndarray) -> np.ndarray:
    """Share of sign changes in the 2048 samples of each frame; the edges are continued, `(frames,)`."""
    negative = y < -1e-10  # what is smaller counts as zero, and zero as positive
    padded = np.pad(negative, N_FFT // 2, mode="edge")
    summed = np.cumsum(np.concatenate([[False], padded[1:] != padded[:-1]]))
    starts = np.arange(1 + len(y) // HOP) * HOP
    return ((summed[starts + N_FFT - 1] - summed[starts]) / N_FFT).astype(np.float32)


def rms(padded: np.ndarray, count: int) -> np.ndarray:
    """Root mean square of `count` frames of a waveform that was padded by half a frame, `(frames,)`."""
    hops = N_FFT // HOP
    sums = np.square(padded[: (count + hops - 1) * HOP], dtype=np.float64).reshape(-1, HOP).sum(axis=1)
    energy = np.lib.stride_tricks.sliding_window_view(sums, hops).sum(axis=1)
    return np.sqrt(energy / N_FFT).astype(np.float32)


def onset_strength(log_mel: np.ndarray) -> np.ndarray:
    """Mean rise over the bands [dB], three frames late for lag and window; `(frames, 128)` to `(frames,)`."""
    rise = np.maximum(np.diff(log_mel, axis=0), 0).mean(axis=1)
    late = 1 + N_FFT // (2 * HOP)
    return np.concatenate([np.zeros(late, np.float32), rise])[: len(log_mel)]


def tempogram(onset: np.ndarray) -> np.ndarray:
    """Autocorrelation of the onset strength in 8.9 s around each frame, `(87, frames)`, lag 0 is 1.

    The weighted mean is taken off each Hann-windowed stretch: onset strength is never negative, and the
    autocorrelation of its mean alone would give noise a perfect pulse.  The ends are mirrored.  A stretch without any
    change has zeros.
    """
    half = TEMPO_WINDOW // 2
    padded = np.pad(np.asarray(onset, np.float32), half, mode="symmetric")
    stretches = np.lib.stride_tricks.sliding_window_view(padded, TEMPO_WINDOW)[: len(onset)]
    weights = hann(TEMPO_WINDOW)
    correlation = np.empty((len(onset), LAGS), np.float32)
    for start in range(0, len(onset), CHUNK):
        part = stretches[start : start + CHUNK]
        part = (part - (part @ weights / weights.sum())[:, None]) * weights
        # What is left of a constant is rounding.
        part[np.abs(part).max(axis=1) <= 1e-6 * padded.max()] = 0
        spectrum = scipy.fft.rfft(part, TEMPO_FFT)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        correlation[start : start + CHUNK] = scipy.fft.irfft(power, TEMPO_FFT)[:, :LAGS]
    return (correlation / or_one(correlation[:, :1])).T


def median_rows(values: np.ndarray) -> np.ndarray:
    """Median of 31 values around each, along rows that are reflected at their ends; `(rows, columns)`.

    The rows are laid end to end: SciPy has a fast filter for one long row.
    """
    half = MEDIAN // 2
    padded = np.pad(values, ((0, 0), (half, half)), mode="symmetric")
    return scipy.ndimage.median_filter(padded.ravel(), size=MEDIAN).reshape(padded.shape)[:, half:-half]


def harmonic_ratio(mel: np.ndarray) -> np.ndarray:
    """Share of the power that is steady in time rather than wide in frequency, `(frames, 128)` to `(frames,)`.

    FitzGerald 2010: medians over time and over bands, Wiener masks of their squares.
    """
    steady = median_rows(np.ascontiguousarray(mel.T)).T
    wide = median_rows(mel)
    largest = np.maximum(steady, wide)
    nothing = largest < TINY
    largest[nothing] = 1
    steady, wide = np.square(steady / largest), np.square(wide / largest)
    mask = np.where(nothing, 0.5, steady / np.where(nothing, 1, steady + wide))
    return (mel * mask).sum(axis=1) / np.maximum(mel.sum(axis=1), FLOOR)


# -- pitch ------------------------------------------------------------------------------------------


def _interpolated(values: np.ndarray, at: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Bin and height of the parabola through the peaks `at` (row, column) and their neighbours."""
    row, column = at
    left, middle, right = (values[row, column + d] for d in (-1, 0, 1))
    slope = (right - left) / 2
    curve = left + right - 2 * middle
    steep = np.abs(slope) >= np.abs(curve)
    shift = np.where(steep, 0, -slope / np.where(steep, 1, curve))
    return column + shift, middle + 0.5 * slope * shift


def pitch_candidates(power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequency [Hz] and height of the peaks from 150 to 4000 Hz above a tenth of their frame's maximum."""
    low, high = TUNING_BAND
    middle = power[:, low:high]
    peak = middle > np.float32(0.1) * power.max(axis=1, keepdims=True)
    peak &= middle > power[:, low - 1 : high - 1]
    peak &= middle >= power[:, low + 1 : high + 1]
    row, column = np.nonzero(peak)
    bins, heights = _interpolated(power, (row, column + low))
    return bins * (SAMPLE_RATE / N_FFT), heights


def tuning(frequencies: np.ndarray, heights: np.ndarray) -> float:
    """Deviation from A = 440 Hz in semitones, [-0.5, 0.5): the commonest of the upper half of the peaks."""
    if not len(frequencies):
        return 0.0
    frequencies = frequencies[heights >= np.median(heights)]
    deviation = np.mod(12 * np.log2(frequencies / 27.5), 1.0)
    deviation[deviation >= 0.5] -= 1
    counts, edges = np.histogram(deviation, np.linspace(-0.5, 0.5, 101))
    return float(edges[np.argmax(counts)])


@lru_cache(maxsize=100)
def chroma_filters(tuning: float) -> np.ndarray:
    """Weights of the bins for the pitch classes from C on, float32 `(1025, 12)`.

    Ellis 2007: a Gaussian of the distance in semitones, as wide as a bin or a semitone, of length 1 over the
    classes, times a Gaussian of two octaves around 880 Hz.
    """
    semitones = np.empty(BINS + 1)  # above A of 27.5 Hz
    hertz = np.arange(1, BINS + 1) * (SAMPLE_RATE / N_FFT)
    semitones[1:] = 12 * np.log2(hertz / 27.5) - tuning
    semitones[0] = semitones[1] - 18  # librosa's choice for 0 Hz: 1.5 octaves below
    width = np.maximum(np.diff(semitones), 1)[:, None]
    semitones = semitones[:-1, None]
    distance = np.mod(semitones - np.arange(12) + 6, 12) - 6
    weights = np.exp(-0.5 * (2 * distance / width) ** 2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    weights *= np.exp(-0.5 * ((semitones / 12 - 5) / 2) ** 2)
    return np.roll(weights, -3, axis=1).astype(np.float32)


@lru_cache
def _tonnetz_basis() -> np.ndarray:
    """Places of the pitch classes on the circles of fifths, minor and major thirds (Harte et al. 2006), `(12, 6)`."""
    steps = np.arange(12)[:, None] * np.pi * np.array([7 / 6, 3 / 2, 2 / 3])
    circles = np.stack([np.sin(steps), np.cos(steps)], axis=2) * np.array([1, 1, 0.5])[:, None]
    return circles.reshape(12, 6).astype(np.float32)


def tonnetz(chroma: np.ndarray) -> np.ndarray:
    """Centroid of the chroma in tonal space, `(frames, 12)` to `(frames, 6)`, sine before cosine."""
    return (chroma / or_one(chroma.sum(axis=1, keepdims=True))) @ _tonnetz_basis()


def key_strengths(chroma: np.ndarray) -> np.ndarray:
    """Pearson correlation of a mean chroma `(12,)` with each key's profile: `(2, 12)`, major and minor, from C on.

    Zeros where the chroma is the same for all pitch classes.
    """
    profiles = np.array([[np.roll(p, tonic) for tonic in range(12)] for p in (MAJOR, MINOR)])
    profiles -= profiles.mean(axis=2, keepdims=True)
    chroma = np.asarray(chroma, np.float64) - np.mean(chroma, dtype=np.float64)
    length = np.linalg.norm(chroma)
    if length < 1e-6:  # rounding of equal values, not music
        return np.zeros((2, 12))
    return profiles @ chroma / (np.linalg.norm(profiles, axis=2) * length)


# -- what only the extended set has -----------------------------------------------------------------


def flatness(power: np.ndarray) -> np.ndarray:
    """Geometric through arithmetic mean of the power over bins, (0, 1], `(frames,)`."""
    power = np.maximum(power, FLOOR)
    return np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)


def entropy(power: np.ndarray) -> np.ndarray:
    """Shannon entropy of the power over bins, through its maximum: [0, 1], `(frames,)`."""
    share = power / or_one(power.sum(axis=1, keepdims=True))
    return scipy.special.entr(share).sum(axis=1) / np.float32(np.log(BINS))


def roughness(magnitude: np.ndarray) -> np.ndarray:
    """Sensory dissonance of each frame, `(1025, frames)` to `(frames,)`.

    Vassilakis 2001 (doctoral thesis, UCLA) over all pairs of the 20 strongest peaks; amplitudes are
    those of sines in [-1, 1].  Beats slower than the spectrum resolves (about 30 Hz) are not heard by it.
    """
    values = np.ascontiguousarray(magnitude.T) * np.float32(4 / N_FFT)  # a Hann window sums to N_FFT / 2
    middle = values[:, 1:-1]
    peak = (middle > values[:, :-2]) & (middle >= values[:, 2:])
    # The spectrum of a click is flat: its maxima are rounding, and no tones.
    peak &= middle > np.float32(1.001) * np.minimum(values[:, :-2], values[:, 2:])
    heights = np.where(peak, middle, 0)
    least = np.sort(heights, axis=1)[:, -ROUGH_PEAKS, None]
    row, column = np.nonzero(heights >= np.maximum(least, np.float32(1e-5)))  # -100 dBFS: 16 bit only round below
    place = np.arange(len(row)) - np.searchsorted(row, row)  # within its frame
    row, column, place = (part[place < ROUGH_PEAKS] for part in (row, column, place))  # of equals, the lower
    amplitudes, hertz = np.zeros((2, len(values), ROUGH_PEAKS), np.float32)
    bins, amplitudes[row, place] = _interpolated(values, (row, column + 1))
    hertz[row, place] = bins * (SAMPLE_RATE / N_FFT)
    one, two = np.triu_indices(ROUGH_PEAKS, 1)
    low, high = np.minimum(amplitudes[:, one], amplitudes[:, two]), np.maximum(amplitudes[:, one], amplitudes[:, two])
    apart = np.abs(hertz[:, one] - hertz[:, two])
    apart *= np.float32(0.24) / (np.float32(0.0207) * np.minimum(hertz[:, one], hertz[:, two]) + np.float32(18.96))
    depth = 2 * low / np.where(high > 0, low + high, 1)
    pairs = (low * high) ** np.float32(0.1) * 0.5 * depth ** np.float32(3.11)
    return (pairs * (np.exp(-3.5 * apart) - np.exp(-5.75 * apart))).sum(axis=1)


def onset_rate(onset: np.ndarray, seconds: float) -> float:
    """Peaks a second of the onset strength.

    Böck et al. 2012 with librosa's windows: not below the frame before, .07 of the range above the mean of the nine
    frames around it, never two in a row.
    """
    range_ = float(np.ptp(onset))
    if not range_:
        return 0.0
    x = (onset - onset.min()) / range_
    summed = np.concatenate([[0.0], np.cumsum(x, dtype=np.float64)])
    place = np.arange(len(x))
    first, last = np.maximum(place - 4, 0), np.minimum(place + 5, len(x))
    mean = (summed[last] - summed[first]) / (last - first)
    candidates = np.flatnonzero((x >= np.concatenate([x[:1], x[:-1]])) & (x >= mean + 0.07))
    count, before = 0, -2
    for candidate in candidates.tolist():
        if candidate > before + 1:
            count, before = count + 1, candidate
    return count / seconds


def tempo(pulses: np.ndarray) -> float:
    """BPM of the strongest lag of a mean tempogram `(87,)`, with a log-normal prior around 120 BPM (Ellis 2007)."""
    bpm = 60 / (np.arange(FIRST_LAG, LAGS) * FRAME_S)
    prior = -0.5 * np.log2(bpm / 120) ** 2
    return float(bpm[np.argmax(np.log1p(1e6 * np.maximum(pulses[FIRST_LAG:], 0)) + prior)])


def levels(rms: np.ndarray) -> np.ndarray:
    """Level of frames [dB re full scale], -80 at least."""
    return 20 * np.log10(np.maximum(rms, 1e-4, dtype=np.float64))


def loudness_range(rms: np.ndarray) -> float:
    """Spread of the short-term level [dB]: 95 % minus 10 % quantile of 3 s every second.

    EBU Tech 3342 without the frequency weighting: windows below -70 dB, or 20 dB below the mean power of the rest,
    are left out.  0 for less than 3 s.
    """
    size, hop = round(3 / FRAME_S), round(1 / FRAME_S)
    summed = np.concatenate([[0.0], np.cumsum(np.square(rms, dtype=np.float64))])
    starts = np.arange(0, max(len(rms) - size, 0) + 1, hop)
    power = (summed[np.minimum(starts + size, len(rms))] - summed[starts]) / min(size, len(rms))
    power = power[power > 1e-7]
    if not len(power):
        return 0.0
    level = 10 * np.log10(power[power > power.mean() / 100])
    return float(np.subtract(*np.quantile(level, [0.95, 0.1])))


def level_slope(rms: np.ndarray) -> float:
    """Slope of the least-squares line through the frames' levels [dB a minute]; 0 for one frame."""
    if len(rms) < 2:
        return 0.0
    minutes = np.arange(len(rms)) * (FRAME_S / 60)
    minutes -= minutes.mean()
    return float(minutes @ levels(rms) / (minutes @ minutes))
