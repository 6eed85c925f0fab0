"""A student trained by finished runs, on the miniature corpora."""

import csv
import json
import shutil
import threading
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import yaml

from sentio_tf import config as configuration
from sentio_tf.config import DistillConfig
from sentio_tf.errors import ConfigError, DataError, ModelError, SentioError
from sentio_tf.layers.normalize import ClipZScore
from sentio_tf.training import deviation, taps
from sentio_tf.training.build import load_model
from sentio_tf.training.distill import distill

ALL = "terms={hard: 1.0, soft: 4.0, features: 0.5, attention: 1.0}"


@pytest.fixture(autouse=True)
def tapped(monkeypatch):
    monkeypatch.setitem(taps.TAPS, "tiny", taps._convolutions)


def settings(run, *sets):
    return configuration.load(None, [*run["sets"], "ema=0.0", ALL, *sets], DistillConfig)


def taught(run, out, *sets, teachers=None, **options):
    given = {"cache": run["cache"], "report": lambda _: None, **options}
    return distill(settings(run, *sets), given.pop("sources", run["sources"]), out, teachers or [run["path"]], **given)


@pytest.fixture(scope="module")
def student(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("student") / "run"
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(taps.TAPS, "tiny", taps._convolutions)
        patch.setattr(deviation, "FEWEST", 2)  # the corpora are miniatures
        results = taught(run, out, "architecture.width=3", alone=run["path"], report=said.append)
    return {"path": out, "results": results, "said": said}


@pytest.fixture(scope="module")
def loud(run, tmp_path_factory):
    """The run with models that have opinions: a mean is soon learnt."""
    out = tmp_path_factory.mktemp("loud") / "run"
    shutil.copytree(run["path"], out)
    for file in out.glob("fold-*/model.keras"):
        model = load_model(file)
        kernel, bias = model.get_layer("head").get_weights()
        model.get_layer("head").set_weights([30 * kernel, bias])
        model.save(file)
    return out


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_like_any_other(student, run):
    names = {p.name for p in student["path"].iterdir()}
    assert {"config.yaml", "model.keras", "history.csv", "predictions.csv", "metrics.json", "curves.png"} <= names
    found = yaml.safe_load((student["path"] / "config.yaml").read_text())
    assert len(found["teachers"]) == 64
    assert found["terms"] == {"hard": 1.0, "soft": 4.0, "features": 0.5, "attention": 1.0}
    network = load_model(student["path"] / "model.keras")
    assert network.output_shape == (None, 2)
    assert not any("projection" in layer.name or "attention" in layer.name for layer in network.layers)


def test_threads_end_with_the_training(student):
    """Keras keeps what it has read from alive; what makes the batches must end all the same."""
    assert not [t for t in threading.enumerate() if t.name.startswith("sentio-batches")]


def test_a_student_of_crops_learns_its_deviation_and_is_judged_on_whole_windows(student):
    assert any("standard deviation from" in line for line in student["said"])
    assert (student["path"] / deviation.FILE).exists()
    assert student["results"]["deviation"]["songs"] > 2


def test_every_term_has_its_curve(student):
    for row in rows(student["path"] / "fold-0" / "history.csv"):
        for term in ("hard", "soft", "features", "attention"):
            assert float(row[term]) > 0
            assert float(row[f"gradient_{term}"]) > 0


def test_retention_is_that_of_the_predictions(student, run):
    from sentio_tf.evaluation import metrics

    found = student["results"]["retention"]
    tables = [
        {(r["corpus"], r["track_id"]): r for r in rows(path / "predictions.csv") if r["split"] == "test"}
        for path in (student["path"], run["path"])
    ]
    kept = [k for k, r in tables[0].items() if r["label"] == "rating"]
    assert found["songs"] == len(kept)
    for axis in ("valence", "arousal"):
        truth = np.array([float(tables[0][k][axis]) for k in kept])
        mine, teacher = (metrics.ccc(truth, np.array([float(t[k][f"{axis}_hat"]) for k in kept])) for t in tables)
        assert found[axis]["student"] == pytest.approx(mine, abs=1e-4)
        assert found[axis]["teacher"] == pytest.approx(teacher, abs=1e-4)
        if teacher > 0:
            assert found[axis]["retention"] == pytest.approx(mine / teacher, abs=2e-3)
        gain = student["results"]["against_alone"][axis]
        assert gain["difference"] == pytest.approx(mine - teacher, abs=2e-4)
        assert gain["interval"][0] <= gain["difference"] <= gain["interval"][1]
    assert json.loads((student["path"] / "metrics.json").read_text())["retention"] == found


def test_soft_targets_alone_bring_the_student_to_the_teacher(run, loud, tmp_path):
    """The same architecture, many epochs, nothing but the teacher's answers: it must come near them."""
    only = "terms={hard: 0, soft: 4.0, features: 0, attention: 0}"
    sets = ["epochs=24", "patience=24", "learning_rate=0.03", "final=false", only]
    taught(run, tmp_path / "run", *sets, only=["0"], teachers=[loud])
    history = rows(tmp_path / "run" / "fold-0" / "history.csv")
    assert float(history[-1]["soft"]) < 0.2 * float(history[0]["soft"])


@pytest.mark.parametrize("answers", ["stored", pytest.param("live", marks=pytest.mark.slow)])
def test_resumed_equals_uninterrupted(run, tmp_path, monkeypatch, answers):
    sets = ["final=false", "epochs=2", f"answers={answers}"]
    taught(run, tmp_path / "whole", *sets, only=["0"])

    from sentio_tf.training.callbacks import Checkpoint

    original = Checkpoint.on_epoch_end

    def killed(self, epoch, logs=None):
        original(self, epoch, logs)
        if epoch == 0:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_epoch_end", killed)
        with pytest.raises(KeyboardInterrupt):
            taught(run, tmp_path / "cut", *sets, only=["0"])
    taught(run, tmp_path / "cut", *sets, only=["0"])
    one, two = (load_model(tmp_path / n / "fold-0" / "model.keras").get_weights() for n in ("whole", "cut"))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_live_answers_are_the_stored_ones(run, tmp_path):
    """At the same places, a teacher says the same, whichever way it is asked."""
    lesson = {}
    for answers in ("stored", "live"):
        lesson[answers] = lessons(run, f"answers={answers}", "views=1")
    stored = next(lesson["stored"].batches())[1]
    rows = next(lesson["stored"]._rows({"frames": 129}, 0))[0]
    live = lesson["live"]._live(rows)
    layout = lesson["live"].layout
    assert lesson["stored"].layout == layout
    parts = [layout.split(y) for y in (stored, np.concatenate([stored[:, :3], live], axis=1))]
    np.testing.assert_allclose(parts[1]["teacher"], parts[0]["teacher"], atol=1e-5)
    np.testing.assert_allclose(parts[1]["attention"], parts[0]["attention"], atol=1e-4)


def lessons(run, *sets, teachers=None, cache=None, report=lambda _: None):
    """What fold 0 of a student would learn from."""
    from sentio_tf.models import MODELS
    from sentio_tf.training.plan import plan
    from sentio_tf.training.run import read_tracks
    from sentio_tf.training.teachers import School
    from sentio_tf.training.teachers import teachers as opened

    config = settings(run, *sets)
    tracks = read_tracks(run["sources"], report=lambda _: None)
    part = plan(tracks, folds=config.folds, seed=config.seed, grid=config.grid).parts[0]
    school = School(opened(teachers or [run["path"]]), config, cache or run["cache"], report)
    network = MODELS["tiny"](normalize=ClipZScore(name="normalize"), frames=129)
    own = [tracks[i] for i in part.train]
    return school.lesson("0", network, own, heard=run["store"], examples=run["store"].spec)


def test_a_window_is_answered_by_the_teacher_of_the_fold(run):
    """Against the saved model of that fold, on the very input of the batch."""
    from sentio_tf.training.teachers import Teacher

    lesson = lessons(run)
    x, y = next(lesson.batches())
    (network,) = Teacher(run["path"]).networks("0", 3, run["cache"], lambda _: None, count=1)
    assert network.input_shape == (None, 128, 129, 1)
    saved = load_model(run["path"] / "fold-0" / "model.keras")
    for mine, theirs in zip(network.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_allclose(lesson.layout.split(y)["teacher"], network.predict_on_batch(x), atol=1e-4)
    assert not np.any(lesson.layout.split(y)["spread"])


@pytest.mark.parametrize("blocks", [1, 2])
def test_no_pretrained_weights_are_fetched_for_a_teacher(tmp_path, rng, blocks):
    """Its file holds them all: what they were made of may be gone."""
    pytest.importorskip("keras_hub")
    from sentio_tf.models import vit
    from sentio_tf.training.teachers import Teacher

    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 24, "use_class_token": False}
    backbone = {"image_shape": (32, 32, 3), "patch_size": (8, 8), **sizes}
    given = {"image": [24, 64], "blocks": blocks, "pool": "mean", "dropout": 0}
    own = vit.build(backbone=backbone, weights=None, normalize=ClipZScore(name="normalize"), frames=129, **given)
    for variable in own.weights:
        variable.assign(0.3 * rng.standard_normal(variable.shape))
    (tmp_path / "fold-0").mkdir()
    own.save(tmp_path / "fold-0" / "model.keras")
    gone = str(tmp_path / "no preset is here")
    settings = {"model": "vit", "weights": gone, "architecture": given, "crop_s": 3.0, "unfreeze": {1: 0}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    (network,) = Teacher(tmp_path).networks("0", 3, tmp_path, lambda _: None, count=1)
    x = rng.standard_normal((2, 128, 129, 1)).astype(np.float32)
    np.testing.assert_allclose(network.predict_on_batch(x), own.predict_on_batch(x), atol=1e-6)


@pytest.mark.parametrize("name", ["musicnn", "efficientnet_lite"])
def test_nothing_is_fetched_for_a_teacher(tmp_path, monkeypatch, name):
    from sentio_tf import config as configuration
    from sentio_tf.models import pretrained
    from sentio_tf.training.build import builder

    monkeypatch.setattr(pretrained, "fetch", lambda *a, **k: pytest.fail("fetched"))
    config = configuration.load(None, [f"model={name}", "crop_s=12"])
    assert builder(config, tmp_path, print, like=keras.Model())


def test_no_window_is_answered_twice(run, tmp_path):
    """Not by the next seed or variant either, whatever was built in this process before."""
    said: list[str] = []
    for _ in range(2):
        lessons(run, cache=tmp_path, report=said.append)
    assert [line for line in said if "answer" in line] == ["teachers answer 16 tracks, once"]


def test_several_teachers_are_averaged(run, student):
    two = lessons(run, teachers=[run["path"], student["path"]])
    one = [lessons(run, teachers=[path]) for path in (run["path"], student["path"])]
    found = two.layout.split(next(two.batches())[1])
    answers = [lesson.layout.split(next(lesson.batches())[1])["teacher"] for lesson in one]
    np.testing.assert_allclose(found["teacher"], np.mean(answers, 0), atol=1e-6)
    np.testing.assert_allclose(found["spread"], np.std(answers, 0), atol=1e-6)


def test_a_classical_run_teaches_an_answer_a_song(run, tmp_path):
    """What its model of the fold says of the whole song, to every window of it; without kept models it cannot."""
    from sentio_tf.training import classical

    off = "terms={features: 0, attention: 0}"
    sets = ["model=ridge", "features=bands", "folds=2", "settings.alpha=10.0"]
    for kept in (False, True):
        config = configuration.load(None, [*sets, f"keep_models={kept}"], configuration.ClassicalConfig)
        out = tmp_path / f"ridge-{kept}"
        classical.fit(config, run["sources"], out, cache=run["cache"], report=lambda _: None)
    lesson = lessons(run, off, teachers=[tmp_path / "ridge-True"])
    rows, y = next(lesson._rows({"frames": 129}, 0))
    found = lesson.layout.split(y)["teacher"]
    models = classical.load(tmp_path / "ridge-True" / "fold-0")
    from sentio_tf.pipeline.vectors import vectors

    tracks = [lesson.tracks[i] for i in rows[:, 0]]
    _, x, _ = vectors(tracks, "bands", run["cache"])
    np.testing.assert_allclose(found, classical.predict(models, x), atol=1e-5)
    with pytest.raises(ConfigError, match=r"expected the model of fold 0 .* keep_models=true"):
        taught(run, tmp_path / "run", off, teachers=[tmp_path / "ridge-False"])
    with pytest.raises(ConfigError, match="expected a network among the teachers for features and attention"):
        taught(run, tmp_path / "run", teachers=[tmp_path / "ridge-True"])


def test_what_a_standard_deviation_is_learnt_from(run, student):
    """Ratings where there are, else the teachers', as far off as on rated songs and as they disagree; every window."""
    lesson = lessons(run, "views=2", teachers=[run["path"], student["path"]])
    wanted = lesson.wanted()
    windows = list(wanted.examples)
    assert len(windows) == len(wanted.group) == len(wanted.truth)
    assert len(windows) > len(lesson.tracks)
    assert windows[0].shape == (128, 129, 1)
    said = [np.concatenate([v.said(t) for t in lesson.tracks])[:, :2] for v in lesson.voices]
    mean, spread = np.mean(said, axis=0), np.std(said, axis=0)
    song = np.repeat(np.arange(len(lesson.tracks)), [len(lesson.voices[0].said(t)) for t in lesson.tracks])
    rated = np.array([t.rated for t in lesson.tracks])[song]
    assert 0 < rated.sum() < len(rated)
    label = np.array([(t.valence, t.arousal) if t.rated else (0, 0) for t in lesson.tracks])[song]
    np.testing.assert_allclose(wanted.truth, np.where(rated[:, None], label, mean), atol=1e-5)
    # Over rated songs, what is added for a teacher is its error there.
    off = np.mean((mean - label)[rated] ** 2 - spread[rated] ** 2, axis=0)
    np.testing.assert_allclose(wanted.noise[~rated], np.maximum(0, spread[~rated] ** 2 + off), atol=1e-5)
    assert wanted.known.all()
    assert wanted.songs == sum(t.rated for t in lesson.tracks)
    assert len(set(wanted.group)) == len({t.group for t in lesson.tracks})


def test_teachers_that_answer_live_are_asked_for_a_deviation_too(run):
    """The same windows and answers, kept no longer than they are needed."""
    stored, live = (lessons(run, "views=2", f"answers={how}").wanted() for how in ("stored", "live"))
    for name in ("truth", "noise", "group"):
        np.testing.assert_allclose(getattr(live, name), getattr(stored, name), atol=1e-4)
    for a, b in zip(live.examples, stored.examples, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_ridge_start_lies_at_what_is_taught(run, loud):
    """The teachers' answers; where these are no term, the labels, as without a teacher."""
    from sentio_tf import pipeline

    off = "features: 0, attention: 0"
    taught_by = lessons(run, f"terms={{{off}}}", "views=1", teachers=[loud])
    windows, targets = taught_by.for_ridge()
    said = np.concatenate([taught_by.voices[0].said(t) for t in taught_by.tracks])
    np.testing.assert_allclose(targets[:, :2], said[:, :2], atol=1e-6)
    assert (targets[:, 2] == 1).all()
    assert len(list(windows)) == len(targets)
    labels = lessons(run, f"terms={{soft: 0, {off}}}", "views=1", teachers=[loud]).for_ridge()[1]
    counts = [len(taught_by.voices[0].said(t)) for t in taught_by.tracks]
    expected = np.repeat([pipeline.target(t) for t in taught_by.tracks], counts, axis=0)
    np.testing.assert_array_equal(labels, expected)


def test_features_are_standardised(run):
    lesson = lessons(run)
    drawn = [next(batch) for batch in [lesson.batches()] for _ in range(6)]
    x = np.concatenate([lesson.layout.split(y)["features"] for _, y in drawn])
    assert x.shape[1:] == lesson.layout.features
    assert np.abs(x.mean((0, 1, 2))).max() < 0.5
    assert 0.5 < x.std() < 1.5


def test_songs_without_labels_learn_from_teachers(run, mini, tmp_path):
    folder = tmp_path / "mute"
    shutil.copytree(mini / "rated", folder)
    with (folder / "labels.csv").open(newline="") as file:
        named = [{"path": r["path"], "artist": r["artist"]} for r in csv.DictReader(file)]
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "artist"])
        writer.writeheader()
        writer.writerows(named)
    (folder / "corpus.yaml").write_text("unlabelled: true")
    said: list[str] = []
    results = taught(
        run,
        tmp_path / "run",
        "epochs=1",
        "final=false",
        ALL.replace("0.5", "0").replace("attention: 1.0", "attention: 0"),
        sources=[*run["sources"], f"folder:{folder}"],
        report=said.append,
    )
    assert any("unlabelled tracks" in line for line in said)
    assert results["retention"]


# What is refused.


def test_a_teacher_of_other_songs_is_refused(run, tmp_path):
    with pytest.raises(ConfigError, match="--teacher: expected a run with the same songs in training and test"):
        taught(run, tmp_path / "run", "folds=3")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("crop_s=4", r"with window 3 s, .*; the student has window 4 s"),
        ("normalization=clip", r"normalization dataset; the student has .* normalization clip"),
        ("f_max=4000.0", "bands to 8000 Hz, .* the student has .* bands to 4000 Hz"),
    ],
)
def test_a_teacher_that_hears_otherwise_is_refused(run, tmp_path, wrong, message):
    with pytest.raises(ConfigError, match=message):
        taught(run, tmp_path / "run", wrong)


