"""Every network, the optimizer's phases and a whole fit on JAX, in a process that cannot import TensorFlow.

This file is also that process: `python tests/test_backends.py FOLDER [MINI]` with KERAS_BACKEND=jax.
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
BATCH = 4
STEPS = 2
# Adam divides a gradient by its own size: without a large epsilon the rounding of those near 0 becomes whole steps.
ADAM = {"learning_rate": 3e-3, "epsilon": 1e-3}
VIT = {
    "image_shape": (32, 32, 3),
    "patch_size": (8, 8),
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 16,
    "mlp_dim": 24,
}
# Shortest inputs of miniatures: the kinds of layers are those of the real ones.
SIZES = {
    "vit": {"backbone": VIT, "weights": None, "frames": 60},
    "ast": {"frames": 48},
    "crnn": {"frames": 48},
    "short_chunk_cnn": {"frames": 320},  # two chunks
    "cnn_transformer": {"frames": 64},
    "musicnn": {"weights": None, "samples": 47_616},
    "sample_cnn": {"samples": 59_049},
    "mobilevit": {"frames": 256, "height": 64, "width": 128},
    "efficientnet_lite": {"weights": None, "frames": 256, "height": 64, "width": 64},
}
PHASES = {1: 0, 2: 1}  # epoch -> stages that train
COMMON = ["batch_size=8", "validation=0.25", "crop_s=3"]
FITS = {
    "run": [
        *(*COMMON, "model=sample_cnn", "epochs=1", "ema=0.5", "head_alpha=10.0"),
        "augment={noise_snr_db: [10, 30]}",
    ],
    "frozen": [*COMMON, "model=vit", "weights=random", "epochs=2", "unfreeze={1: 0}", "head_alpha=10.0"],
}
CORPORA = {"run": ["rated", "signs"], "frozen": ["rated"]}


def shrink(patch) -> None:
    """Replace the tables of sizes by miniatures; `patch(module, name, value)`."""
    from sentio_tf.models import (
        ast,
        cnn_transformer,
        crnn,
        efficientnet_lite,
        mobilevit,
        musicnn,
        sample_cnn,
        short_chunk_cnn,
        vit,
    )

    patch(ast, "SIZES", {"small": ast.Size(16, 1, 2)})
    patch(cnn_transformer, "SIZES", {"published": cnn_transformer.Size(8, 16, 1, 2)})
    patch(crnn, "SIZES", {"recipe": crnn.Size((4, 8, 8), (8, 4))})
    small = efficientnet_lite.Stage(1, 3, 1, 1, 8), efficientnet_lite.Stage(2, 5, 2, 2, 8)
    patch(efficientnet_lite, "SIZES", {"lite0": efficientnet_lite.Size(8, small, 16, 0)})
    patch(mobilevit, "SIZES", {"xxs": mobilevit.Size((8, 8, 8, 8, 8), (8, 8, 8), 2, 0)})
    patch(mobilevit, "DEPTHS", (1, 1, 1))
    for name in ("TIMBRAL_FILTERS", "TEMPORAL_FILTERS", "MIDEND_FILTERS"):
        patch(musicnn, name, 8)
    patch(sample_cnn, "SIZES", {"published": sample_cnn.Size(8, (8,) * 9, 8)})
    patch(short_chunk_cnn, "SIZES", {"published": short_chunk_cnn.Size((8,) * 7)})
    patch(vit, "CONFIG", VIT)


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
    # Unlike one another: the variance of a batch of equals is rounding, and normalisation divides by it.
    each = np.arange(BATCH).reshape(-1, *[1] * (x.ndim - 1))
    x = 0.03 * (1 + each) * x if x.ndim == 2 else (15 - 3 * each) * x - 30 - 5 * each
    y = np.array([[0.4, -0.2, 1], [-0.6, 0.5, 1], [0.1, 0.7, 1], [1, -1, 0]])
    return x.astype(np.float32), y.astype(np.float32)


def optimizer(**options):
    from sentio_tf.training.optimizer import PhasedAdamW

    options = {"weight_decay": 0.05, "global_clipnorm": 1.0, "use_ema": True, "ema_momentum": 0.5} | options
    return PhasedAdamW(**ADAM, **options)


def floats(variables):
    return {v.path: np.array(v.numpy()) for v in variables if "float" in str(v.dtype)}


def losses(name) -> list[float]:
    """Of some steps on one batch, of plain descent: every network compiles, and the optimizer has `phases`."""
    import keras

    from sentio_tf.losses import EmotionLoss

    model = build(name)
    model.compile(keras.optimizers.SGD(0.03, global_clipnorm=1.0), EmotionLoss())
    return [float(model.train_on_batch(*batch(model))) for _ in range(STEPS)]


def phases(name="vit") -> tuple[dict[str, np.ndarray], list[list[str]]]:
    """Weights and averages after two epochs of four batches, two an update; the layers that moved in each."""
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
    model.fit(stream(), epochs=2, steps_per_epoch=4, verbose=0, callbacks=callbacks, shuffle=False)
    averages = {f"average/{path}": np.array(a.numpy()) for path, a in own.averages().items()}
    return {**floats(model.variables), **averages}, moved


def distilled() -> dict[str, list[float]]:
    """Losses, terms and gradient norms of a student that feels INT8 and is taught answers, features and attention."""
    import keras

    from sentio_tf.losses import EmotionLoss
    from sentio_tf.training.distiller import TERMS, Distiller, Layout, gradient_norms
    from sentio_tf.training.quantize_aware import quantize_aware

    student = quantize_aware(build("efficientnet_lite"))
    layout = Layout(features=(1, 2, 3), attention=(2, 4))
    model = Distiller(student, "efficientnet_lite", layout, dict.fromkeys(TERMS, 0.5), EmotionLoss(), floor=0.2)
    projection = model.get_layer("features_projection")
    projection.kernel.assign(np.random.default_rng(3).standard_normal(projection.kernel.shape))
    x, y = batch(student)
    y = np.concatenate([y, 0.3 * np.random.default_rng(4).standard_normal((BATCH, layout.taught + 2))], axis=1)
    y = y.astype(np.float32)
    model.compile(keras.optimizers.SGD(0.03, global_clipnorm=1.0))
    model.train_on_batch(x, y)  # ranges have seen a batch
    norms = gradient_norms(model, x, y)
    found = [model.train_on_batch(x, y, return_dict=True) for _ in range(STEPS)]
    return {"norms": list(norms.values())} | {name: [float(f[name]) for f in found] for name in found[0]}


def steps(folder: Path) -> None:
    """`losses.json`."""
    (folder / "losses.json").write_text(json.dumps({name: losses(name) for name in SIZES}))


def longer(folder: Path) -> None:
    """`moved.json`, `distilled.json`, `weights.npz`."""
    (folder / "distilled.json").write_text(json.dumps(distilled()))
    weights, moved = phases()
    np.savez(folder / "weights.npz", **weights)
    (folder / "moved.json").write_text(json.dumps(moved))


def train(name: str, mini: Path, folder: Path) -> None:
    from sentio_tf import config
    from sentio_tf.training.fit import fit

    said: list[str] = []
    sources = [f"folder:{mini / corpus}" for corpus in CORPORA[name]]
    fit(config.load(None, FITS[name]), sources, folder / name, cache=folder / "cache", report=said.append)
    (folder / name / "said.txt").write_text("\n".join(said))


def on_both(folder, work, *more):
    """Results of the JAX process and of `work` here, made at the same time."""
    (folder / "jax").mkdir()
    (folder / "tensorflow").mkdir()
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",  # compiles in half the time
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, __file__, folder / "jax", *more]
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        with pytest.MonkeyPatch.context() as patch:
            shrink(patch.setattr)
            work(folder / "tensorflow")
        child.wait(timeout=600)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0, (folder / "log").read_text()[-4000:]
    return folder


@pytest.fixture(scope="module")
def stepped(tmp_path_factory):
    return on_both(tmp_path_factory.mktemp("steps"), steps)


@pytest.fixture(scope="module")
def both(mini, tmp_path_factory):
    return on_both(tmp_path_factory.mktemp("backends"), longer, mini)


def read(folder, name):
    return [json.loads((folder / backend / name).read_text()) for backend in ("jax", "tensorflow")]


def test_all_models_are_here():
    from sentio_tf.models import MODELS

    assert set(SIZES) == set(MODELS) - {"tiny"}


@pytest.mark.parametrize("name", SIZES)
def test_weights_are_called_the_same_whatever_was_built_before(name, monkeypatch):
    """Here their values follow from their names: a CRNN of another process was another one."""
    shrink(monkeypatch.setattr)
    first, second = ([v.path for v in build(name).weights] for _ in range(2))
    assert first == second
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("name", SIZES)
def test_a_step_on_jax_is_a_step_on_tensorflow(stepped, name):
    ours, theirs = (found[name] for found in read(stepped, "losses.json"))
    assert ours[0] == pytest.approx(theirs[0], rel=1e-4)
    assert ours[1] == pytest.approx(theirs[1], rel=1e-3)
    assert abs(ours[1] - ours[0]) > 5e-3 * abs(ours[0]), "the update changes more than the tolerance"


@pytest.mark.slow
def test_a_distilled_step_on_jax_is_one_on_tensorflow(both):
    ours, theirs = read(both, "distilled.json")
    assert ours.keys() == theirs.keys() == {"norms", "loss", "hard", "soft", "features", "attention"}
    for name, values in ours.items():
        # A value in the middle between two steps of INT8 may fall to either side.
        assert values == pytest.approx(theirs[name], rel=2e-2, abs=1e-4), name
        assert all(value > 0 for value in values), name


@pytest.mark.slow
def test_phases_move_what_they_should(both):
    ours, theirs = read(both, "moved.json")
    head = ["head_dense1", "head_dense2", "head_logits", "head_norm"]
    assert ours == [head, [*head, "vit_block_2", "vit_norm"]]
    assert theirs == ours


@pytest.mark.slow
def test_weights_and_averages_are_those_of_tensorflow(both):
    with np.load(both / "jax" / "weights.npz") as ours, np.load(both / "tensorflow" / "weights.npz") as theirs:
        assert set(ours.files) == set(theirs.files)
        assert any(name.startswith("average/") for name in ours.files)
        for name in ours.files:
            np.testing.assert_allclose(ours[name], theirs[name], atol=1e-4, err_msg=name)
        moved = "average/head_dense1/kernel"
        assert np.abs(ours[moved] - ours["head_dense1/kernel"]).max() > 1e-4, "an average is not the last value"


@pytest.mark.slow
@pytest.mark.parametrize("name", FITS)
def test_a_fit_on_jax(both, mini, name):
    """Its saved model gives its predictions on TensorFlow, too."""
    from sentio_tf import config, corpora, pipeline
    from sentio_tf.models import WAVEFORM
    from sentio_tf.training.build import load_model

    folder, cache = both / "jax" / name, both / "jax" / "cache"
    assert json.loads((folder / "environment.json").read_text())["backend"] == "jax"
    assert json.loads((folder / "metrics.json").read_text())["corpora"]["folder-rated"]
    assert ("frozen stages answer 16 tracks, once" in (folder / "said.txt").read_text()) == (name == "frozen")
    settings = config.load(None, FITS[name])
    spec = pipeline.Spec(cache, "waveform" if settings.model in WAVEFORM else "log-mel")
    with (folder / "predictions.csv").open(newline="") as file:
        rows = {f"{row['corpus']}/{row['track_id']}": row for row in csv.DictReader(file)}
    tracks = [t for corpus in CORPORA[name] for t in corpora.read(f"folder:{mini / corpus}") if t.key in rows]
    assert len(tracks) == len(rows) > 3
    model = load_model(folder / "model.keras")
    estimated = pipeline.predict_tracks(model, tracks, pipeline.open_cache(spec))
    stored = [[float(rows[t.key][f"{axis}_hat"]) for axis in ("valence", "arousal")] for t in tracks]
    assert np.isfinite(stored).all()
    assert np.ptp(stored) > 1e-3
    np.testing.assert_allclose(estimated, stored, atol=1e-4)


@pytest.mark.slow
def test_tensorboard_without_tensorflow_is_one_line(both):
    assert "expected TensorFlow and tensorboard" in (both / "jax" / "board.txt").read_text()


def main(folder: Path, mini: Path | None = None) -> None:
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # an import of it fails
    from sentio_tf.errors import ConfigError
    from sentio_tf.training.fit import board

    shrink(setattr)
    if mini is None:
        steps(folder)
        return
    longer(folder)
    for name in FITS:
        train(name, mini, folder)
    try:
        board(folder / "tensorboard")
    except ConfigError as error:
        (folder / "board.txt").write_text(str(error))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
