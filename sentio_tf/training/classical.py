"""One experiment with a classical model: nested search inside the training folds, from tracks to a run directory."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import re
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from .. import config as configuration
from .. import pipeline
from ..config import ClassicalConfig
from ..corpora.split import components, group_folds
from ..corpora.track import Track
from ..errors import ConfigError, DataError, ModelError
from ..evaluation import metrics
from ..evaluation.predictions import AXES, SCALE
from ..evaluation.summary import summarize
from ..models import classical
from ..pipeline.vectors import SETS, needs_audio, split_sets, vectors
from .plan import FINAL, Part, planner
from .run import (
    COMMIT,
    claim,
    environment,
    finished,
    labels_hash,
    prediction_row,
    read_tracks,
    reopen,
    write_bytes,
    write_csv,
    write_json,
    write_predictions,
)

PACKAGES = ("numpy", "scikit-learn", "xgboost", "optuna", "librosa", "scipy")
BOTH = "both"
Axes = Sequence[tuple[str, list[int]]]


@dataclasses.dataclass(frozen=True)
class Data:
    """Rows of tracks: features `(n, d)`, targets `(n, 2)` in [-1, 1]."""

    tracks: Sequence[Track]
    x: np.ndarray
    y: np.ndarray

    def take(self, rows: Sequence[int]) -> Data:
        return Data([self.tracks[i] for i in rows], self.x[rows], self.y[rows])


def fit(
    config: ClassicalConfig,
    sources: Sequence[str],
    out: Path,
    *,
    cache: Path | None = None,
    split: Path | None = None,
    allow_divided: bool = False,
    purge_divided: bool = False,
    skip_missing: bool = False,
    workers: int | None = None,
    report: Callable[[str], None] = print,
    progress: pipeline.Progress | None = None,
) -> dict[str, Any]:
    """Train on all `sources` (`CORPUS:ROOT`) and write the run directory `out`; returns its metrics.

    Every track is predicted by a model whose features were standardised, whose settings were searched
    and whose rounds were counted on the training folds alone (nested, by group).  The final model,
    `model.skops`, is made the same way of all tracks.  A fold that is complete is not trained again.

    Args:
        cache: folder of renderings, features and caches; None: `config.cache_root()`.
        split, allow_divided, purge_divided: see `plan.plan`.
        skip_missing: leave tracks out whose file, or row in a table of features, is missing.
        workers: processes that compute features; None: one a core.

    Raises: DataError, ConfigError; a run directory of another experiment is refused.
    """
    root = cache or configuration.cache_root()
    audio = needs_audio(config.features)
    tables = [Path(name) for name in split_sets(config.features) if name not in SETS]
    tracks = read_tracks(sources, labels=config.labels, skip_missing=skip_missing, audio=audio, report=report)
    if not config.folds and split is None:
        raise ConfigError("folds: expected 2 or more, or a --split, received 0; set folds=5")

    divide = planner(config, split, allow_divided=allow_divided, purge_divided=purge_divided)
    divide(tracks)  # what can be known before hours of decoding
    check_settings(config)
    names, x, failed = vectors(tracks, config.features, root, workers=workers, progress=progress, report=report)
    if failed and not audio and not skip_missing:
        raise DataError(
            f"{next(iter(failed.values()))} ({len(failed)} such tracks); leave them out with --skip-missing"
        )
    for reason in list(failed.values())[:20]:
        report(f"left out: {reason}")
    if failed:
        report(f"{len(failed)} of {len(tracks)} tracks are left out")
    kept = [i for i, t in enumerate(tracks) if t.key not in failed]
    if not kept:
        raise DataError("expected features of the tracks, received none that could be computed; see the lines above")
    data = Data([tracks[i] for i in kept], x[kept], targets([tracks[i] for i in kept], config.sign_value))
    check_labels(names, data)
    work = divide(data.tracks)
    protocol = work.protocol
    if any(part.validation for part in work.parts):
        # A classical model has no epochs to stop: what a split calls validation is training data here.
        protocol = protocol.replace("train ->", "train and validation ->")
    config = dataclasses.replace(
        config,
        folds=work.folds,
        features="+".join(t.name if (t := Path(f)) in tables else f for f in split_sets(config.features)),
    )
    prints = [hashlib.sha256(np.round(row, 6).tobytes()).hexdigest() for row in data.x]
    labels_and_audio = labels_hash(data.tracks, prints)
    claim(out, config, sources, data.tracks, work=work, labels_and_audio=labels_and_audio)

    for part in work.parts:
        folder = out / f"fold-{part.name}"
        if not _complete(folder, [data.tracks[i] for i in part.test], final=part.name == FINAL or config.keep_models):
            known = len(part.train) + len(part.validation or [])
            judged = f"fold {part.name}: {known} training, {len(part.test)} test tracks"
            report(judged if part.test else f"final model: all {known} tracks")
            # Small systems: threads of the linear algebra would only wait for each other.
            with threadpool_limits(1):
                train_part(config, data, part, folder, report=report)

    rows = [row for part in work.parts for row in _table(out / f"fold-{part.name}" / "predictions.csv")]
    history = [row for part in work.parts for row in _table(out / f"fold-{part.name}" / "history.csv")]
    reopen(out)
    predictions = write_predictions(out / "predictions.csv", rows)
    columns = list(dict.fromkeys(c for row in history for c in row))
    write_csv(out / "history.csv", columns or ["fold", "axis", "candidate", "score"], history)
    write_bytes(out / "model.skops", (out / f"fold-{FINAL}" / "model.skops").read_bytes())
    done = {p.name: finished(out / f"fold-{p.name}") or {} for p in work.parts}
    chosen = {name: values.get("settings") for name, values in done.items()}
    write_json(out / "environment.json", environment(out, list(done), packages=PACKAGES, settings=chosen))
    results = {
        "model": config.model,
        "features": config.features,
        "dimensions": len(names),
        "columns": columns_hash(names),
        "scale": SCALE,
        "protocol": protocol,
        "split": work.hash,
        "labels_and_audio": labels_and_audio,
        "seed": config.seed,
        "predictions": predictions,
        "corpora": summarize(rows),
    }
    write_json(out / "metrics.json", results)  # last: it says that the run is complete
    return results


def _complete(folder: Path, judged: Sequence[Track], *, final: bool) -> bool:
    """Whether a part is trained and its predictions are those of its test tracks."""
    files = ("predictions.csv", "history.csv", *(("model.skops",) if final else ()))
    done = finished(folder, *files)
    if not done or "settings" not in done:
        return False
    try:
        found = [f"{row['corpus']}/{row['track_id']}" for row in _table(folder / "predictions.csv")]
        _table(folder / "history.csv")
    except (OSError, ValueError, KeyError, csv.Error):
        return False
    return found == [t.key for t in judged]


# What follows from the configuration's own fields, or would not survive saving.
RESERVED = ("callbacks", "early_stopping_rounds", "eval_metric", "multi_strategy", "n_jobs", "random_state", "verbose")


def check_settings(config: ClassicalConfig) -> None:
    """Fit every setting and every end of the search on noise: what the library refuses, it refuses before the work.

    Raises: ConfigError with the library's reason.
    """
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((24, 4)), rng.standard_normal((24, 2))
    axes = [config.settings[a] for a in AXES if a in config.settings] or [config.settings]
    tried: list[tuple[str, dict[str, Any]]] = [("settings", own) for own in axes]
    for name, values in config.search.items():
        tried += [("search", {**own, name: value}) for own in axes for value in values]
    for where, own in tried:
        if reserved := sorted(set(own) & set(RESERVED)):
            raise ConfigError(f"{where}: {reserved[0]} is set by other fields of the configuration; leave it out")
        rounds = own.get("n_estimators", 1)
        if not isinstance(rounds, int) or rounds < 1:
            raise ConfigError(f"{where}: expected n_estimators of 1 or more, received {rounds!r}")
        # Few rounds are enough to be refused.
        quick = {**own, "n_estimators": min(rounds, 2)} if config.model == "xgboost" else own
        try:
            model = classical.build(config.model, quick, seed=config.seed, joint=config.joint)
            found = model.fit(x, y if config.joint else y[:, 0]).predict(x)
        except (ValueError, TypeError, AttributeError) as error:  # XGBoost's own error is a ValueError
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ConfigError(
                f"{where}: expected what {config.model} takes, received {own}: {reason.strip()}"
            ) from None
        if not np.isfinite(found).all():
            raise ConfigError(f"{where}: expected settings with finite answers, received {own}")


LABEL = re.compile(r"(mean_|std_)?(valence|arousal|quadrant)(_mean|_std|_sd|_sign|_hat|_1_5)?", re.IGNORECASE)


def check_labels(names: Sequence[str], data: Data) -> None:
    """Raises: DataError if a feature is a label, by its name or by its values."""
    for k, name in enumerate(names):
        equal = any(np.ptp(y) > 0 and np.allclose(data.x[:, k], y, atol=1e-6) for y in data.y.T)
        if equal or LABEL.fullmatch(name.rpartition(":")[2]):
            raise DataError(
                f"expected features, received a column {name!r} that holds labels; remove it from the table"
            )


def columns_hash(names: Sequence[str]) -> str:
    """SHA-256 of the names of the features, in their order."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def targets(tracks: Sequence[Track], sign_value: float) -> np.ndarray:
    """Ratings, or signs times `sign_value`, `(n, 2)`."""
    y = np.stack([pipeline.target(t) for t in tracks]).astype(np.float64)
    return np.where(y[:, 2:] == 1, y[:, :2], y[:, :2] * sign_value)