def test_a_teacher_that_is_not_finished_is_refused(run, tmp_path):
    shutil.copytree(run["path"], tmp_path / "half")
    (tmp_path / "half" / "fold-1" / "model.keras").unlink()
    with pytest.raises(ConfigError, match=r"--teacher: expected the model of fold 1 in .*half, received none"):
        taught(run, tmp_path / "run", teachers=[tmp_path / "half"])
    with pytest.raises(ConfigError, match="expected a finished run"):
        taught(run, tmp_path / "run", teachers=[tmp_path / "none"])


@pytest.fixture
def undecoded(monkeypatch):
    """What is refused below is so before a file is opened."""
    monkeypatch.setattr("sentio_tf.pipeline.Cache.build", lambda *a, **k: pytest.fail("decoded first"))


def relabelled(run, folder, **changes):
    """The run as if it had other settings."""
    shutil.copytree(run["path"], folder)
    values = yaml.safe_load((folder / "config.yaml").read_text()) | changes
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    return folder


@pytest.mark.usefixtures("undecoded")
def test_what_is_known_of_teachers_before_is_said_before(run, tmp_path):
    other = relabelled(run, tmp_path / "other", crop_s=4.0)
    with pytest.raises(ConfigError, match="--teacher: expected one that hears what the student hears"):
        taught(run, tmp_path / "run", teachers=[other], cache=tmp_path / "cache")
    with pytest.raises(ConfigError, match="--teacher: expected a run with the same songs"):
        taught(run, tmp_path / "run", "seed=5", cache=tmp_path / "cache")
    (other / "predictions.csv").unlink()
    with pytest.raises(ModelError, match=r"expected metrics.json and predictions.csv of one run, received a part"):
        taught(run, tmp_path / "run", "crop_s=4", teachers=[other], cache=tmp_path / "cache")


