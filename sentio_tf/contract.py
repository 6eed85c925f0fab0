"""What every part of the project and every phone agrees on: audio, mel, scale, card and results.

No third-party import: a card can be read anywhere.  Valence and arousal are in [-1, 1] on
Russell's circumplex (Russell 1980, doi:10.1037/h0077714): valence -1 unpleasant .. +1 pleasant,
arousal -1 calm .. +1 energetic.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from .errors import ModelError

SCHEMA = "sentio/1"
METADATA_NAME = "sentio.json"
AXES = ("valence", "arousal")
GENERATED = "generated-"  # how corpora begin whose tracks a network made: they may train, never judge

SAMPLE_RATE = 22_050  # Hz
WINDOW_SAMPLES = 661_500  # 30 s
HOP_S = 15.0
MIN_TAIL_S = 1.0  # of a file that is worth one more window
# Of phones and browsers, see audio.resample; on music the difference from soxr HQ, which `predict` uses, is 55 dB down.
RESAMPLER: dict[str, Any] = {"kind": "kaiser_sinc", "taps": 257, "beta": 7.0, "cutoff": 0.956}

# A window whose peak stays below this is silence: nothing in it can be judged.
SILENCE_PEAK = 1e-4  # -80 dBFS


@dataclass(frozen=True)
class MelSpec:
    """Log-mel front end: librosa's `melspectrogram` + `power_to_db` with these parameters.

    power_to_db uses ref=1.0, amin=1e-10 and `top_db` below the clip's own maximum.
    """

    sample_rate: int = SAMPLE_RATE  # Hz
    n_fft: int = 2048  # samples
    hop_length: int = 512  # samples
    n_mels: int = 128
    fmin: float = 20.0  # Hz
    fmax: float = 8000.0  # Hz
    amin: float = 1e-10  # power
    top_db: float = 80.0  # dB

    def frames(self, samples: int) -> int:
        """Frames of a centred STFT of `samples` samples."""
        return 1 + samples // self.hop_length

    def samples(self, frames: int) -> int:
        """Fewest samples that give `frames` frames."""
        return (frames - 1) * self.hop_length


MEL = MelSpec()
N_FRAMES = MEL.frames(WINDOW_SAMPLES)  # 1292


@dataclass(frozen=True)
class AudioContract:
    """What the exported model's waveform input holds."""

    sample_rate: int = SAMPLE_RATE
    channels: int = 1
    downmix: str = "mean of the channels"
    samples: int = WINDOW_SAMPLES
    value_range: tuple[float, float] = (-1.0, 1.0)


@dataclass(frozen=True)
class WindowContract:
    """How a song becomes windows and windows become one answer."""

    hop_s: float = HOP_S
    min_tail_s: float = MIN_TAIL_S
    # See audio.windows for the rule in words and in code.
    tail: str = "last window ends with the file; a file shorter than a window is repeated to fill it"
    silence_peak: float = SILENCE_PEAK
    join: str = "mean over the windows that are not silent; of standard deviations the geometric mean"


@dataclass(frozen=True)
class SignatureContract:
    """Names of the one signature and its tensors."""

    name: str = "predict"
    input: str = "waveform"
    output: str = "valence_arousal"
    distance: str | None = None  # another output: distance from the training data, [1]
    deviation: str | None = None  # another output: standard deviations of the two answers, [1, 2]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of all outputs, sorted."""
        return tuple(sorted(name for name in (self.output, self.distance, self.deviation) if name))


@dataclass(frozen=True)
class StreamContract:
    """Signatures for a live timeline: `front_end` makes the frames of new sound, `network` judges a window of frames.

    A step of the stream is `frames` hops.  `network` floors what it gets, so that `network` of all frames of a window
    is `predict` of its sound.
    """

    front_end: str = "front_end"  # samples [1, n_fft + (frames - 1) * hop] -> log_mel [1, n_mels, frames, 1]
    network: str = "network"  # log_mel [1, n_mels, frames of a window, 1] -> the outputs of predict
    samples_name: str = "samples"
    mel_name: str = "log_mel"
    frames: int = 43  # .998 s

    def samples(self, spec: MelSpec = MEL) -> int:
        """Samples that `front_end` takes: `n_fft / 2` before the first frame's centre to as many behind the last's."""
        return spec.n_fft + (self.frames - 1) * spec.hop_length


