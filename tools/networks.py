"""Every network on every corpus, on the folds of the baselines and with three seeds: results/networks-*.json.

    python tools/networks.py ROOT [--only TASK]... [--systems NAME...] [--seeds 0 1 2] [--jobs 2] [--summarize]

ROOT holds the folders musifeast17, panda4q, vgmidi and emopia.  Runs are `sentio-tf fit` commands; a run that is
complete is not made again, one that was interrupted goes on.  What was not run stays an empty row; a row of an earlier
machine stays where this one has fewer seeds of it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from baselines import RESULTS, SEEDS, Task, split_file
from baselines import TASKS as BASELINES

from sentio_tf import config
from sentio_tf.evaluation import runs as evaluation
from sentio_tf.evaluation.compare import holm
from sentio_tf.evaluation.predictions import AXES

HERE = Path(__file__).parents[1]
TASKS = {name: BASELINES[name] for name in ("musifeast17", "panda4q", "vgmidi", "emopia")}
# Config file -> how the tables call it.
SYSTEMS = {
    "vit-frozen": "ViT-S/14, frozen, trained head",
    "vit": "ViT-S/14, unfrozen step by step",
    "musicnn-frozen": "musicnn, frozen, ridge head trained on",
    "musicnn": "musicnn, fine-tuned",
    "crnn": "CRNN, from scratch",
    "short_chunk_cnn": "short-chunk CNN, from scratch",
    "cnn_transformer": "CNN + transformer, from scratch",
    "ast": "AST, from scratch",
    "sample_cnn": "sample-level CNN on the waveform, from scratch",
    "mobilevit": "MobileViT-XXS, from scratch",
    "efficientnet_lite": "EfficientNet-Lite0, fine-tuned",
}
REFERENCE = "vit-frozen"  # what the other networks are compared with; named before anything was run


@dataclass(frozen=True)
class Run:
    """A config on a corpus with a seed."""

    task: Task
    system: str
    seed: int

    @property
    def folder(self) -> str:
        return f"{self.task.name}/{self.system}-{self.seed}"

    def command(self, root: Path, out: Path) -> list[str]:
        task = self.task
        file = HERE / "configs" / f"{self.system}.yaml"
        folds = "folds=0" if "official" in task.split else "folds=10"
        return [
            "fit", config.load(file).model, "--config", str(file.relative_to(HERE)),
            "--data", f"{task.corpus}:{root / task.corpus}", "--split", str(split_file(task).relative_to(HERE)),
            *task.options, "--set", folds, "--set", f"seed={self.seed}", "--set", "final=false",
            "--out", str(out / self.folder),
        ]  # fmt: skip


def fit(run: Run, root: Path, out: Path) -> bool:
    """Whether it succeeded.  One thread a run: two side by side are faster than two threads for one."""
    log = out / f"{run.folder}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    one = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
    began = time.time()
    with log.open("a") as file:
        line = [sys.executable, "-m", "sentio_tf", *run.command(root, out)]
        done = subprocess.run(line, cwd=HERE, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **one})
    good = done.returncode == 0
    print(f"{run.folder}: {'done' if good else f'FAILED, see {log.name}'}, {time.time() - began:.0f} s", flush=True)
    return good


def same_config(file: Path, runs: list[evaluation.Run]) -> None:
    """Raises: SystemExit if a run was made with another configuration than the file's."""
    wanted = dataclasses.asdict(config.load(file))
    for run in runs:
        found = run.config
        # Set by the command, or no fields of the configuration.
        own = {"seed", "folds", "final"}
        other = sorted(k for k in wanted if k not in own and k in found and found[k] != wanted[k])
        if other:
            raise SystemExit(f"{run.name}: made with another {other[0]} than {file.name} has; remove it and run again")


def by_system(row: dict) -> int:
    return list(SYSTEMS).index(row["system"])


def kept_rows(earlier: dict | None, rows: dict[str, dict]) -> dict[str, dict]:
    """Rows of earlier results with more seeds than the runs that are here, by system."""
    found = earlier["rows"] if earlier else []
    return {
        row["system"]: row
        for row in found
        if row["system"] in SYSTEMS and len(row["seeds"]) > len(rows.get(row["system"], {"seeds": []})["seeds"])
    }


