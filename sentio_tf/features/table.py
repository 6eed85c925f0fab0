"""What the features are: name, formula, and the expression that gives the same number from librosa.

`y` is mono float32 at 22 050 Hz (`audio.decode.load`); every spectrum has n_fft 2048, hop 512, a periodic Hann window,
and is centred with zeros, which are librosa's defaults.  A `call` gives the values of all frames, or one number for
what belongs to a whole song; tests evaluate each of them.  `compute` in a call is `sentio_tf.features.compute`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

# Of the values in `compute` and `analyse`: raise it where they change while the table does not.
VERSION = 1
STATISTICS = ("mean", "std", "min", "max")  # over frames; std of the population
PITCH_CLASSES = ("c", "c_sharp", "d", "d_sharp", "e", "f", "f_sharp", "g", "g_sharp", "a", "a_sharp", "b")


@dataclass(frozen=True)
class Feature:
    """One row of the table.

    `formula` in words with its source, `call` as in the module docstring, `unit` empty for a plain number.
    `statistics` over the frames become the columns `name_mean` ...; without any the value belongs to the whole song
    and its column is `name`.
    """

    name: str
    formula: str
    call: str
    unit: str
    group: str
    statistics: tuple[str, ...] = STATISTICS

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"{self.name}_{s}" for s in self.statistics) or (self.name,)


_STFT = "np.abs(librosa.stft(y))"
_MEL = "librosa.feature.melspectrogram(y=y, sr=22050)"
_CHROMA = "librosa.feature.chroma_stft(y=y, sr=22050)"
_TEMPOGRAM = "compute.tempogram(librosa.onset.onset_strength(y=y, sr=22050))"
_RMS = "librosa.feature.rms(y=y)[0]"
_BANDS = ("0-200", "200-400", "400-800", "800-1600", "1600-3200", "3200-6400", "6400-11 025")

_MFCC = tuple(
    Feature(
        f"mfcc_{i + 1:02}",
        "level over all mel bands (zeroth coefficient)"
        if i == 0
        else f"{i} half wave{'s' * (i > 1)} over the mel axis: DCT-II of 128 log-mel bands, 80 dB floor "
        "(Davis & Mermelstein 1980)",
        f"librosa.feature.mfcc(y=y, sr=22050, n_mfcc=13)[{i}]",
        "dB",
        "mfcc",
    )
    for i in range(13)
)
_SPECTRAL = (
    Feature(
        "spectral_centroid",
        "mean frequency, weighted by magnitude (Tzanetakis & Cook 2002)",
        "librosa.feature.spectral_centroid(y=y, sr=22050)[0]",
        "Hz",
        "spectral",
    ),
    Feature(
        "spectral_rolloff",
        "frequency below which 85 % of the magnitude lie (Tzanetakis & Cook 2002)",
        "librosa.feature.spectral_rolloff(y=y, sr=22050, roll_percent=0.85)[0]",
        "Hz",
        "spectral",
    ),
    Feature(
        "spectral_bandwidth",
        "standard deviation around the centroid, weighted by magnitude (Klapuri & Davy 2006)",
        "librosa.feature.spectral_bandwidth(y=y, sr=22050)[0]",
        "Hz",
        "spectral",
    ),
    *(
        Feature(
            f"spectral_contrast_{i + 1}",
            f"loudest against quietest 2 % of the bins at {band} Hz (Jiang et al. 2002)",
            f"librosa.feature.spectral_contrast(y=y, sr=22050)[{i}]",
            "dB",
            "spectral",
        )
        for i, band in enumerate(_BANDS)
    ),
)
_TEMPORAL = (
    Feature(
        "zero_crossing_rate",
        "share of samples whose sign differs from the one before",
        "librosa.feature.zero_crossing_rate(y=y)[0]",
        "",
        "temporal",
    ),
    Feature("rms", "root mean square of 2048 samples", _RMS, "", "temporal"),
    Feature(
        "onset_strength",
        "rise of the log-mel from frame to frame, mean over bands (Böck & Widmer 2013)",
        "librosa.onset.onset_strength(y=y, sr=22050)",
        "dB",
        "temporal",
    ),
    Feature(
        "spectral_flux",
        "Euclidean distance of neighbouring magnitude spectra of sum 1 (Tzanetakis & Cook 2002)",
        f"np.r_[0, np.linalg.norm(np.diff(librosa.util.normalize({_STFT}, norm=1)), axis=0)]",
        "",
        "temporal",
    ),
    Feature(
        "pulse_clarity",
        "highest autocorrelation of the onset strength in 8.9 s, mean removed, lags of 30 to 287 BPM "
        "(after Lartillot et al. 2008)",
        f"{_TEMPOGRAM}[9:87].max(axis=0)",
        "",
        "temporal",
    ),
    Feature(
        "harmonic_ratio",
        "harmonic share of the mel power after median filtering (FitzGerald 2010)",
        f"(lambda M: librosa.decompose.hpss(M)[0].sum(axis=0) / np.maximum(M.sum(axis=0), 1e-10))({_MEL})",
        "",
        "temporal",
    ),
)
_CHROMAS = tuple(
    Feature(
        f"chroma_{name}",
        f"power in pitch class {name.replace('_', ' ').capitalize()}, the frame's strongest is 1, "
        "tuning estimated (Ellis 2007)",
        f"{_CHROMA}[{i}]",
        "",
        "chroma",
    )
    for i, name in enumerate(PITCH_CLASSES)
)
RECIPE = (*_MFCC, *_SPECTRAL, *_TEMPORAL, *_CHROMAS)

_SPREAD = ("mean", "std")
_FIFTHS = ("fifths_sin", "fifths_cos", "minor_sin", "minor_cos", "major_sin", "major_cos")
_MORE_FRAMES = (
    Feature(
        "spectral_flatness",
        "geometric through arithmetic mean of the power (Johnston 1988)",
        "librosa.feature.spectral_flatness(y=y)[0]",
        "",
        "timbre",
        _SPREAD,
    ),
    Feature(
        "spectral_entropy",
        "Shannon entropy of the power over bins, 1 for white (Misra et al. 2004)",
        f"scipy.special.entr(librosa.util.normalize({_STFT} ** 2, norm=1)).sum(axis=0) / np.log(1025)",
        "",
        "timbre",
        _SPREAD,
    ),
    Feature(
        "brightness",
        "share of the power above 1500 Hz (Lartillot & Toiviainen 2007)",
        f"(lambda P: P[140:].sum(axis=0) / np.maximum(P.sum(axis=0), 1e-10))({_STFT} ** 2)",
        "",
        "timbre",
        _SPREAD,
    ),
    Feature(
        "roughness",
        "beating of pairs of the 20 strongest spectral peaks (Vassilakis 2001)",
        f"compute.roughness({_STFT})",
        "",
        "timbre",
        _SPREAD,
    ),
    *(
        Feature(
            f"tonnetz_{name}",
            f"coordinate on the circle of {name.split('_')[0]}{'' if name.startswith('fifths') else ' thirds'} "
            "of the chroma's centroid (Harte et al. 2006)",
            f"librosa.feature.tonnetz(chroma={_CHROMA})[{i}]",
            "",
            "tonal",
            _SPREAD,
        )
        for i, name in enumerate(_FIFTHS)
    ),
)
_SONG = (
    Feature(
        "key_clarity",
        "highest correlation of the mean chroma with 24 key profiles (Krumhansl & Kessler 1982)",
        f"compute.key_strengths({_CHROMA}.mean(axis=1)).max()",
        "",
        "tonal",
        (),
    ),
    Feature(
        "mode",
        "best major key's correlation minus the best minor key's (Krumhansl & Kessler 1982)",
        f"np.subtract(*compute.key_strengths({_CHROMA}.mean(axis=1)).max(axis=1))",
        "",
        "tonal",
        (),
    ),
    Feature(
        "tempo",
        "lag of 30 to 287 BPM with the highest mean autocorrelation, weighted around 120 BPM (Ellis 2007)",
        f"librosa.feature.tempo(tg=np.maximum({_TEMPOGRAM}.mean(axis=1, keepdims=True), 0), "
        "sr=22050, max_tempo=300)[0]",
        "BPM",
        "rhythm",
        (),
    ),
    Feature(
        "beat_strength",
        "highest autocorrelation of the onset strength, mean over the song first: a pulse that keeps its tempo",
        f"{_TEMPOGRAM}[9:87].mean(axis=1).max()",
        "",
        "rhythm",
        (),
    ),
    Feature(
        "onset_rate",
        "peaks of the onset strength a second (Böck et al. 2012)",
        "len(librosa.onset.onset_detect(y=y, sr=22050)) / (len(y) / 22050)",
        "1/s",
        "rhythm",
        (),
    ),
    Feature(
        "loudness_range",
        "10 to 95 % of the levels of 3 s, quiet ones left out (EBU Tech 3342, without its frequency weighting)",
        f"compute.loudness_range({_RMS})",
        "dB",
        "dynamics",
        (),
    ),
    Feature(
        "crest",
        "peak over root mean square",
        "20 * np.log10(np.maximum(np.abs(y).max(), 1e-10) / np.maximum(np.sqrt(np.mean(y ** 2)), 1e-10))",
        "dB",
        "dynamics",
        (),
    ),
    Feature(
        "low_energy_rate",
        "share of frames quieter than the mean of all (Tzanetakis & Cook 2002)",
        f"(lambda r: np.mean(r < r.mean()))({_RMS})",
        "",
        "dynamics",
        (),
    ),
    Feature(
        "level_slope",
        "straight line through the frames' levels, -80 dB at least",
        f"compute.level_slope({_RMS})",
        "dB/min",
        "dynamics",
        (),
    ),
)
EXTENDED = (*RECIPE, *_MORE_FRAMES, *_SONG)
SETS: dict[str, tuple[Feature, ...]] = {"recipe": RECIPE, "extended": EXTENDED}


def features(set: str = "recipe") -> tuple[Feature, ...]:
    """Rows of the table, in the order of the columns.  Raises: ValueError for an unknown set."""
    if set not in SETS:
        raise ValueError(f"expected one of {', '.join(SETS)}. Received: {set!r}")
    return SETS[set]


def columns(set: str = "recipe") -> list[str]:
    """Names of the vector's values: 164 of "recipe", 193 of "extended"."""
    return [column for feature in features(set) for column in feature.columns]


def version(set: str = "recipe") -> str:
    """Changes with anything that may change a value of the set."""
    return hashlib.sha256(repr((VERSION, features(set))).encode()).hexdigest()[:16]


def markdown(rows: tuple[Feature, ...]) -> str:
    """The table as docs/features.md shows it."""
    lines = ["| name | what | unit | the same from librosa |", "|---|---|---|---|"]
    lines += [f"| `{f.name}` | {f.formula} | {f.unit} | `{f.call}` |" for f in rows]
    return "\n".join(lines) + "\n"
