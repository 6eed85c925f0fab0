"""One training experiment, from tracks to a run directory."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import math
import os
import platform
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .. import config as configuration
from .. import corpora, pipeline
from ..config import FitConfig
from ..contract import MEL, N_FRAMES
from ..corpora.split import components, group_folds, split_hash
from ..corpora.split import load as load_split
from ..corpora.track import Track
from ..errors import ConfigError, DataError, SentioError
from ..evaluation.summary import summarize
from ..layers.normalize import BandNormalize, ClipZScore
from ..losses import EmotionLoss
from ..models import MODELS
from ..pipeline.checks import check_tracks
from .callbacks import Progress, TrackValidation
from .domain import calibrate, fit_domain

COLUMNS = ["track_id", "corpus", "group", "fold", "split", "label", "valence", "arousal", "valence_hat", "arousal_hat"]
FINAL = "final"


def fit(
    config: FitConfig,
    sources: Sequence[str],
    out: Path,
    *,
    cache: Path | None = None,
    split: Path | None = None,
    allow_divided: bool = False,
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
        split: a k-fold file of `sentio-tf data split`; None: folds are made from config.seed.
        allow_divided: take a split that divides groups, as published ones may; the metrics say how many.
        skip_missing: leave tracks without their file out.
        only: names of the parts to train now ("0", "1", ..., "final"), so that several processes can
            share a run; the one that finds all parts complete writes the results, others return {}.

    Raises: DataError, ConfigError; a run directory of another experiment is refused.
    """
    root = cache or configuration.cache_root()
    augment = pipeline.Augment.from_dict(config.augment) if config.augment else None
    if config.model not in MODELS:
        raise ConfigError(f"model: expected one of {', '.join(MODELS)}, received {config.model!r}")
    tracks = [
        track
        for source in sources
        for track in corpora.read(source, version=config.labels or None, skip_missing=skip_missing)
    ]
    keys = [t.key for t in tracks]
    if len(set(keys)) < len(keys):
        twice = next(k for k in keys if keys.count(k) > 1)
        raise DataError(f"expected every track in one corpus only, received {twice} twice; rename one of the folders")
    if not tracks:
        raise ConfigError("expected one corpus or more, received none; add --data CORPUS:ROOT")
    if mute := [t for t in tracks if not t.has_emotion]:
        report(f"left out: {len(mute)} tracks with neither ratings nor signs, first {mute[0].key}")
        tracks = [t for t in tracks if t.has_emotion]
    if not tracks:
        raise DataError("expected tracks with ratings or quadrants, received none; these corpora are not for emotion")
    # What can be known before hours of decoding.
    count = read_folds(split, tracks, config, allow_divided=allow_divided)[0].folds if split else config.folds
    if strange := sorted(set(only) - {*map(str, range(count)), FINAL}):
        expected = ", ".join([*map(str, range(count)), FINAL])
        raise ConfigError(f"expected parts among {expected}, received {strange[0]!r}; correct --only")
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
    divided_groups = 0
    if split:
        config, folds, divided_groups = read_folds(split, tracks, config, allow_divided=allow_divided)
    elif len(set(components(tracks))) < max(config.folds, 2):
        raise DataError(f"expected {max(config.folds, 2)} groups or more, received {len(set(components(tracks)))}")
    elif config.folds:
        folds = group_folds(tracks, config.folds, seed=config.seed, grid=config.grid)
    else:
        folds = np.zeros(len(tracks), int)
    names = {t.corpus for t in tracks}
    if unknown := sorted(set(config.repeats) - names):
        raise ConfigError(f"repeats: expected corpora among {', '.join(sorted(names))}, received {unknown[0]!r}")
    claim(out, config, sources, tracks, split_hash(tracks, folds))
    parts: list[tuple[str, list[int], list[int]]] = []  # name, training, test
    for k in range(config.folds):
        parts.append((str(k), np.flatnonzero(folds != k).tolist(), np.flatnonzero(folds == k).tolist()))
    parts.append((FINAL, list(range(len(tracks))), []))
    for name, train, _ in parts:
        held = divided(tracks, train, config)[1]
        if max(Counter(t.corpus for t in held).values(), default=0) < 2:
            raise DataError(
                f"fold {name}: expected two validation tracks of a corpus or more, received {len(held)} in all; "
                "bring more songs or raise validation"
            )

    for name, train, test in parts:
        if (out / f"fold-{name}" / "done.json").exists() or (only and name not in only):
            continue
        inner, held = divided(tracks, train, config)
        report(f"fold {name}: {len(inner)} training, {len(held)} validation, {len(test)} test tracks")
        train_fold(
            config,
            inner,
            held,
            out / f"fold-{name}",
            cache=store,
            examples=examples,
            label=f"fold {name}",
            report=report,
        )
    missing = [name for name, _, _ in parts if not (out / f"fold-{name}" / "done.json").exists()]
    if missing:
        report(f"still to be trained: {', '.join(missing)}")
        return {}

    rows: list[dict[str, Any]] = []
    domain_distances: list[np.ndarray] = []
    for name, train, test in parts:
        model = load_model(out / f"fold-{name}" / "model.keras")
        judged = [tracks[i] for i in test] or divided(tracks, train, config)[1]
        estimated = pipeline.predict_tracks(model, judged, store)
        role = "test" if test else "validation"
        rows += [prediction_row(t, name, role, e) for t, e in zip(judged, estimated, strict=True)]
        if test:
            domain = fit_domain([tracks[i] for i in train], store)
            domain_distances.append(domain.distances([tracks[i] for i in test], store))

    write_csv(out / "predictions.csv", COLUMNS, rows)
    kept = [r for r in rows if r["split"] == "test"] or rows
    results = {
        "scale": "[-1, 1]",
        "protocol": ("out-of-fold, grouped" if config.folds else "validation part, grouped")
        + (f" ({divided_groups} groups divided)" if divided_groups else ""),
        "split": split_hash(tracks, folds),
        "seed": config.seed,
        "corpora": summarize(kept),
    }
    for name in ("model.keras", "history.csv"):
        shutil.copyfile(out / f"fold-{FINAL}" / name, out / name)
    domain = fit_domain(tracks, store)
    distances = np.concatenate(domain_distances) if domain_distances else domain.distances(tracks, store)
    domain.save(out / "domain.npz", **calibrate(distances, out_of_fold=bool(domain_distances)))
    write_json(out / "environment.json", environment(out, [name for name, _, _ in parts]))
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


