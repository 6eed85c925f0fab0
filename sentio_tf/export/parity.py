"""The exported model against Keras on real windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ..contract import AXES, SignatureContract
from ..corpora.track import Track
from ..evaluation import bootstrap, metrics
from .graph import DEVIATION, DISTANCE
from .representative import Windows

# What each quantisation may cost; beyond it the export fails.  Absolute deviation on [-1, 1].
TOLERANCE = {"none": 1e-3, "float16": 5e-3, "dynamic": 0.1, "int8": 0.2}
DISTANCE_TOLERANCE = 0.05  # relative; of the distance from the training music, which is float in every file
ENOUGH = 10  # rated songs, for a CCC of ratings alone


def compare(model: keras.Model, runner, drawn: Windows) -> dict[str, Any]:
    """Deviation of `runner(waveform) -> Answer` from the Keras waveform model; as `deviation`.

    With standard deviations, also `std_max`, by how much they differ at most; with the distance from the training music
    `distance_max`, the same as a share of it.
    """
    expected = [model.predict_on_batch(w[None]) for w in drawn.samples]
    exported = [runner(w) for w in drawn.samples]
    answers = np.concatenate([outputs[SignatureContract.output] for outputs in expected])
    found = deviation(answers, np.array([answer[:2] for answer in exported]), drawn.tracks, drawn.groups)
    if DEVIATION in expected[0] and all(answer.std for answer in exported):
        stds = np.concatenate([outputs[DEVIATION] for outputs in expected])
        found["std_max"] = round(float(np.abs(stds - np.array([answer.std for answer in exported])).max()), 6)
    if DISTANCE in expected[0]:
        pairs = [
            (float(outputs[DISTANCE][0]), answer.distance) for outputs, answer in zip(expected, exported, strict=True)
        ]
        found["distance_max"] = round(max(abs(a - b) / a for a, b in pairs), 6)
    return found


def deviation(
    expected: np.ndarray, exported: np.ndarray, tracks: Sequence[Track], groups: Sequence[str]
) -> dict[str, Any]:
    """How far answers lie apart, and what that costs.

    Args:
        expected, exported: answers of Keras and of the file, `(songs, 2)`.
        tracks: of each row; of 10 rated songs or more only those count for the CCC, otherwise signs do, too.
        groups: of each row, which intervals must not divide.

    Returns: number of windows; max, mean and per-axis mean deviation (`bias`); `ccc_lost` per axis, CCC of Keras
    minus CCC of the file against the labels, with its 95 % bootstrap interval over groups in
    `ccc_lost_interval` (None where all is one group); and the CCC between the two.
    """
    rated = np.array([t.rated for t in tracks])
    rows = rated if rated.sum() >= ENOUGH else np.ones(len(tracks), bool)
    labels = np.array([label(t) for t in tracks], float)
    names = np.array(groups)[rows]
    lost, interval = {}, {}
    for i, axis in enumerate(AXES):
        truth, before, after = labels[rows, i], expected[rows, i], exported[rows, i]
        lost[axis] = round(metrics.ccc(truth, before) - metrics.ccc(truth, after), 5)
        found = bootstrap.metric_paired("ccc", truth, before, after, names) if len(set(names)) > 1 else None
        interval[axis] = found and [round(found.low, 5), round(found.high, 5)]
    far = np.abs(expected - exported)
    return {
        "windows": len(tracks),
        "rated": int(rated.sum()),
        "max": round(float(far.max()), 6),
        "mean": round(float(far.mean()), 6),
        "bias": [round(float(b), 6) for b in (exported - expected).mean(axis=0)],
        "ccc_lost": lost,
        "ccc_lost_interval": interval,
        "ccc_with_keras": {axis: round(metrics.ccc(expected[:, i], exported[:, i]), 5) for i, axis in enumerate(AXES)},
    }


def label(track: Track) -> tuple[float | None, float | None]:
    """Valence and arousal of a track, their signs where it has no rating."""
    if track.rated:
        return track.valence, track.arousal
    return track.valence_sign, track.arousal_sign


def lines(found: dict[str, Any]) -> list[str]:
    """What `deviation` found, for people."""
    said = [f"max {found['max']:.4f}, mean {found['mean']:.5f} on {found['windows']} windows"]
    for axis in AXES:
        interval = found["ccc_lost_interval"][axis]
        within = "" if interval is None else f" [{interval[0]:+.4f}, {interval[1]:+.4f}]"
        same, lost = found["ccc_with_keras"][axis], found["ccc_lost"][axis]
        said.append(f"{axis}: CCC with Keras {same:.4f}, CCC lost {lost:+.4f}{within}")
    if "std_max" in found:
        said.append(f"standard deviations: max {found['std_max']:.4f}")
    if "distance_max" in found:
        said.append(f"distance from the training music: max {100 * found['distance_max']:.2f} %")
    return said
