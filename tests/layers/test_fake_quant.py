import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from sentio_tf.layers.fake_quant import (
    FakeQuant,
    FakeQuantConv2D,
    FakeQuantDepthwiseConv2D,
    SteadyBatchNormalization,
    activation_scale,
    quantized_kernel,
)


def reference_int8(x, low, high):
    """TFLite's asymmetric INT8, in whole numbers: `tfl.quantize`, then `tfl.dequantize`."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    zero = -128 - round(low / scale)
    q = np.clip(np.round(x / scale) + zero, -128, 127).astype(np.int8)
    return (q.astype(np.float64) - zero) * scale


@settings(max_examples=60, deadline=None)
@given(
    low=st.floats(-50, 0),
    width=st.floats(0.01, 100),
    seed=st.integers(0, 99),
)
def test_activations_are_those_of_int8(low, width, seed):
    high = low + width
    x = np.random.default_rng(seed).uniform(low - width, high + width, (3, 4, 5)).astype(np.float32)
    layer = FakeQuant()
    layer.build(x.shape)
    for variable, value in ((layer.low, low), (layer.high, high), (layer.seen, 1)):
        variable.assign(value)
    found = np.asarray(layer(x))
    scale = (max(high, 0) - min(low, 0)) / 255
    # A value in the middle between two steps may fall to either side in float32.
    off = np.abs(found - reference_int8(x, np.float32(low), np.float32(high)))
    assert np.percentile(off, 90) < 1e-3 * scale
    assert off.max() <= scale * 1.01


@pytest.mark.parametrize(("low", "high"), [(1.0, 4.0), (-3.0, -1.0), (-1.0, 2.0)])
def test_zero_is_exact(low, high):
    """Padding is zero: a range that does not hold it is widened, and a step lies on it."""
    scale, zero = (float(np.asarray(v)) for v in activation_scale(np.float32(low), np.float32(high)))
    assert zero == round(zero)
    assert 0 <= zero <= 255
    assert scale == pytest.approx((max(high, 0) - min(low, 0)) / 255)


def test_ranges_follow_the_batches_in_training_alone():
    layer = FakeQuant(momentum=0.9)
    x = np.array([[-1.0, 0.3, 2.0]], np.float32)
    np.testing.assert_array_equal(np.asarray(layer(x)), x)  # nothing seen, nothing changed
    layer(x, training=True)
    assert (float(layer.low.numpy()), float(layer.high.numpy())) == (-1, 2)
    layer(2 * x, training=True)
    assert float(layer.low.numpy()) == pytest.approx(0.9 * -1 + 0.1 * -2)
    assert float(layer.high.numpy()) == pytest.approx(0.9 * 2 + 0.1 * 4)
    before = layer.get_weights()
    layer(100 * x)
    np.testing.assert_array_equal(layer.get_weights(), before)
    assert float(np.asarray(layer(100 * x)).max()) == pytest.approx(2.2, abs=0.02)


def gradient(function, x):
    """d sum(function(x)) / dx, by whatever backend runs."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        variable = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(variable)
            total = tf.reduce_sum(function(variable))
        return np.asarray(tape.gradient(total, variable))
    import jax

    return np.asarray(jax.grad(lambda v: function(v).sum())(x))


def test_gradients_go_through_the_rounding_and_stop_at_the_ends():
    layer = FakeQuant()
    layer(np.array([-1.0, 1.0], np.float32), training=True)
    x = np.array([-3.0, -0.51, 0.0, 0.27, 0.99, 5.0], np.float32)
    np.testing.assert_array_equal(gradient(layer, x), [0, 1, 1, 1, 1, 0])
    kernel = np.array([0.013, -1.0, 0.4], np.float32).reshape(1, 1, 3, 1)
    np.testing.assert_array_equal(gradient(lambda k: quantized_kernel(k, (0, 1, 2)), kernel), np.ones_like(kernel))


@pytest.mark.parametrize(
    ("plain", "aware", "axes"),
    [
        (layers.Conv2D(5, 3, padding="same", use_bias=True), FakeQuantConv2D, (0, 1, 2)),
        (
            layers.DepthwiseConv2D(3, 2, padding="same", use_bias=True, activation="relu6"),
            FakeQuantDepthwiseConv2D,
            (0, 1),
        ),
        (layers.DepthwiseConv2D(3, padding="valid", use_bias=False), FakeQuantDepthwiseConv2D, (0, 1)),
    ],
)
def test_a_convolution_with_the_rounded_kernel(plain, aware, axes, rng):
    """The layer's answer is that of Keras' own with a kernel of 255 levels a channel."""
    x = rng.standard_normal((2, 9, 8, 4)).astype(np.float32)
    plain.build(x.shape)
    kernel, *bias = (rng.standard_normal(w.shape).astype(np.float32) for w in plain.get_weights())
    layer = aware.from_config(plain.get_config())
    layer.build(x.shape)
    layer.set_weights([kernel, *bias])
    scale = np.abs(kernel).max(axis=axes, keepdims=True) / 127
    whole = np.round(kernel / scale)
    assert np.abs(whole).max() == 127
    plain.set_weights([(whole * scale).astype(np.float32), *bias])
    np.testing.assert_allclose(np.asarray(layer(x)), np.asarray(plain(x)), atol=1e-5)


def test_steady_normalisation_keeps_its_statistics_and_trains_its_scale(rng):
    layer = SteadyBatchNormalization()
    x = 5 + rng.standard_normal((8, 3)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(layer(x, training=True)), x / np.sqrt(1 + 1e-3), rtol=1e-5)
    assert not layer.moving_mean.numpy().any()
    assert [v.name for v in layer.trainable_variables] == ["gamma", "beta"]
