import dataclasses
import sys

import numpy as np
import pytest

from sentio_tf import corpora
from sentio_tf.config import ClassicalConfig
from sentio_tf.corpora import split
from sentio_tf.corpora.track import Track
from sentio_tf.errors import ConfigError, DataError
from sentio_tf.training import run as shared
from sentio_tf.training.plan import plan


def tracks(n=24, groups=12):
    rng = np.random.default_rng(0)
    return [
        Track(f"s{i}", "c", None, f"g{i % groups}", valence=v, arousal=a)  # type: ignore[arg-type]
        for i, (v, a) in enumerate(rng.uniform(-1, 1, (n, 2)))
    ]


def save(path, parts, *, scheme, groups=None, own=None):
    own = own or tracks()
    split.Split(
        scheme,
        {t.key: (p,) for t, p in zip(own, parts, strict=True)},
        {t.key: groups or t.group for t in own},
        {},
    ).save(path)
    return path


def test_folds_judge_everything_once():
    work = plan(tracks(), folds=3, seed=0, grid=2)
    assert [p.name for p in work.parts] == ["0", "1", "2", "final"]
    assert sorted(i for p in work.parts for i in p.test) == list(range(24))
    for part in work.parts[:-1]:
        assert sorted([*part.train, *part.test]) == list(range(24))
    assert work.parts[-1].train == list(range(24))
    assert work.protocol == "out-of-fold, grouped"


@pytest.mark.parametrize(("n", "folds"), [(1, 5), (3, 5), (4, 3)])
def test_one_song_or_fewer_songs_than_folds(n, folds):
    with pytest.raises(DataError, match=rf"expected {folds} groups or more, received \d \({n} tracks\)"):
        plan(tracks(n, groups=2), folds=folds, seed=0, grid=2)


def test_holdout_and_official_splits_are_one_part(tmp_path):
    own = tracks()
    where = ["train"] * 16 + ["validation"] * 4 + ["test"] * 4
    work = plan(own, folds=0, seed=0, grid=2, split=save(tmp_path / "h", where, scheme="holdout"), allow_divided=True)
    first = work.parts[0]
    assert (first.train, first.validation, first.test) == ([*range(16)], [*range(16, 20)], [*range(20, 24)])
    assert work.protocol == "holdout split, train -> test (8 groups divided)"
    where = ["train"] * 12 + ["val"] * 10 + [split.UNUSED] * 2
    work = plan(own, folds=0, seed=0, grid=2, split=save(tmp_path / "o", where, scheme="official"), allow_divided=True)
    first = work.parts[0]
    assert first.test == [*range(12, 22)], "the validation part, where there is no test part"
    assert first.validation is None
    assert len(work.parts[-1].train) == 24
    assert "train -> val" in work.protocol


def test_divided_groups_are_refused_kept_or_purged(tmp_path):
    where = ["train"] * 20 + ["test"] * 4  # s20 .. s23 share the groups of s8 .. s11
    file = save(tmp_path / "s", where, scheme="official")
    options = {"folds": 0, "seed": 0, "grid": 2, "split": file}
    with pytest.raises(DataError, match=r"4 groups lie in more than one.*--allow-divided.*--purge-divided"):
        plan(tracks(), **options)
    kept = plan(tracks(), **options, allow_divided=True)
    assert (kept.divided, len(kept.parts[0].train)) == (4, 20)
    purged = plan(tracks(), **options, purge_divided=True)
    assert (purged.divided, purged.purged) == (0, 4)
    assert purged.parts[0].train == [i for i in range(20) if not 8 <= i < 12]
    assert "4 training tracks of divided groups left out" in purged.protocol


def test_official_folds_may_count_from_one(tmp_path):
    own = tracks()
    where = [str(1 + i % 12 % 3) for i in range(24)]
    work = plan(own, folds=0, seed=0, grid=2, split=save(tmp_path / "s", where, scheme="official"))
    assert work.folds == 3
    assert work.parts[0].test == [i for i in range(24) if i % 12 % 3 == 0]


def test_repeated_splits_are_refused(tmp_path):
    split.make(tracks(), "repeated", k=3, repeats=2).save(tmp_path / "s")
    with pytest.raises(DataError, match=r"assigns every track once, received 2 repeats.*--seed N"):
        plan(tracks(), folds=0, seed=0, grid=2, split=tmp_path / "s")


def test_purging_may_leave_nothing(tmp_path):
    own = [dataclasses.replace(t, group="one") for t in tracks()]
    file = save(tmp_path / "s", ["train"] * 20 + ["test"] * 4, scheme="official", own=own)
    with pytest.raises(DataError, match="expected training and test tracks in every part"):
        plan(own, folds=0, seed=0, grid=2, split=file, purge_divided=True)