@pytest.mark.usefixtures("undecoded")
def test_a_teacher_of_other_labels_is_refused(run, tmp_path):
    official = relabelled(run, tmp_path / "official", data=["deam"], labels="official")
    message = r"expected a run on the labels of this one \(deam: corrected\), received official \(deam: official\)"
    with pytest.raises(ConfigError, match=f"--teacher: {message}"):
        taught(run, tmp_path / "run", teachers=[official])
    with pytest.raises(ConfigError, match=f"--start: {message}"):
        taught(run, tmp_path / "run", start=official)


def test_labels_by_default_are_those_of_that_name(run, tmp_path):
    from sentio_tf.training.start import check_same_songs

    work = SimpleNamespace(hash="a", exact="b")
    for theirs, ours in (("", "corrected"), ("corrected", ""), ("official", "official")):
        settings = {"split": "a", "parts": "b", "data": ["deam", "folder"], "labels": theirs}
        check_same_songs(tmp_path, settings, work, ours, option="--start")
    check_same_songs(tmp_path, {**settings, "data": ["folder"]}, work, "", option="--start")


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, r"--alone: expected a run with the same songs in training and test \(split .* received alone"),
        ({"model": "crnn"}, "--alone: expected a run of the student's network, tiny, received alone, of crnn"),
        ({"data": ["deam"], "labels": "official"}, "--alone: expected a run on the labels of this one"),
    ],
)
def test_a_run_to_compare_with_that_does_not_compare_is_refused(run, tmp_path, change, message):
    alone = relabelled(run, tmp_path / "alone", **(change or {"split": "0"}))
    with pytest.raises(ConfigError, match=message):
        taught(run, tmp_path / "run", alone=alone)


