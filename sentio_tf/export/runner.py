"""What every exported file is asked: a window in, valence, arousal and distance out, as `runtime.engine.Engine`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ..contract import AXES, Card, SignatureContract
from ..errors import ModelError
from . import graph


class Runner(ABC):
    """Base of the runners: one that knows how to `_run` a window.

    Args:
        name: of the file, for errors.
        inputs, outputs: name -> shape, of what was loaded.

    Raises: ModelError if these are not what the card promises.
    """

    def __init__(
        self, name: str, card: Card, inputs: Mapping[str, Sequence[Any]], outputs: Mapping[str, Sequence[Any]]
    ):
        self.name, self.card = name, card
        signature = card.signature
        promised = [signature.output, *([signature.distance] if signature.distance else [])]
        fits = (
            inputs.keys() == {signature.input}
            and list(inputs[signature.input]) == [1, card.audio.samples]
            and outputs.keys() == set(promised)
            and list(outputs[signature.output]) == [1, len(AXES)]
        )
        if not fits:
            raise ModelError(
                f"{name}: expected {signature.input} [1, {card.audio.samples}] -> {', '.join(promised)}, received "
                f"{_shapes(inputs)} -> {_shapes(outputs)}; export it again"
            )

    @abstractmethod
    def _run(self, batch: np.ndarray) -> Mapping[str, np.ndarray]:
        """Waveform float32 `(1, samples)` -> the outputs by name."""

    def __call__(self, samples: np.ndarray) -> tuple[float, float, float | None]:
        """One window, float32 `(samples,)` -> valence, arousal, domain distance or None.

        Raises: ModelError for a window of another length, or if the model answers NaN.
        """
        window = np.asarray(samples, np.float32)
        if window.shape != (self.card.audio.samples,):
            raise ModelError(
                f"{self.name}: expected a window ({self.card.audio.samples},), received {window.shape}; cut or fill it"
            )
        signature = self.card.signature
        found = self._run(window[None])
        valence, arousal = (float(v) for v in np.reshape(found[signature.output], -1))
        distance = float(np.reshape(found[signature.distance], -1)[0]) if signature.distance else None
        if not (np.isfinite(valence) and np.isfinite(arousal)):
            raise ModelError(f"{self.name}: the model answered NaN; export it again")
        return valence, arousal, distance


def _shapes(tensors: Mapping[str, Sequence[Any]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in tensors.items())


def outputs_of(model: keras.Model, card: Card | None) -> list[str]:
    """Names of the outputs of a waveform model, sorted.

    Raises: ModelError if the model is another, or the card is of another.
    """
    output, distance = SignatureContract.output, graph.DISTANCE
    found = sorted(model.output) if isinstance(model.output, dict) else [output]
    shape = model.input_shape
    hears = isinstance(shape, tuple) and len(shape) == 2 and shape[1]
    if not hears or found not in ([output], [distance, output]):
        raise ModelError(
            f"expected a model (None, samples) -> {output} with or without {distance}, received {shape} -> "
            f"{', '.join(found)}; make it with export.graph"
        )
    if card is not None:
        promised = sorted(name for name in (card.signature.output, card.signature.distance) if name)
        if (card.audio.samples, card.signature.input, promised) != (shape[1], SignatureContract.input, found):
            raise ModelError(
                f"expected the card of a model of {shape[1]} samples -> {', '.join(found)}, received one of "
                f"{card.audio.samples} samples -> {', '.join(promised)}; give the model's own card"
            )
    return found
