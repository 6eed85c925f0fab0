"""Run directories, or tables of predictions, as something that is evaluated and compared."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from . import compare, metrics
from .predictions import AXES, SCALE, Predictions, check_complete, paired, read
from .summary import SMALL, WORST, evaluate

RATED, SIGNED = ("ccc", "pearson", "r2", "rmse", "mae"), ("sign_accuracy",)


@dataclass(frozen=True, eq=False)
class Run:
    """What a run directory holds; of a bare table only the predictions are known.

    `metrics`, `environment` and `config` are the files of these names, `history` the rows of history.csv.
    """

    name: str
    predictions: Predictions
    metrics: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, str]] = field(default_factory=list)

    @property
    def seed(self) -> int:
        seed = self.metrics.get("seed", self.config.get("seed", 0))
        return seed if isinstance(seed, int) else 0

    @property
    def experiment(self) -> str:
        """The same for runs that differ in their seed only, and in the folds that were drawn with it."""
        if not self.config:
            return f"table {id(self)}"
        drawn = ("seed", "split", "parts")
        return json.dumps({k: v for k, v in self.config.items() if k not in drawn}, sort_keys=True, default=str)


def open_run(path: str | Path, *, split: str = "test") -> Run:
    """A run directory, or a CSV file of predictions.

    Raises: ModelError if the run is not complete; DataError for predictions that are none.
    """
    path = Path(path)
    if not path.is_dir():
        return Run(path.stem, read(path, split=split))
    found = check_complete(path)
    predictions = read(path, split=split)
    return Run(
        name=path.resolve().name,
        predictions=predictions,
        metrics=found,
        environment=_json(path / "environment.json"),
        config=_yaml(path / "config.yaml"),
        history=_rows(path / "history.csv"),
    )


def open_runs(paths: Sequence[str | Path], *, split: str = "test") -> list[Run]:
    """Several runs, under names that tell them apart.  Raises: as `open_run`."""
    return distinct([open_run(path, split=split) for path in paths], paths)


def distinct(runs: Sequence[Run], paths: Sequence[str | Path]) -> list[Run]:
    """Runs of one name with as many folders before it as tell them apart; the same run twice with a number."""
    places = [Path(p).resolve() for p in paths]
    names = [r.name for r in runs]
    for name in {n for n in names if len({p for p, own in zip(places, names, strict=True) if own == n}) > 1}:
        same = [k for k, own in enumerate(names) if own == name]
        depth = 2
        while len({places[k].parts[-depth:] for k in same}) < len({places[k] for k in same}):
            depth += 1
        for k in same:
            names[k] = "/".join([*places[k].parts[-depth:-1], name])
    seen: Counter[str] = Counter()
    for k, name in enumerate(names):
        seen[name] += 1
        if seen[name] > 1:
            names[k] = f"{name} ({seen[name]})"
    return [replace(r, name=n) for r, n in zip(runs, names, strict=True)]


def evaluation(run: Run, *, resamples: int = 1000, worst: int = WORST) -> dict[str, Any]:
    """`summary.evaluate` with the name of the run, its protocol, split and seed."""
    about = {
        "name": run.name,
        "model": run.metrics.get("model") or run.config.get("model", ""),
        "scale": SCALE,
        "protocol": run.metrics.get("protocol", ""),
        "split": run.metrics.get("split", ""),
        "seed": run.seed,
    }
    return about | evaluate(run.predictions, resamples=resamples, count=worst)


def about(run: Run, version: str) -> dict[str, Any]:
    """How the run was made, for its report."""
    environment = dict(run.environment)
    chosen = _chosen(environment.pop("settings", {}))
    data = {
        "corpora": run.config.get("data", []),
        "labels_and_audio": run.config.get("labels_and_audio", ""),
        "split": run.metrics.get("split", ""),
        "features": run.metrics.get("features", ""),
    }
    return {
        "command": environment.pop("command", ""),
        "commit": environment.pop("git_commit", ""),
        "seconds": environment.pop("seconds", None),
        "environment": environment,
        "data": data,
        "config": {k: v for k, v in run.config.items() if k not in ("data", "split", "parts", "labels_and_audio")}
        | chosen,
        "version": version,
    }


def _chosen(settings: dict[str, Any]) -> dict[str, str]:
    """What the search chose for each axis, in a line each: `alpha 100 (9 of 11 models), alpha 10 (2)`."""
    found: dict[str, str] = {}
    for axis in dict.fromkeys(a for own in settings.values() for a in (own or {})):
        texts = [
            ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in own[axis].items())
            for own in settings.values()
            if own and axis in own
        ]
        counts = Counter(texts).most_common()
        if len(counts) == 1:
            found[f"settings of {axis}"] = texts[0] or "those of the recipe"
        else:
            found[f"settings of {axis}"] = "; ".join(f"{text} ({n} of {len(texts)} models)" for text, n in counts[:4])
    return found


def by_experiment(runs: Iterable[Run]) -> list[list[Run]]:
    """Runs that differ in their seed only, together, in the order of their first; the same seed twice stays apart."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        own = found.setdefault(run.experiment, [])
        if run.seed in [r.seed for r in own]:
            found[f"again {id(run)}"] = [run]
        else:
            own.append(run)
    return list(found.values())


