"""Memory and time of one training step: networks on the waveform against networks on the log-mel.

    python tools/memory.py [--batch N] [--seconds S] [--models NAME[:SIZE] ...] [--json FILE]

Every model runs in a process of its own, on noise, for the same seconds of sound an example.  `activations` are what
`training.memory` counts from the shapes; `peak` is how far the process grew while training, behind a first step with
one example, from /proc (Linux).
Ratios are against short_chunk_cnn of the same run, where it is among the models, else against the first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

AGAINST = "short_chunk_cnn"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--steps", type=int, default=3, help="the fastest counts")
    parser.add_argument("--models", nargs="+", metavar="NAME[:SIZE]", help="default: all")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.child, arguments.batch, arguments.seconds, arguments.steps)))
        return
    from sentio_tf.models import MODELS

    names = arguments.models or list(MODELS)
    if unknown := [name for name in names if name.partition(":")[0] not in MODELS]:
        parser.error(f"--models: expected some of {', '.join(MODELS)}, received {unknown[0]}")
    rows = []
    for name in names:
        options = [f"--{key}={getattr(arguments, key)}" for key in ("batch", "seconds", "steps")]
        done = subprocess.run([sys.executable, __file__, f"--child={name}", *options], capture_output=True, text=True)
        if done.returncode:  # killed for memory, as a rule
            said = done.stderr.strip().splitlines()
            print(f"{name}: no result, exit code {done.returncode}; {said[-1] if said else ''}", file=sys.stderr)
            continue
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    if not rows:
        sys.exit(1)
    base = next((row for row in rows if row["model"].partition(":")[0] == AGAINST), rows[0])
    for row in rows:
        row["ratios"] = {key: round(row[key] / base[key], 2) for key in ("activations", "peak", "seconds_a_step")}
    print("\n".join(table(rows, base["model"])))
    if arguments.json:
        about = {"batch": arguments.batch, "seconds": arguments.seconds, "against": base["model"], "rows": rows}
        arguments.json.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def measure(name: str, batch: int, seconds: float, steps: int) -> dict[str, Any]:
    """Parameters, bytes and seconds of a training step of the model `name[:size]`."""
    import keras
    import numpy as np

    from sentio_tf import config
    from sentio_tf.layers.normalize import ClipZScore
    from sentio_tf.losses import EmotionLoss
    from sentio_tf.models import SOURCES, WAVEFORM
    from sentio_tf.training.build import builder
    from sentio_tf.training.memory import activation_bytes

    kind, _, size = name.partition(":")
    settings = config.FitConfig(
        model=kind, architecture={"size": size} if size else {}, weights="random" if kind in SOURCES else ""
    )
    model = builder(settings, config.cache_root(), print)(
        ClipZScore(name="normalize", dtype="float32"), seconds, "float32"
    )
    counted = activation_bytes(model, batch)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *model.input_shape[1:]), dtype=np.float32)
    x = 0.1 * x if kind in WAVEFORM else 15 * x - 30
    y = np.concatenate([rng.uniform(-1, 1, (batch, 2)), np.ones((batch, 1))], axis=1).astype(np.float32)
    model.compile(keras.optimizers.AdamW(1e-4), EmotionLoss(), jit_compile=False)
    model.train_on_batch(x[:1], y[:1])  # libraries, graph and moments of Adam are there from here on
    before, times = resident("VmRSS"), []
    for _ in range(steps + 1):
        began = time.perf_counter()
        model.train_on_batch(x, y)
        times.append(time.perf_counter() - began)
    return {
        "model": name,
        "parameters": model.count_params(),
        "activations": counted,
        "peak": resident("VmHWM") - before,
        "seconds_a_step": round(min(times[1:]), 4),  # the first one traces
    }


def resident(field: str) -> int:
    """Bytes of this process in memory, now (VmRSS) or at most so far (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def table(rows: list[dict[str, Any]], base: str) -> list[str]:
    lines = [f"{'model':24} {'parameters':>10} {'activations':>12} {'peak':>12} {'a step':>9}   times those of {base}"]
    for row in rows:
        ratios = row["ratios"]
        lines.append(
            f"{row['model']:24} {row['parameters']:10,} {row['activations'] / 1e6:9.0f} MB {row['peak'] / 1e6:9.0f} MB "
            f"{row['seconds_a_step']:7.2f} s   {ratios['activations']:.2f} {ratios['peak']:.2f} "
            f"{ratios['seconds_a_step']:.2f}"
        )
    return lines


if __name__ == "__main__":
    main()
