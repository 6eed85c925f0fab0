"""Regressions found by reviews of the training path."""

import dataclasses
import os
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from sentio_tf import config, corpora, export, pipeline
from sentio_tf.corpora import render
from sentio_tf.errors import ConfigError, DataError
from sentio_tf.evaluation.summary import summarize
from sentio_tf.training import fit as training
from sentio_tf.training import run as shared

RATE = 22_050


def test_same_names_in_two_folders_are_two_mels(tmp_path, make_music, make_table):
    for i, folder in enumerate(("Q1", "Q2")):
        (tmp_path / folder).mkdir()
        soundfile.write(tmp_path / folder / "001.wav", make_music(2, seed=i), RATE)
        os.utime(tmp_path / folder / "001.wav", (1, 1))
    make_table(tmp_path / "labels.csv", [{"path": f"{q}/001.wav", "quadrant": q} for q in ("Q1", "Q2")])
    tracks = corpora.read(f"folder:{tmp_path}")
    cache = pipeline.open_cache(pipeline.Spec(tmp_path / "c"))
    cache.build(tracks, workers=1)
    one, other = (cache.read(t)[:] for t in tracks)
    assert not np.array_equal(one, other)


def test_a_corpus_with_both_kinds_of_labels_is_judged_apart():
    def row(label, v, g):
        return {"track_id": f"{label} {g}", "corpus": "mine", "label": label, "group": g, "valence": v, "arousal": v,
                "valence_hat": v, "arousal_hat": v}  # fmt: skip

    rows = [row("rating", 0.1 * i, f"g{i}") for i in range(5)] + [row("sign", (-1) ** i, f"g{i}") for i in range(4)]
    out = summarize(rows, resamples=20)
    assert set(out) == {"mine (rating)", "mine (sign)"}
    assert out["mine (rating)"]["valence"]["rmse"]["value"] == 0
    assert out["mine (sign)"]["quadrant"]["accuracy"]["value"] == 1


def test_corrected_labels_are_another_experiment(run, tmp_path):
    copy = tmp_path / "rated"
    shutil.copytree(run["sources"][0].partition(":")[2], copy)
    sets = [s for s in run["sets"] if not s.startswith("folds")] + ["epochs=1"]
    settings = config.load(None, sets)
    arguments = {"cache": run["cache"], "report": lambda _: None}
    training.fit(settings, [f"folder:{copy}"], tmp_path / "r", **arguments)
    text = (copy / "labels.csv").read_text().splitlines()
    text[1] = ",".join([*text[1].split(",")[:2], "-0.9", "-0.9"])
    (copy / "labels.csv").write_text("\n".join(text))
    with pytest.raises(ConfigError, match="other data"):
        training.fit(settings, [f"folder:{copy}"], tmp_path / "r", **arguments)


def test_one_track_in_two_sources(run, tmp_path):
    with pytest.raises(DataError, match="one corpus only"):
        training.fit(run["config"], [run["sources"][0]] * 2, tmp_path / "r", cache=run["cache"])


def test_unknown_corpus_in_repeats(run, tmp_path):
    settings = dataclasses.replace(run["config"], repeats={"folder": 2})
    with pytest.raises(ConfigError, match="expected corpora among folder-rated, folder-signs, received 'folder'"):
        training.fit(settings, run["sources"], tmp_path / "r", cache=run["cache"])


def test_artists_are_the_same_in_every_folder(tmp_path, make_table):
    groups = []
    for name in ("a", "b"):
        make_table(tmp_path / name / "labels.csv", [{"path": "x.wav", "quadrant": "Q1", "artist": "X"}])
        (tmp_path / name / "x.wav").touch()
        groups.append(corpora.read(f"folder:{tmp_path / name}")[0].group)
    assert groups == ["artist:x", "artist:x"]


def test_short_row_is_one_line(tmp_path):
    (tmp_path / "labels.csv").write_text("valence,arousal,path\n0.1,0.2\n")
    with pytest.raises(DataError, match=r"labels\.csv:2: expected the path"):
        corpora.read(f"folder:{tmp_path}")


