"""Spectrograms a second in training and in sampling, and memory, of the GAN's sizes as their configs train them.

    python tools/bench/gan.py [--sizes compact recipe] [--steps 5] [--threads 1] [--json FILE]

Each size runs in a process of its own, on noise: the time of a step depends neither on data nor on weights.  A step is
one update of the discriminator and those of the generator.  Processor seconds are given as well, which a busy machine
changes less than the clock's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from report import publish

HERE = Path(__file__).parents[2]
SIZES = {"compact": "configs/gan-compact.yaml", "recipe": "configs/gan-recipe.yaml"}
BATCH = 8  # of both, so that they can be compared
BUSY = 0.3  # cores that others take; with more, the table says that it is not to be trusted


def child(size: str, steps: int) -> None:
    """Print what one size takes, as JSON."""
    import numpy as np

    from sentio_tf import config as configuration
    from sentio_tf.gan import augment, fit
    from sentio_tf.gan.scale import BandScale
    from sentio_tf.runtime.bench import other_load, peak_bytes

    config = configuration.load(HERE / SIZES[size], [f"batch_size={BATCH}"], configuration.GanConfig)
    scale = BandScale(np.full(128, -30.0), np.full(128, 12.0), name="decibels")
    diffaug = augment.augmenter(config.diffaug if config.augmented else None, 0)
    gan = fit.build(config, scale, fit.objective_of(config), steps=1000, diffaug=diffaug)
    rng = np.random.default_rng(0)
    x = (12 * rng.standard_normal((BATCH, 128, 1292, 1)) - 30).astype(np.float32)
    y = rng.uniform(-1, 1, (BATCH, 2)).astype(np.float32)
    first = time.perf_counter()
    gan.train_on_batch(x, y)
    first = time.perf_counter() - first
    gan.train_on_batch(x, y)
    wall, spent = [], []
    with other_load() as load:
        for _ in range(steps):
            began, before = time.perf_counter(), time.process_time()
            gan.train_on_batch(x, y)
            wall.append(time.perf_counter() - began)
            spent.append(time.process_time() - before)
        gan.sample(y, seed=0, batch=BATCH)
        began = time.perf_counter()
        gan.sample(y, seed=1, batch=BATCH)
        made = time.perf_counter() - began
    counts = [network.count_params() for network in (gan.generator, gan.discriminator)]
    print(json.dumps({"step": min(wall), "spent": min(spent), "first": first, "sample": made, "peak": peak_bytes(),
                      "others": load[0], "parameters": counts}), flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", choices=list(SIZES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.steps)
        return
    threads = dict.fromkeys(
        ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), str(arguments.threads)
    )
    rows, loads = [], []
    for size in arguments.sizes:
        line = [sys.executable, __file__, "--child", size, "--steps", str(arguments.steps)]
        done = subprocess.run(
            line, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **threads}, stdout=subprocess.PIPE, text=True
        )
        if done.returncode:
            sys.exit(f"{size}: expected a measurement, received exit code {done.returncode}")
        f = json.loads(done.stdout.strip().splitlines()[-1])
        loads.append(f["others"])
        made, judged = (count / 1e6 for count in f["parameters"])
        rows.append([
            size, f"{made:.1f} M + {judged:.2f} M", f"{1 / f['step']:.3f}", f"{BATCH / f['step']:.2f}",
            f"{f['spent']:.2f} s", f"{BATCH / f['sample']:.1f}", f"{f['peak'] / 2**20:.0f} MiB", f"{f['first']:.0f} s",
        ])  # fmt: skip
    others = statistics.median(loads)
    note = (
        f"Batch {BATCH}, spectrograms of 30 s (128 x 1292), float32, {arguments.threads} thread of {os.cpu_count()} "
        "cores; a step is one update of the discriminator and two of the generator; fastest of "
        f"{arguments.steps}. Peak memory is that of the whole process, libraries included; the first step holds "
        f"tracing. Cores that other processes took meanwhile: {others:.1f}."
    )
    if others > BUSY:
        note = f"Measured on a busy machine: speeds are lower bounds, processor seconds nearer to the truth. {note}"
    head = ["size", "parameters", "steps a second", "spectrograms a second", "processor time a step"]
    publish(
        arguments.json,
        script="gan",
        title="GAN: speed and memory",
        note=note,
        head=[*head, "samples a second", "peak memory", "first step"],
        rows=rows,
        data=f"--steps {arguments.steps} --threads {arguments.threads}",
    )


if __name__ == "__main__":
    main()
