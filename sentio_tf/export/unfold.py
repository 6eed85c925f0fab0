"""Convolutions over wide stretches of bands, in the shape that runtimes compute fast.

TFLite's kernels take the channels of a place together and walk over the places of the filter.  A filter of 7 x 38
places on one channel, as musicnn's, gives them one number a place; here the 38 bands are laid side by side as channels
first.  The sum is the same.
"""

from __future__ import annotations

import keras
import numpy as np

WIDEST = 16  # bands of a filter that is left as it is


class UnfoldedConv2D(keras.layers.Conv2D):
    """`Conv2D` of one channel `(batch, time, bands, 1)`, whose filters' bands are taken as channels; same weights.

    Raises: ValueError for what it cannot compute, see `unfolds`.
    """

    def build(self, input_shape):
        super().build(input_shape)
        if not unfolds(self):
            raise ValueError(f"expected a convolution of one channel without strides. Received: {self.get_config()}")

    def call(self, inputs):
        width = self.kernel_size[1]
        places = np.arange(inputs.shape[2] - width + 1)[:, None] + np.arange(width)
        x = keras.ops.take(inputs[..., 0], places, axis=2)  # (batch, time, places, width)
        x = keras.ops.conv(x, keras.ops.transpose(self.kernel, (0, 2, 1, 3)), 1, self.padding)
        return self.activation(x + self.bias if self.use_bias else x)


def unfolds(layer: keras.layers.Layer) -> bool:
    """Whether a layer is such a convolution: one channel, no strides or holes, nothing padded."""
    return (
        type(layer) in (keras.layers.Conv2D, UnfoldedConv2D)  # not one that rounds
        and layer.kernel.shape[2] == 1
        and layer.kernel_size[1] > WIDEST
        and {layer.strides, layer.dilation_rate} == {(1, 1)}
        and (layer.groups, layer.padding, layer.data_format) == (1, "valid", "channels_last")
    )


def unfold(network: keras.Model) -> keras.Model:
    """`network` with all such layers of its own replaced, names and weights as they are; itself where it has none."""
    if not any(unfolds(layer) and type(layer) is keras.layers.Conv2D for layer in network.layers):
        return network

    def own(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = UnfoldedConv2D if unfolds(layer) else type(layer)
        return kind.from_config(layer.get_config())

    found = keras.models.clone_model(network, clone_function=own)
    found.set_weights(network.get_weights())
    return found
