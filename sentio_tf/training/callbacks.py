"""Keras callbacks that judge whole tracks, not batches of crops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from ..corpora.track import Track
from ..evaluation import metrics
from ..pipeline import Cache, predict_tracks, target

# A sign stands at half the scale where a score needs a number.
SIGN_VALUE = 0.5


def score(tracks: Sequence[Track], estimated: np.ndarray) -> dict[str, float]:
    """`val_ccc` and its parts: CCC per corpus and axis, `val_ccc` their mean.

    Every corpus counts the same, so that a large one does not decide alone which epoch is best.
    Where only signs are known, the sign times `SIGN_VALUE` is the reference.
    """
    parts: dict[str, float] = {}
    for corpus in sorted({t.corpus for t in tracks}):
        rows = [i for i, t in enumerate(tracks) if t.corpus == corpus]
        if len(rows) < 2:
            continue
        reference = np.stack([target(tracks[i]) for i in rows])
        reference = reference[:, :2] * np.where(reference[:, 2:] == 1, 1.0, SIGN_VALUE)
        for axis, name in enumerate(("valence", "arousal")):
            parts[f"val_{corpus}_{name}"] = metrics.ccc(reference[:, axis], estimated[rows, axis])
    return {"val_ccc": float(np.mean(list(parts.values()))), **parts}


class TrackValidation(keras.callbacks.Callback):
    """After each epoch: predict whole validation tracks, log `val_ccc`, keep the best weights.

    Weights are judged as they would ship: averaged (EMA) where the optimizer averages, on windows of
    30 s.  Put it before `EarlyStopping` and `CSVLogger`, which read what it logs.

    Args:
        model: twin of the trained model for windows of 30 s.
        tracks, cache: validation tracks and the mel cache.
        path: file for the best weights, `.weights.h5`.
    """

    def __init__(self, model: keras.Model, tracks: Sequence[Track], cache: Cache, path: Path):
        super().__init__()
        self.twin, self.tracks, self.cache, self.path = model, list(tracks), cache, path
        self.best = -np.inf
        self.best_epoch = -1

    def on_epoch_end(self, epoch, logs=None):
        optimizer = self.model.optimizer
        self.twin.set_weights(self.model.get_weights())
        if optimizer.use_ema:
            averages = {v.path: a for v, a in zip(self.model.trainable_variables, _averages(optimizer), strict=True)}
            for variable, twin in zip(self.model.variables, self.twin.variables, strict=True):
                if variable.path in averages:
                    twin.assign(averages[variable.path])
        estimated = predict_tracks(self.twin, self.tracks, self.cache)
        if not np.isfinite(estimated).all():  # diverged: stop, and keep what was best before
            self.model.stop_training = True
            if logs is not None:
                logs["val_ccc"] = float("nan")
            return
        values = score(self.tracks, estimated)
        if logs is not None:
            logs.update(values)
        if values["val_ccc"] > self.best:
            self.best, self.best_epoch = values["val_ccc"], epoch
            self.twin.save_weights(self.path)


def _averages(optimizer):
    return optimizer._model_variables_moving_average


class Progress(keras.callbacks.Callback):
    """One line an epoch through `report(text)`."""

    def __init__(self, report, label: str):
        super().__init__()
        self.report, self.label = report, label

    def on_epoch_end(self, epoch, logs=None):
        shown = ", ".join(f"{k.removeprefix('val_')} {v:.3f}" for k, v in (logs or {}).items())
        self.report(f"{self.label} epoch {epoch + 1}/{self.params['epochs']}: {shown}")
