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
    from sentio_tf.losses import EmotionLoss
    from sentio_tf.training.build import builder, heard_spec
    from sentio_tf.training.run import read_tracks
    from sentio_tf.training.teachers import School, teachers

    root = configuration.cache_root()
    quiet = lambda _: None
    tracks = read_tracks(arguments.data, report=quiet)
    tracks = pipeline.render_tracks(
        [tracks[i] for i in np.random.default_rng(0).permutation(len(tracks))[:SONGS]], root
    )
    learners, streams, spent = {}, {}, 0.0
    for way in WAYS:
        sets = [f"model={arguments.student}", f"answers={'live' if way == 'live' else 'stored'}"]
        config = configuration.load(arguments.config, sets, configuration.DistillConfig)
        heard = pipeline.open_cache(heard_spec(config.model, root, bits=config.cache_bits, f_max=config.f_max))
        heard.build(tracks)
        mean, std = pipeline.band_statistics(
            tracks, pipeline.open_cache(heard_spec("", root, bits=16, f_max=config.f_max))
        )
        from sentio_tf.layers.normalize import BandNormalize

        student = builder(config, root, quiet)(BandNormalize(mean, std, name="normalize"), config.crop_s, "float32")
        began = time.perf_counter()
        school = School(teachers([arguments.teacher]), config, root, quiet)
        lesson = school.lesson("0", student, tracks, heard=heard, examples=heard.spec)
        spent = time.perf_counter() - began if way == "stored" else spent
        learner = student if way == "alone" else lesson.distiller(student, EmotionLoss())
        learner.compile(keras.optimizers.AdamW(1e-4), EmotionLoss() if way == "alone" else None)
        learners[way], streams[way] = learner, lesson.batches()
        windows = sum(len(v.said(t)) for v in lesson.voices for t in tracks) if way == "stored" else windows
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
    publish(
        arguments.json,
        script="distill",
        title="Speed of distillation",
        note=f"{config.model} in batches of {config.batch_size} windows of {config.crop_s:g} s, taught by "
        f"{arguments.teacher.name}; ways take turns in one process, best of {arguments.steps - 1} steps, reading the "
        f"batch included. Stored answers are computed before, once for all epochs, seeds and variants: {1000 * each:.0f} "
        f"ms a window, {each * config.batch_size / best['alone']:.1f} steps of the student for a batch's worth (0 where "
        "the cache had them).",
        head=["teacher", "steps a second", "time of a step / student alone"],
        rows=rows,
        data=f"TEACHER --student {arguments.student} --config {arguments.config} --data CORPUS:ROOT",
    )


if __name__ == "__main__":
    main()