def train_part(config: ClassicalConfig, data: Data, part: Part, folder: Path, *, report: Callable[[str], None]) -> None:
    """One model of each axis, or of both: `folder` gets predictions.csv, history.csv, done.json; `final` the model."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.time()
    train = data.take(sorted({*part.train, *(part.validation or [])}))
    for axis, name in enumerate(AXES):
        if np.ptp(train.y[:, axis]) == 0:
            report(f"fold {part.name}: warning: {name} is the same in all training tracks; nothing can be learnt of it")
    inner = inner_folds(config, train.tracks)
    axes: Axes = [(BOTH, [0, 1])] if config.joint else [(name, [k]) for k, name in enumerate(AXES)]
    history: list[dict[str, Any]] = []
    models: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    estimated = np.zeros((len(part.test), 2))
    for name, columns in axes:
        own = {**config.settings, **config.settings.get(name, {})} if config.settings else {}
        own = {k: v for k, v in own.items() if k not in AXES}
        settings[name], tried = choose(config, train, inner, own, columns)
        history += [{"fold": part.name, "axis": name, **row} for row in tried]
        model = classical.build(config.model, settings[name], seed=config.seed, joint=config.joint)
        models[name] = model.fit(train.x, _shaped(train.y[:, columns]))
        if part.test:
            estimated[:, columns] = np.reshape(model.predict(data.x[part.test]), (len(part.test), -1))
    estimated = np.clip(estimated, -1, 1)
    groups = components(data.tracks)
    rows = [
        prediction_row(data.tracks[i], part.name, "test", e, group=groups[i])
        for i, e in zip(part.test, estimated, strict=True)
    ]
    write_predictions(folder / "predictions.csv", rows)
    write_csv(folder / "history.csv", list(dict.fromkeys(c for row in history for c in row)), history)
    if part.name == FINAL or config.keep_models:
        save(models, folder / "model.skops")
    done = {"settings": settings, "seconds": round(time.time() - began), "git_commit": COMMIT}
    write_json(folder / "done.json", done)


def inner_folds(config: ClassicalConfig, tracks: Sequence[Track]) -> np.ndarray | None:
    """Inner fold of each training track, by group; None where nothing is searched.

    Raises: DataError if the training tracks have fewer groups than inner folds can be made of.
    """
    if not config.search and not config.early_stopping:
        return None
    groups = len(set(components(tracks)))
    if groups < config.inner_folds:
        raise DataError(
            f"expected {config.inner_folds} groups or more in the training part for the search, received {groups}; "
            "lower inner_folds, or search nothing: search={}"
        )
    return group_folds(tracks, config.inner_folds, seed=config.seed + 1, grid=config.grid)


def choose(
    config: ClassicalConfig, train: Data, inner: np.ndarray | None, settings: dict[str, Any], columns: list[int]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Settings for all of `train`, and what was tried: a row each with candidate, score and settings.

    Candidates are judged by the pooled predictions of inner folds (Stone 1974), which divide no group.
    With early stopping each inner model stops on its own held part, and the mean number of rounds is
    kept, so that the last model needs no held part.
    """
    if inner is None:
        return settings, []
    tried: list[dict[str, Any]] = []

    def judge(own: dict[str, Any]) -> float:
        estimated, rounds = held_out(config, train, inner, {**settings, **own}, columns)
        found = score(config.criterion, train.tracks, train.y[:, columns], estimated)
        counted = {"n_estimators": rounds} if rounds else {}
        tried.append({"candidate": len(tried), "score": round(found, 5), **own, **counted})
        return found

    if not config.search:
        judge({})
    elif config.trials:
        _optuna(config, judge)
    else:
        from sklearn.model_selection import ParameterGrid

        for own in ParameterGrid(config.search):
            judge(own)
    best = max(tried, key=lambda row: row["score"])  # the first of equals
    return {**settings, **{k: v for k, v in best.items() if k not in ("candidate", "score")}}, tried


