import keras
import numpy as np
import pytest
import tensorflow as tf

from sentio_tf.errors import ConfigError
from sentio_tf.gan.augment import DEFAULTS, RandomShift, augmenter


@pytest.fixture
def x(rng):
    return rng.uniform(-1, 1, (4, 8, 60, 1)).astype(np.float32)


def test_a_shift_turns_each_spectrogram_by_a_turn_of_its_own(x):
    y = np.asarray(RandomShift(0.25, seed=3)(x, training=True))
    turns = []
    for before, after in zip(x[..., 0], y[..., 0], strict=True):
        found = [t for t in range(-15, 16) if np.array_equal(np.roll(before, t, axis=1), after)]
        assert len(found) == 1
        turns += found
    assert len(set(turns)) > 1


def test_nothing_happens_outside_training(x):
    np.testing.assert_array_equal(np.asarray(augmenter({}, 0)(x, training=False)), x)


def test_gradients_reach_what_is_not_masked(x):
    """Differentiable: a shift passes every gradient on, a mask those beside it."""
    layers = augmenter({"masks": 1, "mask_share": 0.3}, 0)
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        out = layers(inputs, training=True)
        loss = tf.reduce_sum(out)
    gradient = tape.gradient(loss, inputs).numpy()
    kept = (np.asarray(out) != 0).sum()
    assert kept < x.size
    assert gradient.sum() == pytest.approx(kept, rel=1e-3)
    assert set(np.unique(gradient)) <= {0.0, 1.0}


def test_the_same_seed_draws_the_same(x):
    first, second = (np.asarray(augmenter({}, 5)(x, training=True)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, np.asarray(augmenter({}, 6)(x, training=True)))


def test_both_sides_go_through_the_same_distribution():
    """Real and generated are one batch: means over many draws do not differ by the place in it."""
    x = np.ones((64, 8, 60, 1), np.float32)
    y = np.asarray(augmenter({"level": 0.5}, 1)(x, training=True))
    first, second = (half.mean(axis=(1, 2, 3)) for half in np.split(y, 2))
    assert abs(first.mean() - second.mean()) < 3 * np.sqrt((first.var() + second.var()) / 32)


def test_none_is_nothing_and_amounts_have_a_range():
    assert augmenter(None, 0) is None
    with pytest.raises(ConfigError, match=r"expected shift, level, masks, mask_share, received 'pitch'"):
        augmenter({"pitch": 1}, 0)
    for name in DEFAULTS:
        with pytest.raises(ConfigError, match=f"expected {name} from 0 to"):
            augmenter({name: 99}, 0)
    with pytest.raises(ConfigError, match=r"expected a whole number of masks, received 1\.7; round it"):
        augmenter({"masks": 1.7}, 0)
    assert augmenter({"masks": 2.0}, 0).get_layer("masks").freq_masks == 2


def test_a_shift_is_saved_with_its_model(tmp_path, x):
    inputs = keras.Input(x.shape[1:])
    keras.Model(inputs, RandomShift(0.1, seed=1)(inputs)).save(tmp_path / "m.keras")
    assert keras.models.load_model(tmp_path / "m.keras").layers[-1].share == 0.1
