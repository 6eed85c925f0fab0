"""What quantisation does to each layer, and which layers to leave in float."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..contract import SignatureContract
from ..runtime.flatbuffer import structure
from ..terminal import quiet
from . import scopes

WINDOWS = 8  # of the report; each is run twice with all tensors kept
HURTS = 0.1  # error of a layer's output, above which it is named


@dataclass(frozen=True)
class LayerError:
    """A layer's error: root mean square deviation / standard deviation, from the float graph.

    `error` is that of the layer's output as the graph runs, with what layers before it did; None where the
    quantised graph has no such output.  Of a full report and quantised layers: `alone`, error of the answer
    with this layer quantised only, and `without`, with all quantised but this one.
    """

    layer: str
    operator: str
    error: float | None
    quantised: bool
    alone: float | None = None
    without: float | None = None


@dataclass(frozen=True)
class Report:
    """Error of the answer, and of the layers as they run; `full` where `alone` and `without` were measured."""

    answer: float
    layers: tuple[LayerError, ...]
    full: bool = False

    def worst(self, count: int = 10) -> list[LayerError]:
        """The layers with the largest error, in a full report with the largest share of their own."""
        value = (lambda x: x.alone) if self.full else (lambda x: x.error)
        known = [x for x in self.layers if value(x) is not None]
        return sorted(known, key=lambda x: -value(x))[:count]

    def hurting(self) -> list[str]:
        """Layers to leave in float: without their quantisation the squared error of the answer is halved.

        CCC is lost in proportion to that square.  Of a report that is not full, the layers whose output is off by
        more than `HURTS`, quantised ones only.
        """
        if not self.full:
            return [x.layer for x in self.worst(len(self.layers)) if x.quantised and (x.error or 0) > HURTS]
        found = [x for x in self.layers if x.without is not None and x.without**2 <= self.answer**2 / 2]
        return [x.layer for x in sorted(found, key=lambda x: x.without or 0)]

    def lines(self) -> list[str]:
        """The worst layers as a table, and what to do."""
        title = "layer                                    operator           error"
        if self.full:
            title += "    alone  without"
        found = [f"error of the answer: {self.answer:.4f} of its standard deviation", title]
        for x in self.worst():
            numbers = [x.error, *([x.alone, x.without] if self.full else [])]
            text = "  ".join("      -" if n is None else f"{n:7.4f}" for n in numbers)
            found.append(f"{x.layer[:40]:40} {x.operator[:17]:17} {text}")
        if names := self.hurting():
            found.append("layers that hurt; in float: " + " ".join(f"--float {name}" for name in names[:3]))
        return found

    def write(self, path: Path) -> None:
        """As JSON."""
        content = {**dataclasses.asdict(self), "hurting": self.hurting(), "measure": "rmse / standard deviation"}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def report(
    model: bytes,
    quantised: bytes,
    windows: Sequence[np.ndarray],
    *,
    scope: str,
    again: Callable[..., bytes] | None = None,
) -> Report:
    """Compare a float graph and what was made of it on waveforms.

    Args:
        windows: float32 `(661500,)`; `WINDOWS` of them are enough.
        scope: name of the network in the graph.
        again: `again(float_layers=..., only_layers=...)` quantises anew, with more layers in float or no others
            quantised: then the report is full, and takes two quantisations a quantised layer.
    """
    found, answer = accumulated(model, quantised, windows, scope=scope)
    if again is None:
        return Report(answer, tuple(found))
    reference = answers(model, windows)
    rows = []
    for row in found:
        if row.quantised:
            alone = answers(again(only_layers=[row.layer]), windows)
            without = answers(again(float_layers=[row.layer]), windows)
            row = dataclasses.replace(row, alone=ratio(reference, alone), without=ratio(reference, without))
        rows.append(row)
    return Report(ratio(reference, answers(quantised, windows)), tuple(rows), full=True)


def accumulated(
    model: bytes, quantised: bytes, windows: Sequence[np.ndarray], *, scope: str
) -> tuple[list[LayerError], float]:
    """Error of every layer's output, where both graphs have it, and of the answer; one window in memory at a time."""
    integer = quantised_layers(quantised, scope)
    sums: dict[str, np.ndarray] = {}
    answered: list[list[np.ndarray]] = []
    with quiet():
        before, after = _keeping(model), _keeping(quantised)
        outputs = last_outputs(model, scope)
        own, places = _results(before, model), _results(after, quantised)
        pairs = [(layer, own[tensor], places[tensor]) for layer, (_, tensor) in outputs.items() if tensor in places]
        for window in windows:
            answered.append([_answer(interpreter, window) for interpreter in (before, after)])
            for layer, a, b in pairs:
                sums[layer] = sums.get(layer, 0) + _sums(_values(before, a), _values(after, b))
    rows = [
        LayerError(layer, op, _error(sums[layer]) if layer in sums else None, layer in integer)
        for layer, (op, _) in outputs.items()
    ]
    reference, found = np.stack(answered, axis=1)
    return rows, ratio(reference, found)