@pytest.mark.usefixtures("undecoded")
def test_a_run_to_compare_with_that_is_not_complete_is_refused(run, tmp_path):
    with pytest.raises(DataError, match=r"none: the predictions cannot be read"):
        taught(run, tmp_path / "run", alone=tmp_path / "none")
    half = relabelled(run, tmp_path / "half")
    (half / "metrics.json").unlink()
    with pytest.raises(ModelError, match=r"half: expected a complete run, received one that is half written"):
        taught(run, tmp_path / "run", alone=half)


@pytest.mark.usefixtures("undecoded")
def test_a_student_of_which_no_tap_trains_is_refused(run, tmp_path, monkeypatch):
    from sentio_tf.models import STAGES

    monkeypatch.setitem(STAGES, "tiny", lambda model: [[model.get_layer("stem")]])
    with pytest.raises(ConfigError, match=r"terms.features: expected layers that train below the tap of tiny"):
        taught(run, tmp_path / "run", "unfreeze={1: 0}")


def test_a_plan_is_foreseen_of_the_songs_that_a_run_has_kept(run, tmp_path):
    """A file that did not decode for the teacher will not for the student."""
    from functools import partial

    from sentio_tf.training.plan import plan
    from sentio_tf.training.run import read_tracks
    from sentio_tf.training.start import foreseen

    tracks = read_tracks(run["sources"], report=lambda _: None)
    divide = partial(plan, folds=2, seed=0, grid=5)
    lines = (run["path"] / "trained.csv").read_text().splitlines()

    def of(kept):
        (tmp_path / "trained.csv").write_text("\n".join(kept))
        return foreseen(tracks, divide)(tmp_path)

    assert of(lines) == divide(tracks)
    gone = lines[5].split(",")[0]
    assert of(lines[:5] + lines[6:]) == divide([t for t in tracks if t.key != gone])
    for few in ([], lines[:1]):
        assert of(few).hash == divide(tracks).hash
    one = lines[1].split(",")[0]
    assert of(lines[:2]) == divide([t for t in tracks if t.key == one or t.corpus != one.partition("/")[0]])


