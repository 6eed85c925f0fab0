"""A corpus of generated spectrograms, which `sentio-tf fit` takes into training and nothing takes as a judge."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile
import yaml

from ..contract import SAMPLE_RATE
from ..errors import ConfigError, DataError
from ..pipeline.generated import SUFFIX
from ..training.generated import ABOUT, RATIO
from ..training.run import TRAINED, write_bytes, write_json
from . import conditions, watch
from .listen import griffin_lim
from .profile import profile
from .reader import Reader
from .run import GanRun, open_run
from .trainer import spectrograms

MIN_CONFIDENCE = 0.3  # of the discriminator that a sample is real, as published
TOLERANCE = 1.0  # of the labels' reader: its own errors on real songs, in root mean squares; six of ten songs pass
TRIES = 10  # draws at most for one that is kept
CHUNK = 32  # drawn at a time
SHEET = 16
LABELS = "labels.csv"
COLUMNS = (
    "track_id",
    "path",
    "valence",
    "arousal",
    "quadrant",
    "group",
    "confidence",
    "heard_valence",
    "heard_arousal",
)
SIDES = {(1, 1): "Q1", (-1, 1): "Q2", (-1, -1): "Q3", (1, -1): "Q4"}  # of valence and arousal
README = """# Generated spectrograms

Log-mels of 30 s ([128, 1292], dB) that a conditional GAN made: no recording, and heard by nobody.  The labels are what
the GAN was asked for.  `sentio-tf fit --data folder:THIS` takes them into the training part of a network on log-mels;
they are refused wherever something is judged, and no result may be reported on them.  `gan.json` says how they were
drawn, `trained.csv` names the songs that the GAN knows: none of them may judge a network that learns from this folder.
"""


def sample(
    folder: Path,
    out: Path,
    count: int,
    *,
    way: str = "density",
    min_confidence: float = MIN_CONFIDENCE,
    tolerance: float = TOLERANCE,
    sounds: int = 0,
    seed: int = 0,
    force: bool = False,
    report: Callable[[str], None] = print,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Draw `count` spectrograms from the run `folder` and write the corpus `out`; returns what stands in `gan.json`.

    A draw is kept if the discriminator's confidence (sigmoid of its logit) is above `min_confidence`, and the reader
    of labels hears what was asked for within `tolerance` of its own errors.

    Args:
        way: of drawing labels, see `conditions.draw`.
        min_confidence: 0 to below 1; 0 keeps all.
        tolerance: above 0; infinite keeps all.
        sounds: spectrograms, the first ones, that are rendered to wav as well.
        force: take a GAN whose training failed or did not end; the corpus is marked.

    Raises: ModelError for a run that is no sound GAN; ConfigError for options out of their range, and where fewer than
        one draw in `TRIES` is kept; DataError if `out` holds anything or cannot be written.
    """
    if count < 1 or sounds < 0:
        raise ConfigError(f"expected a count of 1 or more and 0 sounds or more, received {count} and {sounds}")
    if not 0 <= min_confidence < 1 or not tolerance > 0:
        raise ConfigError(
            f"expected min_confidence in [0, 1) and tolerance above 0, received {min_confidence} and {tolerance}"
        )
    run = open_run(folder, force=force)
    out = out.resolve()
    beside = f".{out.name}-"  # what a killed draw leaves
    if out.exists() and (not out.is_dir() or any(not path.name.startswith(beside) for path in out.iterdir())):
        raise DataError(
            f"{out}: expected an empty or new folder for the corpus, received one that is not; choose another"
        )
    songs = len(run.targets)
    if not run.sound:
        report(f"warning: drawn by force from {run.why}; the corpus is marked")
    if count > RATIO * songs:
        report(
            f"warning: {count} spectrograms of {songs} songs, more than {RATIO:g} each; what is learnt from them is "
            "the GAN rather than music"
        )
    choice = Choice(way, min_confidence, tolerance, sounds, seed)
    rng = np.random.default_rng(seed)
    beyond = conditions.outside(
        conditions.draw(run.targets, 1000, way=way, rng=rng), run.targets, run.config.sign_value
    )
    if way == "uniform":
        report(
            f"warning: {100 * beyond:.0f} % of uniform labels lie where the training songs have none; the GAN guesses "
            "there"
        )
    unready = None
    try:
        there = out.is_dir()
        out.parent.mkdir(parents=True, exist_ok=True)
        unready = TemporaryDirectory(prefix=beside, dir=out if there else out.parent)  # a corpus is whole or none
        part = Path(unready.name) / out.name
        part.mkdir()
        rows, counts = _draw(run, part, count, choice, rng, progress)
        about = {
            "kept": len(rows),
            **counts,
            "labels": way,
            "outside": round(beyond, 4),
            "min_confidence": min_confidence,
            "tolerance": tolerance if math.isfinite(tolerance) else None,
            "seed": seed,
            "songs": songs,
            "ratio": round(count / songs, 3),
            "gan": run.identity,
            "status": run.status.get("status"),
            "unsound": run.why,
        }
        write_bytes(part / TRAINED, (run.folder / TRAINED).read_bytes())
        write_json(part / ABOUT, about)
        (part / "README.md").write_text(README, encoding="utf-8")
        (part / "corpus.yaml").write_text(yaml.safe_dump({"generated": True, "scale": [-1, 1]}), encoding="utf-8")
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
        write_bytes(part / LABELS, text.getvalue().encode())
        if there:
            for path in sorted(part.iterdir(), key=lambda path: path.name == LABELS):  # labels last: then it is one
                path.rename(out / path.name)
        else:
            part.rename(out)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror or error}); choose another folder") from None
    finally:
        if unready:
            unready.cleanup()
    return about


