"""How a run is exported, as the user asks for it; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass

TARGETS = ("tflite", "onnx", "savedmodel")
REPORTS = ("layers", "full")
FINAL = "final"


@dataclass(frozen=True)
class Quantization:
    """How a `.tflite` is quantised; see `quantize.quantize`.

    Args:
        kind: `none`, `float16`, `dynamic` or `int8`.
        float_layers: names of layers that stay float, or regular expressions.
        engine: `ai-edge` or `converter`; "": the default.
        representative: songs that activations are measured on, for `int8`.
        report: `layers` for the error of every layer as it runs, `full` for its share of the answer's error, too; "":
            none.
    """

    kind: str = "dynamic"
    float_layers: tuple[str, ...] = ()
    engine: str = ""
    representative: int = 64
    report: str = ""
