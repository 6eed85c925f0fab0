import keras
import numpy as np
import pytest

from sentio_tf.layers.image import MelImage, triangles


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


def test_fixed_range(rng):
    """Closed form: a sd is a third of the range, and nothing lies outside."""
    levels = np.array([-7.0, -3, -1.5, 0, 0.3, 3, 8], np.float32)
    mel = np.broadcast_to(levels[:, None, None, None], (7, 16, 40, 1))
    image = np.asarray(MelImage(8, "fixed")(mel))
    np.testing.assert_allclose(image[:, 3, 3, 1], [-1, -1, -0.5, 0, 0.1, 1, 1], atol=1e-6)


@pytest.mark.parametrize("shape", [(128, 1292, 224, 224), (128, 517, 126, 322), (16, 16, 16, 16), (3, 50, 40, 7)])
@pytest.mark.parametrize("kind", ["clip", "fixed"])
def test_products_are_the_resize(shape, kind, rng):
    """Two matrices against the backend's own antialiased resize: larger, smaller, uneven, the same.

    TensorFlow's places are float32: a thousand columns have them 1e-4 off.
    """
    bands, frames, *size = shape
    mel = rng.standard_normal((2, bands, frames, 1)).astype(np.float32)
    products = MelImage(tuple(size), kind, exportable=True)
    expected = np.asarray(MelImage(tuple(size), kind)(mel))
    assert expected.shape == (2, *size, 3) == products.compute_output_shape(mel.shape)
    np.testing.assert_allclose(products(mel), expected, atol=5e-5)


def test_triangles_are_averages():
    np.testing.assert_allclose(triangles(1292, 322).sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(triangles(5, 5), np.eye(5))
    np.testing.assert_allclose(triangles(2, 4), [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]], atol=1e-7)


def test_unknown_kind():
    with pytest.raises(ValueError, match=r"expected kind clip or fixed\. Received: dark"):
        MelImage(8, "dark")


def test_it_is_saved(tmp_path):
    mel = keras.Input((16, 40, 1))
    layers = [MelImage(8), MelImage((8, 6), "fixed", exportable=True)]
    keras.Model(mel, [layer(mel) for layer in layers]).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.output_shape == [(None, 8, 8, 3), (None, 8, 6, 3)]
    assert [layer.get_config()["kind"] for layer in loaded.layers[1:]] == ["clip", "fixed"]
    assert [layer.exportable for layer in loaded.layers[1:]] == [False, True]