def test_a_run_on_one_corpus_less_is_foreseen_to_have_another_plan(run, tmp_path):
    """Else it would be refused when hours of decoding are over, by the check that looks at what was left out."""
    from dataclasses import replace
    from functools import partial

    from sentio_tf.training.plan import plan
    from sentio_tf.training.run import read_tracks
    from sentio_tf.training.start import foreseen

    divide = partial(plan, folds=2, seed=0, grid=5)
    tracks = read_tracks(run["sources"], report=lambda _: None)
    both = [*tracks, *(replace(t, corpus="emopia", group=f"e-{t.group}") for t in tracks)]
    shutil.copyfile(run["path"] / "trained.csv", tmp_path / "trained.csv")
    assert foreseen(tracks, divide)(tmp_path) == divide(tracks)
    assert foreseen(both, divide)(tmp_path) == divide(both)


def test_no_teacher(run, tmp_path):
    with pytest.raises(ConfigError, match="expected a teacher or more, received none"):
        distill(settings(run), run["sources"], tmp_path / "run", [])


def test_a_larger_student_is_warned_about(run, tmp_path):
    said: list[str] = []
    taught(run, tmp_path / "run", "architecture.width=9", "epochs=1", "final=false", report=said.append)
    assert any(line.startswith("warning: the student has") for line in said)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("terms={hrd: 1}", r"terms: unknown key 'hrd'; did you mean hard\? known are hard, soft, features, attention"),
        ("terms={hard: -1}", "terms: expected numbers of 0 or more"),
        ("terms={hard: 0, soft: 0, features: 0, attention: 0}", "one above 0"),
        ("soft=warm", "soft: expected gaussian or bounded"),
        ("answers=later", "answers: expected stored or live"),
        ("augment={mixup_alpha: 0.3}", "augment: expected no mixup_alpha"),
        ("consistency=0.1", "consistency: expected 0"),
    ],
)
def test_wrong_settings(run, wrong, message):
    with pytest.raises(ConfigError, match=message):
        settings(run, wrong)