def test_what_is_left_out_is_another_experiment(tmp_path):
    """The same split, with and without its divided groups: a run of one is not continued as the other."""
    file = save(tmp_path / "s", ["train"] * 20 + ["test"] * 4, scheme="official")
    options = {"folds": 0, "seed": 0, "grid": 2, "split": file}
    kept, purged = plan(tracks(), **options, allow_divided=True), plan(tracks(), **options, purge_divided=True)
    assert kept.hash == purged.hash
    assert kept.exact != purged.exact
    made = ClassicalConfig()
    claim = {"labels_and_audio": "x"}
    shared.claim(tmp_path / "r", made, ["folder:x"], tracks(), work=kept, **claim)
    (tmp_path / "r" / "fold-0").mkdir()
    (tmp_path / "r" / "fold-0" / "done.json").write_text("{}")  # something was trained
    with pytest.raises(ConfigError, match="another configuration or other data"):
        shared.claim(tmp_path / "r", made, ["folder:x"], tracks(), work=purged, **claim)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"seconds": 1}'])
def test_half_written_parts_are_not_finished(tmp_path, text):
    (tmp_path / "done.json").write_text(text)
    assert shared.finished(tmp_path) is None
    (tmp_path / "done.json").write_text('{"seconds": 1, "git_commit": ""}')
    assert shared.finished(tmp_path) == {"seconds": 1, "git_commit": ""}
    assert shared.finished(tmp_path, "model.keras") is None


def test_files_are_whole_or_as_before(tmp_path, monkeypatch):
    shared.write_json(tmp_path / "a.json", {"a": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared.os, "replace", full)
    with pytest.raises(ConfigError, match=r"a.json: cannot be written \(No space left on device\)"):
        shared.write_json(tmp_path / "a.json", {"a": 2})
    assert (tmp_path / "a.json").read_text() == '{\n "a": 1\n}\n'


def test_splits_without_a_test_part(tmp_path):
    with pytest.raises(DataError, match=r"parts train and test \(or validation\), received train"):
        plan(tracks(), folds=0, seed=0, grid=2, split=save(tmp_path / "s", ["train"] * 24, scheme="official"))


def test_prediction_rows_carry_what_ceilings_and_genres_need():
    track = dataclasses.replace(tracks()[0], genre="Jazz", valence_sd=0.25, arousal_sd=0.5, raters=12)
    row = shared.prediction_row(track, "0", "test", np.array([0.1, 0.2]))
    assert (row["genre"], row["valence_sd"], row["raters"]) == ("Jazz", 0.25, 12)
    assert tuple(row) == shared.COLUMNS
    bare = shared.prediction_row(tracks()[0], "0", "test", np.array([0.1, 0.2]))
    assert (bare["valence_sd"], bare["raters"]) == ("", "")


def test_command_names_no_folder_of_this_machine(monkeypatch):
    line = ["/x/bin/sentio-tf", "fit", "svr", "--data", "deam:/home/me/deam", "--out", "/tmp/r", "--set", "a=b"]
    monkeypatch.setattr(sys, "argv", line)
    assert shared.command() == "sentio-tf fit svr --data deam:ROOT/deam --out r --set a=b"
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pytest", "-q"])
    assert shared.command() == "called from Python"


def test_labels_hash_is_of_labels_and_audio():
    own = tracks()
    base = shared.labels_hash(own, ["a"] * 24)
    assert shared.labels_hash(own[::-1], ["a"] * 24) == base
    assert shared.labels_hash(own, ["b"] * 24) != base
    assert shared.labels_hash([dataclasses.replace(own[0], valence=0.123), *own[1:]], ["a"] * 24) != base


def test_tracks_must_be_of_one_corpus_each_and_have_an_emotion(mini, monkeypatch):
    source = f"folder:{mini / 'rated'}"
    with pytest.raises(DataError, match=r"received folder-rated/00\.wav twice"):
        shared.read_tracks([source, source])
    with pytest.raises(ConfigError, match="received none; add --data"):
        shared.read_tracks([])
    none = dict.fromkeys(("valence", "arousal", "valence_sign", "arousal_sign"))
    mute = [dataclasses.replace(t, category="dog", **none) for t in corpora.read(source)]
    monkeypatch.setattr(corpora, "read", lambda *a, **k: mute)
    with pytest.raises(DataError, match="not for emotion"):
        shared.read_tracks([source], report=lambda _: None)
