import csv
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sentio_tf import corpora
from sentio_tf.errors import ConfigError, DataError, ModelError
from sentio_tf.gan import listen
from sentio_tf.gan import sample as module
from sentio_tf.gan.reader import Reader
from sentio_tf.gan.run import open_run
from sentio_tf.gan.sample import sample

from .conftest import quiet

ALL = {"min_confidence": 0, "tolerance": np.inf}


@pytest.fixture
def unsound(gan_run, tmp_path):
    """The run as it would be had its training failed."""
    import shutil

    copy = tmp_path / "unsound"
    shutil.copytree(gan_run, copy)
    (copy / "status.json").write_text(json.dumps({"status": "failed", "why": "it was lost", "epoch": 1}))
    return copy


def test_a_corpus_reads_as_generated(made):
    tracks = corpora.read(f"folder:{made}")
    assert len(tracks) == 8
    assert all(t.generated and t.synthetic and t.corpus == "generated-made" for t in tracks)
    assert all(t.rated or t.valence_sign in (-1, 1) for t in tracks)
    mel = np.load(tracks[0].path)
    assert mel.shape == (128, 1292)
    assert (made / "sheet.png").stat().st_size > 0
    words = " ".join((made / "README.md").read_text().split())
    assert "they are refused wherever something is judged" in words
    assert "none of them may judge a network that learns from this folder" in words


def test_it_says_how_it_was_drawn(made, gan_run):
    about = json.loads((made / "gan.json").read_text())
    assert about["kept"] == 8
    assert about["drawn"] >= 8
    assert about["labels"] == "density"
    assert about["gan"] == open_run(gan_run).identity
    assert about["unsound"] == ""
    assert (made / "trained.csv").read_bytes() == (gan_run / "trained.csv").read_bytes()


@pytest.mark.parametrize("kind", ["empty", "killed", "link", "here"])
def test_any_empty_folder_takes_a_corpus(gan_run, tmp_path, monkeypatch, kind):
    folder = tmp_path / "folder"
    folder.mkdir()
    out = {"link": tmp_path / "link", "here": Path()}.get(kind, folder)
    if kind == "killed":
        (folder / ".folder-x" / "folder").mkdir(parents=True)
    if kind == "link":
        out.symlink_to(folder)
    if kind == "here":
        monkeypatch.chdir(folder)
    sample(gan_run.resolve(), out, 2, report=quiet, **ALL)
    assert len(corpora.read(f"folder:{folder}")) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == (["folder", "link"] if kind == "link" else ["folder"])


def test_the_same_seed_is_the_same_corpus(gan_run, made, tmp_path):
    sample(gan_run, tmp_path / "made", 8, report=quiet, **ALL)
    one, other = ((folder / "labels.csv").read_text() for folder in (made, tmp_path / "made"))
    assert one == other
    np.testing.assert_array_equal(*(np.load(f / "spectrograms" / "000003.npy") for f in (made, tmp_path / "made")))
    sample(gan_run, tmp_path / "another", 8, seed=1, report=quiet, **ALL)
    assert (tmp_path / "another" / "labels.csv").read_text() != one