def test_a_student_without_taps(run, tmp_path, monkeypatch):
    monkeypatch.delitem(taps.TAPS, "tiny")
    with pytest.raises(ConfigError, match=r"networks with taps .* received tiny; set terms.features"):
        taught(run, tmp_path / "run")
    off = "terms={features: 0, attention: 0}"
    assert taught(run, tmp_path / "run", off, "epochs=1", "final=false")["retention"]


def test_a_dead_term_stops_the_run(run, tmp_path):
    with pytest.raises(SentioError, match=r"received attention \(.*\) dead in epochs 1 and 2 .*raise terms.attention"):
        taught(run, tmp_path / "run", "terms={hard: 1.0, soft: 4.0, features: 0.5, attention: 1e-9}")


def test_a_term_that_leaves_nothing_to_others_stops_the_run(run, tmp_path):
    with pytest.raises(SentioError, match=r"received soft \(.*\) dominating in epochs 1 and 2 .*lower terms.soft"):
        taught(run, tmp_path / "run", "terms={hard: 1.0, soft: 1e6, features: 0, attention: 0}", "dead=0.0")


def test_a_term_rests_while_nothing_below_its_tap_trains(run, tmp_path, monkeypatch):
    """Two epochs of the head alone are no dead term."""
    from sentio_tf.models import STAGES

    monkeypatch.setitem(STAGES, "tiny", lambda model: [[model.get_layer("stem")]])
    sets = ["epochs=3", "patience=3", "final=false"]
    taught(run, tmp_path / "run", *sets, "unfreeze={1: 0, 3: all}", only=["0"])
    history = rows(tmp_path / "run" / "fold-0" / "history.csv")
    assert [bool(row["gradient_features"]) for row in history] == [False, False, True]
    assert all(float(row["gradient_soft"]) > 0 for row in history)


