import keras
import numpy as np
import pytest

from sentio_tf.evaluation import metrics
from sentio_tf.losses import SIGN_SCALE, EmotionLoss, ccc_loss


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