@dataclass(frozen=True)
class Card:
    """The model card that travels inside the `.tflite` as metadata entry `sentio.json`.

    Nothing a phone must know is anywhere else.  `from_json` refuses unknown schemas.
    """

    name: str
    version: str
    licence: str
    git_commit: str
    description: str = ""
    audio: AudioContract = AudioContract()
    windows: WindowContract = WindowContract()
    signature: SignatureContract = SignatureContract()
    resampler: dict[str, Any] = field(default_factory=lambda: dict(RESAMPLER))
    output: dict[str, Any] = field(default_factory=lambda: {"axes": list(AXES), "range": [-1.0, 1.0]})
    front_end: dict[str, Any] = field(default_factory=lambda: dataclasses.asdict(MEL))
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    uncertainty: dict[str, Any] = field(default_factory=dict)
    domain: dict[str, Any] = field(default_factory=dict)
    quantization: str = "none"
    parity: dict[str, Any] = field(default_factory=dict)
    minimum_runtime: str = ""
    golden: dict[str, Any] = field(default_factory=dict)
    stream: StreamContract | None = None  # None: the file has the signature `predict` alone
    content_sha256: str = ""  # of the file with these 64 digits as zeros, see runtime.flatbuffer
    schema: str = SCHEMA

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Card:
        """Parse and check a card.

        Raises: ModelError if it is no JSON object, of another schema, or lacks a field.
        """
        try:
            raw = json.loads(text, parse_constant=_refuse)
        except ValueError as error:
            raise ModelError(f"expected a card in JSON, received text that does not parse ({error})") from None
        if not isinstance(raw, dict) or "schema" not in raw:
            raise ModelError(f"expected a card with a field 'schema', received {type(raw).__name__} without it")
        if raw["schema"] != SCHEMA:
            raise ModelError(
                f"expected card schema {SCHEMA}, received {raw['schema']!r}; "
                "update sentio-tf, or export the model again with this version"
            )
        known = {f.name: f for f in dataclasses.fields(cls)}
        nested = {
            "audio": AudioContract,
            "windows": WindowContract,
            "signature": SignatureContract,
            "stream": StreamContract,
        }
        try:
            values = {k: v for k, v in raw.items() if k in known}
            for key, kind in nested.items():
                if key == "stream" and raw.get(key) is None:  # cards of older exports
                    continue
                names = {f.name for f in dataclasses.fields(kind)}
                values[key] = kind(**{k: v for k, v in raw[key].items() if k in names})
            card = cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"expected a complete {SCHEMA} card, received one that lacks a field ({error})") from None
        card.check()
        return card

    def check(self) -> None:
        """Raise ModelError unless every value that the runtime computes with is usable."""
        audio, windows = self.audio, self.windows
        threshold = self.domain.get("threshold") if isinstance(self.domain, dict) else None
        checks = {
            "audio.sample_rate": isinstance(audio.sample_rate, int) and audio.sample_rate > 0,
            "audio.samples": isinstance(audio.samples, int) and audio.samples > 0,
            "windows.silence_peak": _is_number(windows.silence_peak) and windows.silence_peak >= 0,
            "domain": isinstance(self.domain, dict) and (threshold is None or _is_number(threshold)),
            "uncertainty": isinstance(self.uncertainty, dict)
            and all(_is_number(self.uncertainty.get(f"{axis}_std", 0.0)) for axis in AXES),
            "signature": all(isinstance(n, str) for n in (self.signature.name, self.signature.input))
            and isinstance(self.signature.output, str)
            and all(n is None or isinstance(n, str) for n in (self.signature.distance, self.signature.deviation)),
            "stream": self.stream is None or (isinstance(self.stream.frames, int) and self.stream.frames > 0),
        }
        bad = [name for name, good in checks.items() if not good]
        if not bad and not (_is_number(windows.hop_s) and 0 < windows.hop_s <= audio.samples / audio.sample_rate):
            bad = ["windows.hop_s"]
        if bad:
            raise ModelError(f"expected a usable {SCHEMA} card, received a wrong value of {', '.join(bad)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


@dataclass(frozen=True)
class Segment:
    """One window of the timeline."""

    start_s: float
    end_s: float
    valence: float
    arousal: float


@dataclass(frozen=True)
class Prediction:
    """The answer for one file; field meanings as in the module docstring.

    `valence_std` and `arousal_std` are how far the answer may be off (one standard deviation): of this song where
    the model has learnt it, else the card's out-of-fold error, None where the card has none.  `in_domain` is False when
    the song lies farther from the training data than the calibrated threshold, None where the model has no distance.
    """

    path: str
    model: str
    valence: float
    arousal: float
    valence_std: float | None
    arousal_std: float | None
    quadrant: str
    mood: str
    duration_s: float
    windows: int
    in_domain: bool | None
    warnings: tuple[str, ...] = ()
    timeline: tuple[Segment, ...] = ()

    def to_dict(self, *, timeline: bool = False) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        values["warnings"] = list(self.warnings)
        if timeline:
            values["timeline"] = [dataclasses.asdict(s) for s in self.timeline]
        else:
            del values["timeline"]
        return values
