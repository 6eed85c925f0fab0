"""A mel as a picture, for networks that learnt from pictures."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

FLAT_DB = 1e-3  # a clip of less range than this is silence or one constant tone: nothing to stretch
FIXED_SD = 3.0  # what lies further from the mean is cut
KINDS = ("clip", "fixed")


@keras.saving.register_keras_serializable("sentio_tf")
class MelImage(keras.layers.Layer):
    """Log-mel `(batch, bands, frames, 1)` -> `(batch, height, width, 3)` in [-1, 1], low bands at the top.

    "clip", of a mel in dB: each clip's minimum becomes -1 and its maximum 1 (a clip without range: all -1).
    "fixed", of a normalised mel: 3 sd below the mean become -1, 3 sd above it 1, what lies beyond is cut; a
    louder clip is a brighter picture.  Then resized bilinearly with antialiasing; three equal channels.

    Args:
        size: height and width [pixels], or one number for both.
        kind: "clip" or "fixed".
        exportable: resize by two products of matrices, which TFLite has as a builtin, instead of the
            backend's own resize, which it lacks; pictures differ by rounding (3e-5).
    """

    def __init__(self, size: int | Sequence[int], kind: str = "clip", exportable: bool = False, **kwargs):
        super().__init__(**kwargs)
        if kind not in KINDS:
            raise ValueError(f"expected kind {' or '.join(KINDS)}. Received: {kind}")
        self.size: tuple[int, int] = (size, size) if isinstance(size, int) else (size[0], size[1])
        self.kind, self.exportable = kind, exportable

    def call(self, mel):
        if self.kind == "clip":
            low = ops.min(mel, axis=(1, 2, 3), keepdims=True)
            high = ops.max(mel, axis=(1, 2, 3), keepdims=True)
            x = 2 * (mel - low) / ops.maximum(high - low, FLAT_DB) - 1
        else:
            x = ops.clip(mel * (1 / FIXED_SD), -1, 1)
        if self.exportable:
            rows, columns = (ops.cast(triangles(a, b).T, x.dtype) for a, b in zip(x.shape[1:3], self.size, strict=True))
            x = ops.transpose(ops.matmul(x[..., 0], columns), (0, 2, 1))
            x = ops.transpose(ops.matmul(x, rows), (0, 2, 1))[..., None]
        else:
            x = ops.image.resize(x, self.size, interpolation="bilinear", antialias=True)
        return ops.repeat(x, 3, axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.size, 3)

    def get_config(self):
        return {**super().get_config(), "size": list(self.size), "kind": self.kind, "exportable": self.exportable}


def triangles(old: int, new: int) -> np.ndarray:
    """Weights `(new, old)` of a bilinear resize with antialiasing: half-pixel centres, each row's sum 1."""
    ratio = old / new
    centres = (np.arange(new)[:, None] + 0.5) * ratio
    weights = np.maximum(0, 1 - np.abs(np.arange(old) + 0.5 - centres) / max(ratio, 1))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
