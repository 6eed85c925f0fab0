import keras
import numpy as np
import pytest
from keras import layers
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sentio_tf.errors import SentioError
from sentio_tf.layers.chunks import ChunkMean, Chunks
from sentio_tf.training.ridge_head import features, initialise, last_dense, linear_head

LENGTH = 6


def network(*, tanh: str = "behind", size: int = LENGTH):
    """Dropout and a hidden layer before the head; with a larger `size`, answers of chunks are averaged."""
    x = keras.Input((size,), name="waveform")
    y = Chunks(LENGTH, axis=1)(x)
    y = layers.Dense(5, activation="relu", kernel_initializer=keras.initializers.GlorotUniform(3))(y)
    y = layers.Dropout(0.5)(y)
    y = layers.Dense(2, activation="tanh" if tanh == "inside" else None, name="logits")(y)
    if tanh == "behind":
        y = layers.Activation("tanh")(y)
    return keras.Model(x, ChunkMean(size // LENGTH)(y))


@pytest.fixture
def x(rng):
    # Scales differ, as those of pooled features do.
    return (rng.standard_normal((40, LENGTH)) * [1, 10, 0.1, 1, 1, 3] + 2).astype(np.float32)


@pytest.fixture
def y(rng, x):
    return np.tanh(0.2 * x[:, :2] / x[:, :2].std(axis=0) - 0.3 + 0.2 * rng.standard_normal((40, 2)))


def reference(model, x, targets, alpha):
    hidden = features(model).predict_on_batch(x).astype(np.float64)
    return make_pipeline(StandardScaler(), Ridge(alpha)).fit(hidden, targets).predict(hidden)


@pytest.mark.parametrize("alpha", [0.1, 30.0])
@pytest.mark.parametrize("tanh", ["behind", "inside"])
def test_answers_are_scikit_learns_ridge(x, y, alpha, tanh):
    """Of arctanh(target), through the tanh."""
    model = network(tanh=tanh)
    linear_head(model, features(model).predict_on_batch(x), y, alpha=alpha)
    expected = reference(model, x, np.arctanh(np.clip(y, -0.95, 0.95)), alpha)
    np.testing.assert_allclose(model.predict_on_batch(x), np.tanh(expected), atol=2e-6)
    assert np.ptp(expected, axis=0).min() > 0.1


def test_without_a_tanh_the_targets_themselves_are_fitted(x, y):
    model = network(tanh="none")
    linear_head(model, features(model).predict_on_batch(x), y, alpha=1.0)
    np.testing.assert_allclose(model.predict_on_batch(x), reference(model, x, y, 1.0), atol=2e-6)


def test_initialise_fits_batches_and_returns_r2(x, y):
    model, whole = network(), network()
    found = initialise(model, (x[i : i + 16] for i in range(0, 40, 16)), y, alpha=1.0)
    linear_head(whole, features(whole).predict_on_batch(x), y, alpha=1.0)
    answers = model.predict_on_batch(x)
    np.testing.assert_allclose(answers, whole.predict_on_batch(x), atol=1e-5)
    residual, total = ((y - answers) ** 2).sum(axis=0), ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    assert found == pytest.approx(np.mean(1 - residual / total), abs=1e-5)
    assert 0.2 < found < 1


def test_targets_may_come_with_the_inputs(x, y):
    found, expected = network(), network()
    targets = []

    def batches():
        for i in range(0, 40, 16):
            targets.extend(y[i : i + 16])
            yield x[i : i + 16]

    initialise(expected, [x], y, alpha=1.0)
    initialise(found, batches(), targets, alpha=1.0)
    np.testing.assert_allclose(found.predict_on_batch(x), expected.predict_on_batch(x), atol=1e-5)


def test_extreme_targets_stay_finite(x, y):
    model = network()
    initialise(model, [x], np.sign(y), alpha=1.0)
    assert np.isfinite(model.get_weights()[-1]).all()


def test_signs_count_half_and_unlabelled_rows_not_at_all(x, y):
    """Targets `(n, 3)` as the loss takes them."""
    rated = np.arange(40) % 4
    targets = np.concatenate([y, np.ones((40, 1))], axis=1)
    targets[rated == 1] = [1, -1, 0]
    targets[rated == 2] = [7, 7, -1]
    found, expected = network(), network()
    initialise(found, [x], targets, alpha=1.0)
    plain = np.where((rated == 1)[:, None], [0.5, -0.5], y)
    initialise(expected, [x[rated != 2]], plain[rated != 2], alpha=1.0)
    np.testing.assert_allclose(found.predict_on_batch(x), expected.predict_on_batch(x), atol=1e-6)


def test_chunks_have_the_target_of_their_window(x, y):
    windows = x.reshape(20, 2 * LENGTH)
    found, expected = network(size=2 * LENGTH), network()
    initialise(found, [windows[:12], windows[12:]], y[:20], alpha=1.0)
    initialise(expected, [x], np.repeat(y[:20], 2, axis=0), alpha=1.0)
    np.testing.assert_allclose(found.get_weights()[-2], expected.get_weights()[-2], atol=1e-5)
    np.testing.assert_allclose(
        found.predict_on_batch(windows), expected.predict_on_batch(x).reshape(20, 2, 2).mean(axis=1), atol=1e-5
    )


def test_a_model_of_the_house_starts_from_it(rng):
    from sentio_tf.models import musicnn

    model = musicnn.build(weights=None, samples=186 * 256)
    x = rng.standard_normal((4, 186 * 256)).astype(np.float32) * rng.random((4, 1)).astype(np.float32)
    y = np.linspace(-0.5, 0.5, 8).reshape(4, 2)
    r2 = initialise(model, [x], y, alpha=1e-3)
    assert r2 > 0.9
    np.testing.assert_allclose(model.predict_on_batch(x), y, atol=0.2)
    assert last_dense(model).name == "head_logits"


def test_other_layers_are_left_alone(x, y):
    model = network()
    before = model.get_weights()
    initialise(model, [x], y, alpha=1.0)
    for old, new in zip(before[:-2], model.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_model_without_such_a_layer_is_refused():
    x = keras.Input((LENGTH,))
    with pytest.raises(ValueError, match=r"last Dense layer from \(rows, features\) to 2 outputs\. Received: none"):
        last_dense(keras.Model(x, layers.Activation("tanh")(x)))
    with pytest.raises(ValueError, match=r"Received: three \(None, 6\) -> 3"):
        features(keras.Model(x, layers.Dense(3, name="three")(x)))


def test_wrong_arguments(x, y):
    model = network()
    with pytest.raises(ValueError, match=r"expected as many inputs as targets\. Received: 40 and 39"):
        initialise(model, [x], y[:39], alpha=1.0)
    with pytest.raises(ValueError, match=r"expected as many inputs as targets\. Received: 0 and 40"):
        initialise(model, [], y, alpha=1.0)
    with pytest.raises(ValueError, match=r"expected features \(n, 5\) and targets \(n, 2\)\. Received: \(40, 6\)"):
        linear_head(model, x, y, alpha=1.0)
    with pytest.raises(ValueError, match=r"expected alpha > 0\. Received: 0"):
        linear_head(model, features(model).predict_on_batch(x), y, alpha=0)


def test_what_cannot_be_fitted_is_said(x, y):
    model = network()
    with pytest.raises(SentioError, match=r"expected two labelled examples or more, received 0"):
        initialise(model, [x], np.full((40, 3), -1.0), alpha=1.0)
    x[3, 2] = np.inf
    with pytest.raises(SentioError, match=r"expected finite features"):
        initialise(model, [x], y, alpha=1.0)


def test_a_dead_feature_has_no_weight(x, y):
    """A constant but for rounding: standardised it would be noise, and in single precision more noise than signal."""
    rng = np.random.default_rng(5)
    noise = (2.7 + 1e-7 * rng.standard_normal(len(x))).astype(np.float32)
    dead = np.concatenate([x, noise[:, None]], axis=1)
    inputs = [keras.Input((width,)) for width in (x.shape[1], dead.shape[1])]
    models = [keras.Model(i, layers.Dense(2, activation="tanh")(i)) for i in inputs]
    linear_head(models[0], x, y, alpha=1.0)
    linear_head(models[1], dead, y, alpha=1.0)
    kernels = [last_dense(m).get_weights()[0] for m in models]
    assert not kernels[1][-1].any()
    np.testing.assert_allclose(kernels[1][:-1], kernels[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(models[1].predict_on_batch(dead), models[0].predict_on_batch(x), atol=1e-5)
