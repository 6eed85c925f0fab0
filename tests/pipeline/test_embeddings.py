import dataclasses
import shutil
import sqlite3
from contextlib import closing

import keras
import numpy as np
import pytest
import soundfile

from sentio_tf import corpora, pipeline
from sentio_tf.audio import decode
from sentio_tf.audio.musicnn_mel import musicnn_mel, patches
from sentio_tf.contract import N_FRAMES
from sentio_tf.errors import DataError, ModelError
from sentio_tf.features import store
from sentio_tf.models import musicnn, pretrained
from sentio_tf.pipeline import embeddings
from sentio_tf.pipeline.embeddings import FILE, columns, embed

from ..models.test_musicnn import random_checkpoint

SHAPES = {"musicnn": (187, 96), "vit": (128, N_FRAMES, 1)}
WIDTHS = {"musicnn": 3012, "vit": 1536}


@pytest.fixture(scope="module")
def stand_ins():
    """Tiny networks of the true shapes: what is tested is the path around them."""
    found = {}
    for which, shape in SHAPES.items():
        x = keras.Input(shape)
        y = keras.layers.Flatten()(keras.layers.AveragePooling1D(11)(x) if which == "musicnn" else x[:, ::16, ::101])
        found[which] = keras.Model(x, keras.layers.Dense(WIDTHS[which], activation="tanh")(y / 10))
    return found


@pytest.fixture
def networks(stand_ins, monkeypatch):
    """Names of the networks that were asked for."""
    asked = []

    def network(which, root, *, report=None):
        asked.append(which)
        return stand_ins[which]

    monkeypatch.setattr(embeddings, "network", network)
    return asked


@pytest.fixture(scope="module")
def tracks(mini):
    return corpora.read(f"folder:{mini / 'rated'}")[:4]


@pytest.fixture
def long_track(tmp_path, make_music, tracks):
    soundfile.write(tmp_path / "long.wav", make_music(50, seed=3), 22_050)
    return dataclasses.replace(tracks[0], track_id="long", path=tmp_path / "long.wav")


def quiet(line):
    raise AssertionError(line)


def test_musicnn_is_mean_and_sd_over_patches(networks, stand_ins, tracks, long_track, tmp_path):
    names, matrix, failed = embed([*tracks, long_track], "musicnn", tmp_path, batch=3, report=quiet)
    assert failed == {}
    assert matrix.shape == (5, len(names)) == (5, 6024)
    assert matrix.dtype == np.float32
    for track, row in zip([*tracks, long_track], matrix, strict=True):
        y = decode.load(track.path, sample_rate=16_000)
        own = stand_ins["musicnn"].predict_on_batch(patches(musicnn_mel(y)))
        np.testing.assert_allclose(row, np.concatenate([own.mean(0), own.std(0)]), atol=1e-5)
    assert not np.allclose(matrix[0], matrix[1], atol=1e-3), "rows differ, so their order was tested"


def test_vit_is_the_mean_over_windows(networks, stand_ins, tracks, long_track, tmp_path):
    names, matrix, failed = embed([tracks[0], long_track], "vit", tmp_path, batch=2, report=quiet)
    assert failed == {}
    assert matrix.shape == (2, len(names)) == (2, 1536)
    cache = pipeline.open_cache(pipeline.Spec(tmp_path))
    for track, row, windows in ((tracks[0], matrix[0], 1), (long_track, matrix[1], 3)):
        values = cache.read(track)
        x = np.stack([pipeline.crop(values, s, N_FRAMES) for s in pipeline.window_starts(len(values))])
        assert len(x) == windows
        np.testing.assert_allclose(row, stand_ins["vit"].predict_on_batch(x).mean(0), atol=1e-5)


@pytest.mark.parametrize("which", SHAPES)
def test_a_second_time_nothing_is_computed(networks, tracks, tmp_path, which):
    said = []
    _, first, _ = embed(tracks[:2], which, tmp_path, progress=lambda *step: said.append(step), report=quiet)
    assert [s for s in said if s[0] == which] == [(which, 1, 2), (which, 2, 2)]
    _, again, _ = embed([tracks[1], tracks[0]], which, tmp_path, progress=pytest.fail, report=quiet)
    assert networks == [which]
    np.testing.assert_array_equal(again, first[::-1])
    _, more, _ = embed(tracks[:3], which, tmp_path, report=quiet)
    np.testing.assert_array_equal(more[:2], first)
    assert networks == [which, which]


