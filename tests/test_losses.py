import keras
import numpy as np
import pytest

from sentio_tf.evaluation import metrics
from sentio_tf.losses import SIGN_SCALE, CCCLoss, EmotionLoss, ccc_loss


def test_ccc_loss_is_one_minus_the_metric(rng):
    reference, estimated = rng.uniform(-1, 1, (2, 50, 2)).astype(np.float32)
    loss = np.asarray(ccc_loss(reference, estimated, np.ones((50, 1), np.float32)))
    for axis in range(2):
        assert loss[axis] == pytest.approx(1 - metrics.ccc(reference[:, axis], estimated[:, axis]), abs=1e-4)


def test_rows_without_weight_do_not_matter(rng):
    reference, estimated = rng.uniform(-1, 1, (2, 20, 2)).astype(np.float32)
    weight = (np.arange(20) < 12).astype(np.float32)[:, None]
    some = np.asarray(ccc_loss(reference, estimated, weight))
    reference[12:] = 7
    np.testing.assert_allclose(np.asarray(ccc_loss(reference, estimated, weight)), some, atol=1e-6)
    only = np.asarray(ccc_loss(reference[:12], estimated[:12], weight[:12]))
    np.testing.assert_allclose(some, only, atol=1e-6)


def loss(targets, outputs, **kwargs):
    return float(EmotionLoss(**kwargs)(np.array(targets, np.float32), np.array(outputs, np.float32)))


def test_signs_only_is_the_logistic_loss():
    expected = np.log1p(np.exp(-0.5 / SIGN_SCALE))
    assert loss([[1, -1, 0], [-1, 1, 0]], [[0.5, -0.5], [-0.5, 0.5]]) == pytest.approx(expected, rel=1e-5)


def test_each_kind_counts_by_its_share():
    rated = [[0.3, -0.2, 1], [-0.5, 0.4, 1]]
    signs = [[1, 1, 0], [-1, 1, 0], [1, -1, 0]]
    a = [[0.1, 0.0], [0.0, 0.2]]
    b = [[0.2, 0.1], [0.3, 0.4], [0.1, 0.1]]
    both = loss(rated + signs, a + b)
    assert both == pytest.approx(0.4 * loss(rated, a) + 0.6 * loss(signs, b), rel=1e-5)


@pytest.mark.parametrize("rows", [[[0.3, 0.1, 1]], [[1, -1, 0]], [[0.2, 0.2, 1], [0.2, 0.2, 1]]])
def test_gradients_are_finite_for_tiny_or_constant_batches(rows):
    import tensorflow as tf

    outputs = tf.Variable(np.zeros((len(rows), 2), np.float32))
    with tf.GradientTape() as tape:
        value = EmotionLoss()(tf.constant(rows, tf.float32), outputs)
    gradient = tape.gradient(value, outputs)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_falls_towards_the_truth(rng):
    targets = np.concatenate([rng.uniform(-1, 1, (8, 2)), np.ones((8, 1))], axis=1)
    good, bad = loss(targets, targets[:, :2]), loss(targets, -targets[:, :2])
    assert good < 1e-3 < bad


def test_saved_and_loaded():
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(EmotionLoss(0.3)))
    assert again.mse_weight == 0.3


# -- CCCLoss ----------------------------------------------------------------------------------------


def gradient_of(targets, outputs, **kwargs):
    import tensorflow as tf

    outputs = tf.Variable(np.asarray(outputs, np.float32))
    with tf.GradientTape() as tape:
        value = CCCLoss()(np.asarray(targets, np.float32), outputs, **kwargs)
    return float(value), tape.gradient(value, outputs).numpy()


def exact(targets, outputs):
    return 1 - np.mean([metrics.ccc(targets[:, i], outputs[:, i]) for i in range(2)])


def test_ccc_loss_for_notebooks(rng):
    reference, estimated = rng.uniform(-1, 1, (2, 40, 2)).astype(np.float32)
    assert float(CCCLoss()(reference, estimated)) == pytest.approx(exact(reference, estimated), abs=1e-4)
    rated = (np.arange(40) % 3 > 0).astype(np.float32)
    targets = np.concatenate([reference, rated[:, None]], axis=1)
    some = exact(reference[rated == 1], estimated[rated == 1])
    assert float(CCCLoss()(targets, estimated)) == pytest.approx(some, abs=1e-4)
    # Weights in any unit and either shape, not the loss times the weights.
    for weight in (rated, 0.01 * rated[:, None]):
        found = CCCLoss()(reference, estimated, sample_weight=weight)
        assert found.shape == ()
        assert float(found) == pytest.approx(some, abs=1e-4)


def test_gradient_of_ccc_loss_is_that_of_finite_differences(rng):
    """Central differences of the numpy metric, in float64."""
    reference = rng.uniform(-1, 1, (12, 2))
    estimated = 0.5 * reference + rng.uniform(-0.5, 0.5, (12, 2))
    _, gradient = gradient_of(reference, estimated)
    expected, step = np.zeros((12, 2)), 1e-5
    for place in np.ndindex(12, 2):
        moved = np.zeros((12, 2))
        moved[place] = step
        expected[place] = (exact(reference, estimated + moved) - exact(reference, estimated - moved)) / (2 * step)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_ccc_loss_without_spread_has_a_finite_gradient(rng):
    moving = rng.uniform(-1, 1, (6, 2))
    constant = np.full((6, 2), 0.1)
    for targets, outputs, expected in (
        (moving, constant, 1),
        (constant, moving, 1),
        (constant, constant, 1),
        (moving[:1], moving[:1], 0),
        (np.concatenate([moving, np.zeros((6, 1))], axis=1), moving, 0),
    ):
        value, gradient = gradient_of(targets, outputs)
        assert value == pytest.approx(expected, abs=1e-5)
        assert np.isfinite(gradient).all()
    value, gradient = gradient_of(moving, moving, sample_weight=np.zeros(6))
    assert value == 0
    assert np.isfinite(gradient).all()
    # From constant outputs the way out is towards the truth.
    _, gradient = gradient_of(moving, np.zeros((6, 2)))
    assert (np.sum(-gradient * (moving - moving.mean(axis=0)), axis=0) > 0).all()


def test_ccc_loss_trains_and_is_saved(rng):
    x = rng.standard_normal((64, 3)).astype(np.float32)
    y = np.tanh(x[:, :2])
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.1), CCCLoss())
    losses = model.fit(x, y, batch_size=32, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.1 < losses[0]
    weighted = model.evaluate(x, y, sample_weight=np.full(64, 3.0), batch_size=64, verbose=0)
    assert weighted == pytest.approx(exact(y, model.predict(x, verbose=0)), abs=1e-4)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(CCCLoss(name="mine")))
    assert isinstance(again, CCCLoss)
    assert again.name == "mine"


def test_ccc_loss_refuses_other_shapes():
    wrong = np.zeros((4, 1), np.float32)
    with pytest.raises(ValueError, match=r"expected targets \(batch, 2\) or \(batch, 3\)"):
        CCCLoss()(wrong, wrong)
