"""Fixtures: where the shared music lies, signals, and miniature corpora with the true layout."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    # Two processes that compile librosa's functions into one cache have ended in a segmentation fault.
    os.environ["NUMBA_CACHE_DIR"] = str(Path(__file__).parents[1] / ".cache" / f"numba-{worker}")

SHARED = Path(os.environ.get("SENTIO_SHARED", Path(__file__).parents[2] / "shared" / "data"))
TUNE = Path(__file__).parents[1] / "sentio_tf" / "assets" / "two_moods.mp3"


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"no labelled music at {SHARED}"))


@pytest.fixture(scope="session")
def shared() -> Path:
    return SHARED


@pytest.fixture(scope="session")
def tune() -> Path:
    """The bundled tune: 47 s of mp3, 44.1 kHz."""
    return TUNE


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def music(seconds: float, *, seed: int = 0, rate: int = 22_050) -> np.ndarray:
    """A chord that pulses, with a little noise: neither silent nor stationary."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    root = 110 * 2 ** (rng.integers(12) / 12)
    tones = sum(np.sin(2 * np.pi * root * k * t + k) / k for k in (1, 1.26, 1.5, 2, 3, 4.2))
    pulse = 0.6 + 0.4 * np.sign(np.sin(2 * np.pi * (0.8 + rng.random() * 2) * t))
    return (0.15 * tones * pulse + 0.003 * rng.standard_normal(len(t))).astype(np.float32)


@pytest.fixture(scope="session")
def make_music():
    return music


def write_midi(path: Path, *, notes=(60, 64, 67), seconds: float = 2.0) -> None:
    import mido

    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=500_000))
    each = int(seconds / len(notes) * 960)  # 960 ticks a second
    for note in notes:
        track.append(mido.Message("note_on", note=note, velocity=80))
        track.append(mido.Message("note_off", note=note, velocity=0, time=each))
    file.save(path)


@pytest.fixture(scope="session")
def make_midi():
    return write_midi


def write_table(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="session")
def make_table():
    return write_table


@pytest.fixture(scope="session")
def mini(tmp_path_factory) -> Path:
    """A rated folder corpus and a quadrant one, 16 short files each, groups of two."""
    root = tmp_path_factory.mktemp("mini")
    quadrants = ["Q1", "Q2", "Q3", "Q4"]
    for name in ("rated", "signs"):
        rows = []
        for i in range(16):
            file = f"{i:02}.wav"
            (root / name).mkdir(exist_ok=True)
            loud = 1.0 if i % 4 < 2 else 0.1
            soundfile.write(root / name / file, loud * music(6, seed=i), 22_050)
            row = {"path": file, "artist": f"artist{i // 2}"}
            if name == "rated":
                row |= {"valence": round(np.cos(i), 3), "arousal": 0.5 if i % 4 < 2 else -0.5}
            else:
                row |= {"quadrant": quadrants[i % 4]}
            rows.append(row)
        write_table(root / name / "labels.csv", rows)
    return root


def tiny(*, normalize, frames=1292, seed=None, width=4):
    """A network of a few hundred parameters under the same contract: what is tested is the path around it."""
    import keras
    from keras import layers

    mel = keras.Input((128, frames, 1), name="log_mel")
    x = layers.AveragePooling2D((16, 4), name="shrink")(normalize(mel))
    x = layers.Conv2D(width, 3, strides=2, activation="relu", name="stem")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(mel, layers.Dense(2, activation="tanh", name="head")(x), name="tiny")


@pytest.fixture(scope="session")
def stream_model(tmp_path_factory) -> Path:
    """A float `.tflite` of `tiny` with the three signatures; answers that differ from window to window."""
    import keras

    from sentio_tf.contract import Card, StreamContract
    from sentio_tf.export import graph
    from sentio_tf.export.card import embed
    from sentio_tf.layers.normalize import ClipZScore

    keras.utils.set_random_seed(0)
    network = tiny(normalize=ClipZScore(name="normalize", dtype="float32"))
    kernel = network.layers[-1].kernel
    kernel.assign(20 * kernel)
    model = graph.to_tflite(graph.waveform_model(network, transform="matmul"))
    path = tmp_path_factory.mktemp("stream") / "stream.tflite"
    card = Card(name="tiny", version="0.0.0", licence="CC0-1.0", git_commit="unknown", stream=StreamContract())
    path.write_bytes(embed(model, card))
    return path


@pytest.fixture(scope="session")
def run(mini, tmp_path_factory):
    """A finished run on the miniature corpora: two folds and a final model, two epochs each."""
    from sentio_tf import config, pipeline
    from sentio_tf.models import MODELS
    from sentio_tf.training.fit import fit

    MODELS["tiny"] = tiny
    root = tmp_path_factory.mktemp("run")
    sources = [f"folder:{mini / 'rated'}", f"folder:{mini / 'signs'}"]
    sets = ["model=tiny", "folds=2", "epochs=2", "batch_size=8", "crop_s=3", "validation=0.25", "ema=0.5"]
    settings = config.load(None, sets)
    said: list[str] = []
    results = fit(settings, sources, root / "run", cache=root / "cache", report=said.append)
    yield {
        "path": root / "run",
        "cache": root / "cache",
        "store": pipeline.open_cache(pipeline.Spec(root / "cache")),
        "sources": sources,
        "sets": sets,
        "config": settings,
        "results": results,
        "said": said,
    }
    del MODELS["tiny"]