def _optuna(config: ClassicalConfig, judge: Callable[[dict[str, Any]], float]) -> None:
    """`config.trials` candidates by the tree-structured Parzen estimator (Bergstra et al. 2011)."""
    import optuna

    def objective(trial):
        own = {}
        for name, values in config.search.items():
            if len(values) != 2 or any(isinstance(v, (str, bool)) for v in values):
                own[name] = trial.suggest_categorical(name, values)
            elif all(isinstance(v, int) for v in values):
                own[name] = trial.suggest_int(name, *values)
            else:  # over a decade or more the order of magnitude is what is searched
                low, high = map(float, values)
                own[name] = trial.suggest_float(name, low, high, log=low > 0 and high / low >= 10)
        return judge(own)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=config.seed))
    study.optimize(objective, n_trials=config.trials)


def held_out(
    config: ClassicalConfig, train: Data, inner: np.ndarray, settings: dict[str, Any], columns: list[int]
) -> tuple[np.ndarray, int]:
    """Predictions `(n, axes)` of every training track by a model without its inner fold; mean rounds or 0."""
    estimated = np.zeros((len(train.x), len(columns)))
    rounds = []
    for k in np.unique(inner):
        held = inner == k
        model = classical.build(config.model, settings, seed=config.seed, joint=config.joint)
        y = _shaped(train.y[:, columns])
        if config.early_stopping:
            x = model[:-1].fit(train.x[~held]).transform(train.x)
            booster = model[-1].set_params(early_stopping_rounds=config.early_stopping)
            booster.fit(x[~held], y[~held], eval_set=[(x[held], y[held])], verbose=False)
            rounds.append(booster.best_iteration + 1)
            found = booster.predict(x[held])
        else:
            with warnings.catch_warnings():
                # Candidates at the end of a grid may not converge or be ill-conditioned; their score says so.
                warnings.filterwarnings("ignore", module="sklearn|scipy")
                found = model.fit(train.x[~held], y[~held]).predict(train.x[held])
        estimated[held] = np.reshape(found, (int(held.sum()), -1))
    return estimated, round(float(np.mean(rounds))) if rounds else 0


