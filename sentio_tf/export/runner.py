"""What every exported file is asked: a window in, an `Answer` out, as `runtime.engine.Engine`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ..contract import AXES, Card, SignatureContract
from ..errors import ModelError
from ..runtime.engine import Answer, answer_of
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
        promised = signature.outputs
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

    def __call__(self, samples: np.ndarray) -> Answer:
        """One window, float32 `(samples,)`.

        Raises: ModelError for a window of another length, or if the model answers NaN.
        """
        window = np.asarray(samples, np.float32)
        if window.shape != (self.card.audio.samples,):
            raise ModelError(
                f"{self.name}: expected a window ({self.card.audio.samples},), received {window.shape}; cut or fill it"
            )
        answer = answer_of(self._run(window[None]), self.card.signature)
        if answer is None:
            raise ModelError(f"{self.name}: the model answered NaN; export it again")
        return answer


def _shapes(tensors: Mapping[str, Sequence[Any]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in tensors.items())


def outputs_of(model: keras.Model, card: Card | None) -> list[str]:
    """Names of the outputs of a waveform model, sorted.

    Raises: ModelError if the model is another, or the card is of another.
    """
    output, more = SignatureContract.output, (graph.DISTANCE, graph.DEVIATION)
    found = sorted(model.output) if isinstance(model.output, dict) else [output]
    shape = model.input_shape
    hears = isinstance(shape, tuple) and len(shape) == 2 and shape[1]
    if not hears or output not in found or not set(found) <= {output, *more}:
        raise ModelError(
            f"expected a model (None, samples) -> {output}, with {' and '.join(more)} or without, received {shape} -> "
            f"{', '.join(found)}; make it with export.graph"
        )
    if card is not None:
        promised = list(card.signature.outputs)
        if (card.audio.samples, card.signature.input, promised) != (shape[1], SignatureContract.input, found):
            raise ModelError(
                f"expected the card of a model of {shape[1]} samples -> {', '.join(found)}, received one of "
                f"{card.audio.samples} samples -> {', '.join(promised)}; give the model's own card"
            )
    return found
