"""Which student ships: out-of-fold figures of finished runs on one split, and what was kept of a teacher.

    python tools/students.py NAME=RUN... [--teacher NAME] [--taught NAME...] [--json results/students.json]

Runs are those that the heads of `configs/musicnn-msd.yaml`, `distill-musicnn-msd.yaml` and `mobilevit-xxs.yaml` say
how to make; a folder with a `predictions.csv` is enough.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from results import CORPORA, NAMES, number
from sentio_tf.evaluation.predictions import AXES, Predictions, read
from sentio_tf.evaluation.summary import summarize
from sentio_tf.training.distill import against, retention

NOTE = (
    "The corpora and folds of the first student (split `b492dced30b5`), seed 0: CCC of the rated corpora, side of the "
    "axis and quadrant of the others, out-of-fold, 95 % bootstrap over groups. mean: of the eight CCCs and shares of a "
    "side. Of those that ask for half of the teacher's work or less the one with the highest mean ships. musicnn-both "
    "and musicnn-msd are a linear head on frozen layers of two published networks, or one; taught: that of one learns "
    "what both say. Of one group of artists that these folds divide, musicnn-msd is trained without the "
    "three songs that its test part knows; musicnn-both and musicnn-msd, taught, have them (`--allow-divided`)."
)


def cells(corpora: dict) -> tuple[list[str], float]:
    """Of one run: figures of every corpus, and their mean but for quadrants."""
    found, values = [], []
    for corpus in CORPORA:
        rated = corpora[corpus]["label"] == "rating"
        for axis in (*AXES, *(() if rated else ("quadrant",))):
            value = corpora[corpus][axis]["ccc" if rated else "accuracy"]
            found.append(number(value))
            if axis in AXES:
                values.append(value["value"])
    return found, float(np.mean(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--teacher", metavar="NAME")
    parser.add_argument("--taught", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runs: dict[str, Predictions] = {}
    for given in arguments.runs:
        name, _, folder = given.partition("=")
        runs[name] = read(Path(folder) / "predictions.csv", split="test")
    head = ["network", "mean"]
    for corpus in CORPORA:
        head += [f"{NAMES[corpus]} {axis}" for axis in AXES]
        head += [] if corpus in ("musifeast17", "vgmidi") else [f"{NAMES[corpus]} quadrant"]
    rows = []
    for name, run in runs.items():
        found, mean = cells(summarize(run))
        rows.append([name, f"{mean:.3f}", *found])
    result = {
        "kind": "notes",
        "experiment": "students",
        "title": "Which student ships",
        "command": "python tools/students.py NAME=RUN... --json results/students.json",
        "note": NOTE,
        "head": head,
        "table": rows,
    }
    if arguments.teacher:
        by = runs[arguments.teacher]
        result["retention"] = {name: retention(runs[name], [by]) for name in runs if name != arguments.teacher}
        for name, kept in result["retention"].items():
            shares = " and ".join(
                f"{kept[axis]['retention']:.3f} [{kept[axis]['interval'][0]:.2f}, {kept[axis]['interval'][1]:.2f}]"
                for axis in AXES
            )
            result["note"] += f" {name} has {shares} of {arguments.teacher}'s CCC ({kept['songs']} rated songs)."
    for name in arguments.taught:
        for other in runs:
            if other not in (name, arguments.teacher):
                found = against(runs[name], runs[other])
                result.setdefault("against", {})[f"{name} - {other}"] = found
                differences = " and ".join(
                    "{difference:+.3f} [{interval[0]:.2f}, {interval[1]:.2f}], p {p:.2f}".format(**found[axis])
                    for axis in AXES
                )
                result["note"] += f" {name} - {other}: {differences}."
    text = json.dumps(result, indent=1, ensure_ascii=False)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
