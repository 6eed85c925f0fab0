import csv
import json

import keras
import numpy as np
import pytest
import yaml

from sentio_tf import config, corpora, pipeline
from sentio_tf.errors import ConfigError, DataError, SentioError
from sentio_tf.training import fit as training
from sentio_tf.training.build import heard_spec, load_model
from sentio_tf.training.callbacks import TrackValidation, score
from sentio_tf.training.optimizer import PhasedAdamW
from sentio_tf.training.plan import plan, validation_part


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_run_directory_is_complete(run):
    names = {p.name for p in run["path"].iterdir()}
    assert {
        "config.yaml", "model.keras", "history.csv", "predictions.csv", "metrics.json", "environment.json",
        "domain.npz", "curves.png",
    } <= names  # fmt: skip
    resolved = yaml.safe_load((run["path"] / "config.yaml").read_text())
    assert resolved["folds"] == 2
    assert resolved["split"] == json.loads((run["path"] / "metrics.json").read_text())["split"]


def test_every_track_is_predicted_out_of_fold_once(run):
    rows = [r for r in table(run["path"] / "predictions.csv") if r["split"] == "test"]
    tracks = [t for s in run["sources"] for t in corpora.read(s)]
    assert sorted(f"{r['corpus']}/{r['track_id']}" for r in rows) == sorted(t.key for t in tracks)
    fold_of = {}
    for r in rows:
        assert fold_of.setdefault(r["group"], r["fold"]) == r["fold"], "a group is in one fold"
        assert all(-1 <= float(r[k]) <= 1 for k in ("valence_hat", "arousal_hat"))


def test_training_saw_neither_test_nor_validation_groups(run):
    """What the parts are made of, by the functions that make them."""
    from sentio_tf.corpora.split import group_folds

    tracks = [t for s in run["sources"] for t in corpora.read(s)]
    folds = group_folds(tracks, 2, seed=0)
    for k in range(2):
        rest = [t for t, f in zip(tracks, folds, strict=True) if f != k]
        made = run["config"]
        validation = validation_part(rest, share=made.validation, seed=made.seed, grid=made.grid)
        groups = [{t.group for t, v in zip(rest, validation, strict=True) if v == side} for side in (True, False)]
        assert not groups[0] & groups[1]
        assert not {t.group for t, f in zip(tracks, folds, strict=True) if f == k} & (groups[0] | groups[1])


def test_metrics_are_those_of_the_predictions(run):
    from sentio_tf.evaluation import metrics

    rows = [r for r in table(run["path"] / "predictions.csv") if r["split"] == "test" and r["label"] == "rating"]
    reference, estimated = (np.array([float(r[k]) for r in rows]) for k in ("arousal", "arousal_hat"))
    found = run["results"]["corpora"]["folder-rated"]["arousal"]["ccc"]["value"]
    assert found == pytest.approx(metrics.ccc(reference, estimated), abs=1e-4)


def test_saved_model_gives_the_predictions(run):
    tracks = [t for s in run["sources"] for t in corpora.read(s)][:4]
    model = load_model(run["path"] / "fold-0" / "model.keras")
    rows = {r["track_id"] + r["corpus"]: r for r in table(run["path"] / "predictions.csv") if r["fold"] == "0"}
    for track in tracks:
        row = rows.get(track.track_id + track.corpus)
        if row:
            estimated = pipeline.predict_tracks(model, [track], run["store"])[0]
            assert estimated[0] == pytest.approx(float(row["valence_hat"]), abs=1e-4)


def test_finished_run_is_not_trained_again(run, monkeypatch):
    monkeypatch.setattr(training, "train_fold", lambda *a, **k: pytest.fail("trained again"))
    again = training.fit(run["config"], run["sources"], run["path"], cache=run["cache"], report=lambda _: None)
    assert again["corpora"] == run["results"]["corpora"]


def test_interrupted_run_continues_with_the_missing_fold(run, monkeypatch, tmp_path):
    import shutil

    copy = tmp_path / "run"
    shutil.copytree(run["path"], copy)
    (copy / "fold-1" / "done.json").unlink()
    trained = []
    monkeypatch.setattr(training, "train_fold", lambda *a, **k: trained.append(k["label"]))
    training.fit(run["config"], run["sources"], copy, cache=run["cache"], report=lambda _: None)
    assert trained == ["fold 1"]


def test_directory_of_another_experiment_is_refused(run):
    other = config.load(None, ["epochs=9"])
    with pytest.raises(ConfigError, match="another configuration"):
        training.fit(other, run["sources"], run["path"], cache=run["cache"], report=lambda _: None)


