import keras
import numpy as np
import pytest

from sentio_tf.layers.waveform import RandomGain


@pytest.fixture
def x(rng):
    return rng.standard_normal((400, 5)).astype(np.float32)


def factors(layer, x) -> np.ndarray:
    """What each clip was multiplied by; the same for all of its samples."""
    ratio = np.asarray(layer(x, training=True)) / x
    np.testing.assert_allclose(ratio, ratio[:, :1] * np.ones(5), rtol=1e-5)
    return ratio[:, 0]


def test_gain_is_uniform_in_decibel(x):
    db = 20 * np.log10(factors(RandomGain(6.0, seed=1), x))
    assert np.abs(db).max() <= 6 + 1e-4
    np.testing.assert_allclose(np.quantile(db, [0.25, 0.5, 0.75]), [-3, 0, 3], atol=0.9)


def test_polarity_turns_half_of_the_clips(x):
    found = factors(RandomGain(0.0, polarity=True, seed=1), x)
    np.testing.assert_array_equal(np.abs(found), 1)
    assert 0.4 < (found < 0).mean() < 0.6


@pytest.mark.parametrize("layer", [RandomGain(6.0, polarity=True), RandomGain(0.0)], ids=["inference", "off"])
def test_nothing_happens(layer, x):
    np.testing.assert_array_equal(layer(x, training=layer.gain_db == 0), x)


def test_the_same_seed_gives_the_same_gains(x):
    np.testing.assert_array_equal(factors(RandomGain(6.0, seed=3), x), factors(RandomGain(6.0, seed=3), x))
    assert not np.allclose(factors(RandomGain(6.0, seed=3), x), factors(RandomGain(6.0, seed=4), x))


def test_config_is_complete():
    layer = RandomGain(3.0, polarity=True, seed=7, name="gain")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (again.gain_db, again.polarity, again.seed, again.name) == (3.0, True, 7, "gain")