def _shaped(y: np.ndarray) -> np.ndarray:
    """`(n,)` for one axis, as regressors of one target want it."""
    return y[:, 0] if y.shape[1] == 1 else y


def score(criterion: str, tracks: Sequence[Track], reference: np.ndarray, estimated: np.ndarray) -> float:
    """Mean of the criterion over corpora (each counts alike) and axes, higher is better."""
    corpus = np.array([t.corpus for t in tracks])
    values = []
    for name in np.unique(corpus):
        rows = corpus == name
        if rows.sum() >= 2:
            for axis in range(reference.shape[1]):
                value = metrics.REGRESSION[criterion](reference[rows, axis], estimated[rows, axis])
                values.append(-value if criterion == "rmse" else value)
    return float(np.mean(values)) if values else 0.0


def save(models: dict[str, Any], path: Path) -> None:
    """Fitted pipelines by axis, in skops' format: unlike a pickle it runs no code when it is read."""
    import skops.io

    skops.io.dump(models, path)


def load(run: Path) -> dict[str, Any]:
    """Fitted pipelines of a run by axis.  Raises: ModelError if there is no model, or another kind of file."""
    import skops.io

    path = run / "model.skops"
    try:
        return skops.io.load(path, trusted=list(classical.TRUSTED))
    except FileNotFoundError:
        raise ModelError(f"{run}: expected a finished run of a classical model, received none; fit it first") from None
    except Exception as error:  # a damaged archive raises whatever its parts raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{path}: expected a model of sentio-tf fit, received {reason}; fit it again") from None


def predict(models: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """[valence, arousal] in [-1, 1] of feature vectors `(n, d)`, `(n, 2)`."""
    if BOTH in models:
        found = np.reshape(models[BOTH].predict(x), (len(x), 2))
    else:
        found = np.stack([models[axis].predict(x) for axis in AXES], axis=1)
    return np.clip(found, -1, 1)


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
