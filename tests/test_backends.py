"""Every network, the optimizer's phases and a whole fit on JAX, in a process that cannot import TensorFlow.

This file is also that process: `python tests/test_backends.py FOLDER MINI` with KERAS_BACKEND=jax.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
STEPS = 3
BATCH = 4
LEARNING_RATE = 3e-4
BACKBONE = {
    "image_shape": (32, 32, 3),
    "patch_size": (8, 8),
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 16,
    "mlp_dim": 24,
}
VIT = {"backbone": BACKBONE, "weights": None}
# The smallest network and the shortest input of each model.
SIZES = {
    "vit": {**VIT, "frames": 60},
    "ast": {"size": "tiny", "frames": 48},
    "crnn": {"size": "small", "frames": 48},
    "short_chunk_cnn": {"size": "small", "frames": 159},
    "cnn_transformer": {"size": "small", "frames": 64},
    "musicnn": {"weights": None, "samples": 47_616},
    "sample_cnn": {"size": "small", "samples": 59_049},
    "mobilevit": {"frames": 128, "height": 64, "width": 64},
}
PHASES = {1: 0, 2: 1, 3: "all"}  # epoch -> stages that train
FIT = ["model=crnn", "architecture.size=small", "epochs=1", "batch_size=8", "crop_s=3", "validation=0.25", "ema=0.5"]
FROZEN = ["model=musicnn", "weights=random", "epochs=2", "batch_size=8", "crop_s=5", "validation=0.25"]
FROZEN += ["unfreeze={1: 0}", "head_alpha=10.0"]


def build(name):
    """A network without anything random in training, its weights a function of their names and shapes alone."""
    from sentio_tf.layers.normalize import ClipZScore
    from sentio_tf.models import MODELS, WAVEFORM

    size = SIZES[name] if name in WAVEFORM else {**SIZES[name], "normalize": ClipZScore(name="normalize")}
    model = MODELS[name](**size)
    off = {"rate": 0, "stddev": 0, "freq_masks": 0, "time_masks": 0, "gain_db": 0, "tilt_db": 0, "polarity": False}
    for layer in model._flatten_layers():
        for field in off.keys() & vars(layer).keys():
            setattr(layer, field, off[field])
    for variable in model.weights:
        rng = np.random.default_rng(zlib.crc32(variable.path.encode()))
        noise = rng.standard_normal(variable.shape)
        if variable.name.endswith(("gamma", "moving_variance")):
            value = 1 + 0.1 * np.abs(noise)
        else:
            value = noise / np.sqrt(max(1, np.prod(variable.shape[:-1]))) if len(variable.shape) > 1 else 0.1 * noise
        variable.assign(value)
    return model


def batch(model):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((BATCH, *model.input_shape[1:]))
    x = 0.1 * x if len(x.shape) == 2 else 15 * x - 30
    y = np.array([[0.4, -0.2, 1], [-0.6, 0.5, 1], [0.1, 0.7, 1], [1, -1, 0]])
    return x.astype(np.float32), y.astype(np.float32)


def optimizer(**options):
    from sentio_tf.training.optimizer import PhasedAdamW

    options = {"weight_decay": 0.05, "global_clipnorm": 1.0, "use_ema": True, "ema_momentum": 0.5} | options
    return PhasedAdamW(LEARNING_RATE, **options)


def floats(variables):
    return {v.path: np.array(v.numpy()) for v in variables if "float" in str(v.dtype)}


def losses(name) -> list[float]:
    """Of some steps on one batch."""
    from sentio_tf.losses import EmotionLoss

    model = build(name)
    own = optimizer()
    model.compile(own, EmotionLoss())
    own.build(model.trainable_variables)
    return [float(model.train_on_batch(*batch(model))) for _ in range(STEPS)]


def phases(name="vit") -> tuple[dict[str, np.ndarray], list[list[str]]]:
    """Weights and averages after three epochs of four batches, two an update; the layers that moved in each."""
    import keras

    from sentio_tf.losses import EmotionLoss
    from sentio_tf.models import STAGES
    from sentio_tf.training.schedule import ProgressiveUnfreezing

    model = build(name)
    stages = STAGES[name](model)
    slow = {v.path for stage in stages for layer in stage for v in layer.variables}
    own = optimizer(gradient_accumulation_steps=2, slow=slow, slow_rate=0.1)
    model.compile(own, EmotionLoss())
    own.build(model.trainable_variables)
    moved: list[list[str]] = []

    class Spy(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.before = floats(model.variables)

        def on_epoch_end(self, epoch, logs=None):
            after = floats(model.variables)
            moved.append(sorted({p.partition("/")[0] for p in after if not np.array_equal(after[p], self.before[p])}))

    x, y = batch(model)

    def stream():
        for k in range(100):  # another batch each time
            yield np.roll(x, k, axis=1), np.roll(y, k % 3, axis=0)

    callbacks = [ProgressiveUnfreezing(stages, PHASES), Spy()]
    model.fit(stream(), epochs=3, steps_per_epoch=4, verbose=0, callbacks=callbacks, shuffle=False)
    averages = {f"average/{path}": np.array(a.numpy()) for path, a in own.averages().items()}
    return {**floats(model.variables), **averages}, moved


def work(folder: Path) -> None:
    """`losses.json`, `moved.json`, `weights.npz`."""
    weights, moved = phases()
    np.savez(folder / "weights.npz", **weights)
    (folder / "moved.json").write_text(json.dumps(moved))
    (folder / "losses.json").write_text(json.dumps({name: losses(name) for name in SIZES}))


def train(sets, corpora, out: Path, cache: Path) -> None:
    from sentio_tf import config
    from sentio_tf.training.fit import fit

    said: list[str] = []
    fit(config.load(None, sets), [f"folder:{c}" for c in corpora], out, cache=cache, report=said.append)
    (out / "said.txt").write_text("\n".join(said))


@pytest.fixture(scope="module")
def both(mini, tmp_path_factory):
    """Results of the JAX process and of this one, made at the same time."""
    folder = tmp_path_factory.mktemp("backends")
    (folder / "jax").mkdir()
    (folder / "tensorflow").mkdir()
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",  # compiles in half the time
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, __file__, folder / "jax", mini]
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        work(folder / "tensorflow")
        child.wait(timeout=300)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0, (folder / "log").read_text()[-4000:]
    return folder


def read(folder, name):
    return [json.loads((folder / backend / name).read_text()) for backend in ("jax", "tensorflow")]


def test_all_models_are_here():
    from sentio_tf.models import MODELS

    assert set(SIZES) == set(MODELS) - {"tiny"}


@pytest.mark.parametrize("name", SIZES)
def test_a_step_on_jax_is_a_step_on_tensorflow(both, name):
    ours, theirs = (found[name] for found in read(both, "losses.json"))
    # From the second on they rest on updates, where Adam divides small gradients by their own size.
    assert ours[0] == pytest.approx(theirs[0], rel=1e-4)
    assert ours[1:] == pytest.approx(theirs[1:], rel=1e-3)
    assert abs(ours[1] - ours[0]) > 1e-2 * abs(ours[0]), "the updates change more than the tolerance"


def test_phases_move_what_they_should(both):
    ours, theirs = read(both, "moved.json")
    head = ["head_dense1", "head_dense2", "head_logits", "head_norm"]
    assert ours == [head, [*head, "vit_block_2", "vit_norm"], [*head, "vit_block_1", "vit_block_2", "vit_embedding", "vit_norm"]]
    assert theirs == ours


def test_weights_and_averages_are_those_of_tensorflow(both):
    with np.load(both / "jax" / "weights.npz") as ours, np.load(both / "tensorflow" / "weights.npz") as theirs:
        assert set(ours.files) == set(theirs.files)
        assert any(name.startswith("average/") for name in ours.files)
        for name in ours.files:
            np.testing.assert_allclose(ours[name], theirs[name], atol=1e-4, err_msg=name)
        moved = "average/head_dense1/kernel"
        assert np.abs(ours[moved] - ours["head_dense1/kernel"]).max() > 1e-4, "an average is not the last value"


@pytest.mark.parametrize(("run", "sets", "names"), [("run", FIT, ["rated", "signs"]), ("frozen", FROZEN, ["rated"])])
def test_a_fit_on_jax(both, mini, run, sets, names):
    """Its saved model gives its predictions on TensorFlow, too."""
    from sentio_tf import config, corpora, pipeline
    from sentio_tf.models import WAVEFORM
    from sentio_tf.training import fit as training

    folder = both / "jax" / run
    assert json.loads((folder / "environment.json").read_text())["backend"] == "jax"
    assert json.loads((folder / "metrics.json").read_text())["corpora"]["folder-rated"]
    settings = config.load(None, sets)
    spec = pipeline.Spec(both / "jax" / "cache")
    if settings.model in WAVEFORM:
        spec = training.waveform_spec(settings, both / "jax" / "cache")
        assert "frozen stages: " in (folder / "said.txt").read_text()
    with (folder / "predictions.csv").open(newline="") as file:
        rows = {f"{row['corpus']}/{row['track_id']}": row for row in csv.DictReader(file)}
    tracks = [t for name in names for t in corpora.read(f"folder:{mini / name}") if t.key in rows]
    assert len(tracks) == len(rows) > 3
    model = training.load_model(folder / "model.keras")
    estimated = pipeline.predict_tracks(model, tracks, pipeline.open_cache(spec))
    stored = [[float(rows[t.key][f"{axis}_hat"]) for axis in ("valence", "arousal")] for t in tracks]
    assert np.isfinite(stored).all()
    np.testing.assert_allclose(estimated, stored, atol=1e-4)


def test_tensorboard_without_tensorflow_is_one_line(both):
    assert "expected TensorFlow and tensorboard" in (both / "jax" / "board.txt").read_text()


def main(folder: Path, mini: Path) -> None:
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # an import of it fails
    from sentio_tf.errors import ConfigError
    from sentio_tf.training.fit import board

    work(folder)
    train(FIT, [mini / "rated", mini / "signs"], folder / "run", folder / "cache")
    train(FROZEN, [mini / "rated"], folder / "frozen", folder / "cache")
    try:
        board(folder / "tensorboard")
    except ConfigError as error:
        (folder / "board.txt").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
