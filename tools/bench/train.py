"""Training steps a second of every network, as ratios within one run, and of the same network in PyTorch.

    python tools/bench/train.py [--models NAME ...] [--rounds N] [--quick] [--torch-python PATH] [--json FILE]

Each way of training runs in a process of its own: XLA, threads and memory belong to a process.  The ways of one network
live side by side and take turns, so that a busy moment hits all of them; the fastest step counts.  Input is noise,
weights are random: the time of a step depends on neither.

PyTorch is no dependency of the project: `--torch-python` names an interpreter that has it, see `torch_vit.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sentio_tf.runtime.bench import other_load, peak_bytes

FOLDER = Path(__file__).parent
# Seconds of sound an example, those of configs/NAME.yaml; the networks are of their default size.
SECONDS = {
    "vit": 30.0,
    "ast": 8.0,
    "crnn": 8.0,
    "short_chunk_cnn": 3.69,
    "cnn_transformer": 8.0,
    "musicnn": 12.0,
    "sample_cnn": 5.35,
    "mobilevit": 12.0,
    "efficientnet_lite": 12.0,
}
PLAIN = "float32"
# Way -> what it changes: fields of FitConfig, `last` stages that train (all), `cached` answers of those that do not.
WAYS: dict[str, dict[str, Any]] = {PLAIN: {}, "XLA": {"jit": True}, "bfloat16": {"precision": "mixed_bfloat16"}}
VIT_WAYS: dict[str, dict[str, Any]] = {
    "last 6 blocks": {"last": 6},
    "last 4 blocks": {"last": 4},
    "head only": {"last": 0},
    "head only, cached answers": {"last": 0, "cached": True},
}
TORCH_WAYS = {
    "PyTorch": [],
    "PyTorch, bfloat16": ["--bfloat16"],
    "PyTorch, last 6 blocks": ["--last", "6"],
    "PyTorch, head only": ["--last", "0"],
}
AGAINST = {  # the same step in both
    PLAIN: "PyTorch",
    "bfloat16": "PyTorch, bfloat16",
    "last 6 blocks": "PyTorch, last 6 blocks",
    "head only": "PyTorch, head only",
}
TURN_S = 4.0  # a turn lasts so long, or as long as two steps
BUSY = 0.3  # cores that others take; with more, the table says that it is not to be trusted
LONGEST_S = 300.0  # that a way may take to get ready


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=SECONDS, default=list(SECONDS), metavar="NAME")
    parser.add_argument("--ways", nargs="+", metavar="WAY", help="as the table names them; default: all")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true", help="one short round of small batches: does it run at all?")
    parser.add_argument("--torch-python", type=Path, metavar="PATH", help="an interpreter that has PyTorch")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=2, metavar=("NAME", "WAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.batch, arguments.rounds = min(arguments.batch, 2), 1
    if arguments.child:
        use_threads(arguments.threads)
        serve(*keras_step(*arguments.child, batch=arguments.batch))
        return
    from report import publish

    rows, loads, ratios = [], [], []
    for name in arguments.models:
        found = compare(name, arguments)
        rows += table(name, found, batch=arguments.batch)
        loads += [load for f in found.values() for load in f.get("others", [])]
        ratios += against_torch(found)
        print("\n".join(" | ".join(row) for row in rows[-len(found) :]), file=sys.stderr)
    publish(
        arguments.json,
        script="train",
        title="Training steps",
        note=note(arguments, loads, ratios),
        head=["network", "way", "steps a second", "x float32", "peak memory", "first step"],
        rows=rows,
        data=said(arguments),
    )


def said(arguments: argparse.Namespace) -> str:
    """The options that decide what is measured, without paths of this machine."""
    words = [f"--rounds={arguments.rounds}", f"--batch={arguments.batch}", f"--threads={arguments.threads}"]
    if len(arguments.models) < len(SECONDS):
        words += ["--models", *arguments.models]
    if arguments.ways:
        words += ["--ways", *arguments.ways]
    if arguments.torch_python:
        words += ["--torch-python", "PYTHON"]
    return shlex.join(words)


def compare(name: str, arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Way -> seconds of its fastest `step` and of its `first`, `peak` [bytes], `others` [cores]; or `error`."""
    options = [f"--batch={arguments.batch}", f"--threads={arguments.threads}"]
    commands = {way: [sys.executable, FOLDER / "train.py", "--child", name, way, *options] for way in ways(name)}
    if name == "vit" and arguments.torch_python:
        script = [arguments.torch_python, FOLDER / "torch_vit.py", *options]
        commands |= {way: [*script, *more] for way, more in TORCH_WAYS.items()}
    commands = {way: command for way, command in commands.items() if way in (arguments.ways or commands)}
    turn = 0.0 if arguments.quick else TURN_S
    workers, found = {}, {}
    try:
        for way, command in commands.items():  # one after the other: compiling takes all cores
            workers[way] = Worker(command)
            found[way] = workers[way].answer(LONGEST_S)
        for _ in range(arguments.rounds):
            for way, worker in workers.items():
                if "error" not in found[way]:
                    worker.ask(turn)
                    found[way] = merged(found[way], worker.answer(LONGEST_S))
    finally:
        for worker in workers.values():
            worker.end()
    counts = {f["parameters"] for f in found.values() if "parameters" in f}
    if len(counts) > 1:
        sys.exit(f"{name}: expected one network in all ways, received {sorted(counts)} parameters")
    return found


