"""Arrays of a pretrained network laid into the variables of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import keras
import numpy as np


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
