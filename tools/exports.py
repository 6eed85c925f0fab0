"""Every network as a file, in every quantisation: size, time, memory, and what it costs: results/exports.json.

    python tools/exports.py ROOT [--only NAME...] [--runs DIR] [--steps train export time]

ROOT holds the folders panda4q and musifeast17.  Each network is trained once, on the training part of one split
(results/exports/split.json), exported in each way, and compared with Keras on songs of the test part alone.  A run or a
file that is there is not made again.  `time` wants a quiet machine.
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
import yaml

HERE = Path(__file__).parents[1]
RESULTS = HERE / "results" / "exports.json"
SPLIT = HERE / "results" / "exports" / "split.json"
CORPORA = ("musifeast17", "panda4q")
# Name -> how the table calls it, config file, settings; smaller than the results of the protocol ask for where a core
# would need hours: what quantisation costs is asked here, not how good a network can get.
SYSTEMS: dict[str, tuple[str, str, list[str]]] = {
    "mobilevit-xxs": ("MobileViT-XXS", "mobilevit", []),
    "vit-s14": ("ViT-S/14, frozen, trained head", "vit-frozen", []),
    "crnn": ("CRNN, small", "crnn", ["epochs=20"]),
    "mobilevit-xs": ("MobileViT-XS", "mobilevit", ["architecture.size=xs", "epochs=20"]),
    "efficientnet-lite0": ("EfficientNet-Lite0, fine-tuned", "efficientnet_lite", []),
    "ast": ("AST, tiny", "ast", ["epochs=15"]),
    "mobilevit-s": ("MobileViT-S", "mobilevit", ["architecture.size=s", "epochs=12"]),
    "efficientnet-lite0-int8": ("EfficientNet-Lite0, trained on for INT8", "efficientnet_lite-int8", []),
}
AWARE = "int8-aware"  # how its way is called in the row of that one
# System -> the one whose network it goes on from and is taught by, and with whose answers its own are compared.
START = {"efficientnet-lite0-int8": "efficientnet-lite0"}


# How the table calls a way -> quantisation, engine and layers that stay float.
WAYS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "none": ("none", "", ()),
    "float16": ("float16", "", ()),
    "dynamic": ("dynamic", "", ()),
    "int8": ("int8", "ai-edge", ()),
    "int8-converter": ("int8", "converter", ()),
}
# Layers that hurt, as `export --report --full` names them on songs of the training part.
HURTING = {"efficientnet-lite0": ("stem_.*", "stage1_.*", "stage2_0_.*")}
SONGS = 32  # that activations are measured on
UNSEEN = 384  # songs of the test part, and no more of them are asked for
DRAWN: list[Any] = []
STEPS = ("train", "export", "time")


def ways(name: str) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """In which ways a network is exported."""
    if name in START:
        return {"int8": WAYS["int8"]}
    return WAYS | ({"int8-float": ("int8", "ai-edge", HURTING[name])} if name in HURTING else {})


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "sentio_tf", *map(str, words)]


def train(name: str, root: Path, runs: Path) -> None:
    """One network on the training part; one thread."""
    out = runs / name
    if (out / "metrics.json").exists():
        return
    _, config, settings = SYSTEMS[name]
    model = next(
        line.split(":")[1].strip()
        for line in (HERE / "configs" / f"{config}.yaml").read_text().splitlines()
        if line.startswith("model:")
    )
    data = [word for corpus in CORPORA for word in ("--data", f"{corpus}:{root / corpus}")]
    sets = [word for s in ["folds=0", "final=false", *settings] for word in ("--set", s)]
    before = ["--start", runs / START[name], "--teacher", runs / START[name]] if name in START else []
    line = command(
        *(["distill", "--student", model, *before] if before else ["fit", model]),
        "--config",
        f"configs/{config}.yaml",
        *data,
        "--split",
        SPLIT.relative_to(HERE),
        *sets,
        "--out",
        out,
    )
    one = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
    began = time.time()
    with out.with_suffix(".log").open("a") as log:
        done = subprocess.run(line, cwd=HERE, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **one})
    print(f"{name}: {'trained' if done.returncode == 0 else 'FAILED'}, {time.time() - began:.0f} s", flush=True)


def export(name: str, root: Path, runs: Path) -> None:
    """Every file of a network, and what it answers to each rated song of the test part: files and exports.json."""
    from sentio_tf import config as configuration
    from sentio_tf import export
    from sentio_tf.contract import Card
    from sentio_tf.errors import ModelError
    from sentio_tf.export import parity, representative, targets
    from sentio_tf.export.settings import Quantization
    from sentio_tf.runtime.engine import Engine
    from sentio_tf.training.build import load_model
    from sentio_tf.training.quantize_aware import plain
    from sentio_tf.training.run import COMMIT

    run = runs / name
    file = run / "exports.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"files": {}}
    todo = {way: how for way, how in ways(name).items() if way not in found["files"]}
    if not todo or not (run / "metrics.json").exists():
        return
    sources = [f"{corpus}:{root / corpus}" for corpus in CORPORA]
    settings = export.read_run(run)["config"]
    if not DRAWN:  # all networks hear the same
        DRAWN.extend(
            representative.draw(
                run,
                sources,
                settings,
                root=configuration.cache_root(),
                fold="0",
                representative=SONGS,
                comparison=UNSEEN,
            )
        )
    learnt, test = DRAWN
    _, unseen = representative.known_tracks(run, "0")
    rows = [i for i, t in enumerate(test.tracks) if t.rated and t.key in unseen]
    tracks, groups = [test.tracks[i] for i in rows], [test.groups[i] for i in rows]
    labels = np.array([[t.valence, t.arousal] for t in tracks])
    network = load_model(export.model_file(run, "0"))
    bare, ranges = plain(network)
    before_run = runs / START.get(name, name)
    model = export.keras_model(before_run, load_model(export.model_file(before_run, "0")), settings, fold="0")
    expected = np.concatenate([model.predict_on_batch(test.samples[i][None])["valence_arousal"] for i in rows])
    found |= {"parameters": bare.count_params(), "ccc": scores(labels, expected)}
    exported, before = export.keras_model(run, bare, settings, fold="0", transform="matmul"), None
    for way, (kind, engine, exact) in todo.items():
        card = Card(
            name=f"{name}-{way}", version="1", licence=export.NON_COMMERCIAL, git_commit=COMMIT, quantization=kind
        )
        try:
            path = runs / "files" / f"{name}-{way}.tflite"
            if not path.exists():
                how = Quantization(kind, exact, engine)
                before = targets.TFLite(exported, bare.name, how, learnt, before=before, learnt=ranges)
                before.write(path, card)
            runner = Engine(path, threads=1)
            answers = np.array([runner(test.samples[i])[:2] for i in rows])
        except ModelError as error:
            found["files"][way] = {"error": str(error)}
            print(f"{name} {way}: {error}", flush=True)
            continue
        off = np.sqrt(np.mean((answers - expected) ** 2, 0)) / expected.std(0)
        found["files"][way] = {
            "error": "",
            "bytes": (runs / "files" / f"{name}-{way}.tflite").stat().st_size,
            "ccc": scores(labels, answers),
            "parity": parity.deviation(expected, answers, tracks, groups),
            "rmse_over_sd": [round(float(x), 4) for x in off],
        }
        cost = found["files"][way]["parity"]
        print(name, way, found["files"][way]["bytes"], cost["ccc_lost"], cost["ccc_lost_interval"], off, flush=True)
    found["files"] = {way: found["files"][way] for way in ways(name)}
    file.write_text(json.dumps(found, indent=1) + "\n")


def scores(labels: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    """CCC of each axis."""
    from sentio_tf.contract import AXES
    from sentio_tf.evaluation import metrics

    return {axis: round(metrics.ccc(labels[:, i], answers[:, i]), 4) for i, axis in enumerate(AXES)}


def measure(names: list[str], runs: Path) -> None:
    """Time and memory of all files in one run, and the result."""
    from sentio_tf.runtime import bench
    from sentio_tf.training.run import COMMIT

    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": [], "busy": {}}
    rows, sets = {row["system"]: row for row in before["rows"]}, dict(before["busy"])
    for name in names:
        if name in START or not (runs / name / "exports.json").exists():
            continue
        known = json.loads((runs / name / "exports.json").read_text())
        places = {way: runs / "files" / f"{name}-{way}.tflite" for way, f in known["files"].items() if not f["error"]}
        for after in (other for other, start in START.items() if start == name):
            if (runs / after / "exports.json").exists():
                trained_on = json.loads((runs / after / "exports.json").read_text())["files"]
                known["files"][AWARE] = trained_on["int8"]
                places[AWARE] = runs / "files" / f"{after}-int8.tflite"
        # The float file first: with it the others are compared.
        timed = bench.measure(list(places.values()), threads=(1, 2), runs=30)
        sets[name] = {key: timed[key] for key in ("others", "busy")}
        for way, file in zip(places, timed["files"], strict=True):
            known["files"][way]["time"] = file["results"]
        config = yaml.safe_load((runs / name / "config.yaml").read_text())
        environment = json.loads((runs / name / "environment.json").read_text())
        rows[name] = {
            "system": name,
            "name": SYSTEMS[name][0],
            "config": {k: config[k] for k in ("model", "architecture", "epochs", "crop_s", "seed")},
            "seconds": environment["seconds"],
            "trained_at": environment["git_commit"],
            "timed_at": COMMIT,
            **known,
        }
        print(name, {way: known["files"][way]["time"][0]["ratio"] for way in places}, timed["others"], flush=True)
    order = [name for name in SYSTEMS if name in rows]
    result = {
        "kind": "exports",
        "experiment": "exports",
        "title": "Networks as files",
        "command": "python tools/exports.py ROOT",
        "commit": COMMIT,
        "split": json.loads(SPLIT.read_text())["hash"],
        "machine": timed["machine"],  # of the last one: results of one machine belong in one file
        "litert": timed["litert"],
        "busy": sets,
        "rows": [rows[name] for name in order],
        "not_run": {name: SYSTEMS[name][0] for name in SYSTEMS if name not in [*rows, *START]},
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--runs", type=Path, default=HERE / "runs" / "exports")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    arguments = parser.parse_args()
    root, runs = arguments.root.resolve(), arguments.runs.resolve()
    (runs / "files").mkdir(parents=True, exist_ok=True)
    SPLIT.parent.mkdir(parents=True, exist_ok=True)
    if not SPLIT.exists():
        sources = [f"{corpus}:{root / corpus}" for corpus in CORPORA]
        subprocess.run(command("data", "split", *sources, "--shares", "50/10/40", "--out", SPLIT), cwd=HERE, check=True)
    for name in arguments.only:
        if "train" in arguments.steps:
            train(name, root, runs)
        if "export" in arguments.steps:
            export(name, root, runs)
    if "time" in arguments.steps:
        measure(arguments.only, runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
