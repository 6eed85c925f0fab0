"""Do generated spectrograms help? Four conditions, one network, equal steps: results/ablation-gan.json.

    python tools/ablation_gan.py ROOT [--seeds 0 1 2] [--only CONDITION...] [--runs DIR] [--summarize]

ROOT holds the folders musifeast17 and panda4q; split results/exports/split.json, by artist.  One GAN
(configs/gan-compact.yaml) is trained on its training part alone; each seed of the network (configs/ablation-gan.yaml)
draws a corpus of its own from it, as many spectrograms as there are training songs.  Conditions are named in that
config.  What is complete is not made again, what was interrupted goes on; the result is written after every run, and
what is missing is named in it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parents[1]
SPLIT = HERE / "results" / "exports" / "split.json"
RESULT = HERE / "results" / "ablation-gan.json"
DOCS = HERE / "docs"
CORPORA = ("musifeast17", "panda4q")
STATUS = "status.json"
GAN, NETWORK = "configs/gan-compact.yaml", "configs/ablation-gan.yaml"
SEEDS = (0, 1, 2)
CONDITIONS = {
    "real": "real songs only",
    "augmented": "+ SpecAugment and mixup",
    "gan": "+ generated spectrograms",
    "shuffled": "+ the same, labels shuffled",
}
# Who is compared with whom; the last says whether the labels of what is generated mean anything.
PAIRS = (("augmented", "real"), ("gan", "real"), ("shuffled", "real"), ("gan", "shuffled"))
RESAMPLES = 2000
SURE, UNSURE = "#1f6fb2", "#1f2430"  # colours of the picture


def call(words: list[str], log: Path, *, out: Path | None = None) -> bool:
    """One `sentio-tf` command with one thread, what it prints into `out` or the log; whether it succeeded."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.time()
    line = [sys.executable, "-m", "sentio_tf", *words]
    with log.open("a") as file, (out or log).open("w" if out else "a") as printed:
        done = subprocess.run(line, cwd=HERE, stdout=printed, stderr=file, env={**os.environ, **one})
    print(f"{log.stem}: {'done' if done.returncode == 0 else 'FAILED'}, {time.time() - began:.0f} s", flush=True)
    return done.returncode == 0


def data(root: Path) -> list[str]:
    return [word for corpus in CORPORA for word in ("--data", f"{corpus}:{root / corpus}")]


def train_gan(root: Path, runs: Path) -> bool:
    """The GAN of the split, unless it is there."""
    status = runs / "gan" / STATUS
    if status.exists() and json.loads(status.read_text())["status"] == "finished":
        return True
    words = ["gan", "fit", "--config", GAN, *data(root), "--split", str(SPLIT.relative_to(HERE))]
    return call([*words, "--out", str(runs / "gan")], runs / "gan.log")


def score_gan(root: Path, runs: Path) -> bool:
    """`score.json`: the GAN against real music and noise, sound included, unless it is there."""
    file = runs / "score.json"
    if file.exists():
        return True
    words = ["gan", "score", str(runs / "gan"), *data(root), "--audio", "--format", "json"]
    good = call(words, runs / "score.log", out=file.with_suffix(".part"))
    if good:
        file.with_suffix(".part").replace(file)
    return good


def draw(runs: Path, seed: int) -> bool:
    """The corpora `made-SEED` and `shuffled-SEED`, unless they are there."""
    made, shuffled = runs / f"made-{seed}", runs / f"shuffled-{seed}"
    if not (made / "labels.csv").exists():
        shutil.rmtree(made, ignore_errors=True)  # cut short
        count = str(len(np.load(runs / "gan" / "targets.npy")))
        words = ["gan", "sample", str(runs / "gan"), "--out", str(made), "--count", count, "--seed", str(seed)]
        if not call([*words, "--wav", "4"], runs / f"made-{seed}.log"):
            return False
    if not (shuffled / "labels.csv").exists():
        shuffle(made, shuffled, seed)
    return True


