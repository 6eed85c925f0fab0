"""Every baseline on every corpus under one protocol: results/baselines-*.json and the splits they stand on.

    python tools/baselines.py ROOT [--only TASK]... [--sets SET...] [--jobs 2] [--runs runs/baselines] [--summarize]

ROOT holds the folders musifeast17, panda4q, vgmidi, emopia and deam.  Runs are `sentio-tf fit` commands; a
run that is complete is not made again, so the command continues where it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sentio_tf import config
from sentio_tf.corpora import read
from sentio_tf.evaluation import runs as evaluation
from sentio_tf.evaluation.predictions import AXES
from sentio_tf.pipeline.vectors import NETWORKS, SETS, vectors

HERE = Path(__file__).parents[1]
RESULTS = HERE / "results"
SPLITS = RESULTS / "baselines"
SEEDS = (0, 1, 2)  # of what draws anything: XGBoost's samples and its search
# What every other system of a corpus is compared with; named before anything was run.
REFERENCE = ("svr", "recipe", "searched")


SHIPPED = "mobilevit-xxs"
STUDENT_CORPORA = ("musifeast17", "panda4q", "vgmidi", "emopia")


@dataclass(frozen=True)
class Task:
    """A corpus under a protocol: how its split is made, and which features it has."""

    name: str
    corpus: str
    split: tuple[str, ...]
    features: tuple[str, ...] = ("recipe", "extended", "musicnn", "vit")
    options: tuple[str, ...] = ()


KFOLD = ("--scheme", "kfold", "--folds", "10")
TABLE = "deam/features_41.csv"
TASKS = {
    task.name: task
    for task in (
        Task("musifeast17", "musifeast17", KFOLD),
        Task("panda4q", "panda4q", KFOLD),
        Task("vgmidi", "vgmidi", KFOLD),
        Task("emopia", "emopia", ("--scheme", "official"), options=("--purge-divided",)),
        Task("deam-corrected", "deam", KFOLD, (TABLE,)),
        Task("deam-official", "deam", KFOLD, (TABLE,), ("--labels", "official")),
    )
}


@dataclass(frozen=True)
class System:
    """A model, its features and how it was set, with one seed."""

    task: Task
    model: str
    features: str
    setting: str  # "recipe's settings" or "searched"
    seed: int = 0

    @property
    def label(self) -> tuple[str, str, str]:
        return self.model, self.features, self.setting

    @property
    def folder(self) -> str:
        how = "search" if self.setting == "searched" else "recipe"
        return f"{self.task.name}/{self.model}-{Path(self.features).stem}-{how}-{self.seed}"


def systems(task: Task) -> list[System]:
    """The recipe's settings on its own features and on those of networks; the searched models on every set.

    Trees on thousands of columns of a network have the recipe's settings only: 217 songs took seven minutes so, and a
    search repeats that hundreds of times.
    """
    found = []
    for model in config.CLASSICAL:
        found.append(System(task, model, task.features[0], "recipe's settings"))
        for features in task.features:
            if features in NETWORKS:
                found.append(System(task, model, features, "recipe's settings"))
                if model == "xgboost":
                    continue
            seeds = SEEDS if model == "xgboost" and features == task.features[0] else SEEDS[:1]
            found += [System(task, model, features, "searched", seed) for seed in seeds]
    return found


def split_file(task: Task) -> Path:
    return SPLITS / f"split-{task.corpus}.json"


def command(system: System, root: Path, out: Path) -> list[str]:
    """The `sentio-tf fit` command of a system."""
    task = system.task
    suffix = "-search" if system.setting == "searched" else ""
    features = str(root / system.features) if system.features == TABLE else system.features
    folds = "folds=10" if task.split == KFOLD else "folds=0"
    return [
        "fit", system.model, "--config", f"configs/{system.model}{suffix}.yaml",
        "--data", f"{task.corpus}:{root / task.corpus}", "--features", features,
        "--split", str(split_file(task).relative_to(HERE)), *task.options,
        "--set", folds, "--set", f"seed={system.seed}", "--out", str(out / system.folder),
    ]  # fmt: skip


def sentio(arguments: list[str], log: Path | None = None) -> None:
    """Run `sentio-tf`; its words go to `log`."""
    line = [sys.executable, "-m", "sentio_tf", *arguments]
    if log is None:
        subprocess.run(line, check=True, cwd=HERE)
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        subprocess.run(line, check=True, cwd=HERE, stdout=file, stderr=subprocess.STDOUT)


def prepare(task: Task, root: Path, sets: Sequence[str]) -> None:
    """The split, and the features of the sets, once for all systems."""
    SPLITS.mkdir(parents=True, exist_ok=True)
    if not split_file(task).exists():
        source = f"{task.corpus}:{root / task.corpus}"
        sentio(["data", "split", source, *task.split, "--out", str(split_file(task)), "--no-audio"])
    for features in task.features:
        if features in sets:
            print(f"{task.name}: {features}", flush=True)
            tracks = read(f"{task.corpus}:{root / task.corpus}")
            vectors(tracks, features, config.cache_root())


def summarize(task: Task, out: Path) -> None:
    """results/baselines-TASK.json of the finished runs."""
    rows, opened = [], {}
    for system in systems(task):
        folder = out / system.folder
        if (folder / "metrics.json").exists():
            run = evaluation.open_run(folder)
            opened[system] = run
    if not opened:
        return
    for label in dict.fromkeys(s.label for s in opened):
        same = [run for system, run in opened.items() if system.label == label]
        values = evaluation.evaluation(same[0], resamples=2000)["corpora"]
        part = next(iter(values.values()))
        row = {"model": label[0], "features": Path(label[1]).stem, "setting": label[2], "seeds": [r.seed for r in same]}
        row |= {axis: part[axis] for axis in (*AXES, "quadrant")}
        if len(same) > 1:
            row["over_seeds"] = next(
                iter(evaluation.over_seeds([evaluation.evaluation(r, resamples=100) for r in same]).values())
            )
        rows.append(row | {"dimensions": same[0].metrics["dimensions"], "command": same[0].environment["command"]})
    reference = next((s for s in opened if s.label == (REFERENCE[0], task.features[0], REFERENCE[2])), None)
    comparisons = []
    if reference:
        others = [run for system, run in opened.items() if system.seed == 0 and system != reference]
        verdicts = []
        for run in others:
            verdicts += evaluation.compare_runs([run, opened[reference]])[0]
        if task.corpus in STUDENT_CORPORA:
            verdicts += evaluation.compare_runs([student(task.corpus), opened[reference]], common=True)[0]
        comparisons = [evaluation.as_dict(v) for v in evaluation.adjusted(verdicts)]
        names = {run.name: system for system, run in opened.items()}
        for c in comparisons:
            c["b"] = named(reference)
            c["a"] = named(names[c["a"]]) if c["a"] in names else SHIPPED
    first = next(iter(opened.values()))
    if len({(r.metrics["split"], r.metrics["protocol"]) for r in opened.values()}) > 1:
        raise SystemExit(f"{task.name}: the runs have different splits; remove {out / task.name} and run again")
    part = next(iter(evaluation.evaluation(first, resamples=100)["corpora"].values()))
    result = {
        "experiment": f"baselines-{task.name}",
        "kind": "baselines",
        "corpus": task.corpus,
        "labels": "official" if task.name == "deam-official" else "",
        "command": f"python tools/baselines.py ROOT --only {task.name}",
        "commit": ", ".join(sorted({r.environment["git_commit"] for r in opened.values()})),
        "protocol": first.metrics["protocol"],
        "scale": first.metrics["scale"],
        "split": first.metrics["split"],
        "labels_and_features": {Path(s.features).stem: r.metrics["labels_and_audio"] for s, r in opened.items()},
        "tracks": part["tracks"],
        "groups": part["groups"],
        "label": part["label"],
        "packages": first.environment["packages"],
        "seconds": round(sum(r.environment["seconds"] for r in opened.values())),
        "rows": rows,
        "not_run": not_run(task, [s.label for s in opened]),
        "reference": [REFERENCE[0], Path(task.features[0]).stem, REFERENCE[2]],
        "comparisons": comparisons,
    }
    file = RESULTS / f"baselines-{task.name}.json"
    file.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{file.relative_to(HERE)}: {len(rows)} rows", flush=True)


def not_run(task: Task, labels: Sequence[tuple[str, str, str]]) -> list[list[str]]:
    """Systems of the task without a finished run, which the table shows as empty rows."""
    wanted = dict.fromkeys(s.label for s in systems(task))
    return [
        [model, Path(features).stem, setting]
        for model, features, setting in wanted
        if (model, features, setting) not in labels
    ]


def named(system: System) -> str:
    return ", ".join((system.model, Path(system.features).stem, system.setting))


def student(corpus: str) -> evaluation.Run:
    """The shipped student's published out-of-fold answers for one corpus; its folds, and its training, are others."""
    run = evaluation.open_run(RESULTS / SHIPPED / "predictions.csv")
    rows = [i for i, c in enumerate(run.predictions.corpus) if c == corpus]
    return evaluation.Run(SHIPPED, run.predictions.take(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--only", action="append", choices=list(TASKS), help="may be repeated")
    parser.add_argument("--sets", nargs="+", help="of features: only these, and tables", default=list(SETS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=HERE / "runs" / "baselines")
    parser.add_argument("--summarize", action="store_true", help="write the results of the runs there are")
    arguments = parser.parse_args()
    root, out = arguments.root.resolve(), arguments.runs.resolve()
    for task in [TASKS[name] for name in arguments.only or TASKS]:
        if not arguments.summarize:
            prepare(task, root, arguments.sets)
            wanted = [s for s in systems(task) if s.features in (*arguments.sets, TABLE)]
            todo = [s for s in wanted if not (out / s.folder / "metrics.json").exists()]

            def fit(system: System) -> None:
                began = time.time()
                sentio(command(system, root, out), out / f"{system.folder}.log")
                print(f"{system.folder}: {time.time() - began:.0f} s", flush=True)

            with ThreadPoolExecutor(arguments.jobs) as pool:
                list(pool.map(fit, todo))
        summarize(task, out)


if __name__ == "__main__":
    main()