def test_the_batch_does_not_matter(networks, tracks, tmp_path):
    _, one, _ = embed(tracks[:2], "musicnn", tmp_path / "a", batch=1, report=quiet)
    _, many, _ = embed(tracks[:2], "musicnn", tmp_path / "b", batch=64, report=quiet)
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_parts_of_a_file_have_vectors_of_their_own(networks, long_track, tmp_path):
    parts = [
        dataclasses.replace(long_track, track_id=str(start), start_s=start, duration_s=5.0) for start in (0.0, 10.0)
    ]
    twin = dataclasses.replace(parts[0], track_id="twin")
    said = []
    _, matrix, _ = embed([*parts, twin], "musicnn", tmp_path, progress=lambda *step: said.append(step), report=quiet)
    assert not np.allclose(matrix[0], matrix[1], atol=1e-3)
    np.testing.assert_array_equal(matrix[0], matrix[2])
    assert said == [("musicnn", 1, 2), ("musicnn", 2, 2)], "the twin cost nothing"


@pytest.mark.parametrize("which", SHAPES)
def test_what_cannot_be_read_loses_nothing_else(networks, tracks, tmp_path, which):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no music at all")
    strange = dataclasses.replace(tracks[0], track_id="bad", path=bad)
    gone = dataclasses.replace(tracks[0], track_id="gone", path=tmp_path / "gone.wav")
    _, matrix, failed = embed([strange, tracks[1], gone], which, tmp_path, report=quiet)
    assert set(failed) == {strange.key, gone.key}
    assert "expected an audio file" in failed[strange.key]
    assert "cannot be read" in failed[gone.key]
    assert np.isnan(matrix[[0, 2]]).all()
    assert np.isfinite(matrix[1]).all()


@pytest.mark.parametrize("which", SHAPES)
@pytest.mark.parametrize("samples", [1, 441, 22_050])
def test_silent_and_short_tracks_have_vectors(networks, tracks, tmp_path, which, samples):
    soundfile.write(tmp_path / "short.wav", np.zeros(samples, np.float32), 22_050)
    track = dataclasses.replace(tracks[0], path=tmp_path / "short.wav")
    _, matrix, failed = embed([track], which, tmp_path, report=quiet)
    if failed:  # too little to resample to 16 kHz
        assert samples == 1
        assert "too few to resample" in failed[track.key]
    else:
        assert np.isfinite(matrix).all()


def test_no_tracks(networks, tmp_path):
    names, matrix, failed = embed([], "musicnn", tmp_path, report=quiet)
    assert matrix.shape == (0, len(names))
    assert failed == {}
    assert networks == []


def test_other_weights_have_other_vectors(networks, tracks, tmp_path, monkeypatch):
    embed(tracks[:1], "musicnn", tmp_path, report=quiet)
    monkeypatch.setattr(pretrained, "VERSION", 99)
    embed(tracks[:1], "musicnn", tmp_path, report=quiet)
    assert networks == ["musicnn", "musicnn"]
    with closing(sqlite3.connect(tmp_path / FILE)) as file:
        assert file.execute("SELECT COUNT(*) FROM vectors").fetchone() == (2,)


@pytest.mark.parametrize("change", ["vector = zeroblob(length(vector))", "vector = x'00'", "crc = crc + 1"])
def test_a_changed_vector_is_computed_again(networks, tracks, tmp_path, change):
    _, first, _ = embed(tracks[:1], "musicnn", tmp_path, report=quiet)
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as file:
        file.execute(f"UPDATE vectors SET {change}")
    said = []
    _, again, _ = embed(tracks[:1], "musicnn", tmp_path, report=said.append)
    assert said == [f"{FILE}: 1 damaged entries; their vectors are computed again"]
    assert networks == ["musicnn", "musicnn"]
    np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("start", [0, 4096], ids=["head", "pages"])