def last_outputs(model: bytes, scope: str) -> dict[str, tuple[str, str]]:
    """Of each layer of the network, in the order in which they run, its last operator and the name of what it makes."""
    graph = _predict(model)
    found: dict[str, tuple[str, str]] = {}
    for op in graph.operators:
        if names := scopes.layers_of(scopes.names_of(graph, op), scope):
            found[names[0]] = op.name, graph.tensors[op.outputs[0]].name
    return found


def quantised_layers(model: bytes, scope: str) -> set[str]:
    """Layers with an operator that takes INT8: of activations, weights, or both; loops are not looked into."""
    graph = _predict(model)
    return {
        names[0]
        for op in graph.operators
        if op.name not in ("QUANTIZE", "DEQUANTIZE")
        and any(i >= 0 and graph.tensors[i].dtype == "int8" for i in op.inputs)
        and (names := scopes.layers_of(scopes.names_of(graph, op), scope))
    }


def answers(model: bytes, windows: Sequence[np.ndarray]) -> np.ndarray:
    """[valence, arousal] of each window, `(windows, 2)`."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        interpreter = Interpreter(model_content=model, num_threads=1)
        return np.array([_answer(interpreter, w) for w in windows])


def ratio(reference: np.ndarray, found: np.ndarray) -> float:
    """Root mean square deviation over the standard deviation of each axis, the mean of the squares of both."""
    deviation = np.mean((found - reference) ** 2, axis=0)
    return float(np.sqrt(np.mean(deviation / np.maximum(reference.var(axis=0), 1e-12))))


def _predict(model: bytes):
    tables = structure(model)
    return tables.subgraphs[tables.signatures[SignatureContract.name].subgraph]


def _results(interpreter, model: bytes) -> dict[str, dict[str, Any]]:
    """What operators of `predict` make, by name; weights have names, too, and other signatures are other subgraphs."""
    number = structure(model).signatures[SignatureContract.name].subgraph
    made = {i for op in _predict(model).operators for i in op.outputs}
    details = interpreter.get_tensor_details(subgraph_index=number)
    return {t["name"]: {**t, "subgraph": number} for t in details if t["index"] in made}


def _keeping(model: bytes):
    """An interpreter that keeps what every operator made; the delegate would fuse them away."""
    import warnings

    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*experimental_preserve_all_tensors.*")
        return Interpreter(
            model_content=model,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )


def _answer(interpreter, window: np.ndarray) -> np.ndarray:
    runner = interpreter.get_signature_runner(SignatureContract.name)
    answer = runner(**{SignatureContract.input: window[None]})
    return answer[SignatureContract.output].reshape(-1).copy()


def _values(interpreter, details: dict[str, Any]) -> np.ndarray:
    """A tensor, in numbers that integers stand for."""
    values = interpreter.get_tensor(details["index"], details["subgraph"])
    scale, zero = details["quantization"]
    return (values.astype(np.float32) - zero) * np.float32(scale) if values.dtype == np.int8 else values


def _sums(reference: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Number, sum, sum of squares, and of squared deviations: all that an error needs, `(4,)`."""
    a = reference.astype(np.float64).ravel()
    return np.array([a.size, a.sum(), a @ a, np.sum((found.ravel() - a) ** 2)])


def _error(sums: np.ndarray) -> float:
    n, total, squares, deviation = sums
    variance = squares / n - (total / n) ** 2
    return float(np.sqrt(deviation / n / max(variance, 1e-12)))
