"""Callbacks of a GAN's training: is it still a contest, what do its samples look like, and where does it go on."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..config import GanConfig
from ..errors import SentioError
from ..terminal import printable
from ..training.callbacks import History
from ..training.run import write_bytes
from . import quality, sheets
from .profile import Profile, profile
from .run import TRAINING, save_networks, write_status
from .trainer import GAN

JUDGED = 2  # judgements in a row: in the epochs between two of them nobody has looked
SHEET = 8  # samples of a sheet, of the same latents and conditions every epoch
ALIKE = 4  # samples of one condition that the diversity is taken of


class Guard(keras.callbacks.Callback):
    """Says why a training has failed, and ends it.

    An epoch is lost where the discriminator wins (accuracy above `win`, or a loss within `min_loss` of the least it can
    have, where it passes nothing on to the generator), where it collapses (below `collapse`), or where the samples are
    all alike (`diversity` below `min_diversity`).  `patience` lost epochs in a row for one reason end the training, and
    `JUDGED` judgements in a row of samples that are all alike; a number that is not finite ends it at once.  What comes
    to its last epoch nevertheless is judged as a whole, see `verdict`.

    Attributes:
        failed: the reason, empty as long as there is none.
        finite: whether all numbers were; if not, the networks are those of no use.
    """

    def __init__(self, config: GanConfig, least: float):
        super().__init__()
        self.config, self.least = config, least
        self.failed = ""
        self.finite = True
        self.lost: dict[str, int] = {}  # reason -> epochs in a row

    def on_train_batch_end(self, batch, logs=None):
        values = {name: float(np.asarray(value)) for name, value in (logs or {}).items()}
        if bad := next((name for name, value in values.items() if not np.isfinite(value)), ""):
            self.finite = False
            self.failed = f"{bad} is not finite from step {batch + 1} of an epoch on; lower learning_rate"
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        if self.failed:
            return
        logs = logs or {}
        now = reasons(self.config, self.least, logs)
        kept = {"alike": self.lost["alike"]} if "alike" in self.lost and "diversity" not in logs else {}
        self.lost = kept | {kind: self.lost.get(kind, 0) + 1 for kind in now}
        most = {kind: JUDGED if kind == "alike" else self.config.patience for kind in now}
        if over := next((kind for kind in now if self.lost[kind] >= most[kind]), ""):
            what = "judgements" if over == "alike" else "epochs"
            self.failed = f"{now[over]}, in {self.lost[over]} {what} in a row"
            self.model.stop_training = True


def verdict(config: GanConfig, least: float, history: Sequence[dict[str, float]]) -> str:
    """Why a training that came to its end has failed; empty for a sound one.

    Its last epoch is lost for any reason, the last judged samples are all alike, or more than half of its epochs are
    lost: too few in a row for the guard, but nothing that samples may be drawn from.

    Args:
        least: of the objective's discriminator loss.
        history: the logs of every epoch, as `Guard` has them.
    """
    found = [reasons(config, least, logs) for logs in history]
    if not found:
        return ""
    if found[-1]:
        return f"{next(iter(found[-1].values()))}, in the last epoch"
    judged = [now for now, logs in zip(found, history, strict=True) if "diversity" in logs]
    if judged and "alike" in judged[-1]:
        return f"{judged[-1]['alike']}, when last judged"
    lost = [now for now in found if now]
    if 2 * len(lost) > len(found):
        return f"{len(lost)} of {len(found)} epochs were no contest, first: {next(iter(lost[0].values()))}"
    return ""


def reasons(config: GanConfig, least: float, logs: dict[str, float]) -> dict[str, str]:
    """Why an epoch is lost: kind -> words; empty for a contest.  `least`: of the objective's discriminator loss."""
    found = {}
    accuracy, loss, diversity = logs["d_accuracy"], logs["d_loss"], logs.get("diversity")
    if loss - least < config.min_loss:
        found["perfect"] = (
            f"the discriminator is perfect: its loss of {loss:.3f} is within {config.min_loss:g} of the least, "
            f"{least:.3f}, and passes nothing on"
        )
    if accuracy > config.win:
        found["wins"] = f"the discriminator wins: {accuracy:.3f} right, above {config.win:g}"
    if accuracy < config.collapse:
        found["collapsed"] = f"the discriminator has collapsed: {accuracy:.3f} right, below {config.collapse:g}"
    if diversity is not None and diversity < config.min_diversity:
        found["alike"] = (
            f"samples are all alike: {diversity:.2f} of the diversity of music, below {config.min_diversity:g}"
        )
    return found


def twins(sample: Callable[[np.ndarray], np.ndarray], asked: np.ndarray) -> tuple[Profile, np.ndarray]:
    """`ALIKE` samples of each of the first `SHEET` conditions, and the condition of each: what a diversity is taken of.

    Args:
        sample: conditions `(n, 2)` -> log-mels [dB].
    """
    same = np.repeat(asked[:SHEET], ALIKE, axis=0)
    return profile(sample(same)), same