def summarize(task: Task, out: Path) -> None:
    """results/networks-TASK.json of the finished runs."""
    opened: dict[str, list[evaluation.Run]] = {}
    for system in SYSTEMS:
        folders = [out / Run(task, system, seed).folder for seed in SEEDS]
        if there := [evaluation.open_run(f) for f in folders if (f / "metrics.json").exists()]:
            same_config(HERE / "configs" / f"{system}.yaml", there)
            opened[system] = there
    if not opened:
        return
    rows = []
    for system, seeds in opened.items():
        values = [next(iter(evaluation.evaluation(run, resamples=2000)["corpora"].values())) for run in seeds]
        row = {"system": system, "seeds": [run.seed for run in seeds]}
        row |= {part: values[0][part] for part in (*AXES, "quadrant")}
        if len(seeds) > 1:
            found = [evaluation.evaluation(run, resamples=100) for run in seeds]
            row["over_seeds"] = next(iter(evaluation.over_seeds(found).values()))
        row["seconds"] = round(sum(run.environment["seconds"] for run in seeds))
        row["command"] = seeds[0].environment["command"]
        row["commit"] = seeds[0].environment["git_commit"]
        rows.append(row)
    file = RESULTS / f"networks-{task.name}.json"
    earlier = json.loads(file.read_text()) if file.exists() else None
    kept = kept_rows(earlier, {row["system"]: row for row in rows})
    rows = sorted([row for row in rows if row["system"] not in kept] + list(kept.values()), key=by_system)
    runs = [run for seeds in opened.values() for run in seeds]
    if len({(r.metrics["split"], r.metrics["protocol"]) for r in runs}) > 1:
        raise SystemExit(f"{task.name}: the runs have different splits; remove {out / task.name} and run again")
    comparisons = []
    if REFERENCE in opened:
        verdicts, names = [], {opened[REFERENCE][0].name: REFERENCE}
        for system, seeds in opened.items():
            if system != REFERENCE:
                if seeds[0].seed != opened[REFERENCE][0].seed:
                    raise SystemExit(f"{task.name}: {system} lacks the seed that {REFERENCE} has; run it first")
                names[seeds[0].name] = system
                verdicts += evaluation.compare_runs([seeds[0], opened[REFERENCE][0]])[0]
        comparisons = [evaluation.as_dict(v) for v in evaluation.adjusted(verdicts)] if verdicts else []
        for c in comparisons:
            c["a"], c["b"] = names[c["a"]], names[c["b"]]
    if kept and earlier and earlier["split"] != runs[0].metrics["split"]:
        raise SystemExit(f"{file.name}: holds rows of another split; remove it and run them again")
    if earlier:
        new = {c["a"] for c in comparisons}
        comparisons += [c for c in earlier["comparisons"] if c["a"] in kept and c["a"] not in new]
        for c, p in zip(comparisons, holm([c["p_bootstrap"] for c in comparisons]), strict=True):
            c["p_holm"] = round(float(p), 5)
    part = next(iter(evaluation.evaluation(runs[0], resamples=100)["corpora"].values()))
    result = {
        "experiment": f"networks-{task.name}",
        "kind": "networks",
        "corpus": task.corpus,
        "command": f"python tools/networks.py ROOT --only {task.name}",
        "commit": ", ".join(sorted({row["commit"] for row in rows})),
        "protocol": runs[0].metrics["protocol"],
        "scale": runs[0].metrics["scale"],
        "split": runs[0].metrics["split"],
        "tracks": part["tracks"],
        "groups": part["groups"],
        "label": part["label"],
        "packages": runs[0].environment["packages"],
        "seconds": sum(row["seconds"] for row in rows),
        "rows": rows,
        "reference": REFERENCE,
        "comparisons": comparisons,
    }
    file.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{file.relative_to(HERE)}: {len(rows)} rows", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--only", action="append", choices=list(TASKS), help="may be repeated")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=HERE / "runs" / "networks")
    parser.add_argument("--summarize", action="store_true", help="write the results of the runs there are")
    arguments = parser.parse_args()
    root, out = arguments.root.resolve(), arguments.runs.resolve()
    tasks = [TASKS[name] for name in arguments.only or TASKS]
    good = True
    if not arguments.summarize:
        wanted = [Run(t, s, seed) for seed in arguments.seeds for s in arguments.systems for t in tasks]
        todo = [run for run in wanted if not (out / run.folder / "metrics.json").exists()]
        with ThreadPoolExecutor(arguments.jobs) as pool:
            good = all(list(pool.map(lambda run: fit(run, root, out), todo)))
    for task in tasks:
        summarize(task, out)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
