"""Keras callbacks that judge whole tracks, not batches of crops."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from ..corpora.track import Track
from ..errors import ConfigError, SentioError
from ..evaluation import metrics
from ..pipeline import Cache, predict_tracks, target
from ..terminal import printable
from .optimizer import phased
from .run import write_bytes, write_csv

# A sign stands at half the scale where a score needs a number.
SIGN_VALUE = 0.5
BEFORE = -1  # the epoch before the first
STOPPED = 10**9  # more epochs than any training has: it had ended


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
    """After each epoch: predict whole validation tracks, log `val_ccc`, keep the best weights, stop without progress.

    Weights are judged as they would ship: averaged (EMA) where the optimizer averages, on windows of 30 s.  A loss or
    an answer that is not finite stops the training; the best weights before it stay.  Put it before `CSVLogger` and
    `TensorBoard`, which read what it logs.

    Args:
        model: twin of the trained model for windows of 30 s.
        tracks, cache: validation tracks and the cache of what the model takes.
        path: file for the best weights, `.weights.h5`.
        patience: epochs without a better `val_ccc` after which training stops; None: never.
        judge: answers of the twin for the tracks, `(tracks, 2)`; None: `pipeline.predict_tracks`.
        from_start: judge the weights before the first epoch as well.
        network: whose weights are judged, where what is fitted holds more; None: the fitted model.
    """

    def __init__(
        self,
        model: keras.Model,
        tracks: Sequence[Track],
        cache: Cache,
        path: Path,
        *,
        patience: int | None = None,
        judge: Callable[[keras.Model], np.ndarray] | None = None,
        from_start: bool = False,
        network: keras.Model | None = None,
    ):
        super().__init__()
        self.twin, self.tracks, self.cache, self.path = model, list(tracks), cache, path
        self.patience, self.from_start, self.network = patience, from_start, network
        self.judge = judge or (lambda twin: predict_tracks(twin, self.tracks, self.cache))
        self.best = -np.inf
        self.best_epoch = BEFORE  # from 0; BEFORE for the weights that training started from
        self.waited = 0
        # Epoch and step, both from 1, from which on the loss, or behind which the answers are not finite.
        self.bad_from: tuple[int, int] | None = None
        self.trouble = ""  # that, in words
        self.epoch, self.step = 0, 0  # where training is

    @property
    def found(self) -> bool:
        """Whether any weights were kept."""
        return bool(np.isfinite(self.best))

    def _stop(self, trouble: str) -> None:
        self.bad_from, self.trouble = (self.epoch, self.step), trouble
        self.model.stop_training = True

    def on_train_begin(self, logs=None):
        if self.from_start and not self.found:
            self._judge(BEFORE, {})

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        self.step = batch + 1
        # The running mean of the epoch: it is not finite from the first bad step on.
        if self.bad_from is None and not np.isfinite(float(np.asarray((logs or {}).get("loss", 0.0)))):
            self._stop(f"the loss is not finite from step {self.step} of epoch {self.epoch} on")

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        if self.bad_from is not None:
            logs["val_ccc"] = float("nan")
            return
        self._judge(epoch, logs)
        self.waited = 0 if self.best_epoch == epoch else self.waited + 1
        if self.patience is not None and self.waited >= self.patience:
            self.model.stop_training = True

    def _judge(self, epoch, logs) -> None:
        optimizer = phased(self.model.optimizer) or self.model.optimizer
        network = self.network or self.model
        self.twin.set_weights(network.get_weights())
        if optimizer.use_ema and optimizer.built and int(optimizer.iterations):
            averages = _averages(optimizer, self.model)
            for variable, twin in zip(network.variables, self.twin.variables, strict=True):
                if variable.path in averages:
                    # A copy: on JAX a prediction gives its variables' memory away.
                    twin.assign(np.array(averages[variable.path].numpy()))
        estimated = self.judge(self.twin)
        if not np.isfinite(estimated).all():  # diverged: stop, and keep what was best before
            self._stop(f"the answers are not finite behind epoch {epoch + 1}")
            logs["val_ccc"] = float("nan")
            return
        values = score(self.tracks, estimated)
        logs.update(values)
        if values["val_ccc"] > self.best:
            self.best, self.best_epoch = values["val_ccc"], epoch
            part = self.path.with_name(f"part.{self.path.name}")
            self.twin.save_weights(part)
            os.replace(part, self.path)  # whole, or the one before

    def get_state(self) -> dict[str, float]:
        """What `set_state` needs to go on as if nothing had been interrupted."""
        return {"best": float(self.best), "best_epoch": self.best_epoch, "waited": self.waited}

    def set_state(self, state: dict[str, float]) -> None:
        self.best, self.best_epoch, self.waited = state["best"], int(state["best_epoch"]), int(state["waited"])


def _averages(optimizer, model: keras.Model) -> dict:
    if own := phased(optimizer):
        return own.averages()
    pairs = zip(model.trainable_variables, optimizer._model_variables_moving_average, strict=True)
    return {v.path: a for v, a in pairs}


class History(keras.callbacks.Callback):
    """`history.csv`: a row an epoch, written whole each time, so that a kill leaves no half line."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append({"epoch": epoch, **{name: float(np.asarray(v)) for name, v in (logs or {}).items()}})
        write_csv(self.path, list(dict.fromkeys(name for row in self.rows for name in row)), self.rows)


