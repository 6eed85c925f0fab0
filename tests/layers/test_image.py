import keras
import numpy as np
import pytest

from sentio_tf.layers.image import MelImage


def test_shape_range_and_channels(rng):
    mel = (rng.random((3, 128, 1292, 1)) * 80 - 70).astype(np.float32)
    image = np.asarray(MelImage(224)(mel))
    assert image.shape == (3, 224, 224, 3) == MelImage(224).compute_output_shape(mel.shape)
    assert image.min() >= -1
    assert image.max() <= 1
    np.testing.assert_array_equal(image[..., 0], image[..., 1])
    np.testing.assert_array_equal(image[..., 0], image[..., 2])


def test_a_ramp_stays_a_ramp():
    """Closed form: linear interpolation with half-pixel centres keeps a line, away from the borders."""
    mel = np.broadcast_to(np.arange(128.0)[None, :, None, None], (1, 128, 50, 1)).astype(np.float32)
    image = np.asarray(MelImage(64)(mel))[0, :, 10, 0]
    expected = 2 * ((np.arange(64) + 0.5) * 2 - 0.5) / 127 - 1
    np.testing.assert_allclose(image[2:-2], expected[2:-2], atol=1e-6)


def test_it_is_antialiased(rng):
    """Eight columns become one: their mean counts, not the two in the middle."""
    mel = np.tile(np.array([0.0, 1, 0, 0, 0, 0, 1, 0], np.float32), 32)[None, None, :, None]
    image = np.asarray(MelImage(32)(np.repeat(mel, 32, axis=1)))[0, 5, 4:-4, 0]
    np.testing.assert_allclose(image, 2 * 0.25 - 1, atol=0.15)


@pytest.mark.parametrize("level", [-100.0, 0.0, 1e-5])
def test_a_clip_without_range_is_dark(level):
    image = np.asarray(MelImage(16)(np.full((1, 8, 20, 1), level, np.float32)))
    np.testing.assert_allclose(image, -1, atol=1e-6)


def test_level_does_not_matter(rng):
    mel = (rng.random((1, 16, 40, 1)) * 60).astype(np.float32)
    np.testing.assert_allclose(MelImage(16)(mel), MelImage(16)(mel - 20), atol=1e-5)


def test_it_is_saved(tmp_path):
    mel = keras.Input((16, 40, 1))
    keras.Model(mel, MelImage(8)(mel)).save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").output_shape == (None, 8, 8, 3)
