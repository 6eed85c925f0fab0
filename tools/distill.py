"""A student with and without its teacher, and without each term: results/distill-STUDENT.json.

    python tools/distill.py ROOT [--student NAME] [--teacher RUN] [--only VARIANT...] [--seeds 0 1 2] [--runs DIR]
        [--summarize]

ROOT holds the folders musifeast17 and panda4q; all train and are judged on one split (results/exports/split.json).
The teacher is musicnn, both networks, with a head on its frozen layers; students are `STUDENTS`.  A run that is
complete is not made again; what was not run stays out of the table and is named.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

HERE = Path(__file__).parents[1]
SPLIT = HERE / "results" / "exports" / "split.json"
CORPORA = ("musifeast17", "panda4q")
TEACHER = ["fit", "musicnn", "--config", "configs/musicnn-frozen.yaml", "--set", "crop_s=12"]


@dataclass(frozen=True)
class Student:
    """Its title in the results, how it is taught, and how it is trained without a teacher."""

    title: str
    config: str
    alone: tuple[str, ...]
    about: str  # how that differs from the student with a teacher, for the results

    @property
    def terms(self) -> dict[str, float]:
        given = yaml.safe_load((HERE / self.config).read_text(encoding="utf-8"))["terms"]
        return {name: weight for name, weight in given.items() if weight}

    def variants(self) -> dict[str, str]:
        """Variant -> how the table calls it: alone, with all terms, and without each."""
        without = {f"no-{name}": f"without {WORDS[name]}" for name in self.terms if len(self.terms) > 1}
        return {"alone": "student alone", "full": f"full: {', '.join(self.terms)}", **without}


def sets(*given: str) -> tuple[str, ...]:
    return tuple(word for s in given for word in ("--set", s))


MASKED = (
    "Alone the student has masks, which keep it from learning the songs by heart, and hears windows anywhere; with a "
    "teacher it has none, since the teacher does not hear them, and hears the windows that were answered. Otherwise "
    "both are trained alike."
)
WORDS = {"hard": "labels", "soft": "soft targets", "features": "features", "attention": "attention"}
STUDENTS = {
    "efficientnet_lite": Student(
        "Distillation: EfficientNet-Lite0 taught by musicnn",
        "configs/distill-efficientnet.yaml",
        (
            "--config",
            "configs/efficientnet_lite.yaml",
            *sets("epochs=36", "patience=36", "unfreeze={1: 0, 2: 3, 4: all}", "ema=0.98"),
        ),
        MASKED,
    ),
    "mobilevit": Student(
        "Distillation: MobileViT-XXS taught by musicnn",
        "configs/distill-mobilevit.yaml",
        ("--config", "configs/mobilevit.yaml", *sets("epochs=60", "patience=60")),
        MASKED,
    ),
    "musicnn": Student(
        "Distillation: one network of musicnn taught by both",
        "configs/distill-musicnn.yaml",
        ("--config", "configs/musicnn-frozen.yaml", *sets("crop_s=12", "architecture.network=msd")),
        "The student is a head on a frozen network that starts as the ridge solution: a seed draws the order of its "
        "batches and nothing else, so three of them say little of what another sample of songs would bring; the "
        "intervals over artists do.",
    ),
}
SEEDS = (0, 1, 2)


def call(words: list[str], root: Path, out: Path, seed: int) -> None:
    """One run, with one thread."""
    if (out / "metrics.json").exists():
        return
    data = [word for corpus in CORPORA for word in ("--data", f"{corpus}:{root / corpus}")]
    own = sets("folds=0", "final=false", f"seed={seed}")
    line = [sys.executable, "-m", "sentio_tf", *words, *data, "--split", str(SPLIT.relative_to(HERE)), *own]
    one = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
    out.parent.mkdir(parents=True, exist_ok=True)
    began = time.time()
    with out.with_suffix(".log").open("a") as log:
        done = subprocess.run(
            [*line, "--out", str(out)], cwd=HERE, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **one}
        )
    print(f"{out.name}: {'done' if done.returncode == 0 else 'FAILED'}, {time.time() - began:.0f} s", flush=True)


def words_of(name: str, variant: str, teacher: Path) -> list[str]:
    student = STUDENTS[name]
    if variant == "alone":
        return ["fit", name, *student.alone, *sets("deviation=true")]
    off = sets(f"terms.{variant.removeprefix('no-')}=0") if variant != "full" else ()
    return ["distill", "--student", name, "--teacher", str(teacher), "--config", student.config, *off]


def summarize(which: str, runs: Path, teacher: Path) -> None:
    from sentio_tf.evaluation.compare import seeds as over_seeds
    from sentio_tf.evaluation.predictions import AXES, read
    from sentio_tf.training.distill import against, retention

    taught_by = read(teacher / "predictions.csv", split="test")
    rows, missing = [], {}
    for variant, name in STUDENTS[which].variants().items():
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
            if deviation := json.loads((run / "metrics.json").read_text()).get("deviation"):
                about["deviation"] = deviation
            found.append(about)
        row: dict[str, Any] = {"variant": variant, "name": name, "seeds": found}
        for axis in AXES:
            values = over_seeds([f["retention"][axis]["student"] for f in found])
            row[axis] = {"mean": round(values.mean, 4), "sd": None if values.sd is None else round(values.sd, 4)}
        rows.append(row)
    if not rows:
        print(f"{runs}: no finished run of {which}; nothing is written")
        return
    student = next(runs / f"{row['variant']}-{row['seeds'][0]['seed']}" for row in rows)
    result = {
        "kind": "distill",
        "experiment": f"distill-{which}",
        "title": STUDENTS[which].title,
        "command": f"python tools/distill.py ROOT --student {which}",
        "split": json.loads(SPLIT.read_text())["hash"],
        "teacher": {
            "name": "musicnn, frozen, ridge head trained on",
            **sizes(teacher),
            "sign_accuracy": signs(taught_by),
            "retention": retention(taught_by, [taught_by]),
        },
        "student": sizes(student),
        "alone": STUDENTS[which].about,
        "rows": rows,
        "not_run": missing,
        "seeds": list(SEEDS),
    }
    path = HERE / "results" / f"distill-{which}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def signs(predictions) -> dict[str, Any]:
    """Share of songs with a quadrant whose side is right, by axis."""
    from sentio_tf.evaluation.predictions import AXES

    rows = [i for i, label in enumerate(predictions.label) if label == "sign"]
    right = np.sign(predictions.estimated[rows]) == np.sign(predictions.reference[rows])
    return {"songs": len(rows), **{axis: round(float(right[:, k].mean()), 4) for k, axis in enumerate(AXES)}}


def sizes(run: Path) -> dict[str, float]:
    """Parameters, multiply-adds of a window of 30 s, front end left out, and bytes of the float `.tflite` of a run."""
    from sentio_tf.export import graph, keras_model
    from sentio_tf.layers.chunks import ChunkMean, Chunks
    from sentio_tf.training.apply import read_settings
    from sentio_tf.training.build import load_model

    network = load_model(run / "fold-0" / "model.keras")
    macs, chunks = 0.0, 1
    for layer in network.layers:  # from input to output: what lies between runs once a chunk
        chunks = layer.count if isinstance(layer, Chunks) else 1 if isinstance(layer, ChunkMean) else chunks
        macs += chunks * multiplications(layer)
    model = keras_model(run, network, read_settings(run), fold="0", transform="matmul")
    return {"parameters": network.count_params(), "macs": int(macs), "tflite_bytes": len(graph.to_tflite(model))}


def multiplications(layer) -> float:
    """Of one row, in convolutions and dense layers."""
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
    parser.add_argument("--student", choices=list(STUDENTS), default="efficientnet_lite")
    parser.add_argument("--only", nargs="+", metavar="VARIANT", help="alone, full, no-TERM")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--runs", type=Path, default=HERE / "runs" / "distill")
    parser.add_argument("--summarize", action="store_true", help="only write the result of the runs that are there")
    arguments = parser.parse_args()
    which, root, runs = arguments.student, arguments.root.resolve(), arguments.runs.resolve()
    variants = list(STUDENTS[which].variants())
    if strange := sorted(set(arguments.only or []) - set(variants)):
        parser.error(f"--only: expected {', '.join(variants)}, received {strange[0]}")
    teacher = (arguments.teacher or runs / "teacher").resolve()
    if not arguments.summarize:
        if not arguments.teacher:
            call(TEACHER, root, teacher, 0)
        for seed in arguments.seeds:  # all variants of a seed before the next
            for variant in arguments.only or variants:
                call(words_of(which, variant, teacher), root, runs / which / f"{variant}-{seed}", seed)
    summarize(which, runs / which, teacher)
    return 0


if __name__ == "__main__":
    sys.exit(main())