def test_broken_audio_is_left_out_and_said(mini, tmp_path, monkeypatch):
    import shutil

    root = tmp_path / "rated"
    shutil.copytree(mini / "rated", root)
    (root / "00.wav").write_text("no audio")
    said, seen = [], []

    def stop(config, train, validation, *a, **k):
        seen.extend([*train, *validation])
        raise SentioError("enough")

    monkeypatch.setattr(training, "train_fold", stop)
    with pytest.raises(SentioError, match="enough"):
        training.fit(config.load(None), [f"folder:{root}"], tmp_path / "r", cache=tmp_path / "c", report=said.append)
    assert any("left out" in line and "00.wav" in line for line in said)
    assert len(seen) == 15


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["architecture.size=xl"], "expected size one of xxs, xs, s"),
        (["architecture.colour=red"], r"mobilevit has no argument 'colour'; known are activation,"),
        (["architecture.statistic=64"], r"no argument 'statistic'; did you mean statistics\?"),
        (["model=short_chunk_cnn", "crop_s=2", "architecture.size=small"], r"chunk of 159.*crop_s is 2 s"),
        (["model=sample_cnn", "augment.freq_masks=1"], "sample_cnn hears a waveform"),
    ],
)
def test_wrong_architecture_is_one_line_before_anything_is_decoded(run, tmp_path, monkeypatch, wrong, message):
    monkeypatch.setattr("sentio_tf.pipeline.Cache.build", lambda *a, **k: pytest.fail("built first"))
    settings = config.load(None, [*wrong, "epochs=1"])
    with pytest.raises(ConfigError, match=message):
        training.fit(settings, run["sources"], tmp_path / "r", cache=run["cache"], report=lambda _: None)
    assert not (tmp_path / "r").exists()


def test_what_a_model_hears(tmp_path):
    """Training, `evaluate --on` and export ask the same function."""
    sound = heard_spec("musicnn", tmp_path, bits=16, f_max=8000.0)
    assert (sound.holds, sound.mel.sample_rate) == ("waveform", 16_000)
    mel = heard_spec("crnn", tmp_path, bits=8, f_max=11_025.0)
    assert (mel.holds, mel.bits, mel.mel.fmax) == ("log-mel", 8, 11_025.0)
    assert heard_spec("crnn", tmp_path, bits=16, f_max=8000.0) == pipeline.Spec(tmp_path)


def test_a_run_with_another_band_is_applied_to_that_band(run, tmp_path):
    """The answers on the same tracks, seen or not, are those of its own predictions."""
    from sentio_tf.training import apply

    settings = config.load(None, [s for s in run["sets"] if "folds" not in s] + ["epochs=1", "f_max=11025"])
    training.fit(settings, run["sources"], tmp_path / "r", cache=tmp_path / "c", report=lambda _: None)
    rows = [r for r in table(tmp_path / "r" / "predictions.csv") if r["corpus"] == "folder-rated"][:2]
    tracks = {t.track_id: t for s in run["sources"] for t in corpora.read(s) if t.corpus == "folder-rated"}
    asked = [tracks[r["track_id"]] for r in rows]
    found = yaml.safe_load((tmp_path / "r" / "config.yaml").read_text())
    kept, answers, _ = apply._network(tmp_path / "r", found, asked, tmp_path / "c", lambda _: None)
    assert [t.track_id for t in kept] == [r["track_id"] for r in rows]
    np.testing.assert_allclose(answers[:, 0], [float(r["valence_hat"]) for r in rows], atol=2e-5)


def test_a_command_that_failed_may_be_corrected(run, tmp_path, monkeypatch):
    """Nothing was trained, so the directory is not another run's."""
    with monkeypatch.context() as patch:
        patch.setattr(training, "train_fold", lambda *a, **k: (_ for _ in ()).throw(SentioError("diverged")))
        with pytest.raises(SentioError, match="diverged"):
            training.fit(run["config"], run["sources"], tmp_path / "r", cache=run["cache"], report=lambda _: None)
    other = config.load(None, [s for s in run["sets"] if "epochs" not in s] + ["epochs=1"])
    assert training.fit(other, run["sources"], tmp_path / "r", cache=run["cache"], report=lambda _: None)["corpora"]
    with pytest.raises(ConfigError, match="another configuration"):
        training.fit(run["config"], run["sources"], tmp_path / "r", cache=run["cache"], report=lambda _: None)


