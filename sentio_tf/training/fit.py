"""One training experiment, from tracks to a run directory."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .. import config as configuration
from .. import pipeline
from ..config import FitConfig
from ..contract import MEL, N_FRAMES
from ..corpora.split import components
from ..corpora.track import Track
from ..errors import ConfigError, DataError, SentioError
from ..evaluation.summary import summarize
from ..layers.normalize import BandNormalize, ClipZScore
from ..losses import EmotionLoss
from ..models import MODELS
from ..pipeline.checks import check_tracks
from .callbacks import Progress, TrackValidation
from .domain import calibrate, fit_domain
from .run import (
    COMMIT,
    FINAL,
    Part,
    claim,
    environment,
    finished,
    labels_hash,
    plan,
    prediction_row,
    read_tracks,
    reopen,
    validation_part,
    write_json,
    write_predictions,
)

FILES = ("model.keras", "history.csv")  # of a trained part
PACKAGES = ("tensorflow", "keras", "numpy", "soxr", "soundfile", "scikit-learn")


def fit(
    config: FitConfig,
    sources: Sequence[str],
    out: Path,
    *,
    cache: Path | None = None,
    split: Path | None = None,
    allow_divided: bool = False,
    purge_divided: bool = False,
    skip_missing: bool = False,
    only: Sequence[str] = (),
    report: Callable[[str], None] = print,
    progress: pipeline.Progress | None = None,
) -> dict[str, Any]:
    """Train on all `sources` (`CORPUS:ROOT`) and write the run directory `out`; returns its metrics.

    With `config.folds`, a grouped cross-validation comes first: every track is predicted by a model
    that saw neither it nor its artist, song or series, and early stopping saw a part of the training
    folds only.  Metrics are out-of-fold then, else of the validation part.  The final model is
    trained the same way on everything but its validation part.  A fold that is complete in `out` is
    not trained again, so an interrupted run continues.

    Args:
        cache: folder of renderings and caches; None: `config.cache_root()`.
        split: a file of `sentio-tf data split`; None: folds are made from config.seed.
        allow_divided, purge_divided: what to do with a split that divides groups, see `run.plan`.
        skip_missing: leave tracks without their file out.
        only: names of the parts to train now ("0", "1", ..., "final"), so that several processes can
            share a run; the one that finds all parts complete writes the results, others return {}.

    Raises: DataError, ConfigError; a run directory of another experiment is refused.
    """
    root = cache or configuration.cache_root()
    augment = pipeline.Augment.from_dict(config.augment) if config.augment else None
    if config.model not in MODELS:
        models = ", ".join([*MODELS, *configuration.CLASSICAL])
        raise ConfigError(f"model: expected one of {models}, received {config.model!r}")
    tracks = read_tracks(sources, labels=config.labels, skip_missing=skip_missing, report=report)
    divide = partial(
        plan,
        folds=config.folds,
        seed=config.seed,
        grid=config.grid,
        split=split,
        allow_divided=allow_divided,
        purge_divided=purge_divided,
    )
    # What can be known before hours of decoding.
    known = [part.name for part in divide(tracks).parts]
    if strange := sorted(set(only) - set(known)):
        raise ConfigError(f"expected parts among {', '.join(known)}, received {strange[0]!r}; correct --only")
    asked = len(tracks)
    tracks = pipeline.render_tracks(tracks, root, progress=progress)
    store = pipeline.open_cache(pipeline.Spec(root, bits=config.cache_bits))
    examples = pipeline.Spec(root, "waveform") if augment and augment.needs_waveform else store.spec
    for kind in {store.spec: store, examples: pipeline.open_cache(examples)}.values():
        failed = kind.build(tracks, progress=progress, report=report)
        for reason in failed.values():
            report(f"left out: {reason}")
        tracks = [t for t in tracks if t.key not in failed]
    quality = check_tracks(tracks, store)
    report(quality.lines()[0])
    for key, why in quality.errors.items():
        report(f"left out: {key}: {why}")
    tracks = [t for t in tracks if t.key not in quality.errors]

    if len(tracks) < asked:
        report(f"{asked - len(tracks)} of {asked} tracks are left out")
    work = divide(tracks)
    config = dataclasses.replace(config, folds=work.folds)
    names = {t.corpus for t in tracks}
    if unknown := sorted(set(config.repeats) - names):
        raise ConfigError(f"repeats: expected corpora among {', '.join(sorted(names))}, received {unknown[0]!r}")
    audio = [pipeline.entry_id(t) for t in tracks]
    claim(out, config, sources, tracks, work=work, labels_and_audio=labels_hash(tracks, audio))
    learnt = {part.name: divided(tracks, part, config) for part in work.parts}
    for name, (_, held) in learnt.items():
        if max(Counter(t.corpus for t in held).values(), default=0) < 2:
            raise DataError(
                f"fold {name}: expected two validation tracks of a corpus or more, received {len(held)} in all; "
                "bring more songs or raise validation"
            )

    for part in work.parts:
        if finished(out / f"fold-{part.name}", *FILES) or (only and part.name not in only):
            continue
        inner, held = learnt[part.name]
        report(f"fold {part.name}: {len(inner)} training, {len(held)} validation, {len(part.test)} test tracks")
        train_fold(
            config,
            inner,
            held,
            out / f"fold-{part.name}",
            cache=store,
            examples=examples,
            label=f"fold {part.name}",
            report=report,
        )
    missing = [p.name for p in work.parts if not finished(out / f"fold-{p.name}", *FILES)]
    if missing:
        report(f"still to be trained: {', '.join(missing)}")
        return {}

    group_of = dict(zip([t.key for t in tracks], components(tracks), strict=True))
    rows: list[dict[str, Any]] = []
    domain_distances: list[np.ndarray] = []
    for part in work.parts:
        model = load_model(out / f"fold-{part.name}" / "model.keras")
        judged = [tracks[i] for i in part.test] or learnt[part.name][1]
        estimated = pipeline.predict_tracks(model, judged, store)
        if not np.isfinite(estimated).all():
            (out / f"fold-{part.name}" / "done.json").unlink()  # the next call trains it again
            raise SentioError(f"fold {part.name}: the model's answers are not finite; lower learning_rate")
        role = "test" if part.test else "validation"
        rows += [
            prediction_row(t, part.name, role, e, group=group_of[t.key]) for t, e in zip(judged, estimated, strict=True)
        ]
        if part.test:
            domain = fit_domain([tracks[i] for i in part.train], store)
            domain_distances.append(domain.distances(judged, store))

    reopen(out)
    predictions = write_predictions(out / "predictions.csv", rows)
    kept = [r for r in rows if r["split"] == "test"] or rows
    results = {
        "model": config.model,
        "scale": "[-1, 1]",
        "protocol": work.protocol,
        "split": work.hash,
        "seed": config.seed,
        "predictions": predictions,
        "corpora": summarize(kept),
    }
    for name in ("model.keras", "history.csv"):
        shutil.copyfile(out / f"fold-{FINAL}" / name, out / name)
    domain = fit_domain(tracks, store)
    distances = np.concatenate(domain_distances) if domain_distances else domain.distances(tracks, store)
    domain.save(out / "domain.npz", **calibrate(distances, out_of_fold=bool(domain_distances)))
    about = environment(
        out,
        [p.name for p in work.parts],
        packages=PACKAGES,
        backend=keras.backend.backend(),
        best_epochs=best_epochs(out),
    )
    write_json(out / "environment.json", about)
    write_json(out / "metrics.json", results)  # last: it says that the run is complete
    return results


def train_fold(
    config: FitConfig,
    train: Sequence[Track],
    validation: Sequence[Track],
    folder: Path,
    *,
    cache: pipeline.Cache,
    examples: pipeline.Spec,
    label: str,
    report: Callable[[str], None],
) -> None:
    """Train one model; `folder` gets model.keras (best by validation CCC), history.csv, done.json."""
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(config.seed)

    # Statistics of the training part only.
    if config.normalization == "dataset":
        mean, std = pipeline.band_statistics(train, cache)
        normalize = lambda: BandNormalize(mean, std, name="normalize")
    else:
        normalize = lambda: ClipZScore(name="normalize")

    # The network has no positions: it trains on crops and is judged on whole windows with the same weights.
    frames = min(N_FRAMES, round(config.crop_s * MEL.sample_rate / MEL.hop_length))
    build = MODELS[config.model]
    try:
        model = build(normalize=normalize(), frames=frames, seed=config.seed, **config.architecture)
        twin = build(normalize=normalize(), seed=config.seed, **config.architecture)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"architecture: {error}") from None

    steps = math.ceil(pipeline.draws(train, config.repeats).sum() / config.batch_size)
    total = steps * config.epochs
    warmup = int(config.warmup * total)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=config.learning_rate / 100 if warmup else config.learning_rate,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
        decay_steps=max(1, total - warmup),
        alpha=0.01,
    )
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=config.weight_decay,
        global_clipnorm=config.clip_norm,
        use_ema=config.ema > 0,
        ema_momentum=config.ema or 0.99,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer, EmotionLoss(config.mse_weight), jit_compile=False)

    judge = TrackValidation(twin, validation, cache, folder / "best.weights.h5")
    began = time.time()
    model.fit(
        pipeline.dataset(
            train,
            examples,
            augment=pipeline.Augment.from_dict(config.augment) if config.augment else None,
            frames=frames,
            batch=config.batch_size,
            repeats=config.repeats,
            seed=config.seed,
        ),
        epochs=config.epochs,
        steps_per_epoch=steps,
        verbose=0,
        callbacks=[
            keras.callbacks.TerminateOnNaN(),
            judge,
            keras.callbacks.EarlyStopping("val_ccc", mode="max", patience=config.patience),
            keras.callbacks.CSVLogger(folder / "history.csv"),
            Progress(report, label),
        ],
    )
    if judge.best_epoch < 0:
        raise SentioError(f"{label}: training diverged in the first epoch; lower learning_rate")
    twin.load_weights(folder / "best.weights.h5")
    twin.save(folder / "model.keras")
    (folder / "best.weights.h5").unlink()
    write_json(
        folder / "done.json",
        {
            "best_epoch": judge.best_epoch + 1,
            "val_ccc": judge.best,
            "seconds": round(time.time() - began),
            "git_commit": COMMIT,
        },
    )


def load_model(path: Path) -> keras.Model:
    """A saved model with the project's layers.  Raises: SentioError if it cannot be read."""
    from .. import layers, losses  # noqa: F401  registers them

    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise SentioError(f"{path}: expected a Keras model of this project, received {error}; train it again") from None


def divided(tracks: Sequence[Track], part: Part, config: FitConfig) -> tuple[list[Track], list[Track]]:
    """Training and validation tracks of a part: those the split names, else a share of its training tracks."""
    own = [tracks[i] for i in part.train]
    if part.validation:
        return own, [tracks[i] for i in part.validation]
    held = validation_part(own, share=config.validation, seed=config.seed, grid=config.grid)
    return (
        [t for t, v in zip(own, held, strict=True) if not v],
        [t for t, v in zip(own, held, strict=True) if v],
    )


def best_epochs(out: Path) -> dict[str, int]:
    """Epoch whose weights were kept, by part."""
    return {
        f.parent.name.removeprefix("fold-"): json.loads(f.read_text(encoding="utf-8"))["best_epoch"]
        for f in sorted(out.glob("fold-*/done.json"))
    }
