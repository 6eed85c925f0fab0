"""The run directory of a GAN: what is in it, whether it may be used, and opening it again.

`config.yaml`, `trained.csv` (its songs), `targets.npy` and `scale.npz` (their labels and bands), `status.json`,
`history.csv`, `curves.png`, `sheets/epoch-NNN.png`, `generator.keras` (the average, log-mels in dB), and
`discriminator.keras`, `quality.json`, `environment.json`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import yaml

from ..config import GanConfig, load
from ..errors import ConfigError, ModelError
from ..training.run import read_songs, write_json
from .scale import BandScale
from .trainer import GAN

STATUS, GENERATOR, DISCRIMINATOR = "status.json", "generator.keras", "discriminator.keras"
TRAINING, FINISHED, FAILED = "training", "finished", "failed"
ROLES = ("train", "validation")


@dataclass(frozen=True)
class Song:
    """A track that the GAN knows: `train` made the generator, `validation` judged it."""

    key: str
    group: str
    recording: str
    role: str


@dataclass(frozen=True)
class GanRun:
    """A run directory that was opened; `targets` `(n, 3)` are of the songs whose role is train."""

    folder: Path
    config: GanConfig
    status: dict[str, Any]
    songs: list[Song]
    targets: np.ndarray
    scale: BandScale

    @property
    def sound(self) -> bool:
        """Whether the training ended, and well."""
        return self.status.get("status") == FINISHED

    @property
    def why(self) -> str:
        """What is wrong with it, in words; empty for a sound run."""
        if self.sound:
            return ""
        if self.status.get("status") == FAILED:
            return f"a training that failed: {self.status.get('why')}"
        return f"a training that ended at epoch {self.status.get('epoch', 0)} of {self.config.epochs}"

    def generator(self) -> keras.Model:
        """[latent, condition] -> log-mel [dB]; the average of the weights.  Raises: ModelError."""
        return self._model(GENERATOR)

    def discriminator(self) -> keras.Model:
        """[log-mel in [-1, 1], condition] -> logit.  Raises: ModelError."""
        return self._model(DISCRIMINATOR)

    @property
    def identity(self) -> str:
        """Of the generator that makes the samples: SHA-256 of its file."""
        return hashlib.sha256((self.folder / GENERATOR).read_bytes()).hexdigest()

    def _model(self, name: str) -> keras.Model:
        try:
            return keras.models.load_model(self.folder / name, compile=False)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{self.folder / name}: expected a network of gan fit, received one that does not read "
                f"({str(error).splitlines()[0]}); train it again"
            ) from None


def open_run(folder: Path, *, force: bool = False) -> GanRun:
    """A run to draw from or to score.

    Args:
        force: take one whose training failed or did not end.

    Raises: ModelError if it is no run of `gan fit`, or not sound.
    """
    try:
        status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
        values = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        known = GanConfig.__dataclass_fields__
        config = load(None, kind=GanConfig, **{k: v for k, v in values.items() if k in known})
        songs = [Song(*(row[name] for name in Song.__dataclass_fields__)) for row in read_songs(folder)]
        targets = np.load(folder / "targets.npy", allow_pickle=False)
        with np.load(folder / "scale.npz", allow_pickle=False) as file:
            scale = BandScale(file["mean"], file["std"], name="decibels")
        run = GanRun(folder, config, status, songs, targets, scale)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, yaml.YAMLError, ConfigError) as error:
        raise ModelError(
            f"{folder}: expected a run of sentio-tf gan fit, received something else ({error}); train one first"
        ) from None
    if not run.sound and not force:
        raise ModelError(
            f"{folder}: expected a finished training, received {run.why}; train it again, or take it with --force, "
            "which marks what it makes"
        )
    return run


def save_networks(folder: Path, gan: GAN) -> None:
    """`generator.keras`, the average with decibels behind it, and `discriminator.keras`; whole or those before."""
    inputs = gan.averaged.inputs
    sampler = keras.Model(inputs, gan.scale(gan.averaged(inputs)), name="sampler")
    for name, network in ((GENERATOR, sampler), (DISCRIMINATOR, gan.discriminator)):
        part = folder / f"part.{name}"
        network.save(part)
        part.replace(folder / name)


def write_status(folder: Path, status: str, *, why: str = "", epoch: int, **more: Any) -> None:
    """`status.json`: training, finished or failed, why, and the epochs that are done."""
    write_json(folder / STATUS, {"status": status, "why": why, "epoch": epoch, **more})