def test_a_batch_larger_than_the_corpus_is_said(run, tmp_path):
    said = []
    settings = config.load(None, ["model=tiny", "epochs=1", "batch_size=64", "crop_s=3", "validation=0.25"])
    training.fit(settings, run["sources"], tmp_path / "r", cache=run["cache"], report=said.append)
    assert any("makes hardly an update; lower batch_size" in line for line in said)


def test_unknown_model_and_no_data(tmp_path):
    with pytest.raises(ConfigError, match=r"expected one of vit, .*mobilevit"):
        training.fit(config.load(None, ["model=rnn"]), [], tmp_path)
    with pytest.raises(ConfigError, match="received none"):
        training.fit(config.load(None), [], tmp_path)


def test_too_few_groups(run, tmp_path):
    with pytest.raises(DataError, match="groups"):
        training.fit(config.load(None, ["folds=40"]), run["sources"], tmp_path / "r", cache=run["cache"])


def test_score_counts_every_corpus_alike(run):
    tracks = [t for s in run["sources"] for t in corpora.read(s)]
    truth = np.stack([pipeline.target(t)[:2] * (1 if t.rated else 0.5) for t in tracks])
    assert score(tracks, truth)["val_ccc"] == pytest.approx(1)
    half = truth.copy()
    half[16:] = 0
    assert score(tracks, half)["val_ccc"] == pytest.approx(0.5)


def test_two_processes_share_a_run(run, tmp_path):
    """Each trains its parts; who finds all complete writes the results, the same as one process alone."""
    said = []
    arguments = {"cache": run["cache"], "report": said.append}
    assert training.fit(run["config"], run["sources"], tmp_path / "r", only=["1", "final"], **arguments) == {}
    assert said[-1] == "still to be trained: 0"
    assert not (tmp_path / "r" / "metrics.json").exists()
    found = training.fit(run["config"], run["sources"], tmp_path / "r", only=["0"], **arguments)
    assert found["split"] == run["results"]["split"]
    assert found["corpora"]["folder-rated"]["tracks"] == 16
    with pytest.raises(ConfigError, match="expected parts among 0, 1, final"):
        training.fit(run["config"], run["sources"], tmp_path / "r", only=["2"], **arguments)


AVERAGING = {
    "keras": lambda: keras.optimizers.Adam(0.5, use_ema=True, ema_momentum=0.5),
    "ours": lambda: PhasedAdamW(0.5, use_ema=True, ema_momentum=0.5),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(PhasedAdamW(0.5, use_ema=True, ema_momentum=0.5)),
}


