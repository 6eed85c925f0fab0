"""Cold start, whole prediction, help, decoding and memory: ratios within one run on one machine.

    python tools/bench/predict.py SONG.mp3 [--model NAME] [--hours 3] [--json FILE]

Each command runs in a process of its own, best of `--repeat`; peak memory is the child's maximum resident set.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from report import publish

BIN = Path(sys.executable).parent


def measure(command: list[str], repeat: int) -> tuple[float, float]:
    """Best wall seconds and largest MiB of a command."""
    seconds, memory = [], 0.0
    for _ in range(repeat):
        began = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            raise SystemExit(f"{command} failed")
        seconds.append(time.perf_counter() - began)
        memory = max(memory, usage.ru_maxrss / 1024)
    return min(seconds), memory


def in_process(song: str, model: str) -> dict[str, float]:
    """Decoding, and a prediction once the model is loaded, in one process; best of 10."""
    import sentio_tf
    from sentio_tf.audio import decode

    predictor = sentio_tf.load(model, threads=2)
    predictor.predict(song)
    best = {"decode": 1e9, "predict": 1e9}
    for _ in range(10):
        for name, call in (("decode", lambda: decode.load(song)), ("predict", lambda: predictor.predict(song))):
            began = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - began)
    return best


def long_file(path: str, hours: float) -> None:
    """Pulsing noise and tones written in blocks, mono 22 050 Hz."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", 22_050, 1, format="FLAC") as file:
        for i in range(int(hours * 360)):
            t = np.arange(220_500) / 22_050
            tone = 0.2 * np.sin(2 * np.pi * (110 + i % 12 * 20) * t) * (0.6 + 0.4 * np.sin(2 * np.pi * t))
            file.write((tone + 0.01 * rng.standard_normal(len(t))).astype(np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("song")
    parser.add_argument("--model", default="mobilevit-xxs")
    parser.add_argument("--hours", type=float, default=3)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    tool, given = str(BIN / "sentio-tf"), ["--model", arguments.model, "--format", "json"]

    rows: list[list[str]] = []
    nothing = measure([sys.executable, "-c", "pass"], arguments.repeat)
    tensorflow = measure([sys.executable, "-c", "import tensorflow"], 3)
    help_ = measure([tool, "--help"], arguments.repeat)
    whole = measure([tool, "predict", arguments.song, *given], arguments.repeat)
    with tempfile.TemporaryDirectory() as folder:
        short, long = f"{folder}/1.flac", f"{folder}/2.flac"
        long_file(short, arguments.hours / 6)
        long_file(long, arguments.hours)
        memory_short = measure([tool, "predict", short, *given], 1)
        memory_long = measure([tool, "predict", long, *given], 1)
    inside = in_process(arguments.song, arguments.model)  # last: a child's maximum begins with what its parent holds

    def row(what, value, ratio, goal):
        rows.append([what, value, ratio, goal])

    row("python -c pass", f"{nothing[0]:.2f} s, {nothing[1]:.0f} MiB", "-", "-")
    row('python -c "import tensorflow"', f"{tensorflow[0]:.2f} s, {tensorflow[1]:.0f} MiB", "1", "-")
    row("sentio-tf --help", f"{help_[0]:.2f} s", f"{help_[0] / tensorflow[0]:.2f} of the import", "0.3 s")
    row(
        "sentio-tf predict, cold, one mp3",
        f"{whole[0]:.2f} s, {whole[1]:.0f} MiB",
        f"{whole[0] / tensorflow[0]:.2f} of the import",
        "1.0 s, 200 MiB",
    )
    row("decoding the mp3 to 22 050 Hz mono", f"{1000 * inside['decode']:.0f} ms", "1", "-")
    row(
        "whole prediction of it, model loaded",
        f"{1000 * inside['predict']:.0f} ms",
        f"{inside['predict'] / inside['decode']:.1f} times decoding",
        "3 times",
    )
    row(
        f"a file of {arguments.hours:g} h",
        f"{memory_long[0]:.0f} s, {memory_long[1]:.0f} MiB",
        f"{memory_long[1] / memory_short[1]:.2f} of the memory for {arguments.hours / 6:g} h",
        "400 MB, ratio 1",
    )
    publish(
        arguments.json,
        script="predict",
        title="Speed and memory of a prediction",
        note=f"{arguments.model}; best of {arguments.repeat} runs, {os.cpu_count()} cores; a real mp3 of 45 s, 44.1 "
        "kHz stereo.",
        head=["what", "measured", "ratio in the same run", "goal"],
        rows=rows,
    )


if __name__ == "__main__":
    main()