@dataclass(frozen=True)
class Choice:
    """What is drawn and kept; fields as the arguments of `sample`."""

    way: str
    min_confidence: float
    tolerance: float
    sounds: int
    seed: int


def _draw(
    run: GanRun,
    out: Path,
    count: int,
    choice: Choice,
    rng: np.random.Generator,
    progress: Callable[[str, int, int], None] | None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of `labels.csv` of what was kept and written, and how the filters did; `rng` draws the labels.

    `drawn` and `passed` spectrograms, more than are kept where the last draw passed more than were wanted; and of those
    that the discriminator let pass the share that the reader would take for another label, drawn by another one.
    """
    generator, discriminator, reader = run.generator(), run.discriminator(), Reader.load(run.folder)
    (out / "spectrograms").mkdir()
    rows: list[dict[str, Any]] = []
    shown: list[np.ndarray] = []
    drawn = passed = 0
    strange: list[bool] = []
    while len(rows) < count:
        if drawn >= TRIES * max(count, CHUNK):
            raise ConfigError(
                f"expected one draw in {TRIES} or more to be kept, received {passed} of {drawn}; lower "
                "--min-confidence, raise --tolerance, or train the GAN on"
            )
        goals = conditions.draw(run.targets, CHUNK, way=choice.way, rng=rng)
        asked = conditions.conditions(goals, run.config.sign_value)
        # A seed of its own: neighbouring seeds would draw each other's latents.
        mels = spectrograms(generator, asked, seed=int(np.random.default_rng([choice.seed, drawn]).integers(2**63)))
        drawn += CHUNK
        confidence = 1 / (1 + np.exp(-watch.heard(discriminator, run.scale, mels, asked).astype(np.float64)))
        heard = reader.read(profile(mels))
        confident = confidence > choice.min_confidence
        kept = confident & (reader.far(heard, asked) <= choice.tolerance)
        passed += int(kept.sum())
        other = np.roll(asked, 1, axis=0)
        differs = confident & (other != asked).any(axis=1)
        strange += list(reader.far(heard, other)[differs] <= choice.tolerance)
        for i in np.flatnonzero(kept)[: count - len(rows)]:
            name = f"{len(rows) + 1:06}"
            np.save(out / "spectrograms" / f"{name}{SUFFIX}", mels[i, :, :, 0].astype(np.float16))
            if len(rows) < choice.sounds:
                _write_sound(out / "audio" / f"{name}.wav", mels[i, :, :, 0])
            if len(shown) < SHEET:
                shown.append(mels[i])
            rows.append(_row(name, goals[i], confidence[i], heard[i]))
            if progress:
                progress("sample", len(rows), count)
    places = np.array([[row["asked_valence"], row["asked_arousal"]] for row in rows[: len(shown)]])
    watch.draw(out / "sheet.png", np.stack(shown), places, f"{out.name}: generated")
    for row in rows:
        del row["asked_valence"], row["asked_arousal"]
    mislabelled = round(float(np.mean(strange)), 4) if strange else None
    return rows, {"drawn": drawn, "passed": passed, "passed_mislabelled": mislabelled}


def _row(name: str, goal: np.ndarray, confidence: float, heard: np.ndarray) -> dict[str, Any]:
    valence, arousal, rated = (float(v) for v in goal)
    row: dict[str, Any] = {"track_id": name, "path": f"spectrograms/{name}{SUFFIX}", "group": name}
    if rated == 1:
        row |= {"valence": round(valence, 5), "arousal": round(arousal, 5)}
    else:
        row["quadrant"] = SIDES[int(valence), int(arousal)]
    row |= {"confidence": round(float(confidence), 4)}
    row |= {"heard_valence": round(float(heard[0]), 4), "heard_arousal": round(float(heard[1]), 4)}
    return row | {"asked_valence": valence, "asked_arousal": arousal}


def _write_sound(path: Path, mel: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    sound = griffin_lim(mel)
    soundfile.write(path, sound / max(1.0, float(np.abs(sound).max())), SAMPLE_RATE, subtype="PCM_16")
