"""A step of a live timeline: the whole window through `predict`, against `sentio_tf.runtime.stream`, on one thread.

    python tools/bench/stream.py SONG MODEL.tflite [MODEL.tflite ...] [--steps 20] [--json FILE]

Both take turns in one process, best of the steps.  Memory is the most that a process held that did only the one, or
both, beyond what one holds that has imported the same and read the song.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from report import publish

WAYS = ("nothing", "predict", "stream", "both")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("song")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.song, arguments.models[0], arguments.steps, arguments.child)))
        return
    rows = []
    for model in arguments.models:
        found = {way: in_child(arguments.song, model, arguments.steps, way) for way in WAYS}
        both = found["both"]
        base = found["nothing"]["peak"]
        memory = {way: f"{(found[way]['peak'] - base) / 2**20:.0f}" for way in WAYS[1:]}
        rows.append(
            [
                Path(model).stem,
                f"{1000 * both['predict']:.1f} ms",
                f"{1000 * both['stream']:.1f} ms",
                f"{2000 * both['front_end']:.1f} ms",
                f"{1000 * both['network']:.1f} ms",
                f"{both['stream'] / both['predict']:.2f}",
                f"{both['difference']:.0e}",
                f"{memory['predict']} / {memory['stream']} / {memory['both']} MiB",
            ]
        )
    publish(
        arguments.json,
        script="stream",
        title="A live timeline",
        note=f"A step of .998 s of real music on one thread, best of {arguments.steps}, both in turn in one process; "
        "memory of processes that do only the one, or both, beyond what imports and the song take.",
        head=["model", "predict", "stream", "of it front_end, twice", "network", "stream / predict",
              "largest difference of the answers", "memory of predict / stream / both"],
        rows=rows,
        data="ROOT/emomusic/clips_45seconds/2.mp3 MODEL.tflite ...",
    )  # fmt: skip


def in_child(song: str, model: str, steps: int, way: str) -> dict[str, float]:
    command = [sys.executable, __file__, song, model, f"--steps={steps}", f"--child={way}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{model}: {(done.stderr.strip().splitlines() or ['no result'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(song: str, model: str, steps: int, way: str) -> dict[str, float]:
    """Best seconds of a step and peak memory [bytes] of this process, which does `way`."""
    from sentio_tf.audio import decode
    from sentio_tf.runtime.bench import peak_bytes
    from sentio_tf.runtime.engine import Engine
    from sentio_tf.runtime.stream import Stream

    sound = decode.load(song, duration_s=45)
    if way == "nothing":
        import ai_edge_litert.interpreter  # noqa: F401

        return {"peak": peak_bytes() or 0}
    engine = Engine(model, threads=1)
    size, step = engine.card.audio.samples, engine.stages().step if way != "predict" else 22_016
    sound = np.resize(sound, size + steps * step)
    times: dict[str, list[float]] = {"predict": [], "stream": [], "front_end": [], "network": []}

    def timed(name: str, call, *given):
        began = time.perf_counter()
        answer = call(*given)
        times[name].append(time.perf_counter() - began)
        return answer

    difference = 0.0
    if way != "predict":
        stream, stages = Stream(engine), engine.stages()
        stream.push(sound[:size])  # the first window, all of its frames
    for at in range(step, (steps + 1) * step, step):
        if way != "stream":
            whole = timed("predict", engine, sound[at : at + size])
        if way != "predict":
            (live,) = timed("stream", stream.push, sound[size + at - step : size + at])
        if way == "both":
            difference = max(difference, abs(whole[0] - live.valence), abs(whole[1] - live.arousal))
            timed("front_end", stages.front_end, sound[: stages.samples])
            timed("network", stages.network, stream._mel)
    best = {name: min(t) for name, t in times.items() if t}
    return {**best, "difference": difference, "peak": peak_bytes() or 0}


if __name__ == "__main__":
    main()
