import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf.gan.scale import CLIP, BandScale


def scale_of(seed: int) -> BandScale:
    rng = np.random.default_rng(seed)
    return BandScale(rng.uniform(-60, 20, 128), rng.uniform(1, 20, 128))


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_what_tanh_reaches_comes_back_exactly(seed):
    """dB -> [-1, 1] -> dB is the identity within three sd, and clips to three sd beyond."""
    scale = scale_of(seed)
    z = np.random.default_rng(seed).uniform(-6, 6, (2, 128, 7, 1))
    db = (z * scale.std.reshape(1, -1, 1, 1) + scale.mean.reshape(1, -1, 1, 1)).astype(np.float32)
    x = np.asarray(scale.scaled(db))
    assert np.abs(x).max() <= 1
    back = np.asarray(scale(x))
    inside = np.abs(z) < CLIP - 1e-4
    np.testing.assert_allclose(back[inside], db[inside], atol=2e-4)
    wanted = np.clip(z, -CLIP, CLIP) * scale.std.reshape(1, -1, 1, 1) + scale.mean.reshape(1, -1, 1, 1)
    np.testing.assert_allclose(back, wanted, atol=2e-4)
    assert scale.clipped_share(db) == pytest.approx((np.abs(z) > CLIP).mean(), abs=1e-3)


def test_it_is_saved_with_the_model(tmp_path):
    inputs = keras.Input((128, 3, 1))
    model = keras.Model(inputs, scale_of(1)(inputs))
    model.save(tmp_path / "m.keras")
    x = np.linspace(-1, 1, 128 * 3).reshape(1, 128, 3, 1).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(keras.models.load_model(tmp_path / "m.keras")(x)), np.asarray(model(x)))


def test_a_band_without_deviation_is_refused():
    with pytest.raises(ValueError, match="std > 0"):
        BandScale(np.zeros(128), np.zeros(128))