@pytest.mark.slow
def test_what_is_kept_passed_both_filters(gan_run, tmp_path):
    free = tmp_path / "free"
    sample(gan_run, free, 16, report=quiet, **ALL)
    with (free / "labels.csv").open() as file:
        confidence = sorted(float(row["confidence"]) for row in csv.DictReader(file))
    bound = confidence[len(confidence) // 2]
    sample(gan_run, tmp_path / "sure", 8, min_confidence=bound, tolerance=np.inf, report=quiet)
    with (tmp_path / "sure" / "labels.csv").open() as file:
        assert all(float(row["confidence"]) > bound - 1e-3 for row in csv.DictReader(file))
    about = json.loads((tmp_path / "sure" / "gan.json").read_text())
    assert about["min_confidence"] == bound


def test_only_labels_that_the_reader_hears_are_kept(gan_run, tmp_path, monkeypatch):
    """A reader that hears valence 0, arousal 0 in everything: what is kept was asked for within its error of that."""
    deaf = Reader(np.zeros((384, 2)), np.zeros(2), np.array([0.6, 0.6]))
    monkeypatch.setattr(module.Reader, "load", lambda folder: deaf)
    about = sample(gan_run, tmp_path / "near", 8, way="uniform", min_confidence=0, tolerance=1, report=quiet)
    with (tmp_path / "near" / "labels.csv").open() as file:
        asked = [(float(row["valence"]), float(row["arousal"])) for row in csv.DictReader(file)]
    assert max(np.hypot(*pair) for pair in asked) <= 0.6 * np.sqrt(2)
    # Of uniform labels in the square a circle of that radius holds .56, whoever's labels they are.
    assert about["kept"] == 8 <= about["passed"] < about["drawn"]
    assert 0.2 < about["passed_mislabelled"] < 0.9
    assert about == json.loads((tmp_path / "near" / "gan.json").read_text())


def test_too_few_that_pass_are_said(gan_run, tmp_path):
    with pytest.raises(ConfigError, match=r"expected one draw in 10 or more to be kept, received 0 of 80"):
        sample(gan_run, tmp_path / "none", 4, tolerance=1e-9, report=quiet)
    assert list(tmp_path.iterdir()) == []  # the same --out can be given again
    sample(gan_run, tmp_path / "none", 2, report=quiet, **ALL)
    assert [p.name for p in tmp_path.iterdir()] == ["none"]


def test_a_draw_that_is_interrupted_leaves_nothing(gan_run, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    (tmp_path / "c").mkdir()
    with pytest.raises(KeyboardInterrupt):
        sample(gan_run, tmp_path / "c", 4, report=quiet, progress=interrupted, **ALL)
    assert [p.name for p in tmp_path.iterdir()] == ["c"]
    assert list((tmp_path / "c").iterdir()) == []


def test_a_place_that_cannot_be_written(gan_run, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/c: cannot be written \(.*\); choose another folder"):
        sample(gan_run, tmp_path / "file" / "c", 2, report=quiet, **ALL)


@pytest.mark.slow
def test_sounds_are_rendered(gan_run, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "griffin_lim", partial(listen.griffin_lim, rounds=2))
    sample(gan_run, tmp_path / "heard", 2, sounds=1, report=quiet, **ALL)
    files = list((tmp_path / "heard" / "audio").iterdir())
    assert [f.name for f in files] == ["000001.wav"]
    y, rate = soundfile.read(files[0])
    assert rate == 22_050
    assert len(y) / rate == pytest.approx(30, abs=0.1)
    assert 0 < np.abs(y).max() <= 1


def test_an_unsound_gan_is_refused_unless_forced_and_then_marked(unsound, tmp_path):
    with pytest.raises(ModelError, match=r"received a training that failed: it was lost; .* --force"):
        sample(unsound, tmp_path / "c", 4, report=quiet)
    assert not (tmp_path / "c").exists()
    said = []
    sample(unsound, tmp_path / "c", 4, force=True, report=said.append, **ALL)
    assert any("drawn by force from a training that failed" in line for line in said)
    about = json.loads((tmp_path / "c" / "gan.json").read_text())
    assert about["unsound"] == "a training that failed: it was lost"
    assert about["status"] == "failed"


def test_many_for_a_song_and_labels_that_music_has_not_are_warned_of(gan_run, tmp_path):
    songs = len(open_run(gan_run).targets)
    said = []
    sample(gan_run, tmp_path / "many", 2 * songs + 1, report=said.append, **ALL)
    assert any(f"{2 * songs + 1} spectrograms of {songs} songs, more than 2 each" in line for line in said)
    said.clear()
    sample(gan_run, tmp_path / "flat", 4, way="uniform", report=said.append, **ALL)
    assert any("% of uniform labels lie where the training songs have none" in line for line in said)


def test_bad_options_and_a_full_folder(gan_run, made, tmp_path):
    with pytest.raises(ConfigError, match="count of 1 or more"):
        sample(gan_run, tmp_path / "x", 0, report=quiet)
    with pytest.raises(ConfigError, match=r"min_confidence in \[0, 1\)"):
        sample(gan_run, tmp_path / "x", 1, min_confidence=1.0, report=quiet)
    with pytest.raises(ConfigError, match="tolerance above 0"):
        sample(gan_run, tmp_path / "x", 1, tolerance=0, report=quiet)
    with pytest.raises(DataError, match="expected an empty or new folder"):
        sample(gan_run, made, 1, report=quiet)