def test_too_few_songs_to_validate_on(tmp_path, make_music, make_table):
    rows = [{"path": f"{i}.wav", "valence": 0.1 * i, "arousal": 0} for i in range(3)]
    make_table(tmp_path / "m" / "labels.csv", rows)
    for i in range(3):
        soundfile.write(tmp_path / "m" / f"{i}.wav", make_music(1, seed=i), RATE)
    with pytest.raises(DataError, match="two validation tracks"):
        training.fit(config.load(None), [f"folder:{tmp_path / 'm'}"], tmp_path / "r", cache=tmp_path / "c")


def test_training_needs_few_descriptors(run):
    """Mapped files hold a descriptor each; a corpus of thousands must not."""
    tracks = [t for s in run["sources"] for t in corpora.read(s)]
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else pytest.skip("no /proc")
    data = iter(pipeline.dataset(tracks, run["store"].spec, frames=16, batch=8))
    for _ in range(6):
        next(data)
    assert len(os.listdir("/proc/self/fd")) - before < len(tracks) // 2


def test_a_diverged_epoch_stops_and_keeps_the_best(run, tmp_path, monkeypatch):
    import keras

    from sentio_tf.training.callbacks import TrackValidation

    tracks = [t for s in run["sources"] for t in corpora.read(s)][:4]
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    twin = keras.models.clone_model(model)
    model.compile("adam", "mse")
    outputs = iter([np.random.default_rng(0).standard_normal((4, 2)), np.full((4, 2), np.nan)])
    monkeypatch.setattr("sentio_tf.training.callbacks.predict_tracks", lambda *a, **k: next(outputs))
    judge = TrackValidation(twin, tracks, run["store"], tmp_path / "b.weights.h5")
    history = model.fit(np.ones((8, 3)), np.ones((8, 2)), epochs=5, verbose=0, callbacks=[judge])
    assert len(history.epoch) == 2
    assert judge.best_epoch == 0


def test_without_git(monkeypatch):
    def none(*a, **k):
        raise FileNotFoundError("git")

    monkeypatch.setattr(shared.subprocess, "run", none)
    assert shared.git_commit() == ""


def test_an_experiment_that_publishes_stays_of_its_commit(tmp_path):
    for name in ("sentio_tf/a.py", "results/a.json", "docs/a.md"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("1\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "a"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    commit = shared.git_commit(tmp_path)
    assert len(commit) == 12
    (tmp_path / "results/a.json").write_text("2\n")
    (tmp_path / "docs/a.md").unlink()
    assert shared.git_commit(tmp_path) == commit
    (tmp_path / "sentio_tf/a.py").write_text("2\n")
    assert shared.git_commit(tmp_path) == commit + "-dirty"
    assert shared.git_commit(tmp_path / "docs") == ""  # not the root of a checkout
    (tmp_path / ".git" / "index").write_bytes(b"?")
    assert shared.git_commit(tmp_path) == "", "whether anything is changed cannot be said"


@pytest.mark.parametrize("content", [b"MThd\x00\x00\x00\x06\x00\x02\x00\x00\x00\x00", b"MThd", b"", b"\x00" * 50])
def test_strange_midi_is_one_line(tmp_path, content):
    path = tmp_path / "a.mid"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mid: expected"):
        render.last_note_s(path)


def test_cache_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").touch()
    track = corpora.read(run["sources"][0])[0]
    with pytest.raises(DataError, match="the cache cannot be written"):
        pipeline.open_cache(pipeline.Spec(tmp_path / "file")).build([track], workers=1)


def test_licence_follows_the_corpora():
    assert export.default_licence(["panda4q", "folder"]) == "CC BY-NC-SA 4.0"
    assert "owner" in export.default_licence(["folder"])
    assert "research" in export.terms(["emopia"])


def test_override_into_a_single_value():
    with pytest.raises(ConfigError, match="single value"):
        config.load(None, ["epochs=3", "epochs.x=3"])
