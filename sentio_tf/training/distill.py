"""`sentio-tf distill`: a student trained by finished runs, and what it kept of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import config as configuration
from ..config import DistillConfig
from ..errors import ConfigError
from ..evaluation import bootstrap, compare, metrics
from ..evaluation.predictions import AXES, Predictions, read
from .fit import fit
from .run import write_json
from .teachers import School, teachers

RESAMPLES = 2000


def distill(
    config: DistillConfig,
    sources: Sequence[str],
    out: Path,
    teacher_runs: Sequence[Path],
    *,
    alone: Path | None = None,
    cache: Path | None = None,
    report: Callable[[str], None] = print,
    **options: Any,
) -> dict[str, Any]:
    """Train a student on what teachers say of all `sources`, and write the run directory `out`; returns its metrics.

    A run like any other of `fit`, whose `metrics.json` has `retention` as well: the student's CCC as a share of its
    teachers' on the rated songs that judge both, with a paired interval over groups; and, with `alone`, the CCC that
    the teachers' lessons add to the same student without them.

    Args:
        teacher_runs: finished runs on the same songs and split; their answers are averaged.
        alone: run of the same student that had no teacher, to be compared with.
        cache, report, options: as of `fit`.

    Raises: as `fit`; ConfigError for teachers of other songs or labels, or that hear otherwise, for an `alone` that is
        no such run, and for a term that nothing of the student can learn from; SentioError for a term of the loss that
        is dead or dominates.
    """
    if not teacher_runs:
        raise ConfigError("expected a teacher or more, received none; name finished runs with --teacher RUN")
    root = cache or configuration.cache_root()
    school = School(teachers(teacher_runs), config, root, report, alone)
    results = fit(config, sources, out, cache=root, school=school, report=report, **options)
    if not results:
        return {}
    own = read(out / "predictions.csv", split="test")
    theirs = [read(run / "predictions.csv", split="test") for run in teacher_runs]
    results["retention"] = retention(own, theirs)
    if alone:
        results["against_alone"] = against(own, read(alone / "predictions.csv", split="test"))
    results["teachers"] = [run.resolve().name for run in teacher_runs]
    write_json(out / "metrics.json", results)
    return results


def retention(student: Predictions, taught_by: Sequence[Predictions]) -> dict[str, Any]:
    """CCC of student and teachers per axis, on the rated songs that all answered, and their ratio with its interval.

    The interval is a percentile bootstrap over groups, student and teachers on the same draws; None where the teachers
    have no CCC above 0 to keep.  Returns {} without two rated groups.
    """
    reference, groups, answers = common([student, *taught_by])
    if len(set(groups)) < 2:
        return {}
    mean = np.mean(answers[1:], axis=0)
    found: dict[str, Any] = {"songs": len(groups), "groups": len(set(groups))}
    for axis, name in enumerate(AXES):
        truth, kept, given = reference[:, axis], answers[0][:, axis], mean[:, axis]
        mine, teacher = metrics.ccc(truth, kept), metrics.ccc(truth, given)

        def ratio(rows: np.ndarray, truth=truth, kept=kept, given=given) -> float:
            below = metrics.ccc(truth[rows], given[rows])
            return metrics.ccc(truth[rows], kept[rows]) / below if below > 0 else float("nan")

        low, high = bootstrap.interval(ratio, groups, resamples=RESAMPLES)
        sure = teacher > 0 and np.isfinite([low, high]).all()
        found[name] = {
            "student": round(mine, 4),
            "teacher": round(teacher, 4),
            "retention": round(mine / teacher, 4) if teacher > 0 else None,
            "interval": [round(low, 4), round(high, 4)] if sure else None,
        }
    return found


def against(student: Predictions, other: Predictions) -> dict[str, Any]:
    """CCC of the student minus that of another per axis, on the rated songs of both, with interval and Holm's p."""
    reference, groups, answers = common([student, other])
    if len(set(groups)) < 2:
        return {}
    pairs = [
        compare.difference(reference[:, axis], answers[0][:, axis], answers[1][:, axis], groups, resamples=RESAMPLES)
        for axis in range(len(AXES))
    ]
    return {
        name: {
            "student": round(c.a, 4),
            "alone": round(c.b, 4),
            "difference": round(c.difference, 4),
            "interval": [round(c.low, 4), round(c.high, 4)],
            "p": round(float(c.p_holm or 0), 4),
        }
        for name, c in zip(AXES, compare.adjust(pairs), strict=True)
    }


def common(given: Sequence[Predictions]) -> tuple[np.ndarray, list[str], list[np.ndarray]]:
    """Rated songs that all predictions have: ratings `(n, 2)`, groups, and the answers of each `(n, 2)`."""
    tables = [{key: i for i, key in enumerate(p.keys)} for p in given]
    first = given[0]
    kept = [k for i, k in enumerate(first.keys) if first.label[i] == "rating" and all(k in t for t in tables)]
    rows = [[t[k] for k in kept] for t in tables]
    return (
        first.reference[rows[0]],
        [first.group[i] for i in rows[0]],
        [p.estimated[own] for p, own in zip(given, rows, strict=True)],
    )


def lines(results: dict[str, Any]) -> list[str]:
    """Retention, and what the teachers added, in words."""
    found = []
    for name in AXES:
        if kept := results.get("retention", {}).get(name):
            share = "no CCC above 0 to keep" if kept["retention"] is None else f"{100 * kept['retention']:.0f} % kept"
            around = f" [{kept['interval'][0]:.2f}, {kept['interval'][1]:.2f}]" if kept["interval"] else ""
            found.append(f"{name}: student {kept['student']:.3f}, teacher {kept['teacher']:.3f}, {share}{around}")
        if gain := results.get("against_alone", {}).get(name):
            low, high = gain["interval"]
            found.append(f"{name}: {gain['difference']:+.3f} [{low:.3f}, {high:.3f}] against the student alone")
    return found
