import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from sentio_tf.evaluation import metrics
from sentio_tf.losses import SIGN_SCALE, CCCLoss, EmotionLoss, ccc_loss, row_weights
from sentio_tf.metrics import CCC


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
    saved = keras.saving.serialize_keras_object(EmotionLoss(0.3, consistency=0.7, name="mine"))
    again = keras.saving.deserialize_keras_object(saved)
    assert (again.mse_weight, again.consistency, again.name) == (0.3, 0.7, "mine")


# -- unlabelled rows --------------------------------------------------------------------------------


def labelled_rows(rng, count=12):
    """Rated rows, then signs, and answers to them."""
    values = rng.uniform(-1, 1, (count, 2))
    rated = (np.arange(count) < count // 2)[:, None]
    rows = np.concatenate([np.where(rated, values, np.sign(values)), rated], axis=1)
    return rows.astype(np.float32), rng.uniform(-1, 1, (count, 2)).astype(np.float32)


def before_unlabelled(y_true, y_pred, mse_weight):
    """The loss as it was when every row had a label."""
    from keras import ops

    target, rated = y_true[:, :2], y_true[:, 2:]
    error = ops.square(target - y_pred)
    mse = ops.sum(rated * error) / ops.maximum(2 * ops.sum(rated), 1.0)
    z = y_pred / SIGN_SCALE
    logistic = ops.softplus(-z) + (1 - target) / 2 * z
    sign = ops.sum((1 - rated) * logistic) / ops.maximum(2 * ops.sum(1 - rated), 1.0)
    share = ops.mean(rated)
    rating = ops.mean(ccc_loss(target, y_pred, rated)) + mse_weight * mse
    return float(share * rating + (1 - share) * sign)


@pytest.mark.parametrize("consistency", [0.0, 0.5])
@pytest.mark.parametrize("count", [1, 2, 7, 31, 32])
def test_labelled_batches_have_the_loss_they_always_had(rng, consistency, count):
    rows, outputs = labelled_rows(rng, count)
    found = EmotionLoss(0.6, consistency)(rows, outputs)
    assert float(found) == before_unlabelled(keras.ops.array(rows), keras.ops.array(outputs), 0.6), "to the last bit"


def test_pairs_of_a_song_should_agree(rng):
    """Labelled part + weight x mean squared distance of the pairs, in numpy, with the rows in any order."""
    rows, outputs = labelled_rows(rng)
    ids = [7, 7, 16_777_215, 16_777_215, 16_777_214, 3]  # two pairs, and two rows whose partner is elsewhere
    unlabelled = np.array([[i, i, -1] for i in ids], np.float32)
    answers = rng.uniform(-1, 1, (6, 2)).astype(np.float32)
    pairs = np.mean([np.square(answers[0] - answers[1]), np.square(answers[2] - answers[3])])
    order = rng.permutation(18)
    together = np.concatenate([rows, unlabelled])[order], np.concatenate([outputs, answers])[order]
    plain = loss(rows, outputs)
    for weight in (0, 0.5, 2):
        assert loss(*together, consistency=weight) == pytest.approx(plain + weight * pairs, abs=1e-5)
    alone = loss(unlabelled, answers, consistency=3)
    assert alone == pytest.approx(3 * pairs, abs=1e-5)
    assert loss(unlabelled[3:], answers[3:], consistency=3) == 0, "half pairs count nothing"


def test_gradients_of_pairs_pull_them_together(rng):
    import tensorflow as tf

    rows, outputs = labelled_rows(rng)
    targets = np.concatenate([rows, [[9_999_999, 9_999_999, -1]] * 2 + [[5, 5, -1]]]).astype(np.float32)
    answers = tf.Variable(np.concatenate([outputs, [[0.5, 0.1], [-0.5, 0.1], [0.9, 0.9]]]).astype(np.float32))

    def gradient(consistency):
        with tf.GradientTape() as tape:
            value = EmotionLoss(consistency=consistency)(targets, answers)
        return tape.gradient(value, answers).numpy()

    without, with_ = gradient(0.0), gradient(1.0)
    assert np.isfinite(with_).all()
    np.testing.assert_array_equal(without[12:], 0)
    np.testing.assert_allclose(with_[:12], without[:12], atol=1e-7)
    # d/dy of the mean over axes of (y1 - y2)^2, one pair.
    np.testing.assert_allclose(with_[12:], [[1, 0], [-1, 0], [0, 0]], atol=1e-6)


def test_rows_without_a_label_weigh_nothing_elsewhere(rng):
    rows, outputs = labelled_rows(rng)
    more = np.concatenate([rows, [[16_777_215, 16_777_215, -1]] * 4]).astype(np.float32)
    answers = np.concatenate([outputs, np.ones((4, 2))]).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(row_weights(more, answers))[:, 0], np.maximum(more[:, 2], 0))
    assert float(CCCLoss()(more, answers)) == pytest.approx(float(CCCLoss()(rows, outputs)), abs=1e-6)
    metric, reference = CCC(), CCC()
    metric.update_state(more, answers)
    reference.update_state(rows, outputs)
    assert float(metric.result()) == pytest.approx(float(reference.result()), abs=1e-6)


def test_jax_has_the_same_loss_and_gradient(rng, tmp_path):
    pytest.importorskip("jax")
    import tensorflow as tf

    rows, outputs = labelled_rows(rng)
    targets = np.concatenate([rows, [[4, 4, -1], [4, 4, -1], [8, 8, -1]]]).astype(np.float32)
    answers = np.concatenate([outputs, rng.uniform(-1, 1, (3, 2))]).astype(np.float32)
    np.savez(tmp_path / "in.npz", targets=targets, answers=answers)
    code = (
        "import sys\nsys.modules['tensorflow'] = None\nimport jax, numpy as np\n"
        "from sentio_tf.losses import EmotionLoss\n"
        "given = np.load(sys.argv[1])\nf = EmotionLoss(0.6, 0.8)\n"
        "found = jax.jit(jax.value_and_grad(lambda y: f(given['targets'], y)))(given['answers'])\n"
        "np.savez(sys.argv[2], value=found[0], gradient=found[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "in.npz"), str(tmp_path / "out.npz")],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = np.load(tmp_path / "out.npz")
    variable = tf.Variable(answers)
    with tf.GradientTape() as tape:
        value = EmotionLoss(0.6, 0.8)(targets, variable)
    assert float(found["value"]) == pytest.approx(float(value), abs=1e-6)
    np.testing.assert_allclose(found["gradient"], tape.gradient(value, variable), atol=1e-6)


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
    keras.utils.set_random_seed(0)
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
