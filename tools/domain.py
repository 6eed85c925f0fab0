"""What `in_domain` catches and what it misses, with each model that ships, on whole files.

    python tools/domain.py ROOT [--json FILE]

ROOT holds esc10/, music/ and emomusic/.  ESC-10 and the noises chose the features, the music did not.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from pathlib import Path

import numpy as np
import soundfile

import sentio_tf
from sentio_tf.runtime.predictor import shipped

RATE = 22_050


def signals() -> dict[str, np.ndarray]:
    """31 s each of what is no music."""
    rng = np.random.default_rng(0)
    n = 31 * RATE
    t = np.arange(n) / RATE
    white = rng.standard_normal(n)
    pink = np.fft.irfft(np.fft.rfft(white) / np.sqrt(np.arange(n // 2 + 1) + 1), n)
    return {
        "white noise": 0.2 * white,
        "pink noise": 0.1 * pink / pink.std(),
        "sine 440 Hz": 0.5 * np.sin(2 * np.pi * 440 * t),
        "chirp 100 Hz - 3.8 kHz": 0.3 * np.sin(2 * np.pi * (100 * t + 60 * t * t)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    predictors = {e["name"].rpartition("-v")[0]: sentio_tf.load(e["name"]) for e in shipped()["models"]}
    groups: dict[str, list[Path]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, samples in signals().items():
            path = Path(folder) / f"{name.split()[0]}.wav"
            soundfile.write(path, samples, RATE)
            groups[name] = [path]
        with (arguments.root / "esc10" / "labels.csv").open() as file:
            for row in csv.DictReader(file):
                name = f"ESC-10 {row['category'].replace('_', ' ')}"
                groups.setdefault(name, []).append(arguments.root / "esc10" / "audio" / row["filename"])
        groups["music: five free recordings"] = sorted((arguments.root / "music").glob("*.ogg"))
        groups["music: five songs of EmoMusic"] = sorted((arguments.root / "emomusic").rglob("*.mp3"))
        rows = []
        for name, paths in sorted(groups.items()):
            flagged = [np.mean([p.predict(path).in_domain is False for path in paths]) for p in predictors.values()]
            rows.append([name, str(len(paths)), *(f"{share:.2f}" for share in flagged)])
            print(" | ".join(rows[-1]), flush=True)
    if arguments.json:
        result = {
            "kind": "notes",
            "experiment": "domain",
            "title": "What `in_domain` flags",
            "command": "python tools/domain.py ROOT --json results/domain.json",
            "note": "Share of files flagged as out of domain. The threshold is the 99 % quantile of the distances of "
            "training songs whose fold was left out. The features were chosen on ESC-10 and the noises.",
            "head": ["what", "files", *(f"flagged by {name}" for name in predictors)],
            "table": rows,
        }
        arguments.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
