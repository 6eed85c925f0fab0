"""Run inside an environment of `sentio-tf[tfio]`: examples decoded in the graph against the native ones.

python tfio_check.py FOLDER; prints one JSON line a kind of file.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from sentio_tf import pipeline
from sentio_tf.corpora.track import Track


def some(data, batches=3):
    return [(x.numpy(), y.numpy()) for x, y in data.take(batches)]


def main(folder: Path) -> None:
    for suffix in (".mp3", ".flac", ".ogg", ".wav"):
        files = sorted(folder.glob(f"*{suffix}"))
        tracks = [Track(f.stem, "c", f, f.stem, 0.1 * i, -0.1 * i) for i, f in enumerate(files)]
        options = {"frames": 200, "batch": 4, "seed": 3}
        began = time.perf_counter()
        ours = some(pipeline.dataset(tracks, pipeline.Spec(folder / "c", "nothing"), **options))
        native = time.perf_counter() - began
        began = time.perf_counter()
        graph = some(pipeline.dataset(tracks, pipeline.Spec(folder / "c", "nothing", decoder="tfio"), **options))
        in_graph = time.perf_counter() - began
        a, b = (np.concatenate([x for x, _ in found]) for found in (ours, graph))
        same = all((m == n).all() for (_, m), (_, n) in zip(ours, graph, strict=True))
        heard = (a > a.max((1, 2), keepdims=True) - 50) & (np.arange(128)[:, None, None] < 110)
        print(json.dumps({"kind": suffix, "shape": a.shape, "targets": bool(same), "native_s": native,
                          "graph_s": in_graph, "median_db": float(np.median(np.abs(a - b)[heard])),
                          "p99_db": float(np.quantile(np.abs(a - b)[heard], 0.99))}))  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