class Judge(keras.callbacks.Callback):
    """After each epoch a sample sheet, `d_held` and `d_known`; every `judge_every` epochs composite and diversity.

    `d_held` and `d_known` are the shares of real spectrograms, not trained on and trained on, that the discriminator
    calls real as it is then, nothing augmented: where `d_held` is far below `d_known`, it knows songs by heart.  The
    diversity is of samples with the same condition.  Put it before the guard and the history, which read what it logs.

    Args:
        train: profile of training songs, the reference of the scores.
        asked: conditions `(n, 2)` of the samples that are judged, as training songs have them.
        real: "known", "held" -> what makes real log-mels [dB], and their conditions.
        folder: gets `epoch-NNN.png`.
    """

    def __init__(
        self,
        config: GanConfig,
        train: Profile,
        asked: np.ndarray,
        real: Mapping[str, tuple[Callable[[], Any], np.ndarray]],
        folder: Path,
    ):
        super().__init__()
        self.config, self.train, self.asked, self.real = config, train, asked, real
        self.folder = folder

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        if not all(np.isfinite(float(np.asarray(v))) for v in logs.values()):
            return  # the guard ends it
        gan: GAN = self.model
        for name, (make, of) in self.real.items():
            logs[f"d_{name}"] = float((heard(gan.discriminator, gan.scale, make(), of) > 0).mean())
        judged = (epoch + 1) % self.config.judge_every == 0 or epoch + 1 == self.params["epochs"]
        mels = gan.sample(self.asked if judged else self.asked[:SHEET], seed=self.config.seed)
        if judged:
            logs["composite"] = quality.composite(self.train, profile(mels))["composite"]
            made, same = twins(lambda of: gan.sample(of, seed=self.config.seed), self.asked)
            logs["diversity"] = quality.diversity(made, self.train, same)
        draw(self.folder / f"epoch-{epoch + 1:03}.png", mels[:SHEET], self.asked, f"epoch {epoch + 1}")


def heard(discriminator: keras.Model, scale, mels, conditions: np.ndarray, *, batch: int = 16) -> np.ndarray:
    """Logits `(n,)` of log-mels [dB], an iterable of `(128, 1292, 1)`, with their conditions."""
    endless = iter(mels)
    asked = np.asarray(conditions, np.float32)
    found: list[np.ndarray] = []
    for start in range(0, len(asked), batch):
        x = np.stack(list(islice(endless, len(asked[start : start + batch])))).astype(np.float32)
        y = discriminator([np.asarray(scale.scaled(x)), asked[start : start + batch]], training=False)
        found.append(np.asarray(y)[:, 0])
    return np.concatenate(found) if found else np.zeros(0, np.float32)


def draw(path: Path, mels: np.ndarray, asked: np.ndarray, heading: str) -> None:
    """A sheet whose titles are the conditions."""
    titles = [f"valence {v:+.2f}, arousal {a:+.2f}" for v, a in asked[: len(mels)]]
    sheets.draw_sheet(path, mels, titles, heading=heading)


class Checkpoint(keras.callbacks.Callback):
    """After each epoch: networks, average, both optimizers, random states and history, in one file, and `status.json`.

    With a data stream that can be entered at any step, an interrupted training goes on to the same result.  Put it
    last.

    Args:
        run: its directory, which gets the networks as they are, too.
        path: `.npz` file.
        guard, history: callbacks whose state belongs to it.
        purpose: text that the file must have been written for.
    """

    def __init__(self, run: Path, path: Path, guard: Guard, history: History, purpose: str):
        super().__init__()
        self.run, self.path = run, path
        self.guard, self.history, self.purpose = guard, history, purpose
        self.began = time.time()

    def on_epoch_end(self, epoch, logs=None):
        if self.guard.failed:
            return  # it is said by `fit`, and no place to go on from
        about = {
            "purpose": self.purpose,
            "epochs": epoch + 1,
            "lost": self.guard.lost,
            "history": self.history.rows,
            "seconds": self.seconds(),
        }
        arrays = {f"v{i}": np.asarray(v.numpy()) for i, v in enumerate(self.model.state())}
        content = io.BytesIO()
        np.savez(content, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
        write_bytes(self.path, content.getvalue())
        save_networks(self.run, self.model)
        write_status(self.run, TRAINING, epoch=epoch + 1)

    def seconds(self) -> float:
        """That this training has taken so far, interruptions left out."""
        return time.time() - self.began

    def restore(self, gan: GAN) -> int:
        """Lay the file's state into a compiled GAN and the callbacks; epochs that are done, 0 without a file.

        Raises: SentioError for a file that does not read or is of another training.
        """
        if not self.path.exists():
            return 0
        try:
            with np.load(self.path, allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                arrays = [file[f"v{i}"] for i in range(len(file.files) - 1)]
            if about["purpose"] != self.purpose:
                raise ValueError("of another training")
            variables: Sequence[keras.Variable] = gan.state()
            if [a.shape for a in arrays] != [tuple(v.shape) for v in variables]:
                raise ValueError("of another network")
        except Exception as error:  # numpy and zipfile raise a dozen kinds
            raise SentioError(
                f"{self.path}: expected the state of this training, received a file that does not read or is another's "
                f"({printable(str(error))}); remove it to start anew"
            ) from None
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        self.guard.lost = about["lost"]
        self.history.rows = about["history"]
        self.began -= about["seconds"]
        return int(about["epochs"])
