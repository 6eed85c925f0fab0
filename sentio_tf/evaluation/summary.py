"""Metrics of a predictions table per corpus, with intervals clustered by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import bootstrap, metrics


def summarize(rows: Sequence[Mapping[str, Any]], *, resamples: int = 1000) -> dict[str, Any]:
    """Per corpus: regression metrics for ratings, side and quadrant accuracy for signs.

    Each value is `{"value", "low", "high"}`, a 95 % interval over groups; for ratings also the RMSE
    of the constant predictor, and how far predictions spread (`sd_ratio`, 1 = as the ratings).  A
    corpus with both kinds of labels has an entry for each, `NAME (rating)` and `NAME (sign)`.
    """
    out: dict[str, Any] = {}
    kinds = sorted({(r["corpus"], r["label"]) for r in rows})
    for corpus, label in kinds:
        part = [r for r in rows if (r["corpus"], r["label"]) == (corpus, label)]
        groups = [str(r["group"]) for r in part]
        reference = np.array([[float(r["valence"]), float(r["arousal"])] for r in part])
        estimated = np.array([[float(r["valence_hat"]), float(r["arousal_hat"])] for r in part])
        values: dict[str, Any] = {"tracks": len(part), "groups": len(set(groups)), "label": part[0]["label"]}

        def measure(function, a, b, groups=groups):
            value = {"value": round(function(a, b), 4)}
            if len(set(groups)) > 1:
                low, high = bootstrap.interval(lambda i: function(a[i], b[i]), groups, resamples=resamples)
                value |= {"low": round(low, 4), "high": round(high, 4)}
            return value

        for axis, name in enumerate(("valence", "arousal")):
            a, b = reference[:, axis], estimated[:, axis]
            if len(part) < 2:
                continue
            if part[0]["label"] == "rating":
                values[name] = {m: measure(f, a, b) for m, f in metrics.REGRESSION.items()}
                values[name]["rmse_constant"] = round(float(a.std()), 4)
                values[name]["sd_ratio"] = round(float(b.std() / a.std()), 4) if a.std() > 0 else None
            else:
                values[name] = {"accuracy": measure(metrics.sign_accuracy, a, b)}
        if part[0]["label"] == "sign":
            values["quadrant"] = {"accuracy": measure(metrics.quadrant_accuracy, reference, estimated)}
        mixed = sum(name == corpus for name, _ in kinds) > 1
        out[f"{corpus} ({label})" if mixed else corpus] = values
    return out


def lines(corpora: Mapping[str, Any]) -> list[str]:
    """One line a corpus for a terminal."""
    out = []
    for name, values in corpora.items():
        parts = []
        for axis in ("valence", "arousal", "quadrant"):
            if axis not in values:
                continue
            for metric in ("ccc", "pearson", "r2", "accuracy"):
                if metric in values[axis]:
                    parts.append(f"{axis} {metric} {text(values[axis][metric])}")
        out.append(f"{name} ({values['tracks']} songs, {values['groups']} groups): {', '.join(parts)}")
    return out


def text(value: Mapping[str, float]) -> str:
    """`.63 [.55, .70]`."""
    short = f"{value['value']:.3f}"
    return f"{short} [{value['low']:.3f}, {value['high']:.3f}]" if "low" in value else short
