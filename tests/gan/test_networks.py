import keras
import numpy as np
import pytest

from sentio_tf.gan import networks


@pytest.fixture
def pair():
    return networks.generator("compact"), networks.discriminator("compact")


def draw(count: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((count, networks.LATENT)).astype(np.float32)
    return latent, rng.uniform(-1, 1, (count, 2)).astype(np.float32)


def test_published_sizes():
    """About 73 M and 5 M, as published; the dense layer alone is 68.3 M."""
    generator = networks.generator("recipe")
    assert generator.count_params() == 73_202_433
    assert generator.get_layer("dense").count_params() == 103 * 1024 * 8 * 81
    assert networks.discriminator("recipe", spectral_norm=False).count_params() == pytest.approx(4.9e6, rel=0.02)


def test_the_shipped_compact_size(monkeypatch):
    monkeypatch.setitem(networks.SIZES, "compact", networks.Size((64, 32, 16), (16, 32, 64), hidden=128, patch=4))
    assert networks.generator("compact").count_params() == pytest.approx(4.3e6, rel=0.02)
    assert networks.discriminator("compact").count_params() == pytest.approx(0.12e6, rel=0.05)


@pytest.mark.parametrize("size", ["recipe", "compact"])
def test_sixteen_times_the_grid_and_cropped(size):
    """Four stages of stride 2, or two and a patch of four: 8 x 81 becomes 128 x 1296, of which 1292 are kept."""
    row = networks.SIZES[size]
    assert 2 ** (len(row.generator) - 1) * row.patch == networks.UPSCALE
    model = networks.generator(size)
    assert model.get_layer("crop").input.shape == (None, 128, 1296, 1)
    assert model.output_shape == (None, 128, 1292, 1)
    assert networks.discriminator(size).get_layer("time_mean").output.shape[1] == 8


def test_spectrograms_lie_in_the_range_of_tanh_and_follow_both_inputs(pair):
    latent, condition = draw(2)
    generator, _ = pair
    x = np.asarray(generator([latent, condition]))
    assert np.abs(x).max() <= 1
    assert not np.allclose(x, np.asarray(generator([latent, -condition])))
    assert not np.allclose(x, np.asarray(generator([-latent, condition])))


@pytest.mark.parametrize("condition", networks.CONDITIONS)
def test_the_discriminator_hears_the_condition(condition):
    model = networks.discriminator("compact", condition=condition)
    x = np.random.default_rng(0).uniform(-1, 1, (3, 128, 1292, 1)).astype(np.float32)
    _, asked = draw(3)
    logits = np.asarray(model([x, asked]))
    assert logits.shape == (3, 1)
    assert not np.allclose(logits, np.asarray(model([x, -asked])))


def test_patches_are_gathered_as_they_were_spread():
    x = np.random.default_rng(0).standard_normal((1, 4, 6, 16)).astype(np.float32)
    grid = keras.Input((4, 6, 16))
    whole = networks._spread(grid, 4)
    both = keras.Model(grid, [whole, networks._gathered(whole, 4)])
    image, back = both(x)
    assert image.shape == (1, 16, 24, 1)
    np.testing.assert_array_equal(np.asarray(back), x)
    assert np.asarray(image)[0, 5, 6, 0] == x[0, 1, 1, 1 * 4 + 2]  # band 5 = 4 + 1, frame 6 = 4 + 2


def test_every_kernel_of_the_discriminator_has_a_largest_singular_value_of_one(pair):
    _, model = pair
    x = np.random.default_rng(0).uniform(-1, 1, (2, 128, 1292, 1)).astype(np.float32)
    _, asked = draw(2)
    kernels = [v for v in model.trainable_variables if v.path.endswith("kernel")]
    assert len(kernels) == 7
    for kernel in kernels:
        kernel.assign(5 * kernel)
    for _ in range(25):
        model([x, asked], training=True)
    for kernel in kernels:
        values = np.linalg.svd(np.asarray(kernel).reshape(-1, kernel.shape[-1]), compute_uv=False)
        assert values[0] == pytest.approx(1, abs=0.05), kernel.path


def test_unknown_size_and_condition():
    with pytest.raises(ValueError, match=r"size one of recipe, compact\. Received: huge"):
        networks.generator("huge")
    with pytest.raises(ValueError, match=r"projection, concatenate\. Received: none"):
        networks.discriminator("compact", condition="none")
