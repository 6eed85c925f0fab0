"""Steps a second of a student whose teachers have answered before, against teachers that answer every batch.

    python tools/bench/distill.py TEACHER --student MODEL --config FILE --data CORPUS:ROOT [--steps 12] [--json FILE]

Both take turns in one process on the same songs, best of the steps; the student alone, on the same batches, beside
them.  TEACHER is a finished run with one part, whose training songs of fold 0 are taken.  What the stored answers cost
before is given in steps of the student, too.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from report import publish

WAYS = ("alone", "stored", "live")
SONGS = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("--student", required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    import keras

    from sentio_tf import config as configuration
    from sentio_tf import pipeline
    from sentio_tf.layers.normalize import BandNormalize
    from sentio_tf.losses import EmotionLoss
    from sentio_tf.training.build import builder, heard_spec
    from sentio_tf.training.run import read_tracks
    from sentio_tf.training.teachers import School, teachers

    root = configuration.cache_root()
    quiet = lambda _: None
    tracks = read_tracks(arguments.data, report=quiet)
    chosen = np.random.default_rng(0).permutation(len(tracks))[:SONGS]
    tracks = pipeline.render_tracks([tracks[i] for i in chosen], root)
    learners, streams = {}, {}
    spent, windows = 0.0, 1
    for way in WAYS:
        sets = [f"model={arguments.student}", f"answers={'live' if way == 'live' else 'stored'}"]
        config = configuration.load(arguments.config, sets, configuration.DistillConfig)
        heard, mels = (
            pipeline.open_cache(heard_spec(name, root, bits=config.cache_bits, f_max=config.f_max))
            for name in (config.model, "")
        )
        for cache in {heard.spec: heard, mels.spec: mels}.values():
            cache.build(tracks)
        normalize = BandNormalize(*pipeline.band_statistics(tracks, mels), name="normalize")
        student = builder(config, root, quiet)(normalize, config.crop_s, "float32")
        school = School(teachers([arguments.teacher]), config, root, quiet)
        began = time.perf_counter()
        lesson = school.lesson("0", student, tracks, heard=heard, examples=heard.spec)
        if way == "alone":  # the first of all: later ones find the answers
            spent, windows = time.perf_counter() - began, sum(len(v.said(t)) for v in lesson.voices for t in tracks)
        learner = student if way == "alone" else lesson.distiller(student, EmotionLoss())
        learner.compile(keras.optimizers.AdamW(1e-4), EmotionLoss() if way == "alone" else None)
        learners[way], streams[way] = learner, lesson.batches()
    best = dict.fromkeys(WAYS, np.inf)
    for step in range(arguments.steps):
        for way in WAYS:
            began = time.perf_counter()
            x, y = next(streams[way])
            learners[way].train_on_batch(x, y[:, :3] if way == "alone" else y)
            if step:  # the first one compiles
                best[way] = min(best[way], time.perf_counter() - began)
    rows = [[way, f"{1 / best[way]:.2f}", f"{best[way] / best['alone']:.2f}"] for way in WAYS]
    each = spent / windows
    batch = config.batch_size
    publish(
        arguments.json,
        script="distill",
        title="Speed of distillation",
        note=f"{config.model} in batches of {batch} windows of {config.crop_s:g} s, taught by "
        f"{arguments.teacher.name}; ways take turns in one process, best of {arguments.steps - 1} steps, reading the "
        f"batch included. Stored answers are computed before, once for all epochs, seeds and variants: "
        f"{1000 * each:.0f} ms a window, or {each * batch / best['alone']:.1f} steps of the student for as many "
        "windows as a step takes.",
        head=["teacher", "steps a second", "time of a step / student alone"],
        rows=rows,
        data=f"TEACHER --student {arguments.student} --config {arguments.config} --data CORPUS:ROOT",
    )


if __name__ == "__main__":
    main()
