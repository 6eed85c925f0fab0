"""Training examples a second: librosa, our pipeline from mp3, from waveforms and from the mel cache.

python tools/bench/pipeline.py SONG.mp3... [--json FILE]

Every way makes the same examples, log-mels of 30 s from random places of the songs, with two workers,
each in a process of its own; the ways take turns.  Memory is the largest the process (and its workers)
held beyond what it held before the first example.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WORKERS = 2
ROUNDS = 3
SECONDS = 8.0  # of measurement a way and round
BATCH = 16

WAYS = {
    "librosa, a plain loop (one worker)": "librosa-loop",
    "librosa in tf.data": "librosa-tf",
    "librosa in two processes": "librosa-processes",
    "from mp3": "nothing",
    "from waveforms (16 bit)": "waveform",
    "from waveforms, every augmentation on": "augmented",
    "from the mel cache, 16 bit": "mel16",
    "from the mel cache, 8 bit": "mel8",
}


def with_librosa(path: str, offset: float) -> np.ndarray:
    import librosa

    from sentio_tf.contract import MEL

    y, _ = librosa.load(path, sr=MEL.sample_rate, offset=offset, duration=30)
    power = librosa.feature.melspectrogram(
        y=y, sr=MEL.sample_rate, n_fft=MEL.n_fft, hop_length=MEL.hop_length, n_mels=MEL.n_mels,
        fmin=MEL.fmin, fmax=MEL.fmax,
    )  # fmt: skip
    return librosa.power_to_db(power)


def librosa_job(job: tuple[str, float]) -> int:
    return with_librosa(*job).shape[1]


def measure(way: str, songs: list[str], root: Path) -> dict[str, float]:
    """Examples a second and memory [MiB] of one way, in this process."""
    from sentio_tf import pipeline
    from sentio_tf.audio.augment import Augment
    from sentio_tf.corpora.track import Track

    tracks = [Track(str(i), "songs", Path(p), str(i), 0.1, 0.2) for i, p in enumerate(songs)]
    rng = np.random.default_rng(0)

    def places():
        while True:
            yield songs[rng.integers(len(songs))], float(rng.uniform(0, 14))

    if way == "librosa-loop":
        step = 1
        jobs = places()
        advance = lambda: librosa_job(next(jobs))
    elif way == "librosa-processes":
        from concurrent.futures import ProcessPoolExecutor

        pool = ProcessPoolExecutor(WORKERS)
        jobs, step = places(), BATCH
        advance = lambda: list(pool.map(librosa_job, [next(jobs) for _ in range(step)]))
    elif way == "librosa-tf":
        import tensorflow as tf

        kinds = (tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.float32))
        read = lambda p, o: with_librosa(p.decode(), float(o)).astype(np.float32)[:, :1292]
        data = tf.data.Dataset.from_generator(places, output_signature=kinds)
        data = data.map(lambda p, o: tf.numpy_function(read, [p, o], tf.float32), num_parallel_calls=WORKERS)
        it, step = iter(data.batch(BATCH).prefetch(2)), BATCH
        advance = lambda: next(it)
    else:
        holds = {"nothing": "nothing", "waveform": "waveform", "augmented": "waveform"}.get(way, "log-mel")
        augment = None
        if way == "augmented":
            augment = Augment(gain_db=3, noise_snr_db=(10, 40), shift=0.2, pitch_semitones=1, stretch=0.1,
                              probability=1, freq_masks=2, time_masks=2, mixup_alpha=0.3)  # fmt: skip
        bits = 8 if way == "mel8" else 16
        spec = pipeline.Spec(root / str(bits), holds, bits=bits)
        it = iter(pipeline.dataset(tracks, spec, augment=augment, batch=BATCH, workers=WORKERS))
        step = BATCH
        advance = lambda: next(it)

    before = resident()
    for _ in range(4 if step == BATCH else 16):  # the first examples import, trace and fill buffers
        advance()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        advance()
        count += step
    rate = count / (time.perf_counter() - began)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    if way == "librosa-processes":
        pool.shutdown()
        children = WORKERS * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"rate": rate, "memory": (max(peak - before, 0) + (children if way == "librosa-processes" else 0)) / 1024}


def resident() -> float:
    """Memory of this process now [KiB]."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


def cache_facts(songs: list[str], root: Path) -> list[list[str]]:
    """Size and error of both precisions, on the same songs."""
    from sentio_tf import pipeline
    from sentio_tf.audio import decode
    from sentio_tf.audio.mel import log_mel
    from sentio_tf.corpora.track import Track

    tracks = [Track(str(i), "songs", Path(p), str(i), 0.1, 0.2) for i, p in enumerate(songs)]
    rows = []
    for bits in (16, 8):
        cache = pipeline.open_cache(pipeline.Spec(root / str(bits), bits=bits))
        cache.build(tracks, workers=WORKERS)
        errors = []
        for track in tracks:
            exact = log_mel(decode.load(track.path)).T  # with the floor, as a model sees it
            error = np.maximum(cache.read(track)[:], exact.max() - 80) - exact
            errors.append(np.abs(error).ravel())
        hours, size = cache.size()
        error = np.concatenate(errors)
        rms, most = np.sqrt((error**2).mean()), error.max()
        rows.append([f"mel cache, {bits} bit", f"{size / hours / 1e6:.1f} MB an hour", "",
                     f"error {rms:.4f} dB rms, {most:.4f} dB at most", ""])  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", nargs="+")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(measure(arguments.way, arguments.songs, arguments.root)))
        return
    from report import publish

    with tempfile.TemporaryDirectory() as folder:
        facts = cache_facts(arguments.songs, Path(folder))
        found: dict[str, list[dict[str, float]]] = {name: [] for name in WAYS}
        for _ in range(ROUNDS):
            for name, way in WAYS.items():
                command = [sys.executable, __file__, "--way", way, "--root", folder, *arguments.songs]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
    rate = {name: max(f["rate"] for f in rounds) for name, rounds in found.items()}
    base = [rate[name] for name, way in WAYS.items() if way.startswith("librosa")]
    rows = [
        [name, f"{r:.0f}", *(f"{r / b:.2f}" for b in base), f"{max(f['memory'] for f in found[name]):.0f} MiB"]
        for name, r in rate.items()
    ]
    head = ["examples", "a second", "x loop", "x librosa in tf.data", "x librosa in two processes", "memory"]
    rows += [[*row, ""] for row in facts]
    publish(
        arguments.json,
        script="pipeline",
        title="The training pipeline",
        note=f"Log-mels of 30 s from random places of {len(arguments.songs)} mp3 files of 45 s, {WORKERS} workers on 2 "
        f"cores, best of {ROUNDS} rounds of {SECONDS:g} s, the ways in turn. Goals, against librosa.load and "
        "librosa.feature.melspectrogram: 3 times from audio, 30 times from the cache.",
        head=head,
        rows=rows,
        data="ROOT/emomusic/clips_45seconds/*.mp3",
    )


if __name__ == "__main__":
    main()