def over_seeds(evaluations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Per corpus, axis and metric: mean over runs, sd (ddof 1) and n, of what all of them have."""
    first = evaluations[0]["corpora"]
    found: dict[str, Any] = {}
    for corpus in first:
        for axis in (*AXES, "quadrant"):
            for metric, value in first[corpus].get(axis, {}).items():
                if not isinstance(value, dict) or "value" not in value:
                    continue
                each = [e["corpora"].get(corpus, {}).get(axis, {}).get(metric) for e in evaluations]
                values = [v["value"] for v in each if v]
                mean, sd, n = compare.seeds(values)
                spread = round(sd, 4) if sd is not None else None
                found.setdefault(corpus, {}).setdefault(axis, {})[metric] = {
                    "mean": round(mean, 4),
                    "sd": spread,
                    "n": n,
                }
    return found


@dataclass(frozen=True)
class Verdict:
    """A comparison of two runs on one corpus and axis, or of their quadrant hits."""

    corpus: str
    axis: str
    a: str
    b: str
    comparison: compare.Comparison
    mcnemar: compare.McNemar | None = None


def compare_runs(
    runs: Sequence[Run], *, metric: str = "ccc", common: bool = False, resamples: int = 10_000, seed: int = 0
) -> tuple[list[Verdict], list[str]]:
    """Every pair of runs on every corpus both have, and what must be said about it.

    Ratings are compared by `metric`, signs by the share on the right side, and quadrants beside; p values
    are Holm-corrected over all of them.  A corpus that only one of the two has is left out and said.

    Args:
        common: within a corpus take the tracks both have; else both must have the same.

    Raises: DataError if two runs have no corpus in common, other tracks, other labels or another scale.
    """
    verdicts: list[Verdict] = []
    notes: list[str] = []
    for first, second in combinations(runs, 2):
        one, other = first.predictions.parts(), second.predictions.parts()
        shared = [name for name in one if name in other]
        for what in ("protocol", "split"):
            said = [run.metrics.get(what) for run in (first, second)]
            if all(said) and said[0] != said[1]:
                shown = [str(s)[:12] if what == "split" else s for s in said]
                notes.append(f"{first.name} and {second.name} have another {what}: {shown[0]} and {shown[1]}")
        if not shared:
            paired(first.predictions, second.predictions, common=common)  # raises, and says how they differ
        for name in sorted(set(one) ^ set(other)):
            notes.append(f"{name} is in one of {first.name} and {second.name} only and is left out")
        for name in shared:
            a, b = paired(one[name], other[name], common=common)
            if common and len(a) < max(len(one[name]), len(other[name])):
                notes.append(f"{name}: {len(a)} tracks that {first.name} and {second.name} share")
            groups = len(set(a.group))
            if groups < max(len(set(one[name].group)), len(set(other[name].group))) and len(a) == len(one[name]):
                notes.append(f"{name}: {first.name} and {second.name} group songs differently; both are kept together")
            if groups < 2:
                notes.append(f"{name}: one group of tracks cannot be resampled and is left out")
                continue
            if groups < SMALL:
                notes.append(
                    f"{name}: {groups} groups of tracks; rather believe the permutation test than the bootstrap"
                )
            verdicts += _verdicts(name, first.name, second.name, a, b, metric, resamples, seed)
            notes += _constant(name, ((first.name, a), (second.name, b)))
    return adjusted(verdicts), list(dict.fromkeys(notes))


def adjusted(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts of one table, their p values Holm-corrected over all of them."""
    if not verdicts:
        return []
    corrected = compare.adjust([v.comparison for v in verdicts])
    return [replace(v, comparison=c) for v, c in zip(verdicts, corrected, strict=True)]


def _verdicts(
    corpus: str, name_a: str, name_b: str, a: Predictions, b: Predictions, metric: str, resamples: int, seed: int
) -> list[Verdict]:
    used = metric if a.label[0] == "rating" else "sign_accuracy"
    found = []
    for k, axis in enumerate(AXES):
        result = compare.difference(
            a.reference[:, k], a.estimated[:, k], b.estimated[:, k], a.group, used, resamples=resamples, seed=seed
        )
        found.append(Verdict(corpus, axis, name_a, name_b, result))
    result = compare.difference(
        a.reference, a.estimated, b.estimated, a.group, "quadrant_accuracy", resamples=resamples, seed=seed
    )
    truth = metrics.quadrant_index(a.reference)
    hits = [metrics.quadrant_index(p.estimated) == truth for p in (a, b)]
    found.append(
        Verdict(corpus, "quadrant", name_a, name_b, result, compare.mcnemar_clustered(hits[0], hits[1], a.group))
    )
    return found


def _constant(corpus: str, runs: Iterable[tuple[str, Predictions]]) -> list[str]:
    return [
        f"{corpus}, {axis}, {name}: {text}"
        for name, p in runs
        for k, axis in enumerate(AXES)
        for text in metrics.degenerate(p.reference[:, k], p.estimated[:, k])
    ]


def as_dict(verdict: Verdict) -> dict[str, Any]:
    """For JSON."""
    c = verdict.comparison
    values: dict[str, Any] = {
        "corpus": verdict.corpus,
        "axis": verdict.axis,
        "metric": c.metric,
        "a": verdict.a,
        "b": verdict.b,
    }
    values |= {"value_a": c.a, "value_b": c.b, "difference": c.difference, "low": c.low, "high": c.high}
    values |= {"p_bootstrap": c.p_bootstrap, "p_permutation": c.p_permutation, "p_holm": c.p_holm}
    if verdict.mcnemar:
        values["mcnemar"] = verdict.mcnemar._asdict()
    values |= {"tracks": c.n, "groups": c.groups}
    return {k: round(v, 5) if isinstance(v, (float, np.floating)) else v for k, v in values.items()}


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a report does without
        return {}
    return values if isinstance(values, dict) else {}


def _yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return values if isinstance(values, dict) else {}


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return []
