"""Is the exported model the Keras model?  Both listen to the same windows of real music."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ..evaluation import metrics

# What each quantisation may cost; beyond it the export fails.  Absolute deviation on [-1, 1].
TOLERANCE = {"none": 1e-3, "float16": 5e-3, "dynamic": 0.1, "int8": 0.2}


def compare(
    model: keras.Model, runner, windows: Sequence[np.ndarray], reference: np.ndarray, rated: np.ndarray
) -> dict[str, Any]:
    """Deviation of `runner(waveform) -> (valence, arousal, ...)` from the Keras waveform model.

    Args:
        windows: waveforms float32 `(661500,)`.
        reference: labels of the windows' songs, `(windows, 2)`; signs where there is no rating.
        rated: True where the label is a rating, `(windows,)`.

    Returns: number of windows; max, mean and per-axis mean deviation; and `ccc_lost` per axis, CCC of
    Keras minus CCC of the export against the labels (all windows, labels as they are).
    """
    expected = np.concatenate([model.predict_on_batch(w[None])["valence_arousal"] for w in windows])
    exported = np.array([runner(w)[:2] for w in windows])
    deviation = np.abs(expected - exported)
    rows = rated if rated.sum() >= 10 else np.ones(len(windows), bool)
    lost = {
        axis: round(
            metrics.ccc(reference[rows, i], expected[rows, i]) - metrics.ccc(reference[rows, i], exported[rows, i]), 5
        )
        for i, axis in enumerate(("valence", "arousal"))
    }
    return {
        "windows": len(windows),
        "max": round(float(deviation.max()), 6),
        "mean": round(float(deviation.mean()), 6),
        "bias": [round(float(b), 6) for b in (exported - expected).mean(axis=0)],
        "ccc_lost": lost,
        "ccc_with_keras": {
            axis: round(metrics.ccc(expected[:, i], exported[:, i]), 5) for i, axis in enumerate(("valence", "arousal"))
        },
    }
