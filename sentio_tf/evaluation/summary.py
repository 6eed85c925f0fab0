"""What a table of predictions is worth: per corpus, axis, quadrant and genre, with intervals clustered by group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from . import bootstrap, metrics, reliability
from .predictions import AXES, Predictions, from_rows

WORST = 20
KNOWN = {**metrics.AXIS, "quadrant_accuracy": metrics.quadrant_accuracy}
FAST = {metric: name for name, metric in KNOWN.items() if name in bootstrap.FROM_SUMS}
SMALL = 10  # a part with fewer groups has no interval worth showing


def summarize(rows: Sequence[Mapping[str, Any]] | Predictions, *, resamples: int = 1000) -> dict[str, Any]:
    """Per corpus: regression metrics for ratings, side and quadrant accuracy for signs.

    Each value is `{"value", "low", "high"}`, a 95 % interval over groups (without, where there is one
    group); for ratings also the RMSE of the constant predictor, how far predictions spread (`sd_ratio`,
    1 = as the ratings), and the ceiling that the spread of the raters sets.  A corpus with both kinds of
    labels has an entry for each, `NAME (rating)` and `NAME (sign)`.
    """
    predictions = rows if isinstance(rows, Predictions) else from_rows(rows)
    return {name: _corpus(part, resamples) for name, part in predictions.parts().items()}


def evaluate(predictions: Predictions, *, resamples: int = 1000, count: int = WORST) -> dict[str, Any]:
    """`{"warnings", "corpora"}`: `summarize`, and calibration, tables by quadrant and genre, worst errors of each."""
    warnings: list[str] = []
    corpora: dict[str, Any] = {}
    for name, part in predictions.parts().items():
        values = _corpus(part, resamples)
        for axis, of in enumerate(AXES):
            reference, estimated = part.reference[:, axis], part.estimated[:, axis]
            warnings += [f"{name}, {of}: {text}" for text in metrics.degenerate(reference, estimated)]
            if len(part) > 1 and values["label"] == "rating":
                values[of]["calibration"] = metrics.calibration(reference, estimated)
        if values["groups"] < SMALL:
            warnings.append(
                f"{name}: {values['groups']} groups of tracks; intervals from fewer than {SMALL} are too narrow"
            )
        if name.startswith("synthetic-"):
            warnings.append(f"{name}: composed by a program and rated by nobody; no result may be reported on it")
        values["quadrants"] = _by(part, [(q, _in_quadrant(part, q)) for q in metrics.QUADRANTS], resamples)
        values["genres"] = _by(part, _genres(part), resamples, correlate=True)
        values["worst"] = worst(part, count)
        corpora[name] = values
    return {"warnings": warnings, "corpora": corpora}


def _measure(part: Predictions, resamples: int) -> Callable[..., dict[str, float]]:
    """`measure(statistic, reference, estimated)`: the value and, with groups and resamples, its interval."""
    groups = part.group

    def measure(statistic, a, b):
        value = {"value": round(statistic(a, b), 4)}
        if resamples and len(set(groups)) > 1:
            if statistic in FAST:
                low, high = bootstrap.metric_interval(FAST[statistic], a, b, groups, resamples=resamples)
            else:
                low, high = bootstrap.interval(lambda i: statistic(a[i], b[i]), groups, resamples=resamples)
            value |= {"low": round(low, 4), "high": round(high, 4)}
        return value

    return measure


def _corpus(part: Predictions, resamples: int) -> dict[str, Any]:
    rated = part.label[0] == "rating"
    values: dict[str, Any] = {"tracks": len(part), "groups": len(set(part.group)), "label": part.label[0]}
    measure = _measure(part, resamples)
    if len(part) < 2:
        return values | {axis: {} for axis in AXES}
    for axis, name in enumerate(AXES):
        a, b = part.reference[:, axis], part.estimated[:, axis]
        constant = _constant(part, axis)
        own: dict[str, Any] = {}
        if rated:
            own = {m: measure(f, a, b) for m, f in metrics.REGRESSION.items()}
            own["rmse_constant"] = round(float(a.std()), 4)
            own["sd_ratio"] = round(metrics.sd_ratio(a, b), 4) if np.ptp(a) > 0 else None
            ceiling = reliability.ceilings(a, part.sd[:, axis], part.raters)
            own["ceiling"] = _rounded(ceiling) if ceiling else None
        own["accuracy"] = measure(metrics.sign_accuracy, a, b)
        if not rated:
            own["auc"] = measure(metrics.auc, a, b)
        errors = {"rmse": metrics.rmse(a, constant), "mae": metrics.mae(a, constant)} if rated else {}
        own["constant"] = _rounded({**errors, "accuracy": metrics.sign_accuracy(a, constant)})
        own["constant"]["mean_of"] = "the other folds" if len(set(part.fold)) > 1 else "these songs"
        values[name] = own
    values["quadrant"] = {
        "accuracy": measure(metrics.quadrant_accuracy, part.reference, part.estimated),
        "f1": measure(metrics.quadrant_f1, part.reference, part.estimated),
        "confusion": metrics.confusion(part.reference, part.estimated).tolist(),
        "constant": round(_constant_quadrant(part), 4),
    }
    return values


def _constant(part: Predictions, axis: int) -> np.ndarray:
    """What a predictor says that knows nothing but the mean of the other folds, `(n,)`.

    Where there is one part only the mean is its own, which flatters the constant.
    """
    fold = np.array(part.fold)
    reference = part.reference[:, axis]
    constant = np.full(len(part), reference.mean())
    for k in np.unique(fold) if len(set(part.fold)) > 1 else ():
        constant[fold == k] = reference[fold != k].mean()
    return constant


def _constant_quadrant(part: Predictions) -> float:
    """How often the most frequent quadrant of the other folds (or, in one part, its own) is right."""
    fold, truth = np.array(part.fold), metrics.quadrant_index(part.reference)
    hits = 0
    for k in np.unique(fold):
        other = fold != k if len(set(part.fold)) > 1 else fold == k
        hits += int(np.sum(truth[fold == k] == np.bincount(truth[other], minlength=4).argmax()))
    return hits / len(part)


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in values.items()}


def _in_quadrant(part: Predictions, name: str) -> list[int]:
    return np.flatnonzero(metrics.quadrant_index(part.reference) == metrics.QUADRANTS.index(name)).tolist()


def _genres(part: Predictions) -> list[tuple[str, list[int]]]:
    """Rows of each genre, the most frequent first; a song of two counts in both."""
    rows: dict[str, list[int]] = {}
    for i, names in enumerate(part.genre):
        for name in dict.fromkeys(n.strip() for n in names.split(";") if n.strip()):
            rows.setdefault(name, []).append(i)
    return sorted(rows.items(), key=lambda item: (-len(item[1]), item[0]))


def _by(
    part: Predictions, kinds: Iterable[tuple[str, list[int]]], resamples: int, *, correlate: bool = False
) -> dict[str, Any]:
    """Error and bias of each kind of track; with `correlate` CCC, which misleads where the truth chose the part."""
    found: dict[str, Any] = {}
    for name, rows in kinds:
        if not rows:
            found[name] = {"tracks": 0, "groups": 0}
            continue
        own = part.take(rows)
        groups = len(set(own.group))
        measure = _measure(own, resamples if groups >= SMALL else 0)
        values: dict[str, Any] = {"tracks": len(own), "groups": groups}
        if len(own) > 1:
            for axis, of in enumerate(AXES):
                a, b = own.reference[:, axis], own.estimated[:, axis]
                values[of] = {"accuracy": measure(metrics.sign_accuracy, a, b)}
                if own.label[0] == "rating":
                    values[of] |= {"mae": measure(metrics.mae, a, b), "bias": measure(metrics.bias, a, b)}
                    if correlate and len(own) >= SMALL and np.ptp(a) > 0:
                        values[of]["ccc"] = measure(metrics.ccc, a, b)
            values["accuracy"] = measure(metrics.quadrant_accuracy, own.reference, own.estimated)
        found[name] = values
    return found


def worst(part: Predictions, count: int = WORST) -> list[dict[str, Any]]:
    """The tracks with the largest errors: the distance on the plane, or how far on the wrong side for signs."""
    if part.label[0] == "rating":
        error = np.linalg.norm(part.reference - part.estimated, axis=1)
    else:
        error = np.maximum(0, -part.reference * part.estimated).max(axis=1)
    order = np.argsort(-error, kind="stable")[:count]
    return [
        {
            "track_id": part.track_id[i],
            "group": part.group[i],
            "fold": part.fold[i],
            "genre": part.genre[i],
            "reference": [round(float(v), 4) for v in part.reference[i]],
            "estimated": [round(float(v), 4) for v in part.estimated[i]],
            "error": round(float(error[i]), 4),
        }
        for i in order
        if error[i] > 0
    ]


def lines(corpora: Mapping[str, Any]) -> list[str]:
    """One line a corpus for a terminal."""
    out = []
    for name, values in corpora.items():
        shown = ("ccc", "pearson", "r2") if values["label"] == "rating" else ("accuracy",)
        parts = []
        for axis in (*AXES, *(() if values["label"] == "rating" else ("quadrant",))):
            parts += [f"{axis} {m} {text(values[axis][m])}" for m in shown if m in values.get(axis, {})]
        out.append(f"{name} ({values['tracks']} songs, {values['groups']} groups): {', '.join(parts)}")
    return out


def text(value: Mapping[str, float]) -> str:
    """`.63 [.55, .70]`."""
    short = f"{value['value']:.3f}"
    return f"{short} [{value['low']:.3f}, {value['high']:.3f}]" if "low" in value else short
