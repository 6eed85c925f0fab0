"""Put an exported run into the package: models/, registry.json and results/.

python tools/ship.py RUN FILE.tflite --config configs/mobilevit-xxs.yaml [--default] [--live]
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import inspect
import json
import shutil
from pathlib import Path

import numpy as np
import yaml

from sentio_tf.contract import Card
from sentio_tf.evaluation.summary import lines
from sentio_tf.export.card import embed
from sentio_tf.models import MODELS as NETWORKS
from sentio_tf.runtime.engine import Engine
from sentio_tf.runtime.flatbuffer import UNSEALED, seal

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "sentio_tf" / "models"


def average_ccc(corpora: dict) -> float:
    """Mean CCC over the rated corpora and both axes."""
    rated = [c for c in corpora.values() if c["label"] == "rating"]
    return float(np.mean([c[axis]["ccc"]["value"] for c in rated for axis in ("valence", "arousal")]))


def size_of(config: dict) -> list[str]:
    """Row of the network's table of sizes that was built, or which of its published networks, where it has any."""
    parameters = inspect.signature(NETWORKS[config["model"]]).parameters
    own = [parameters[name] for name in ("size", "network") if name in parameters]
    return [str(config["architecture"].get(p.name, p.default)) for p in own]


def named(model: bytes, card: Card, name: str) -> bytes:
    """An exported file with another name in its card, and the hash of that."""
    return seal(embed(model, dataclasses.replace(card, name=name, content_sha256=UNSEALED)))


def command(config: dict, file: str, more: str = "") -> str:
    """By which the run was made, with `more` options; of a student, but for the run of its teacher."""
    data = " ".join([*(f"--data {c}:ROOT/{c}" for c in config["data"]), *([more] if more else [])])
    if "terms" in config:
        return f"sentio-tf distill --teacher RUN --student {config['model']} --config {file} {data}"
    return f"sentio-tf fit {config['model']} --config {file} {data}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--config", required=True)
    parser.add_argument("--options", default="", help="of the run's command, as given: --split FILE ...")
    parser.add_argument("--version", default="1")
    parser.add_argument("--default", action="store_true", help="the model that predict takes")
    parser.add_argument("--live", action="store_true", help="the one of phones, browsers and listen")
    arguments = parser.parse_args()

    card = Engine(arguments.file).card
    metrics = json.loads((arguments.run / "metrics.json").read_text())
    # What is judged says whether music was composed by a program; spectrograms of a GAN are never judged.
    if synthetic := [
        *(c for c in metrics["corpora"] if c.startswith("synthetic-")),
        *card.training.get("generated", {}),
    ]:
        raise SystemExit(f"{arguments.run}: trained on music that nobody made ({synthetic[0]}), which does not ship")
    environment = json.loads((arguments.run / "environment.json").read_text())
    config = yaml.safe_load((arguments.run / "config.yaml").read_text())
    architecture = "-".join([config["model"], *size_of(config)])
    name = f"{architecture}-v{arguments.version}-ccc{average_ccc(metrics['corpora']):.2f}"
    target = MODELS / f"{name}.tflite"
    for old in MODELS.glob(f"{architecture}-v{arguments.version}-*.tflite"):
        old.unlink()
    target.write_bytes(named(arguments.file.read_bytes(), card, name))

    registry = json.loads((MODELS / "registry.json").read_text())
    registry["models"] = [e for e in registry["models"] if (MODELS / e["file"]).exists() and e["name"] != name]
    registry["models"].append(
        {
            "name": name,
            "file": target.name,
            "bytes": target.stat().st_size,
            "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
            "licence": card.licence,
            "quantization": card.quantization,
            "config": arguments.config,
            "trained_on": config["data"],
            "protocol": metrics["protocol"],
            "summary": lines(metrics["corpora"]),
        }
    )
    for role, wanted in (("default", arguments.default), ("live", arguments.live)):
        if wanted or registry[role] not in [e["name"] for e in registry["models"]]:
            registry[role] = name
    (MODELS / "registry.json").write_text(json.dumps(registry, indent=1) + "\n")

    result = {
        "experiment": Path(arguments.config).stem,
        "title": f"{architecture}, shipped as {name}",
        "command": command(config, arguments.config, arguments.options),
        "commit": environment["git_commit"],
        "protocol": metrics["protocol"],
        "scale": metrics["scale"],
        "split": metrics["split"],
        "seeds": [metrics["seed"]],
        "seconds": environment["seconds"],
        "frozen_cached": all(
            json.loads(p.read_text())["frozen_cached"] for p in arguments.run.glob("fold-*/done.json")
        ),
        "packages": environment["packages"],
        "corpora": metrics["corpora"],
        "export": {"bytes": target.stat().st_size, "quantization": card.quantization, "parity": card.parity},
        "domain": card.domain,
        **{key: metrics[key] for key in ("retention", "deviation") if key in metrics},
    }
    (ROOT / "results" / f"{result['experiment']}.json").write_text(json.dumps(result, indent=1) + "\n")
    folder = ROOT / "results" / result["experiment"]
    folder.mkdir(exist_ok=True)
    for file in ("predictions.csv", "config.yaml", "history.csv"):
        shutil.copyfile(arguments.run / file, folder / file)
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
