import dataclasses
import shutil

import numpy as np
import pytest
import soundfile

from sentio_tf import corpora, pipeline
from sentio_tf.audio.mel import log_mel
from sentio_tf.audio.windows import windows
from sentio_tf.contract import MEL, N_FRAMES
from sentio_tf.errors import DataError


@pytest.fixture
def tracks(mini):
    return corpora.read(f"folder:{mini / 'rated'}") + corpora.read(f"folder:{mini / 'signs'}")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cached(tracks, cache):
    assert pipeline.build_cache(tracks, cache, workers=2) == {}
    return tracks


def test_cache_holds_the_mel(cached, cache):
    y, _ = soundfile.read(cached[3].path, dtype="float32")
    values = pipeline.load_mel(cached[3], cache)
    assert values.dtype == np.float16
    np.testing.assert_allclose(values.T, log_mel(y, spec=pipeline.UNLIMITED), atol=0.032)


def test_training_does_not_decode_again(cached, cache, monkeypatch):
    monkeypatch.setattr(pipeline.decode, "load", lambda *a, **k: pytest.fail("decoded again"))
    monkeypatch.setattr(pipeline, "ProcessPoolExecutor", lambda *a, **k: pytest.fail("computed again"))
    assert pipeline.build_cache(cached, cache) == {}
    next(iter(pipeline.dataset(cached, cache, frames=100, batch=4)))


def test_changed_audio_or_part_is_another_entry(tracks, tmp_path):
    copy = tmp_path / "a.wav"
    shutil.copy(tracks[0].path, copy)
    track = dataclasses.replace(tracks[0], path=copy)
    before = pipeline.cached_path(track, tmp_path)
    assert pipeline.cached_path(dataclasses.replace(track, start_s=1), tmp_path) != before
    soundfile.write(copy, np.ones(2000), 22_050)
    assert pipeline.cached_path(track, tmp_path) != before


def test_one_broken_file_does_not_lose_the_others(tracks, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    broken = dataclasses.replace(tracks[0], path=bad, track_id="bad")
    failed = pipeline.build_cache([broken, *tracks[:3]], tmp_path, workers=2)
    assert list(failed) == [broken.key]
    assert str(bad) in failed[broken.key]
    for track in tracks[:3]:
        pipeline.load_mel(track, tmp_path)


def test_damaged_entry_is_removed_and_rebuilt(tracks, tmp_path):
    pipeline.build_cache(tracks[:1], tmp_path, workers=1)
    path = pipeline.cached_path(tracks[0], tmp_path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match="damaged cache file removed"):
        pipeline.load_mel(tracks[0], tmp_path)
    assert pipeline.build_cache(tracks[:1], tmp_path, workers=1) == {}
    pipeline.load_mel(tracks[0], tmp_path)


def test_no_unfinished_files_stay(cached, cache):
    assert not list(cache.rglob("*.part"))


@pytest.mark.parametrize("seconds", [0.3, 12, 30, 30.5, 31.4, 44.9, 45, 61.3, 100])
def test_window_rule_is_the_predictors(seconds):
    samples = np.zeros(int(seconds * 22_050), np.float32)
    expected = [w.start_s for w in windows([samples])]
    found = pipeline.window_starts(MEL.frames(len(samples)))
    frame = MEL.hop_length / MEL.sample_rate
    np.testing.assert_allclose(np.array(found) * frame, expected, atol=1.5 * frame)


def test_crop_repeats_and_has_its_own_floor():
    values = np.full((10, 128), -90, np.float16)
    values[3] = 5
    out = pipeline.crop(values, 2, 20)
    assert out.shape == (128, 20, 1)
    np.testing.assert_array_equal(out[:, :8], out[:, 8:16])
    assert out.min() == 5 - 80


def test_dataset_gives_crops_and_targets(cached, cache):
    x, y = next(iter(pipeline.dataset(cached, cache, frames=64, batch=16, seed=3)))
    assert x.shape == (16, 128, 64, 1)
    assert y.shape == (16, 3)
    known = {tuple(pipeline.target(t)) for t in cached}
    assert {tuple(row) for row in y.numpy()} <= known


def test_an_epoch_draws_as_asked_and_a_seed_repeats_it(cached, cache):
    repeats = {cached[0].corpus: 2, cached[-1].corpus: 0.5}
    assert pipeline.draws(cached, repeats).sum() == 16 * 2 + 16 * 0.5

    def ratings(seed, batches):
        data = pipeline.dataset(cached, cache, frames=8, batch=8, repeats=repeats, seed=seed)
        return [b.numpy() for b in data.map(lambda x, y: x).take(batches)]

    for one, other in zip(ratings(1, 6), ratings(1, 6), strict=True):
        np.testing.assert_array_equal(one, other)
    assert any((a != b).any() for a, b in zip(ratings(1, 2), ratings(2, 2), strict=True))
    kinds = np.concatenate([y[:, 2] for _, y in pipeline.dataset(
        cached, cache, frames=8, batch=8, repeats=repeats, seed=0
    ).take(50).as_numpy_iterator()])  # fmt: skip
    assert kinds.mean() == pytest.approx(0.8, abs=0.05)  # 32 of 40 draws are rated


def test_band_statistics_are_those_of_the_windows(cached, cache):
    mean, std = pipeline.band_statistics(cached[:4], cache)
    windows_ = np.concatenate([pipeline.crop(pipeline.load_mel(t, cache), 0, N_FRAMES) for t in cached[:4]], axis=1)
    np.testing.assert_allclose(mean, windows_.mean((1, 2)), atol=0.1)
    np.testing.assert_allclose(std, windows_.std((1, 2)), rtol=0.01)


def test_tracks_are_predicted_by_the_mean_of_their_windows(cached, cache):
    class Model:
        def predict_on_batch(self, x):
            assert x.shape == (5, 128, N_FRAMES, 1)
            return np.stack([x.mean((1, 2, 3)), x.max((1, 2, 3))], axis=1)

    out = pipeline.predict_tracks(Model(), cached[:7], cache, batch=5)
    for track, (mean, top) in zip(cached[:7], out, strict=True):
        values = pipeline.load_mel(track, cache)
        parts = [pipeline.crop(values, s, N_FRAMES) for s in pipeline.window_starts(len(values))]
        assert mean == pytest.approx(np.mean([p.mean() for p in parts]), abs=1e-3)
        assert top == pytest.approx(np.mean([p.max() for p in parts]), abs=1e-3)