def test_a_damaged_file_is_made_anew(networks, tracks, tmp_path, start):
    _, first, _ = embed(tracks[:2], "musicnn", tmp_path, report=quiet)
    file = tmp_path / FILE
    content = file.read_bytes()
    assert len(content) > 8192
    file.write_bytes(content[:start] + b"\xff" * (len(content) - start))
    said = []
    _, again, _ = embed(tracks[:2], "musicnn", tmp_path, report=said.append)
    assert len(said) == 1
    assert "damaged" in said[0]
    assert "computed again" in said[0]
    np.testing.assert_array_equal(again, first)
    embed(tracks[:2], "musicnn", tmp_path, report=quiet)
    assert networks == ["musicnn", "musicnn"]


def test_a_folder_that_cannot_be_written(networks, tracks, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"the cache cannot be used \(.*\); free space"):
        embed(tracks[:1], "musicnn", tmp_path / "file", report=quiet)


def test_a_full_disk_keeps_what_is_finished(networks, tracks, tmp_path, monkeypatch):
    write, count = store.Store.write, []

    def full(self, key, vector):
        count.append(key)
        if len(count) == 2:
            raise sqlite3.OperationalError("database or disk is full")
        write(self, key, vector)

    monkeypatch.setattr(store.Store, "write", full)
    with pytest.raises(DataError, match=r"cannot be used \(database or disk is full\)"):
        embed(tracks[:3], "musicnn", tmp_path, report=quiet)
    said = []
    embed(tracks[:3], "musicnn", tmp_path, progress=lambda *step: said.append(step), report=quiet)
    assert said[-1] == ("musicnn", 2, 2), "the first was kept"


def test_unknown_network(tmp_path):
    with pytest.raises(ValueError, match=r"expected one of musicnn, vit\. Received: clap"):
        embed([], "clap", tmp_path)


def test_without_weights_it_says_why(tracks, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(ModelError, match=r"musicnn==0\.1\.0 from your package index"):
        embed(tracks[:1], "musicnn", tmp_path, report=lambda line: None)


def test_columns_are_named_in_the_order_of_the_network(tmp_path, monkeypatch, rng):
    weights = {}
    for seed, network in enumerate(musicnn.NETWORKS):
        weights |= musicnn.convert(random_checkpoint(seed), network)
    monkeypatch.setattr(pretrained, "fetch", lambda *_, **__: None)
    monkeypatch.setattr(pretrained, "load", lambda _: weights)
    x = rng.random((1, 187, 96)).astype(np.float32)
    found = embeddings.network("musicnn", tmp_path).predict_on_batch(x)[0]
    names = columns("musicnn")
    assert len(set(names)) == len(names) == 2 * len(found)
    for network in musicnn.NETWORKS:
        pooled = musicnn.tagger(weights, network).predict_on_batch(x)["pooled"][0]
        for column, value in ((f"{network}_max_001", pooled[0]), (f"{network}_mean_753", pooled[-1])):
            assert found[names.index(f"{column}_mean")] == pytest.approx(value, abs=1e-5)
            assert names.index(f"{column}_sd") == names.index(f"{column}_mean") + len(found)


def test_vit_columns():
    names = columns("vit")
    assert len(set(names)) == len(names) == WIDTHS["vit"]
    assert (names[0], names[384], names[-1]) == ("block_6_class_001", "block_6_patches_001", "block_9_patches_384")


@pytest.mark.network
def test_the_real_networks_hear(tune, tracks, tmp_path):
    """The same music twice is nearer to itself than to other music."""
    pytest.importorskip("keras_hub")
    pytest.importorskip("onnx")
    copy = tmp_path / "copy.mp3"
    shutil.copy(tune, copy)
    parts = [
        dataclasses.replace(tracks[0], track_id="a", path=tune, duration_s=15.0),
        dataclasses.replace(tracks[0], track_id="b", path=copy, start_s=0.5, duration_s=15.0),
        tracks[1],
    ]
    for which in embeddings.NETWORKS:
        _, matrix, failed = embed(parts, which, tmp_path, report=lambda line: None)
        assert failed == {}
        a, b, other = matrix
        assert np.linalg.norm(a - b) < 0.5 * np.linalg.norm(a - other)
