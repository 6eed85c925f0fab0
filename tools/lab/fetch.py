"""Runs that `train.sh` made, back into runs/: checked against what was packed, and against the labels as they are now.

    python tools/lab/fetch.py FOLDER... [--lab lab.json] [--runs runs]

Each FOLDER is what came back of one call.  A run whose configuration, split, labels or audio are not those of here is
refused; another run is never overwritten.  Complete ones are evaluated; `sentio-tf fit` continues the others here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sentio_tf import corpora, pipeline
from sentio_tf.corpora import archive
from sentio_tf.errors import DataError, SentioError
from sentio_tf.training.run import TRAINED, labels_hash, read_songs

SUMS = "SHA256SUMS"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--lab", type=Path, default=Path("lab.json"), help="of pack.py [%(default)s]")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--no-evaluate", action="store_true")
    arguments = parser.parse_args(words)
    try:
        fetched = fetch(arguments.folders, arguments.lab, arguments.runs)
    except SentioError as error:
        sys.exit(f"error: {error}")
    whole = [run for run in fetched if (run / "metrics.json").exists()]
    for run in fetched:
        print(f"{run}  {'complete' if run in whole else 'not complete'}", flush=True)
    if whole and not arguments.no_evaluate:
        sys.exit(subprocess.run([sys.executable, "-m", "sentio_tf", "evaluate", *map(str, whole)]).returncode)


def fetch(folders: Sequence[Path], lab: Path, target: Path) -> list[Path]:
    """The run directories that were laid into `target`: all that came back, or none.

    Raises: DataError for files that are missing or damaged, or a run that is not of this pack and these corpora.
    """
    try:
        about = json.loads(lab.read_text(encoding="utf-8"))
        expected = {run["name"]: run["expected"] for run in about["runs"]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{lab}: expected the lab.json that pack.py wrote, received {error}; name it with --lab"
        ) from None
    with tempfile.TemporaryDirectory() as place:
        whole = join(folders, Path(place) / "runs.tar.gz")
        archive.unpack(whole, Path(place) / "staging", Path(place) / "new", progress=lambda *_: None)
        found = sorted(p for p in (Path(place) / "new" / "runs").glob("*") if (p / "config.yaml").exists())
        if not found:
            raise DataError("expected runs, received none; see log.txt beside what came back")
        now = {t.key: t for t in current(about)}
        for run in found:
            check(run, expected, now)
            there = target / run.name / "config.yaml"
            if (target / run.name).exists() and (not there.exists() or there.read_text("utf-8") != expected[run.name]):
                raise DataError(
                    f"{target / run.name}: expected no run or an earlier state of this one, received another"
                )
        for run in found:
            lay(run, target / run.name)
    return [target / run.name for run in found]


def join(folders: Sequence[Path], whole: Path) -> Path:
    """One file of all numbered ones.  Raises: DataError if one is missing or not as it was there."""
    sums: dict[str, str] = {}
    for folder in folders:
        try:
            lines = (folder / SUMS).read_text(encoding="ascii").splitlines()
        except OSError as error:
            raise DataError(f"{folder / SUMS}: expected what train.sh wrote, received {error.strerror}") from None
        for digest, name in (line.split() for line in lines):
            if sums.setdefault(name, digest) != digest:
                raise DataError(
                    f"{folder}: expected files of one state, received those of two; bring all of them again"
                )
    with whole.open("wb") as file:
        for name, digest in sorted(sums.items()):
            part = next((f / name for f in folders if (f / name).is_file()), None)
            if part is None:
                raise DataError(f"expected {name}, received none; bring it with FIRST={int(name.rpartition('.')[2])}")
            content = part.read_bytes()
            if hashlib.sha256(content).hexdigest() != digest:
                raise DataError(f"{part}: expected the bytes of {SUMS}, received others; bring it again")
            file.write(content)
    return whole


def current(about: dict[str, Any]) -> list[corpora.Track]:
    """Tracks as the corpora have them now, rendered where they are MIDI."""
    labels = {yaml.safe_load(run["config"])["labels"] for run in about["runs"]}.pop() or None
    tracks = [t for s in about["sources"] for t in corpora.read(s, version=labels, skip_missing=about["skip_missing"])]
    return pipeline.render_tracks(tracks, Path(about["cache"]))


def check(run: Path, expected: dict[str, str], now: dict[str, corpora.Track]) -> None:
    """Raises: DataError if the run is not what was packed, or the labels or files have changed since."""
    name = run.name
    if name not in expected:
        raise DataError(f"{name}: expected one of {', '.join(expected)}, received a run that was not packed")
    text = (run / "config.yaml").read_text(encoding="utf-8")
    if text != expected[name]:
        raise DataError(f"{name}: expected the configuration, split and labels of the pack, received others")
    if not (run / TRAINED).exists():
        return  # it has not begun
    keys = [row["key"] for row in read_songs(run) if not row["via"]]
    gone = [key for key in keys if key not in now]
    tracks = [now[key] for key in keys if key in now]
    if gone or labels_hash(tracks, [pipeline.entry_id(t) for t in tracks]) != yaml.safe_load(text)["labels_and_audio"]:
        raise DataError(
            f"{name}: expected the labels and files that are here now, received a run on others; pack and train again"
        )
    if (run / "metrics.json").exists():
        written = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["predictions"]
        if hashlib.sha256((run / "predictions.csv").read_bytes()).hexdigest() != written:
            raise DataError(f"{name}: expected the predictions of its metrics.json, received others; bring it again")


def lay(run: Path, target: Path) -> None:
    """Files of the run over those of its earlier state; a complete one is left alone."""
    if (target / "metrics.json").exists() and not (run / "metrics.json").exists():
        return
    shutil.copytree(run, target, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
