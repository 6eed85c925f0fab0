import keras
import numpy as np
import pytest

from sentio_tf.contract import MEL
from sentio_tf.layers.domain import LAG, DomainDistance, DomainStatistics, lag_of
from sentio_tf.layers.normalize import BandNormalize, BandStatistics, ClipZScore
from sentio_tf.layers.specaugment import RandomEqualizer, SpecAugment
from sentio_tf.training.domain import Domain, features


@pytest.fixture
def mel(rng):
    return (rng.standard_normal((4, 128, 60, 1)) * 15 - 30).astype(np.float32)


def test_band_normalize_is_the_inverse_of_its_statistics(mel):
    mean, std = mel.mean((0, 2, 3)), mel.std((0, 2, 3))
    out = np.asarray(BandNormalize(mean, std)(mel))
    np.testing.assert_allclose(out.mean((0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(out.std((0, 2, 3)), 1, atol=1e-4)


def test_band_normalize_refuses_a_dead_band():
    with pytest.raises(ValueError, match="std > 0"):
        BandNormalize(np.zeros(3), np.array([1.0, 0.0, 1.0]))


def test_clip_zscore_throws_the_level_away(mel):
    layer = ClipZScore()
    np.testing.assert_allclose(np.asarray(layer(mel)), np.asarray(layer(mel + 12)), atol=1e-4)
    np.testing.assert_allclose(np.asarray(layer(mel)).std((1, 2, 3)), 1, atol=1e-3)
    assert not np.asarray(layer(np.full((1, 128, 60, 1), -100.0))).any(), "silence gives zeros, not NaN"


def test_band_statistics(mel):
    out = np.asarray(BandStatistics()(mel))
    assert out.shape == (4, 384)
    x = mel[..., 0]
    np.testing.assert_allclose(out[:, :128], x.mean(2), atol=1e-3)
    np.testing.assert_allclose(out[:, 128:256], x.std(2), atol=1e-3)
    np.testing.assert_allclose(out[:, 256:], np.abs(np.diff(x, axis=2)).mean(2), atol=1e-3)


def test_domain_distance_and_its_numpy_twin(mel, rng):
    x = np.stack([features(m) for m in mel])
    np.testing.assert_allclose(np.asarray(DomainStatistics()(mel)), x, atol=1e-3)
    domain = Domain(rng.standard_normal(160).astype("f"), rng.uniform(0.5, 2, 160).astype("f"))
    out = np.asarray(DomainDistance(domain.mean, domain.std)(mel))
    np.testing.assert_allclose(out, domain.distance(x), rtol=1e-3)
    louder = np.asarray(DomainStatistics()(mel + 10))
    np.testing.assert_allclose(louder, x, atol=1e-3, err_msg="the level must not matter")


def test_domain_of_another_front_end(rng):
    """As musicnn's: fewer bands, and frames that follow each other faster, so that more of them are as long."""
    from sentio_tf.audio.musicnn_mel import SPEC

    assert lag_of(MEL) == LAG
    assert lag_of(SPEC) == 12
    mel = rng.uniform(0, 60, (3, 96, 200, 1)).astype("f")
    x = np.stack([features(m, 12) for m in mel])
    assert x.shape == (3, 120)
    np.testing.assert_allclose(np.asarray(DomainStatistics(12)(mel)), x, atol=1e-3)
    assert np.abs(np.asarray(DomainStatistics()(mel)) - x).max() > 0.01, "the lag matters"
    domain = Domain(np.zeros(120, "f"), np.full(120, 2, "f"))
    out = np.asarray(DomainDistance(domain.mean, domain.std, lag=12)(mel))
    np.testing.assert_allclose(out, domain.distance(x), rtol=1e-3)


def test_augmentation_is_off_outside_training(mel):
    for layer in (SpecAugment(), RandomEqualizer()):
        np.testing.assert_array_equal(np.asarray(layer(mel)), mel)


def test_specaugment_masks_whole_rows_and_columns_within_bounds(mel):
    ones = np.ones((64, 128, 60, 1), np.float32)
    out = np.asarray(SpecAugment(2, 0.15, 2, 0.2, seed=1)(ones, training=True))[..., 0]
    assert set(np.unique(out)) == {0.0, 1.0}
    bands, frames = ~out.any(axis=2), ~out.any(axis=1)
    # A cell is dropped exactly if its band or its frame is.
    np.testing.assert_array_equal(out == 0, bands[:, :, None] | frames[:, None, :])
    assert bands.sum(1).max() <= 2 * np.ceil(0.15 * 128)
    assert frames.sum(1).max() <= 2 * np.ceil(0.2 * 60)
    assert bands.any()
    assert frames.any()
    assert len(np.unique(bands, axis=0)) > 32, "every clip has its own masks"


def test_equalizer_is_a_line_within_its_bounds(mel):
    out = np.asarray(RandomEqualizer(6, 4, seed=1)(mel, training=True)) - mel
    line = out[:, :, 0, 0]
    np.testing.assert_allclose(out, np.broadcast_to(line[:, :, None, None], out.shape), atol=1e-4)
    np.testing.assert_allclose(np.diff(line, 2, axis=1), 0, atol=1e-4)
    assert np.abs(line.mean(1)).max() <= 6
    assert np.abs(line[:, -1] - line[:, 0]).max() <= 4
    assert len(np.unique(line.mean(1).round(4))) == 4, "every clip has its own"


def test_same_seed_same_masks(mel):
    one, other = (np.asarray(SpecAugment(seed=5)(mel, training=True)) for _ in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "layer",
    [
        SpecAugment(1, 0.1, 3, 0.3, seed=2),
        RandomEqualizer(3, 2, seed=2),
        BandNormalize(np.arange(128.0), np.ones(128)),
        DomainDistance(np.zeros(160), np.ones(160), lag=5),
        ClipZScore(),
        BandStatistics(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_config_survives(layer):
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    assert keras.saving.serialize_keras_object(again) == config