class Checkpoint(keras.callbacks.Callback):
    """After each epoch: all that the next one depends on, in one file that is whole or absent.

    Weights, the states of the random generators, the optimizer, the judge and the history; with a data stream that can
    be entered at any step, an interrupted training continues to the same result.  Put it last.

    Args:
        path: `.npz` file.
        judge, history: callbacks whose state belongs to it.
        purpose: text that the file must have been written for.
    """

    def __init__(self, path: Path, judge: TrackValidation, history: History, purpose: str):
        super().__init__()
        self.path, self.judge, self.history, self.purpose = path, judge, history, purpose
        self.began = time.time()  # less what was spent before an interruption

    def on_epoch_end(self, epoch, logs=None):
        if not np.isfinite((logs or {}).get("val_ccc", np.nan)):
            return  # what diverged is no place to continue from
        about = {
            "purpose": self.purpose,
            "epochs": epoch + 1,
            "judge": self.judge.get_state(),
            "history": self.history.rows,
            "stopped": bool(self.model.stop_training),
            "seconds": self.seconds(),
        }
        arrays = {f"v{i}": np.asarray(v.numpy()) for i, v in enumerate(_state(self.model))}
        content = io.BytesIO()
        np.savez(content, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
        write_bytes(self.path, content.getvalue())

    def seconds(self) -> float:
        """That this training has taken so far, interruptions left out."""
        return time.time() - self.began

    def restore(self, model: keras.Model) -> int:
        """Lay the file's state into `model`, its built optimizer and the callbacks; epochs that are done.

        0 without a file.  Raises: SentioError for a file that does not read or is of another training.
        """
        if not self.path.exists():
            return 0
        try:
            with np.load(self.path, allow_pickle=False) as file:  # every array is compared with its checksum
                about = json.loads(str(file["about"]))
                arrays = [file[f"v{i}"] for i in range(len(file.files) - 1)]
            if about["purpose"] != self.purpose:
                raise ValueError("of another training")
            variables = _state(model)
            if [a.shape for a in arrays] != [tuple(v.shape) for v in variables]:
                raise ValueError("of another model")
            if np.isfinite(about["judge"]["best"]) and not self.judge.path.exists():
                raise ValueError(f"without {self.judge.path.name}")
        except Exception as error:  # numpy and zipfile raise a dozen kinds
            raise SentioError(
                f"{self.path}: expected the state of this training, received a file that does not read or is another's "
                f"({printable(str(error))}); remove it to start this part anew"
            ) from None
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        self.judge.set_state(about["judge"])
        self.history.rows = about["history"]
        self.began -= about["seconds"]
        return STOPPED if about["stopped"] else int(about["epochs"])


def _state(model: keras.Model) -> list[keras.Variable]:
    """Everything that a step changes: weights, seeds of random layers, and the optimizer's variables."""
    return [*model.variables, *model.optimizer.variables]


class Progress(keras.callbacks.Callback):
    """One line an epoch through `report(text)`."""

    def __init__(self, report, label: str):
        super().__init__()
        self.report, self.label = report, label

    def on_epoch_end(self, epoch, logs=None):
        shown = ", ".join(f"{k.removeprefix('val_')} {v:.3f}" for k, v in (logs or {}).items())
        self.report(f"{self.label} epoch {epoch + 1}/{self.params['epochs']}: {shown}")


def board(folder: Path) -> keras.callbacks.Callback:
    """Curves for TensorBoard.  Raises: ConfigError where it is not installed."""
    # Keras would notice in the middle of the first epoch.
    if missing := [name for name in ("tensorflow", "tensorboard") if importlib.util.find_spec(name) is None]:
        raise ConfigError(
            f"--tensorboard: expected TensorFlow and tensorboard, received an environment without {missing[0]}; "
            "install it, or leave --tensorboard out"
        )
    return keras.callbacks.TensorBoard(folder, write_graph=False)