@pytest.mark.parametrize("kind", AVERAGING)
def test_validation_keeps_the_best_averaged_weights(run, tmp_path, monkeypatch, kind):
    """The saved weights are the optimizer's averages of the best epoch, not the last raw ones."""
    tracks = [t for s in run["sources"] for t in corpora.read(s)][:4]
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    twin = keras.models.clone_model(model)
    model.compile(AVERAGING[kind](), "mse")
    scores = iter([0.1, 0.9, 0.3])
    monkeypatch.setattr("sentio_tf.training.callbacks.predict_tracks", lambda *a, **k: np.zeros((4, 2)))
    monkeypatch.setattr("sentio_tf.training.callbacks.score", lambda *a: {"val_ccc": next(scores)})
    judge = TrackValidation(twin, tracks, run["cache"], tmp_path / "b.weights.h5")
    averages = []

    class Spy(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            inner = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
            averages.append([keras.ops.convert_to_numpy(a) for a in inner._model_variables_moving_average])
            assert logs["val_ccc"] in (0.1, 0.9, 0.3)

    x = np.random.default_rng(0).standard_normal((32, 3))
    model.fit(x, x[:, :2], epochs=3, verbose=0, callbacks=[judge, Spy()])
    assert judge.best_epoch == 1
    twin.load_weights(tmp_path / "b.weights.h5")
    for kept, average in zip(twin.get_weights(), averages[1], strict=True):
        np.testing.assert_allclose(kept, average, atol=1e-6)
    assert any(np.abs(k - w).max() > 1e-3 for k, w in zip(twin.get_weights(), model.get_weights(), strict=True))


def test_folds_of_a_split_file(run, tmp_path):
    """Folds come from the file; one that divides a group of today is refused, or taken and said so."""
    import dataclasses

    from sentio_tf.corpora import split

    tracks = [t for s in run["sources"] for t in corpora.read(s)]
    made = split.make(tracks, "kfold", k=2, seed=7)
    made.save(tmp_path / "s.json")
    settings = config.load(None, [s for s in run["sets"] if "folds" not in s] + ["epochs=1"])
    options = {"cache": run["cache"], "report": lambda _: None}
    results = training.fit(settings, run["sources"], tmp_path / "r", split=tmp_path / "s.json", **options)
    assert results["protocol"] == "out-of-fold, grouped"
    rows = [r for r in table(tmp_path / "r" / "predictions.csv") if r["split"] == "test"]
    assert {f"{r['corpus']}/{r['track_id']}": (r["fold"],) for r in rows} == dict(made.parts)

    parts = dict(made.parts) | {tracks[0].key: ("0",), tracks[1].key: ("1",)}
    loose = {t.key: t.key for t in tracks}  # as if the artists had not been known
    dataclasses.replace(made, parts=parts, groups=loose).save(tmp_path / "d.json")
    with pytest.raises(DataError, match=r"1 groups lie in more than one fold or part.*--allow-divided"):
        training.fit(settings, run["sources"], tmp_path / "d", split=tmp_path / "d.json", **options)
    work = plan(tracks, folds=0, seed=0, grid=2, split=tmp_path / "d.json", allow_divided=True)
    assert work.divided == 1
    assert (0 in work.parts[0].test, 1 in work.parts[1].test) == (True, True)
    with pytest.raises(DataError, match="expected 3 folds"):
        plan(tracks, folds=3, seed=0, grid=2, split=tmp_path / "s.json")


def test_a_split_with_parts_trains_on_one_and_judges_by_another(run, tmp_path):
    """80/10/10: the validation part stops the training, the test part judges, nothing is out-of-fold."""
    from sentio_tf.corpora import split

    tracks = [t for s in run["sources"] for t in corpora.read(s)]
    shares = {"train": 0.5, "validation": 0.25, "test": 0.25}
    made = split.make(tracks, "holdout", seed=1, grid=2, shares=shares)
    made.save(tmp_path / "h.json")
    settings = config.load(None, [s for s in run["sets"] if "folds" not in s] + ["epochs=1"])
    said = []
    results = training.fit(
        settings, run["sources"], tmp_path / "r", split=tmp_path / "h.json", cache=run["cache"], report=said.append
    )
    assert results["protocol"] == "holdout split, train -> test"
    counts = {part: sum(p == (part,) for p in made.parts.values()) for part in shares}
    assert (
        f"fold 0: {counts['train']} training, {counts['validation']} validation, {counts['test']} test tracks" in said
    )
    rows = [r for r in table(tmp_path / "r" / "predictions.csv") if r["split"] == "test"]
    assert {f"{r['corpus']}/{r['track_id']}" for r in rows} == {k for k, p in made.parts.items() if p == ("test",)}


def test_augmented_training_runs_from_waveforms(run, tmp_path):
    augment = "augment={noise_snr_db: [10, 30], freq_masks: 1, mixup_alpha: 0.3}"
    settings = config.load(None, ["model=tiny", "epochs=1", "batch_size=8", "crop_s=3", "validation=0.25", augment])
    said = []
    results = training.fit(settings, run["sources"], tmp_path / "r", cache=tmp_path / "c", report=said.append)
    assert results["corpora"]
    assert (tmp_path / "c" / "waveform").is_dir()
    assert any("z-scores from" in line for line in said)


def test_tracks_that_cannot_be_learnt_from_are_left_out(run, tmp_path, monkeypatch):
    import dataclasses

    real = corpora.read
    none = dict.fromkeys(("valence", "arousal", "valence_sign", "arousal_sign"))

    def read(source, **options):
        tracks = real(source, **options)
        return [*tracks[:-1], dataclasses.replace(tracks[-1], category="dog", **none)]

    monkeypatch.setattr(corpora, "read", read)
    said = []
    settings = config.load(None, ["model=tiny", "epochs=1", "batch_size=8", "crop_s=3", "validation=0.25"])
    training.fit(settings, run["sources"], tmp_path / "r", cache=run["cache"], report=said.append)
    assert any("left out: 2 tracks with neither ratings nor signs" in line for line in said)


def test_what_is_known_before_is_said_before(run, tmp_path, monkeypatch):
    """A wrong split or part must not be noticed after hours of decoding."""
    monkeypatch.setattr("sentio_tf.pipeline.Cache.build", lambda *a, **k: pytest.fail("built first"))
    options = {"cache": tmp_path / "c", "report": lambda _: None}
    with pytest.raises(DataError, match="the split cannot be read"):
        training.fit(run["config"], run["sources"], tmp_path / "r", split=tmp_path / "none.json", **options)
    with pytest.raises(ConfigError, match="among 0, 1, final, received '7'"):
        training.fit(run["config"], run["sources"], tmp_path / "r", only=["7"], **options)