def read_folds(
    path: Path, tracks: Sequence[Track], config: FitConfig, *, allow_divided: bool = False
) -> tuple[FitConfig, np.ndarray, int]:
    """Folds of a split file, int `(tracks,)`, the configuration with their number, and the groups they divide.

    Raises: DataError if the file is no k-fold split of these tracks, or divides a group of today without
        `allow_divided`.
    """
    file = load_split(path).for_tracks(tracks)
    if file.scheme != "kfold":
        raise DataError(f"{path}: expected a split of scheme kfold, received {file.scheme}; make one with: data split")
    leaks = file.leaks()
    if leaks and not allow_divided:
        raise DataError(
            f"{path}: {len(leaks)} groups lie in more than one fold, first {leaks[0]}; make it anew, "
            "or repeat a published one with --allow-divided"
        )
    folds = np.array([int(part) for part in file.of(tracks)])
    count = int(folds.max()) + 1
    if config.folds not in (0, count):
        raise DataError(f"{path}: expected {config.folds} folds as the configuration says, received {count}")
    return dataclasses.replace(config, folds=count), folds, len(leaks)


def validation_part(tracks: Sequence[Track], config: FitConfig) -> np.ndarray:
    """True for the tracks held out for early stopping, bool `(tracks,)`, by group."""
    k = min(max(2, round(1 / config.validation)), len(set(components(tracks))))
    return group_folds(tracks, k, seed=config.seed + 1, grid=config.grid) == 0


def divided(tracks: Sequence[Track], part: Sequence[int], config: FitConfig) -> tuple[list[Track], list[Track]]:
    """Training and validation tracks of a part given by indices."""
    own = [tracks[i] for i in part]
    validation = validation_part(own, config)
    return (
        [t for t, v in zip(own, validation, strict=True) if not v],
        [t for t, v in zip(own, validation, strict=True) if v],
    )


def prediction_row(track: Track, fold: str, split: str, estimated: np.ndarray) -> dict[str, Any]:
    """A row of predictions.csv; a track with signs only has them as reference and says so in `label`."""
    reference = pipeline.target(track)
    return {
        "track_id": track.track_id,
        "corpus": track.corpus,
        "group": track.group,
        "fold": fold,
        "split": split,
        "label": "rating" if track.rated else "sign",
        "valence": round(float(reference[0]), 5),
        "arousal": round(float(reference[1]), 5),
        "valence_hat": round(float(estimated[0]), 5),
        "arousal_hat": round(float(estimated[1]), 5),
    }


def claim(out: Path, config: FitConfig, sources: Sequence[str], tracks: Sequence[Track], split: str) -> None:
    """Make `out` this experiment's directory, or continue it.

    Raises: ConfigError if it holds another experiment: configuration, split, labels or audio.
    """
    lines = sorted(f"{t.key},{pipeline.target(t).tolist()},{pipeline.entry_id(t)}" for t in tracks)
    labels = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    corpora_read = [s.partition(":")[0] for s in sources]
    text = configuration.dump(config) + f"data: {corpora_read}\nsplit: {split}\nlabels_and_audio: {labels}\n"
    file = out / "config.yaml"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            part = out / f"config.{os.getpid()}.part"
            part.write_text(text, encoding="utf-8")
            os.replace(part, file)  # never half a file where another process looks
    except OSError as error:
        raise ConfigError(f"{out}: the run directory cannot be written ({error.strerror}); choose another") from None
    if file.read_text(encoding="utf-8") != text:
        raise ConfigError(f"{out}: holds a run with another configuration or other data; choose another --out")


def environment(out: Path, parts: Sequence[str]) -> dict[str, Any]:
    """Versions, machine, commit and the parts' training time: what somebody needs to repeat the run."""
    done = [json.loads((out / f"fold-{name}" / "done.json").read_text(encoding="utf-8")) for name in parts]
    packages = ("tensorflow", "keras", "numpy", "soxr", "soundfile", "scikit-learn")
    versions = {}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = ""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "backend": keras.backend.backend(),
        "packages": versions,
        "git_commit": ", ".join(sorted({d["git_commit"] for d in done})),
        "seconds": sum(d["seconds"] for d in done),
        "best_epochs": {name: d["best_epoch"] for name, d in zip(parts, done, strict=True)},
    }


def git_commit() -> str:
    """Commit of this project's checkout, `-dirty` if changed; empty outside one or without git."""
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        if Path(git("rev-parse", "--show-toplevel") or "/nowhere").resolve() != root:
            return ""
        return git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except OSError:
        return ""


# Of the code that this process runs, not of what the files become while it trains.
COMMIT = git_commit()


def write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
