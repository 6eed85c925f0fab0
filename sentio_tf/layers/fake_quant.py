"""Quantisation as training feels it: what INT8 would make of weights and activations, in float.

Jacob et al. 2018, arXiv:1712.05877, section 3; gradients go straight through the rounding (Bengio et al. 2013,
arXiv:1308.3432) and stop where a value is clipped.  The numbers are those of the exporter's INT8: weights symmetric
with a scale for each output channel, activations asymmetric with one for the tensor.
"""

from __future__ import annotations

import keras
from keras import layers, ops

WEIGHT_LEVELS = 127  # INT8 without -128
ACTIVATION_STEPS = 255


def rounded(x, scale):
    """Whole multiples of `scale`, nearest to `x`; the gradient is that of `x`."""
    return x + ops.stop_gradient(ops.round(x / scale) * scale - x)


def quantized_kernel(kernel, axes: tuple[int, ...]):
    """A kernel as INT8 holds it, with a scale for each slice that `axes` leave apart, the largest weight being 127.

    A batch normalisation behind it, which the converter folds into the kernel, scales whole channels and changes
    nothing about this.
    """
    largest = ops.max(ops.abs(kernel), axis=axes, keepdims=True)
    return rounded(kernel, ops.stop_gradient(ops.maximum(largest, 1e-9)) / WEIGHT_LEVELS)


def activation_scale(low, high):
    """Scale and zero point, in steps above the lowest value, of a range that is widened to hold 0."""
    low, high = ops.minimum(low, 0.0), ops.maximum(high, 0.0)
    scale = ops.maximum(high - low, 1e-9) / ACTIVATION_STEPS
    return scale, ops.round(-low / scale)


@keras.saving.register_keras_serializable("sentio_tf")
class FakeQuant(layers.Layer):
    """Activations as INT8 holds them; while training the range follows the batches, as batch normalisation does.

    Until it has seen a batch in training it changes nothing.

    Args:
        momentum: of the moving averages of the smallest and the largest value of a batch.
    """

    def __init__(self, momentum: float = 0.95, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum

    def build(self, shape):
        own = {"shape": (), "initializer": "zeros", "trainable": False, "dtype": "float32"}
        self.low = self.add_weight(name="low", **own)
        self.high = self.add_weight(name="high", **own)
        self.seen = self.add_weight(name="seen", **own)

    def call(self, x, training=False):
        if training:
            first = self.seen < 0.5
            for bound, value in ((self.low, ops.min(x)), (self.high, ops.max(x))):
                value = ops.stop_gradient(ops.cast(value, "float32"))
                bound.assign(ops.where(first, value, self.momentum * bound + (1 - self.momentum) * value))
            self.seen.assign(ops.ones(()))
        scale, zero = activation_scale(self.low, self.high)
        inside = ops.clip(x, -zero * scale, (ACTIVATION_STEPS - zero) * scale)
        return ops.where(self.seen > 0.5, rounded(inside, scale), x)

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


@keras.saving.register_keras_serializable("sentio_tf")
class FakeQuantConv2D(layers.Conv2D):
    """`Conv2D` with its kernel as INT8 holds it."""

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, quantized_kernel(kernel, (0, 1, 2)))


@keras.saving.register_keras_serializable("sentio_tf")
class FakeQuantDepthwiseConv2D(layers.DepthwiseConv2D):
    """`DepthwiseConv2D` with its kernel as INT8 holds it."""

    def call(self, inputs):
        x = ops.depthwise_conv(
            inputs,
            quantized_kernel(self.kernel, (0, 1)),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        if self.use_bias:
            x = ops.add(x, ops.reshape(self.bias, (1, 1, 1, -1)))
        return x if self.activation is None else self.activation(x)


@keras.saving.register_keras_serializable("sentio_tf")
class SteadyBatchNormalization(layers.BatchNormalization):
    """Batch normalisation by the statistics that it has, also while its scale and offset train.

    What is exported folds these statistics into the convolution: with those of each batch, training would feel the
    rounding of another network.
    """

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=False, mask=mask)
