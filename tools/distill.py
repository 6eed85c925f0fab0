"""A student with and without its teacher, and without each term: results/distill-STUDENT.json.

    python tools/distill.py ROOT [--teacher RUN] [--only VARIANT...] [--seeds 0 1 2] [--runs DIR] [--summarize]

ROOT holds the folders musifeast17 and panda4q; all train and are judged on one split (results/exports/split.json).
The teacher is musicnn with a head on its frozen layers, the student EfficientNet-Lite0 from ImageNet.  A run that is
complete is not made again; what was not run stays out of the table and is named.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parents[1]
SPLIT = HERE / "results" / "exports" / "split.json"
CORPORA = ("musifeast17", "panda4q")
STUDENT, CONFIG = "efficientnet_lite", "configs/distill-efficientnet.yaml"
TEACHER = ["fit", "musicnn", "--config", "configs/musicnn-frozen.yaml", "--set", "crop_s=12"]
# Alone it has masks, which keep it from learning the songs by heart; otherwise it is trained alike.
ALONE = ["fit", STUDENT, "--config", "configs/efficientnet_lite.yaml"]
ALONE += [word for s in ("epochs=12", "unfreeze={1: 0, 2: 3, 4: all}", "ema=0.98") for word in ("--set", s)]
# Variant -> how the table calls it, and terms that differ from the configuration's.
VARIANTS: dict[str, tuple[str, dict[str, float]]] = {
    "alone": ("student alone", {}),
    "full": ("full: hard, soft, features", {}),
    "no-soft": ("without soft targets", {"soft": 0}),
    "no-features": ("without features", {"features": 0}),
    "no-hard": ("without labels", {"hard": 0}),
}
SEEDS = (0, 1, 2)


def call(words: list[str], root: Path, out: Path, seed: int) -> None:
    """One run, with one thread."""
    if (out / "metrics.json").exists():
        return
    data = [word for corpus in CORPORA for word in ("--data", f"{corpus}:{root / corpus}")]
    sets = [word for s in ("folds=0", "final=false", f"seed={seed}") for word in ("--set", s)]
    line = [sys.executable, "-m", "sentio_tf", *words, *data, "--split", str(SPLIT.relative_to(HERE)), *sets]
    one = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
    out.parent.mkdir(parents=True, exist_ok=True)
    began = time.time()
    with out.with_suffix(".log").open("a") as log:
        done = subprocess.run(
            [*line, "--out", str(out)], cwd=HERE, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **one}
        )
    print(f"{out.name}: {'done' if done.returncode == 0 else 'FAILED'}, {time.time() - began:.0f} s", flush=True)


def words_of(variant: str, teacher: Path) -> list[str]:
    if variant == "alone":
        return ALONE
    terms = VARIANTS[variant][1]
    changed = [word for name, weight in terms.items() for word in ("--set", f"terms.{name}={weight}")]
    return ["distill", "--student", STUDENT, "--teacher", str(teacher), "--config", CONFIG, *changed]


def summarize(runs: Path, teacher: Path) -> None:
    from sentio_tf.evaluation.compare import seeds as over_seeds
    from sentio_tf.evaluation.predictions import AXES, read
    from sentio_tf.training.distill import against, retention

    taught_by = read(teacher / "predictions.csv", split="test")
    rows, missing = [], {}
    for variant, (name, _) in VARIANTS.items():
        own = [(s, runs / f"{variant}-{s}") for s in SEEDS if (runs / f"{variant}-{s}" / "metrics.json").exists()]
        if not own:
            missing[variant] = name
            continue
        found = []
        for seed, run in own:
            predictions = read(run / "predictions.csv", split="test")
            about: dict[str, Any] = {"seed": seed, "retention": retention(predictions, [taught_by])}
            about |= {f"retention_{axis}": about["retention"][axis]["retention"] for axis in AXES}
            about["sign_accuracy"] = signs(predictions)
            alone = runs / f"alone-{seed}" / "predictions.csv"
            if variant != "alone" and alone.exists():
                about["against_alone"] = against(predictions, read(alone, split="test"))
            environment = json.loads((run / "environment.json").read_text())
            about |= {key: environment[key] for key in ("seconds", "git_commit")}
            found.append(about)
        row: dict[str, Any] = {"variant": variant, "name": name, "seeds": found}
        for axis in AXES:
            values = over_seeds([f["retention"][axis]["student"] for f in found])
            row[axis] = {"mean": round(values.mean, 4), "sd": None if values.sd is None else round(values.sd, 4)}
        rows.append(row)
    student = next(runs / f"{row['variant']}-{row['seeds'][0]['seed']}" for row in rows)
    result = {
        "kind": "distill",
        "experiment": f"distill-{STUDENT}",
        "title": "Distillation: EfficientNet-Lite0 taught by musicnn",
        "command": "python tools/distill.py ROOT",
        "split": json.loads(SPLIT.read_text())["hash"],
        "teacher": {
            "name": "musicnn, frozen, ridge head trained on",
            **sizes(teacher),
            "sign_accuracy": signs(taught_by),
            "retention": retention(taught_by, [taught_by]),
        },
        "student": sizes(student),
        "rows": rows,
        "not_run": missing,
    }
    path = HERE / "results" / f"distill-{STUDENT}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def signs(predictions) -> dict[str, Any]:
    """Share of songs with a quadrant whose side is right, by axis."""
    from sentio_tf.evaluation.predictions import AXES

    rows = [i for i, label in enumerate(predictions.label) if label == "sign"]
    right = np.sign(predictions.estimated[rows]) == np.sign(predictions.reference[rows])
    return {"songs": len(rows), **{axis: round(float(right[:, k].mean()), 4) for k, axis in enumerate(AXES)}}


def sizes(run: Path) -> dict[str, float]:
    """Parameters, and multiply-adds of a window of 30 s, of a run's network, front end left out."""
    from sentio_tf.training.build import load_model

    network = load_model(run / "fold-0" / "model.keras")
    return {"parameters": network.count_params(), "macs": int(sum(multiplications(layer) for layer in network.layers))}


def multiplications(layer) -> float:
    """Of one window, in convolutions and dense layers; chunks of a window count each."""
    from keras import layers

    if not isinstance(layer, (layers.Conv2D, layers.Conv1D, layers.DepthwiseConv2D, layers.Dense)):
        return 0
    shape = layer.output.shape[1:]
    kernel = np.prod(layer.kernel.shape)
    places = np.prod(shape[:-1]) if len(shape) > 1 else 1
    return float(places * kernel)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--runs", type=Path, default=HERE / "runs" / "distill")
    parser.add_argument("--summarize", action="store_true", help="only write the result of the runs that are there")
    arguments = parser.parse_args()
    root, runs = arguments.root.resolve(), arguments.runs.resolve()
    teacher = (arguments.teacher or runs / "teacher").resolve()
    if not arguments.summarize:
        if not arguments.teacher:
            call(TEACHER, root, teacher, 0)
        for seed in arguments.seeds:  # all variants of a seed before the next
            for variant in arguments.only:
                call(words_of(variant, teacher), root, runs / f"{variant}-{seed}", seed)
    summarize(runs, teacher)
    return 0


if __name__ == "__main__":
    sys.exit(main())
