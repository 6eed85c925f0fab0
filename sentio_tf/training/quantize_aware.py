"""Quantisation-aware training: a network with INT8's rounding inside, and the network without it again.

Where the rounding goes is what the exporter does (`export.quantize`): kernels of convolutions, and every tensor that
a convolution of the file takes or gives, behind the batch normalisation and activation that are fused with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
from keras import layers

from ..errors import ConfigError
from ..layers.fake_quant import FakeQuant, FakeQuantConv2D, FakeQuantDepthwiseConv2D, SteadyBatchNormalization
from ..models.weights import transfer

SUFFIX = "_int8"  # of the layer behind a layer
# Each class exactly, not what is derived from it.
AWARE: dict[type, type] = {
    layers.Conv2D: FakeQuantConv2D,
    layers.DepthwiseConv2D: FakeQuantDepthwiseConv2D,
    layers.BatchNormalization: SteadyBatchNormalization,
}
PLAIN = {aware: plain for plain, aware in AWARE.items()}
CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D)
FUSED = ("relu", "relu6", "linear")  # activations that TFLite's convolution and addition have inside

Ranges = dict[str, tuple[float, float]]


def quantize_aware(model: keras.Model) -> keras.Model:
    """A copy of a functional network that computes as its INT8 file will, to be trained further; weights are copied.

    Its answers are those of `model` until the ranges of activations have seen a batch in training.  Batch
    normalisation keeps its statistics.

    Raises: ConfigError for a network without `Conv2D` or `DepthwiseConv2D`, which `int8` leaves in float.
    """
    points = set(_points(model))
    if not points:
        raise ConfigError(
            f"quantize_aware: expected a network with convolutions, which int8 takes, received {model.name} without; "
            "export it with --quantize dynamic"
        )

    def call(layer, *args, **kwargs):
        x = layer(*args, **kwargs)
        name = layer.name
        return FakeQuant(name=f"{name}{SUFFIX}", dtype="float32")(x) if name in points else x

    return _copy(model, AWARE, call)


def is_aware(model: keras.Model) -> bool:
    """Whether `model` is one of `quantize_aware`."""
    return any(isinstance(layer, FakeQuant) for layer in model.layers)


def plain(model: keras.Model) -> tuple[keras.Model, Ranges]:
    """The network without the rounding, and the learnt range of what each operator of the file gives.

    Ranges are named by the layer that an operator is called after: a convolution, whatever is fused with it, else the
    layer itself.  A network that is not of `quantize_aware` is returned as it is, without ranges.
    """
    if not is_aware(model):
        return model, {}
    ranges = {
        _owner(model, layer.name.removesuffix(SUFFIX)): (float(layer.low.numpy()), float(layer.high.numpy()))
        for layer in model.layers
        if isinstance(layer, FakeQuant) and float(layer.seen.numpy())
    }

    def call(layer, *args, **kwargs):
        return args[0] if isinstance(layer, FakeQuant) else layer(*args, **kwargs)

    return _copy(model, PLAIN, call), ranges


def _copy(model: keras.Model, exchanged: dict[type, type], call: Callable) -> keras.Model:
    def clone(layer):
        kind: type[keras.layers.Layer] = exchanged.get(type(layer), type(layer))
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    transfer(model, copy)
    return copy


def _points(model: keras.Model) -> Iterator[str]:
    """Layers behind which the INT8 file holds a tensor of INT8."""
    behind = _consumers(model)

    def only(name: str) -> keras.layers.Layer | None:
        return behind[name][0] if len(behind.get(name, [])) == 1 else None

    found: set[str] = set()
    for layer in model.layers:
        if isinstance(layer, CONVOLUTIONS):
            found.update(n for n in _inputs(layer) if n not in found)
            end, after = layer, only(layer.name)
            if _activation(layer) == "linear" and isinstance(after, layers.BatchNormalization):
                end, after = after, only(after.name)
            if _activation(end) == "linear" and after is not None and _activation(after) in FUSED[:2]:
                end = after
            found.add(end.name)
            # Whatever else is done to integers stays integers: an activation that cannot be fused.
            if after is not None and after is not end and _activation(after) not in (None, "linear"):
                found.add(after.name)
        elif isinstance(layer, layers.Add) and all(name in found for name in _inputs(layer)):
            found.add(layer.name)
    yield from (layer.name for layer in model.layers if layer.name in found)


def _owner(model: keras.Model, point: str) -> str:
    """The convolution that a layer behind it is fused with; else the layer."""
    layer = model.get_layer(point)
    while isinstance(layer, (layers.BatchNormalization, layers.Activation, layers.ReLU)):
        (before,) = _inputs(layer)
        layer = model.get_layer(before)
    return layer.name if isinstance(layer, CONVOLUTIONS) else point


def _activation(layer: keras.layers.Layer) -> str | None:
    """Name of the activation function of a layer; "linear" where it has none, None for what is no function at all."""
    if isinstance(layer, layers.ReLU):
        return {None: "relu", 6.0: "relu6"}.get(layer.max_value, "other")
    if isinstance(layer, layers.BatchNormalization):
        return "linear"
    function = getattr(layer, "activation", None)
    return None if function is None else getattr(function, "__name__", "other")


def _inputs(layer: keras.layers.Layer) -> list[str]:
    """Names of the layers that a layer takes."""
    return [parent.operation.name for node in layer._inbound_nodes for parent in node.parent_nodes]


def _consumers(model: keras.Model) -> dict[str, list[keras.layers.Layer]]:
    """Layer -> those that take what it gives."""
    found: dict[str, list[keras.layers.Layer]] = {}
    for layer in model.layers:
        for name in _inputs(layer):
            found.setdefault(name, []).append(layer)
    return found
