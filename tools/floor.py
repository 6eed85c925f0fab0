"""The floor on the same folds: support vector regression on per-band statistics of the mel.

    python tools/floor.py RUN CORPUS:ROOT...

Trained on each corpus alone and on all together, with the folds of RUN; writes results/svr-*.json.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from sentio_tf import config, corpora, pipeline
from sentio_tf.evaluation.summary import lines, summarize
from sentio_tf.pipeline.vectors import bands
from sentio_tf.training.run import COMMIT, prediction_row

ROOT = Path(__file__).parents[1]
SIGN_VALUE = 0.4  # a sign as a number; an SVR needs one
GAMMA = 1 / 768


def main(run: Path, sources: list[str]) -> None:
    started = time.time()
    root = config.cache_root()
    tracks = pipeline.render_tracks([t for s in sources for t in corpora.read(s)], root)
    with (run / "predictions.csv").open() as file:
        fold_of = {
            f"{r['corpus']}/{r['track_id']}": int(r["fold"]) for r in csv.DictReader(file) if r["split"] == "test"
        }
    folds = np.array([fold_of[t.key] for t in tracks])
    corpus = np.array([t.corpus for t in tracks])
    _, x, failed = bands(tracks, root)
    assert not failed, next(iter(failed.values()))
    y = np.stack([pipeline.target(t) for t in tracks])
    y = np.where(y[:, 2:] == 1, y[:, :2], y[:, :2] * SIGN_VALUE)

    for name in ("own", "all"):
        estimated = np.zeros((len(tracks), 2))
        for own in sorted(set(corpus)):
            for k in sorted(set(folds)):
                test = (folds == k) & (corpus == own)
                train = (folds != k) & ((corpus == own) | (name == "all"))
                for axis in range(2):
                    model = make_pipeline(StandardScaler(), SVR(C=1, epsilon=0.05, gamma=GAMMA))
                    estimated[test, axis] = model.fit(x[train], y[train, axis]).predict(x[test])
        rows = [prediction_row(t, str(k), "test", e) for t, k, e in zip(tracks, folds, estimated, strict=True)]
        result = {
            "experiment": f"svr-{name}",
            "title": "SVR on band statistics, " + ("each corpus alone" if name == "own" else "all corpora together"),
            "command": "python tools/floor.py RUN " + " ".join(f"{s.partition(':')[0]}:ROOT" for s in sources),
            "commit": COMMIT,
            "protocol": "out-of-fold, grouped",
            "scale": "[-1, 1]",
            "split": json.loads((run / "metrics.json").read_text())["split"],
            "seeds": [0],
            "seconds": round(time.time() - started),
            "corpora": summarize(rows),
        }
        (ROOT / "results" / f"svr-{name}.json").write_text(json.dumps(result, indent=1) + "\n")
        print(result["title"], *lines(result["corpora"]), sep="\n  ")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
