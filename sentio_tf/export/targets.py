"""What a run can be exported to: each target writes a model with its card and opens what it wrote."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..contract import Card, StreamContract
from ..runtime.engine import Answer, Engine
from ..runtime.flatbuffer import UNSEALED, minimum_runtime, seal
from . import error_report, graph, quantize
from .card import embed
from .representative import Windows
from .settings import Quantization

if TYPE_CHECKING:
    import keras


class Runner(Protocol):
    """What runs an exported model."""

    card: Card

    def __call__(self, samples: np.ndarray) -> Answer: ...


class Target(Protocol):
    """A model ready to be written."""

    def write(self, path: Path, card: Card) -> Runner:
        """Write the model with `card`, completed by what the target alone knows, and open it."""


class TFLite:
    """A `.tflite` of a model of `graph`, quantised.

    Args:
        scope: name of the network inside.
        calibrating: representative windows, for `int8`.
        before: a target of the same model, whose float graph and ranges serve again.
        learnt: ranges of activations behind layers, of quantisation-aware training; others are measured.

    Raises: ModelError as `graph.to_tflite` and `quantize.quantize`.
    """

    def __init__(
        self,
        model: keras.Model,
        scope: str,
        how: Quantization,
        calibrating: Windows,
        *,
        before: TFLite | None = None,
        learnt: Mapping[str, tuple[float, float]] | None = None,
    ):
        self.how, self.scope = how, scope
        self.exact: bytes = before.exact if before else graph.to_tflite(model)
        self.front_end = graph.front_end(model)
        self._samples = calibrating.samples
        self._ranges: dict[str, Any] | None = before._ranges if before else None
        if how.kind == "int8" and how.engine != "converter" and self._ranges is None:
            self._ranges = quantize.measure(self.exact, self._samples, scope=scope, front_end=self.front_end)
            if learnt:
                self._ranges |= quantize.learnt_ranges(self.exact, learnt, scope=scope)
        self.content = self._quantised()

    def _quantised(self, *, float_layers: Sequence[str] = (), only_layers: Sequence[str] | None = None) -> bytes:
        return quantize.quantize(
            self.exact,
            self.how.kind,
            scope=self.scope,
            representative=self._samples,
            front_end=self.front_end,
            float_layers=(*self.how.float_layers, *float_layers),
            only_layers=only_layers,
            ranges=self._ranges,
            engine=self.how.engine,
        )

    def layers(self, windows: Sequence[np.ndarray]) -> error_report.Report | None:
        """Error of the layers on some of `windows`, None unless asked for."""
        if not self.how.report or self.how.kind not in ("dynamic", "int8"):
            return None
        again: Callable[..., bytes] | None = self._quantised if self.how.report == "full" else None
        some = windows[: error_report.WINDOWS]
        return error_report.report(self.exact, self.content, some, scope=self.scope, again=again)

    def write(self, path: Path, card: Card) -> Engine:
        complete = dataclasses.replace(
            card,
            minimum_runtime=minimum_runtime(self.content),
            stream=StreamContract() if self.front_end else None,
            content_sha256=UNSEALED,
        )
        path.write_bytes(seal(embed(self.content, complete)))
        return Engine(path, threads=1)


class Onnx:
    """An ONNX model, in float.  Raises: ModelError as `onnx.to_onnx`."""

    def __init__(self, model: keras.Model):
        from . import onnx

        self.content = onnx.to_onnx(model)

    def write(self, path: Path, card: Card) -> Runner:
        from . import onnx

        path.write_bytes(onnx.embed(self.content, card))
        return onnx.OnnxRunner(path)


class SavedModel:
    """A SavedModel folder, in float."""

    def __init__(self, model: keras.Model):
        self.model = model

    def write(self, path: Path, card: Card) -> Runner:
        from . import savedmodel

        savedmodel.write(self.model, path, card)
        return savedmodel.SavedModelRunner(path)