@pytest.mark.parametrize("alpha", [0, 10])
def test_stages_of_the_student_that_rest_answer_once(run, loud, tmp_path, monkeypatch, alpha):
    """With the same weights at the end as if they answered every batch; a ridge start lies at the teacher's answers."""
    from sentio_tf.models import MODELS, STAGES

    tiny = MODELS["tiny"]

    def pretrained(**given):  # the same stages in all networks of a training
        keras.utils.set_random_seed(0)
        return tiny(**given)

    monkeypatch.setitem(MODELS, "tiny", pretrained)
    monkeypatch.setitem(STAGES, "tiny", lambda model: [[model.get_layer("stem")]])
    weights, first = {}, {}
    for kept in ("true", "false"):
        said: list[str] = []
        sets = ["terms={features: 0, attention: 0}", "unfreeze={1: 0}", "final=false", "epochs=1"]
        # Two phases of a window's length: places that no prediction asks for.
        more = [f"cache_frozen={kept}", f"head_alpha={alpha if kept == 'true' else 0}", "views=2", "learning_rate=0.01"]
        out = tmp_path / kept
        taught(run, out, *sets, *more, only=["0"], teachers=[loud], cache=tmp_path / "cache", report=said.append)
        assert any("frozen stages answer" in line for line in said) is (kept == "true")
        weights[kept] = load_model(out / "fold-0" / "model.keras").get_weights()
        first[kept] = float(rows(out / "fold-0" / "history.csv")[0]["soft"])
        if alpha:
            (start,) = (line for line in said if "ridge solution" in line)
            assert float(start.split("R² ")[1].split()[0]) > 0.5
            return
    assert first["true"] == pytest.approx(first["false"], rel=1e-3)
    for a, b in zip(weights["true"], weights["false"], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