def shuffle(made: Path, out: Path, seed: int) -> None:
    """The same spectrograms with every label at another one: turned by a step within a random order."""
    out.mkdir(exist_ok=True)
    for name in ("corpus.yaml", "gan.json", "trained.csv"):
        shutil.copyfile(made / name, out / name)
    with (made / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    order = np.random.default_rng(seed).permutation(len(rows))
    given = [{key: row[key] for key in ("valence", "arousal", "quadrant")} for row in rows]
    for place, other in zip(order, np.roll(order, 1), strict=True):
        rows[place] |= given[other] | {"path": f"{os.path.relpath(made, out)}/{rows[place]['path']}"}
    with (out / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def settings(condition: str, seed: int, runs: Path) -> list[str]:
    """What a condition adds to the command."""
    own = ["--set", f"seed={seed}"]
    if condition == "augmented":
        return [*own, "--set", "architecture.masks=2", "--set", "augment={mixup_alpha: 0.2}"]
    if condition in ("gan", "shuffled"):
        folder = f"{'made' if condition == 'gan' else 'shuffled'}-{seed}"
        half = ", ".join(f"{name}: 0.5" for name in (*CORPORA, f"generated-{folder}"))
        return [*own, "--data", f"folder:{runs / folder}", "--set", f"repeats={{{half}}}"]
    return own


def fit(condition: str, seed: int, root: Path, runs: Path) -> bool:
    out = runs / f"{condition}-{seed}"
    if (out / "metrics.json").exists():
        return True
    words = ["fit", "crnn", "--config", NETWORK, *data(root), "--split", str(SPLIT.relative_to(HERE))]
    return call([*words, *settings(condition, seed, runs), "--out", str(out)], runs / f"{condition}-{seed}.log")


# -- results ----------------------------------------------------------------------------------------


def summarize(runs: Path) -> None:
    from sentio_tf.evaluation.predictions import read

    there = {c: [s for s in SEEDS if (runs / f"{c}-{s}" / "metrics.json").exists()] for c in CONDITIONS}
    if not any(there.values()):
        return
    found = {(c, s): read(runs / f"{c}-{s}", split="test") for c, seeds in there.items() for s in seeds}
    rows = {c: row(runs, c, seeds, found) for c, seeds in there.items() if seeds}
    steps = {r["steps"] for r in rows.values()}
    if len(steps) > 1:
        raise SystemExit(f"expected equal steps in every condition, received {sorted(steps)}; remove the runs")
    result = {
        "kind": "gan",
        "experiment": "ablation-gan",
        "title": "Does a GAN help?",
        "command": "python tools/ablation_gan.py ROOT",
        "split": json.loads(SPLIT.read_text())["hash"],
        "scale": "[-1, 1]",
        "conditions": rows,
        "names": CONDITIONS,
        "steps": steps.pop(),
        "comparisons": compare(found, there),
        "gan": about_gan(runs),
        "not_run": {c: [s for s in SEEDS if s not in there[c]] for c in CONDITIONS if len(there[c]) < len(SEEDS)},
    }
    RESULT.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    picture(result)


def about_gan(runs: Path) -> dict[str, Any]:
    """How the training of the GAN ended, its scores, and how its corpora were drawn; its pictures go to docs/."""

    def read(path: Path) -> Any:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    run = runs / "gan"
    status = read(run / STATUS) or {"status": "not trained", "epoch": 0}
    sheets = sorted((run / "sheets").glob("epoch-*.png"))
    pictures = {"curves": run / "curves.png", "samples": sheets[-1]} if sheets and (run / "curves.png").exists() else {}
    for name, path in pictures.items():
        shutil.copyfile(path, DOCS / f"gan-{name}.png")
    about = read(run / "environment.json")
    return {
        "status": status,
        "seconds": about.get("seconds"),
        "commit": about.get("git_commit"),
        "quality": read(runs / "score.json") or read(run / "quality.json"),
        "corpora": {str(s): read(runs / f"made-{s}" / "gan.json") for s in SEEDS if (runs / f"made-{s}").exists()},
        "pictures": {name: f"gan-{name}.png" for name in pictures},
    }


def measures(predictions) -> dict[str, tuple[Any, list[int]]]:
    """Name of a measure -> its function of reference and estimate, and the rows it is of."""
    from sentio_tf.evaluation import metrics

    rated = [i for i, label in enumerate(predictions.label) if label == "rating"]
    signed = [i for i, label in enumerate(predictions.label) if label == "sign"]
    side = lambda r, e: float(((r > 0) == (e > 0)).mean())
    return {"ccc": (metrics.ccc, rated), "side": (side, signed)}


AXES = ("valence", "arousal")


def row(runs: Path, condition: str, seeds: list[int], found: dict) -> dict[str, Any]:
    """Measures of a condition: mean over seeds, each seed, 95 % interval of the mean over groups of songs."""
    from sentio_tf.evaluation import bootstrap
    from sentio_tf.evaluation.compare import seeds as over

    out: dict[str, Any] = {"seeds": seeds}
    first = found[condition, seeds[0]]
    for name, (measure, rows) in measures(first).items():
        groups = [first.group[i] for i in rows]
        for k, axis in enumerate(AXES):
            truth = first.reference[rows, k]
            answers = [found[condition, s].estimated[rows, k] for s in seeds]
            values = [measure(truth, a) for a in answers]
            mean = over(values)

            def statistic(i, truth=truth, answers=answers, measure=measure):
                return float(np.mean([measure(truth[i], a[i]) for a in answers]))

            low, high = bootstrap.interval(statistic, groups, resamples=RESAMPLES)
            out[f"{axis}_{name}"] = {
                "mean": round(mean.mean, 4),
                "sd": None if mean.sd is None else round(mean.sd, 4),
                "low": round(low, 4),
                "high": round(high, 4),
                "each": [round(v, 4) for v in values],
            }
    about = [json.loads((runs / f"{condition}-{s}" / "environment.json").read_text()) for s in seeds]
    out["songs"] = {name: len(rows) for name, (_, rows) in measures(first).items()}
    out["seconds"] = sum(a["seconds"] for a in about)
    out["commit"] = ", ".join(sorted({a["git_commit"] for a in about}))
    out["command"] = about[0]["command"]
    out["best_epochs"] = [a["best_epochs"]["0"] for a in about]
    counts = sorted({steps_of(runs / f"{condition}-{s}") for s in seeds})
    if len(counts) > 1:
        raise SystemExit(f"{condition}: expected equal steps with every seed, received {counts}; remove the runs")
    out["steps"] = counts[0]
    return out


def steps_of(run: Path) -> int:
    """Optimizer steps of a run: epochs of its history times the steps of one."""
    import math

    from sentio_tf.evaluation.runs import open_run
    from sentio_tf.training.run import read_songs

    config = open_run(run).config
    keys = [row["key"] for row in read_songs(run) if not row["via"]]
    parts = {key: part for key, _, part in json.loads(SPLIT.read_text())["tracks"]}
    names = [key.partition("/")[0] for key in keys if parts.get(key, "train") == "train"]
    drawn = sum(config["repeats"].get(name, 1) for name in names)
    epochs = len((run / "history.csv").read_text().splitlines()) - 1 if (run / "history.csv").exists() else 0
    if not epochs:
        epochs = len((run / "fold-0" / "history.csv").read_text().splitlines()) - 1
    return epochs * math.ceil(drawn / config["batch_size"])


def compare(found: dict, there: dict[str, list[int]]) -> list[dict[str, Any]]:
    """Paired differences, mean over the seeds that both have, p Holm-corrected over all of them."""
    from sentio_tf.evaluation import bootstrap
    from sentio_tf.evaluation.compare import holm

    out = []
    for a, b in PAIRS:
        both = [s for s in there[a] if s in there[b]]
        if not both:
            continue
        first = found[a, both[0]]
        for s in both:
            if first.keys != found[a, s].keys or first.keys != found[b, s].keys:
                raise SystemExit(f"{a} and {b}: expected the same test songs in the same order; remove the runs")
        for name, (measure, rows) in measures(first).items():
            groups = [first.group[i] for i in rows]
            for k, axis in enumerate(AXES):
                truth = first.reference[rows, k]
                pairs = [(found[a, s].estimated[rows, k], found[b, s].estimated[rows, k]) for s in both]

                def statistic(i, truth=truth, pairs=pairs, measure=measure):
                    return float(np.mean([measure(truth[i], x[i]) - measure(truth[i], y[i]) for x, y in pairs]))

                drawn = bootstrap.paired(statistic, groups, resamples=RESAMPLES)
                out.append({"a": a, "b": b, "axis": axis, "measure": name, "seeds": both} | {
                    key: round(getattr(drawn, key), 4) for key in ("difference", "low", "high", "p")
                })  # fmt: skip
    for c, p in zip(out, holm([c["p"] for c in out]) if out else [], strict=True):
        c["p_holm"] = round(float(p), 4)
    return out


def picture(result: dict[str, Any]) -> None:
    """`ablation-gan.png`: differences with their intervals, in colour what is sure among all comparisons."""
    from matplotlib.figure import Figure

    columns = [("valence", "ccc", "valence, CCC"), ("arousal", "ccc", "arousal, CCC"),
               ("valence", "side", "valence, right side"), ("arousal", "side", "arousal, right side")]  # fmt: skip
    pairs = [p for p in PAIRS if any((c["a"], c["b"]) == p for c in result["comparisons"])]
    if not pairs:
        return
    figure = Figure(figsize=(11, 0.5 * len(pairs) + 1.5), layout="constrained", facecolor="white")
    for ax, (axis, measure, title) in zip(figure.subplots(1, 4, sharey=True), columns, strict=True):
        ax.axvline(0, color="#8a90a0", linewidth=1)
        for place, pair in enumerate(pairs):
            for c in result["comparisons"]:
                if (c["a"], c["b"]) == pair and (c["axis"], c["measure"]) == (axis, measure):
                    color = SURE if c["p_holm"] < 0.05 else UNSURE
                    ax.plot([c["low"], c["high"]], [place, place], color=color, linewidth=2)
                    ax.plot(c["difference"], place, "o", color=color, markersize=5)
        ax.set_yticks(range(len(pairs)), [f"{a} - {b}" for a, b in pairs])
        ax.set_ylim(len(pairs) - 0.5, -0.5)
        ax.set_title(title, loc="left", fontsize=10)
        ax.locator_params(axis="x", nbins=4)
        ax.grid(axis="x", color="#e3e6ec")
        for side in ("top", "right", "left"):
            ax.spines[side].set_visible(False)
    figure.supxlabel(
        "difference on test songs, mean over seeds, 95 % paired bootstrap over artists; blue: Holm's p below .05",
        fontsize=9,
    )
    figure.savefig(DOCS / "ablation-gan.png", dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--only", nargs="+", choices=list(CONDITIONS), default=list(CONDITIONS))
    parser.add_argument("--runs", type=Path, default=HERE / "runs" / "ablation-gan")
    parser.add_argument("--summarize", action="store_true", help="only write the result of the runs that are there")
    arguments = parser.parse_args()
    root, runs = arguments.root.resolve(), arguments.runs.resolve()
    good = True
    if not arguments.summarize:
        made = {"gan", "shuffled"} & set(arguments.only)
        ready = train_gan(root, runs) if made else False
        if ready:  # a score that fails, by weights that cannot be had, keeps no condition from running
            good = score_gan(root, runs)
        for seed in arguments.seeds:
            drawn = draw(runs, seed) if ready else False
            for condition in arguments.only:  # all conditions of a seed before the next
                possible = condition not in made or drawn
                good = (possible and fit(condition, seed, root, runs)) and good
                summarize(runs)
    summarize(runs)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
