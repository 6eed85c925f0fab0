"""How much memory a training step will need, before hours of decoding end in the kernel's killer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

import keras
import numpy as np

from ..config import FitConfig
from ..errors import ConfigError, SentioError

COPIES = 4  # of the weights: themselves, their gradients, two moments of Adam
MEMINFO = Path("/proc/meminfo")
LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container


def activation_bytes(model: keras.Model, batch: int) -> int:
    """Bytes of what a training step keeps for its gradients: the outputs of all layers, and of layers within layers.

    Counted from the shapes of one symbolic call, so nothing is computed.  What comes before the first layer that
    trains now is not kept: of it the largest output alone counts.  Gradients, the scratch of convolutions and what a
    layer keeps without a layer of its own (softmax, steps of an LSTM) are not seen, outputs that no gradient needs are
    counted: processes grew .8 to 2 times as much and some 200 MB besides (`tools/memory.py`).
    """
    specs = [keras.KerasTensor((batch, *x.shape[1:]), dtype=x.dtype) for x in model.inputs]
    sizes = [(False, _bytes(x)) for x in specs]
    with _recorded(model._flatten_layers(include_self=False), sizes):
        _TrainingCall(model).compute_output_spec(*specs)
    first = next((i for i, (trains, _) in enumerate(sizes) if trains), len(sizes))
    passing = max((size for _, size in sizes[:first]), default=0)
    return passing + sum(size for _, size in sizes[first:])


def check_memory(model: keras.Model, batch: int, *, available: int | None = None) -> None:
    """Say before training that a batch will not fit, and which would.

    Call it with the layers trainable that will be at last.  Compares the activations and `COPIES` of the weights.

    Args:
        available: bytes; None: what this machine has left, without a check where that cannot be known (no
            /proc/meminfo, or a GPU with memory of its own).

    Raises: ConfigError if it does not fit.
    """
    if available is None:
        available = available_bytes()
    if available is None:
        return
    weights = COPIES * sum(math.prod(v.shape) * np.dtype("float32").itemsize for v in model.variables)
    needed = activation_bytes(model, batch) + weights
    if needed <= available:
        return
    each = (needed - weights) / batch
    fits = int((available - weights) / each)
    if fits >= 2:
        advice = (
            f"lower batch_size to {fits} (accumulate {math.ceil(batch / fits)} keeps the effective batch), or crop_s"
        )
    else:
        advice = "lower crop_s, or choose a smaller size of the model"
    raise ConfigError(
        f"batch_size: expected a batch that fits into memory; {batch} of {model.name} needs about "
        f"{_gb(needed)} GB of {_gb(max(available, 0))} GB; {advice}"
    )


def available_bytes() -> int | None:
    """Memory that is left to the processor here [bytes]; None where it is not known, or a GPU does the work."""
    if not all(name.startswith("cpu") for name in keras.distribution.list_devices()):
        return None
    try:
        fields = dict(line.split(":", 1) for line in MEMINFO.read_text(encoding="ascii").splitlines())
        left = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, LookupError):
        return None
    try:
        return min(left, int(LIMIT.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no container, or "max"
        return left


class _TrainingCall(keras.Operation):
    """The model's call as one operation, which Keras can run on shapes alone."""

    def __init__(self, model: keras.Model):
        super().__init__()
        self.model = model

    def call(self, *inputs):
        return self.model(list(inputs) if len(inputs) > 1 else inputs[0], training=True)


@contextmanager
def _recorded(layers: Sequence[keras.layers.Layer], sizes: list[tuple[bool, int]]) -> Iterator[None]:
    """While it is open, every call of one of `layers` appends (whether it trains, bytes of its output) to `sizes`."""

    def recording(layer: keras.layers.Layer, call: Callable) -> Callable:
        @wraps(call)
        def wrapped(*args, **kwargs):
            outputs = call(*args, **kwargs)
            for x in keras.tree.flatten(outputs):
                if x is not None:
                    sizes.append((bool(layer.trainable_weights), _bytes(x)))
            return outputs

        return wrapped

    layers = list(layers)
    for layer in layers:
        layer.__dict__["call"] = recording(layer, layer.call)
    try:
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("call", None)


def _bytes(x) -> int:
    kind = keras.backend.standardize_dtype(x.dtype)
    return math.prod(x.shape) * (2 if kind == "bfloat16" else np.dtype(kind).itemsize)


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f}"


@contextmanager
def told(config: FitConfig, label: str) -> Iterator[None]:
    """Errors of a step that tell a user something, in one line.  Raises: SentioError."""
    try:
        yield
    except SentioError:
        raise
    except Exception as error:  # TensorFlow, JAX and Python have each their own
        text = f"{type(error).__name__} {error}"
        if not any(
            word in text for word in ("ResourceExhausted", "RESOURCE_EXHAUSTED", "MemoryError", "out of memory")
        ):
            raise
        raise SentioError(
            f"{label}: expected a batch that fits into memory, received none left with batch_size {config.batch_size}; "
            "lower batch_size and raise accumulate by as much, or lower crop_s"
        ) from None
