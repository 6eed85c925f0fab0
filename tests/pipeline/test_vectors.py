import dataclasses

import numpy as np
import pytest

from sentio_tf import corpora, features, pipeline
from sentio_tf.contract import N_FRAMES
from sentio_tf.errors import ConfigError, DataError
from sentio_tf.pipeline import vectors as module
from sentio_tf.pipeline.vectors import needs_audio, split_sets, vectors


@pytest.fixture
def tracks(mini):
    return corpora.read(f"folder:{mini / 'rated'}")[:6]


def table(path, ids, matrix, names=("a", "b")):
    features.write(path, ids, list(names), np.asarray(matrix, np.float32))
    return str(path)


def test_names_of_sets():
    assert split_sets("recipe+musicnn") == ["recipe", "musicnn"]
    assert split_sets("x/my table.csv") == ["x/my table.csv"]
    assert needs_audio("x.parquet+bands")
    assert not needs_audio("x.parquet")
    with pytest.raises(ConfigError, match=r"expected recipe, .*received 'mfcc'"):
        split_sets("recipe+mfcc")


def test_a_file_whose_name_has_a_plus_is_one_table(tmp_path):
    path = tmp_path / "a+b.csv"
    path.write_text("track_id,x\n1,2\n")
    assert split_sets(str(path)) == [str(path)]


def test_hand_crafted_are_those_of_the_extractor(tracks, tmp_path):
    names, matrix, failed = vectors(tracks, "recipe", tmp_path, workers=1)
    expected = features.extract([features.Item(t.path) for t in tracks], "recipe", workers=1)
    assert (names, failed) == (list(expected[0]), {})
    np.testing.assert_array_equal(matrix, expected[1])
    assert matrix.shape == (6, 164)


def test_bands_are_statistics_of_the_mel(tracks, run):
    names, matrix, failed = vectors(tracks, "bands", run["cache"])
    assert not failed
    x = pipeline.crop(run["store"].read(tracks[2]), 0, N_FRAMES)[:, :, 0]
    row = dict(zip(names, matrix[2], strict=True))
    assert row["band_010_mean"] == pytest.approx(x[9].mean(), abs=1e-3)
    assert row["band_128_std"] == pytest.approx(x[127].std(), abs=1e-3)
    assert row["band_001_step"] == pytest.approx(np.abs(np.diff(x[0])).mean(), abs=1e-3)


def test_joined_sets_say_whose_columns_they_are(tracks, tmp_path, run):
    ids = {"track_id": [t.track_id for t in tracks]}
    file = table(tmp_path / "mine.csv", ids, np.arange(12).reshape(6, 2))
    names, matrix, _ = vectors(tracks, f"bands+{file}", run["cache"])
    assert names[-2:] == ["mine:a", "mine:b"]
    assert names[0].startswith("bands:")
    assert matrix[:, -2:].tolist() == np.arange(12).reshape(6, 2).tolist()


@pytest.mark.parametrize("column", ["track_id", "song_id", "id"])
def test_table_rows_find_their_tracks_in_any_order(tracks, tmp_path, column):
    ids = [t.track_id for t in tracks][::-1]
    file = table(tmp_path / "t.parquet", {column: ids}, np.arange(12).reshape(6, 2))
    _, matrix, failed = vectors(tracks, file, tmp_path)
    assert not failed
    assert matrix[0].tolist() == [10, 11]


def test_table_by_path_and_by_corpus(tracks, tmp_path):
    file = table(tmp_path / "p.csv", {"path": [str(t.path) for t in tracks]}, np.arange(12).reshape(6, 2))
    assert vectors(tracks, file, tmp_path)[1][5].tolist() == [10, 11]
    ids = {"corpus": [t.corpus for t in tracks] * 2, "track_id": [t.track_id for t in tracks] * 2}
    ids["corpus"][6:] = ["other"] * 6
    file = table(tmp_path / "c.csv", ids, np.arange(24).reshape(12, 2))
    assert vectors(tracks, file, tmp_path)[1][0].tolist() == [0, 1], "the same id in another corpus is another track"


def test_a_running_number_names_no_tracks(tracks, tmp_path):
    ids = {"track_id": [t.track_id for t in tracks], "id": [t.track_id for t in tracks][::-1]}
    file = table(tmp_path / "t.csv", ids, np.arange(12).reshape(6, 2))
    assert vectors(tracks, file, tmp_path)[1][0].tolist() == [0, 1], "the better column decides, not the last"


def test_several_corpora_need_a_column_that_says_which(tracks, tmp_path):
    other = [dataclasses.replace(t, corpus="other") for t in tracks]
    file = table(tmp_path / "t.csv", {"track_id": [t.track_id for t in tracks]}, np.zeros((6, 2)))
    with pytest.raises(DataError, match="expected a column corpus"):
        vectors([*tracks, *other], file, tmp_path)


def test_tracks_without_a_row_fail_by_name(tracks, tmp_path):
    file = table(tmp_path / "t.csv", {"track_id": [t.track_id for t in tracks[:4]]}, np.zeros((4, 2)))
    _, matrix, failed = vectors(tracks, file, tmp_path)
    assert set(failed) == {t.key for t in tracks[4:]}
    assert np.isnan(matrix[4:]).all()
    assert np.isfinite(matrix[:4]).all()
    strange = [dataclasses.replace(t, track_id=f"x{t.track_id}") for t in tracks]
    with pytest.raises(DataError, match="received a table of others"):
        vectors(strange, file, tmp_path)


def test_broken_audio_fails_by_name_and_keeps_the_others(tracks, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    mixed = [*tracks[:2], dataclasses.replace(tracks[2], path=bad)]
    _, matrix, failed = vectors(mixed, "recipe", tmp_path, workers=1)
    assert list(failed) == [tracks[2].key]
    assert "bad.wav" in failed[tracks[2].key]
    assert np.isfinite(matrix[:2]).all()


def test_networks_are_asked_by_name(tracks, tmp_path, monkeypatch):
    asked = []

    def embed(tracks, which, root, **_):
        asked.append(which)
        return ["z"], np.ones((len(tracks), 1), np.float32), {}

    monkeypatch.setattr("sentio_tf.pipeline.embeddings.embed", embed)
    names, matrix, _ = vectors(tracks, "musicnn+vit", tmp_path)
    assert asked == ["musicnn", "vit"]
    assert names == ["musicnn:z", "vit:z"]
    assert matrix.shape == (6, 2)
    assert set(module.NETWORKS) <= set(module.SETS)