def ways(name: str) -> dict[str, dict[str, Any]]:
    return WAYS | VIT_WAYS if name == "vit" else WAYS


def merged(before: dict[str, Any], turn: dict[str, Any]) -> dict[str, Any]:
    """What is known of a way, after another turn: its fastest step, its largest memory, all loads."""
    if "error" in turn:
        return turn
    fastest = min(before.get("step", turn["step"]), turn["step"])
    return {**before, "step": fastest, "peak": turn["peak"], "others": [*before.get("others", []), turn["others"]]}


def table(name: str, found: dict[str, dict[str, Any]], *, batch: int) -> list[list[str]]:
    rows = []
    base = found.get(PLAIN, {}).get("step")
    for way, f in found.items():
        cells = [f"{name}, {SECONDS[name]:g} s x {batch}", way]
        if "error" in f:
            rows.append([*cells, f"fails: {f['error']}", "", "", ""])
            continue
        ratio = f"{base / f['step']:.2f}" if base else "-"
        rows.append([*cells, f"{1 / f['step']:.3g}", ratio, f"{f['peak'] / 2**20:.0f} MiB", f"{f['first']:.1f} s"])
    return rows


def against_torch(found: dict[str, dict[str, Any]]) -> list[str]:
    """Speed of each way as a multiple of PyTorch's, where both were measured."""
    both = [(way, found[way], found[AGAINST[way]]) for way in AGAINST if way in found and AGAINST[way] in found]
    return [f"{way} {b['step'] / a['step']:.2f}" for way, a, b in both if "step" in a and "step" in b]


def note(arguments: argparse.Namespace, loads: list[float], ratios: list[str]) -> str:
    """What the table shows, how it was measured, and how busy the machine was with something else."""
    others = f"{statistics.median(loads):.1f}" if loads else "unknown"
    text = (
        "One step: forward, backward, clipped AdamW, EmotionLoss, on noise; networks of their default size. Seconds of "
        f"sound and batch are in the first column. {arguments.threads} threads on {os.cpu_count()} cores; the ways of "
        f"a network take turns of {TURN_S:g} s, fastest step of {arguments.rounds} rounds; cores that other processes "
        f"took meanwhile: {others} "
        "(median of the turns). Peak memory is that of the whole process, libraries included; the first step holds "
        "tracing and compiling. The ViT's rows: how many of its 12 blocks train; cached answers are those of the "
        "frozen blocks, computed once (`cache_frozen`)."
    )
    if loads and statistics.median(loads) > BUSY:
        text = f"Measured on a busy machine: neither speeds nor ratios can be relied on. {text}"
    if ratios:
        text += (
            " PyTorch: the same network, loss and optimizer in eager mode (scaled_dot_product_attention, fused AdamW). "
            f"TensorFlow's steps a second as a multiple of PyTorch's: {', '.join(ratios)}. Goal: 1."
        )
    return text


