"""The published recipe's quality rules, each with an example that breaks it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sentio_tf import corpora, pipeline
from sentio_tf.contract import N_FRAMES
from sentio_tf.corpora.track import Track
from sentio_tf.layers.normalize import ClipZScore
from sentio_tf.pipeline.checks import check_labels, check_tracks, check_window, zscore


@pytest.fixture
def window(rng):
    return (rng.standard_normal((128, N_FRAMES, 1)) * 15 - 30).astype(np.float32)


def test_a_good_window_has_nothing(window):
    assert check_window(window) == []


def test_zscore_is_the_layers(window):
    np.testing.assert_allclose(zscore(window), np.asarray(ClipZScore()(window[None]))[0], atol=1e-4)


def test_frames_are_exactly_1292(window):
    assert check_window(window[:, :-1]) == ["expected 1292 frames, received 1291"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite(window, value):
    window[3, 5:7] = value
    assert check_window(window) == ["expected finite values, received 2 that are not"]


def test_silence(window):
    assert "constant spectrogram" in check_window(np.full_like(window, -80))[0]


def test_a_score_beyond_eight(window):
    window[0, 0] = zscore(window).std() * 15 * 9.5 - 30
    (wrong,) = check_window(window)
    assert wrong.startswith("expected z-scores within +-8, received 9")


@pytest.mark.parametrize(
    ("fields", "bad"),
    [({"valence": 0.0, "arousal": 1.0}, 0), ({"valence": float("nan"), "arousal": -1.2}, 2),
     ({"valence_sign": 1, "arousal_sign": -1}, 0), ({"valence_sign": 2, "arousal_sign": None}, 2)],
)  # fmt: skip
def test_labels_lie_in_the_scale(fields, bad):
    assert len(check_labels(Track("a", "c", Path("x"), "g", **fields))) == bad


def test_tracks_are_judged_over_all_their_windows(mini, tmp_path, make_music):
    tracks = corpora.read(f"folder:{mini / 'rated'}")[:3]
    files = {"silent": np.zeros(22_050 * 31), "half": np.r_[make_music(30), np.zeros(22_050 * 31)]}
    for name, y in files.items():
        soundfile.write(tmp_path / f"{name}.flac", y, 22_050)
        tracks.append(dataclasses.replace(tracks[0], track_id=name, path=tmp_path / f"{name}.flac"))
    tracks.append(dataclasses.replace(tracks[0], track_id="off", valence=1.5))
    cache = pipeline.open_cache(pipeline.Spec(tmp_path))
    cache.build(tracks, workers=1)
    quality = check_tracks(tracks, cache)
    corpus = tracks[0].corpus
    assert quality.errors == {
        f"{corpus}/silent": "expected sound, received silence only",
        f"{corpus}/off": "expected valence in [-1, 1], received 1.5",
    }
    assert "windows are silent" in quality.warnings[f"{corpus}/half"]
    assert quality.windows == 4 + 2 + 4
    assert "expected z-scores within +-8" in quality.warnings[f"{corpus}/half"], "a second of sound among silence"
    assert quality.lowest < 0 < 8 < quality.highest
    assert "z-scores from" in quality.lines()[0]


def test_what_the_dataset_gives_keeps_the_rules(mini, tmp_path):
    tracks = corpora.read(f"folder:{mini / 'rated'}")
    for x, y in pipeline.dataset(tracks, pipeline.Spec(tmp_path), batch=8).take(2):
        assert [check_window(window) for window in x.numpy()] == [[]] * 8
        assert np.abs(y.numpy()).max() <= 1


@pytest.mark.shared
def test_real_music_keeps_the_rules(shared, tmp_path):
    tracks = corpora.read_labels(f"emomusic:{shared / 'emomusic'}")
    tracks = [t for t in tracks if t.path.exists()]
    cache = pipeline.open_cache(pipeline.Spec(tmp_path))
    assert cache.build(tracks, workers=2) == {}
    quality = check_tracks(tracks, cache)
    assert quality.errors == {}
    assert max(-quality.lowest, quality.highest) < 8
    assert quality.far < 0.001
