"""Tracks a second and memory of feature extraction: a plain librosa script, ours with one and two processes.

python tools/bench/features.py SONG.mp3... [--json FILE]

The script is what the documentation gives: librosa.load, then every different call of the table from the samples, one
track after the other.  Ours decodes and computes the same 164 columns without a cache, the start of its processes
counted.  Each way runs in a process of its own, the ways in turn, on copies of the songs, so that no two are one file.
Memory is the largest that the process and its workers held.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROUNDS = 3
# One thread a process, or the ways would not be given the same.
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
# Tracks a round: about ten seconds of each way on two cores.
TRACKS = {"librosa": 10, "ours-1": 60, "ours-2": 100}
NAMES = {
    "librosa": "librosa, call by call (one process)",
    "ours-1": "sentio-tf features, one process",
    "ours-2": "sentio-tf features, two processes",
}


def librosa_script(songs: list[Path]) -> np.ndarray:
    """The 164 columns of each song, from the calls as the table has them."""
    import librosa

    from sentio_tf.features import RECIPE, compute

    vectors = []
    for song in songs:
        y, _ = librosa.load(song)
        values: dict[str, np.ndarray] = {}  # rows of one call, `...[3]`, are computed once
        rows = []
        for feature in RECIPE:
            row = re.fullmatch(r"(librosa\.feature\..+)\[(\d+)\]", feature.call)
            call = row[1] if row else feature.call
            if call not in values:
                values[call] = eval(call, {"librosa": librosa, "np": np, "compute": compute, "y": y})
            rows.append(values[call][int(row[2])] if row else values[call])
        vectors.append([f(row) for row in rows for f in (np.mean, np.std, np.min, np.max)])
    return np.array(vectors)


def measure(way: str, songs: list[Path]) -> dict[str, float]:
    """Tracks a second and peak memory [MiB] of one way, in this process."""
    if way == "librosa":
        librosa_script(songs[:1])  # compiles
        began = time.perf_counter()
        librosa_script(songs[1:])
        count = len(songs) - 1
    else:
        from sentio_tf.features import Item, extract

        began = time.perf_counter()
        _, _, failed = extract([Item(s) for s in songs], workers=int(way[-1]))
        assert not failed, failed
        count = len(songs)
    rate = count / (time.perf_counter() - began)
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    workers = 2 if way == "ours-2" else 0
    return {"rate": rate, "memory": (own + workers * children) / 1024}


def largest_difference(songs: list[Path]) -> float:
    """Largest difference of the two, as a share of the column's largest value."""
    from sentio_tf.features import Item, extract

    ours, theirs = extract([Item(s) for s in songs], workers=1)[1], librosa_script(songs)
    return float((np.abs(ours - theirs) / np.maximum(np.abs(theirs).max(axis=0), 1e-3)).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", nargs="+", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", choices=TRACKS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(measure(arguments.way, arguments.songs)))
        return
    from report import publish

    found: dict[str, list[dict[str, float]]] = {way: [] for way in TRACKS}
    with tempfile.TemporaryDirectory() as folder:
        copies = []
        for i in range(max(TRACKS.values())):
            song = arguments.songs[i % len(arguments.songs)]
            copies.append(shutil.copy(song, Path(folder) / f"{i}{song.suffix}"))
        for _ in range(ROUNDS):
            for way, count in TRACKS.items():
                command = [sys.executable, __file__, "--way", way, *copies[: count + (way == "librosa")]]
                done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | THREADS)
                found[way].append(json.loads(done.stdout.splitlines()[-1]))
    rate = {way: max(f["rate"] for f in rounds) for way, rounds in found.items()}
    rows = [
        [NAMES[way], f"{r:.1f}", f"{r / rate['librosa']:.1f}", f"{max(f['memory'] for f in found[way]):.0f} MiB"]
        for way, r in rate.items()
    ]
    publish(
        arguments.json,
        script="features",
        title="Hand-crafted features",
        note=f"164 features of {len(arguments.songs)} mp3 files of 45 s, copied, decoding included, no cache, best of "
        f"{ROUNDS} rounds, the ways in turn, 2 cores. Largest difference of a column: "
        f"{largest_difference(arguments.songs):.1e} of its largest value. Goal with two processes: 3 times "
        "librosa.load and librosa's calls, one after the other.",
        head=["way", "tracks a second", "x librosa", "memory"],
        rows=rows,
        data="ROOT/emomusic/clips_45seconds/*.mp3",
    )


if __name__ == "__main__":
    main()