class Worker:
    """A process that trains on demand, see `serve`."""

    def __init__(self, command: list[Any]):
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1", "KERAS_BACKEND": "tensorflow"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen([str(c) for c in command], **pipes, text=True, env=os.environ | quiet)
        self.said: list[str] = []
        self.listener = threading.Thread(target=self._listen, daemon=True)  # or a full pipe would stop the process
        self.listener.start()

    def _listen(self) -> None:
        for line in self.process.stderr:
            self.said = [*self.said[-20:], line.strip()]

    def ask(self, seconds: float) -> None:
        with suppress(BrokenPipeError):  # then `answer` tells why
            self.process.stdin.write(f"{seconds}\n")
            self.process.stdin.flush()

    def answer(self, longest: float) -> dict[str, Any]:
        """The next line it prints; `error` where it ended, or said nothing for `longest` seconds."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            self.process.kill()

        killer = threading.Timer(longest, stop)
        killer.start()
        try:
            for line in self.process.stdout:
                if line.startswith("{"):
                    return json.loads(line)
        finally:
            killer.cancel()
        if late.is_set():
            return {"error": f"no step in {longest:g} s"}
        code = self.process.wait()
        self.listener.join(5)
        return {"error": reason(self.said) or f"exit code {code}"}

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def reason(lines: list[str], longest: int = 160) -> str:
    """The line of a traceback that names the error, else the last one, in `longest` characters."""
    lines = [line for line in lines if line]
    named = [line for line in lines if line.split(":")[0].endswith(("Error", "Exception"))]
    text = (named or lines or [""])[-1].replace("|", "/")
    return text if len(text) <= longest else f"{text[:longest]}..."


def serve(step: Callable[[], Any], parameters: int) -> None:
    """Print what the first step took; then for each line on stdin, `seconds`, train so long (two steps at least) and
    print the fastest step [s], peak memory [bytes] and how many cores other processes took."""
    began = time.perf_counter()
    step()
    print(json.dumps({"first": time.perf_counter() - began, "parameters": parameters}), flush=True)
    step()  # oneDNN and the allocator settle
    for line in sys.stdin:
        times: list[float] = []
        with other_load() as load:
            while len(times) < 2 or sum(times) < float(line):
                began = time.perf_counter()
                step()
                times.append(time.perf_counter() - began)
        print(json.dumps({"step": min(times), "peak": peak_bytes(), "others": load[0]}), flush=True)


def use_threads(number: int) -> None:
    """Of TensorFlow, in a process that has not used it yet."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(number)
    tf.config.threading.set_inter_op_parallelism_threads(number)


def keras_step(name: str, way: str, *, batch: int) -> tuple[Callable[[], Any], int]:
    """One training step of a network, as `training.fit` makes it, and the network's number of weights."""
    import numpy as np
    import tensorflow as tf

    from sentio_tf.config import FitConfig, cache_root
    from sentio_tf.layers.normalize import ClipZScore
    from sentio_tf.losses import EmotionLoss
    from sentio_tf.models import SOURCES, STAGES, WAVEFORM
    from sentio_tf.training.build import builder, make_optimizer
    from sentio_tf.training.frozen import divide

    changes = dict(ways(name)[way])
    last, cached = changes.pop("last", None), changes.pop("cached", False)
    config = FitConfig(model=name, batch_size=batch, weights="random" if name in SOURCES else "", **changes)
    build = builder(config, cache_root(), print)
    make = lambda precision: build(ClipZScore(name="normalize", dtype="float32"), SECONDS[name], precision)
    model = make(config.precision)
    parameters = model.count_params()
    stages = STAGES[name](model) if name in STAGES else []
    resting = 0 if last is None else len(stages) - last
    for layer in (layer for stage in stages[:resting] for layer in stage):
        layer.trainable = False
    if cached:
        divided = divide(model, make("float32"), STAGES[name], resting)
        assert divided, f"{name} cannot be divided"
        model = divided.trained
    slow = {v.path for stage in stages for layer in stage for v in layer.variables}
    optimizer = make_optimizer(config, 1000, slow=slow)
    model.compile(optimizer, EmotionLoss(config.mse_weight), jit_compile=config.jit)
    optimizer.build(model.trainable_variables)

    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *model.input_shape[1:]), dtype=np.float32)
    if not cached:
        x = 0.1 * x if name in WAVEFORM else 15 * x - 30
    y = np.concatenate([rng.uniform(-1, 1, (batch, 2)), np.ones((batch, 1))], axis=1).astype(np.float32)
    batches = iter(tf.data.Dataset.from_tensors((x, y)).repeat())
    model.make_train_function()
    return (lambda: float(model.train_function(batches)["loss"])), parameters


if __name__ == "__main__":
    main()
