import dataclasses

import numpy as np
import pytest

from sentio_tf import corpora, pipeline
from sentio_tf.audio import musicnn_mel
from sentio_tf.contract import MEL
from sentio_tf.layers.domain import lag_of
from sentio_tf.training.domain import TrackFeatures, calibrate, features, fit_domain, track_features


@pytest.fixture(scope="module")
def fitted(mini, tmp_path_factory):
    cache = pipeline.open_cache(pipeline.Spec(tmp_path_factory.mktemp("c")))
    tracks = corpora.read(f"folder:{mini / 'rated'}")
    cache.build(tracks, workers=1)
    heard = TrackFeatures(cache)
    return tracks, heard, fit_domain(tracks, heard)


def test_training_music_is_about_one(fitted):
    tracks, heard, domain = fitted
    distances = domain.distances(tracks, heard)
    assert np.sqrt(np.mean(distances**2)) == pytest.approx(1, abs=0.1)


def test_noise_is_far(fitted, rng):
    tracks, heard, domain = fitted
    from sentio_tf.audio.mel import log_mel

    noise = log_mel((0.3 * rng.standard_normal(661_500)).astype(np.float32))[:, :, None]
    assert domain.distance(features(noise)) > 1.5 * domain.distances(tracks, heard).max()


def test_of_musicnns_own_mel(mini, tmp_path_factory):
    """Of a cache of sound, at its rate: what the exported network has in itself."""
    mel = dataclasses.replace(MEL, sample_rate=16_000)
    cache = pipeline.open_cache(pipeline.Spec(tmp_path_factory.mktemp("c"), "waveform", mel=mel))
    tracks = corpora.read(f"folder:{mini / 'rated'}")
    cache.build(tracks, workers=1)
    heard = TrackFeatures(cache)
    domain = fit_domain(tracks, heard)
    assert domain.mean.shape == (120,)
    assert np.sqrt(np.mean(domain.distances(tracks, heard) ** 2)) == pytest.approx(1, abs=0.1)
    (_, sound), *_ = pipeline.windows(tracks[:1], cache)
    own = features(musicnn_mel.decibels(musicnn_mel.musicnn_mel(sound))[:, :, None], lag_of(musicnn_mel.SPEC))
    np.testing.assert_array_equal(track_features(tracks[0], cache)[0], own)


def test_each_track_is_read_once(fitted, monkeypatch):
    """Folds ask for nearly all tracks each: windows of the long corpora took minutes a fold."""
    tracks, heard, domain = fitted
    before = domain.distances(tracks, heard)
    monkeypatch.setattr("sentio_tf.training.domain.track_features", None)
    np.testing.assert_array_equal(fit_domain(tracks, heard).distances(tracks, heard), before)


def test_threshold_flags_one_in_a_hundred(rng):
    found = calibrate(rng.gamma(4, size=5000), out_of_fold=True)
    assert np.mean(rng.gamma(4, size=5000) > found["threshold"]) == pytest.approx(0.01, abs=0.006)
    assert found["out_of_fold"]
