"""Arrays of a pretrained network laid into the variables of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import keras
import numpy as np

from ..layers.fake_quant import FakeQuant


def assign(variables: Iterable[tuple[str, keras.Variable]], weights: Mapping[str, np.ndarray]) -> None:
    """Give each `(name, keras.Variable)` the array of its name.

    Raises: ValueError if an array is missing or of another shape.
    """
    for name, variable in variables:
        shape = tuple(variable.shape)
        found = weights.get(name)
        if found is None or found.shape != shape:
            received = "no such weights" if found is None else found.shape
            raise ValueError(f"expected {name} of shape {shape}. Received: {received}")
        variable.assign(found)


def transfer(source: keras.Model, target: keras.Model) -> None:
    """Lay the weights of `source` into the layers of `target` with the same names.

    What only `target` has of `FakeQuant` keeps its own: such ranges are learnt.

    Raises: ValueError naming the first layer that `source` has not, or has in another shape.
    """
    own = {layer.name: layer for layer in source.layers}
    for layer in target.layers:
        if not layer.weights or (isinstance(layer, FakeQuant) and layer.name not in own):
            continue
        wanted = [tuple(w.shape) for w in layer.weights]
        found = own[layer.name].get_weights() if layer.name in own else []
        if [w.shape for w in found] != wanted:
            raise ValueError(f"expected weights {wanted} for layer {layer.name}. Received: {[w.shape for w in found]}")
        layer.set_weights(found)
