"""The log-mel of 30 s on one core: librosa, the numpy twin, the Keras layer and the exported graph.

python tools/bench/front_end.py SONG [--json FILE]
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import time
from pathlib import Path

import keras
import librosa
import numpy as np
import tensorflow as tf
from report import publish

from sentio_tf.audio import decode
from sentio_tf.audio.mel import log_mel
from sentio_tf.contract import MEL, WINDOW_SAMPLES
from sentio_tf.layers.logmel import LogMel
from sentio_tf.terminal import quiet

REPEAT = 15


def with_librosa(y: np.ndarray) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=y, sr=MEL.sample_rate, n_fft=MEL.n_fft, hop_length=MEL.hop_length, n_mels=MEL.n_mels,
        fmin=MEL.fmin, fmax=MEL.fmax,
    )  # fmt: skip
    return librosa.power_to_db(power)


def exported(transform: str):
    """The front end alone as a `.tflite`, on one thread."""
    from ai_edge_litert.interpreter import Interpreter

    layer = LogMel(transform=transform)
    archive = keras.export.ExportArchive()
    model = keras.Sequential([keras.Input((WINDOW_SAMPLES,)), layer])
    archive.track(model)
    archive.add_endpoint("mel", lambda x: model(x), [tf.TensorSpec((1, WINDOW_SAMPLES), tf.float32, name="x")])
    import tempfile

    with tempfile.TemporaryDirectory() as folder, quiet():
        archive.write_out(folder, verbose=False)
        content = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["mel"]).convert()
        runner = Interpreter(model_content=content, num_threads=1).get_signature_runner("mel")
        runner(x=np.zeros((1, WINDOW_SAMPLES), np.float32))
    return lambda y: next(iter(runner(x=y[None]).values()))[0, :, :, 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("song")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    y = np.resize(decode.load(arguments.song, duration_s=30), WINDOW_SAMPLES)
    layer = tf.function(LogMel())
    constant = tf.constant(y[None])
    ways = {
        "librosa": with_librosa,
        "numpy twin (audio.mel)": log_mel,
        "LogMel, TensorFlow": lambda _: layer(constant).numpy()[0, :, :, 0],
        "inside a .tflite, TFLite's FFT": exported("fft"),
        "inside a .tflite, matrix products (exported so)": exported("matmul"),
    }
    expected = with_librosa(y)
    times = {name: [] for name in ways}
    for _ in range(REPEAT):  # in turn, so that a busy moment hits all of them
        for name, way in ways.items():
            began = time.perf_counter()
            way(y)
            times[name].append(time.perf_counter() - began)
    best = {name: min(t) for name, t in times.items()}
    rows = [
        [name, f"{1000 * t:.1f} ms", f"{best['librosa'] / t:.2f}", f"{np.abs(ways[name](y) - expected).max():.1e} dB"]
        for name, t in best.items()
    ]
    publish(
        arguments.json,
        script="front_end",
        title="The front end",
        note=f"Log-mel of 30 s of real music on one core, best of {REPEAT}. Goal: twice as fast as librosa.",
        head=["way", "time", "times as fast as librosa", "largest difference from librosa"],
        rows=rows,
    )


if __name__ == "__main__":
    main()
