"""What a training starts from beside fresh weights: the ridge solution for the head, or another run's networks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .. import corpora, pipeline
from ..config import FitConfig
from ..corpora.track import Track
from ..errors import ConfigError, DataError
from ..models.weights import transfer
from .apply import read_settings
from .build import Builder, load_model
from .frozen import Answers
from .plan import Plan
from .ridge_head import initialise
from .run import trained_on

PlanOf = Callable[[Path], Plan]  # a run -> the plan that it must have


def foreseen(tracks: Sequence[Track], divide: Callable[[Sequence[Track]], Plan]) -> PlanOf:
    """The plan that a run on the songs of `tracks` has, as far as it can be known before these are decoded.

    What the run has left out of its corpora, because it does not read, will be left out here.  Of a corpus that the run
    did not have nothing is: the plans are two then.
    """

    def plan_of(run: Path) -> Plan:
        theirs = trained_on(run)
        names = {key.partition("/")[0] for key in theirs}
        try:
            return divide([t for t in tracks if t.key in theirs or t.corpus not in names])
        except DataError:  # too few to be divided: a run on other songs, which the hashes of all say
            return divide(tracks)

    return plan_of


def check_same_songs(run: Path, settings: Mapping[str, Any], work: Plan, labels: str, *, option: str) -> None:
    """Raises: ConfigError unless the run trained, and was judged, by the same songs in each part, by their hashes, with
    the same version of their `labels`.
    """
    names = settings.get("data") or []
    theirs = corpora.label_versions(names, settings.get("labels"))
    for corpus, version in corpora.label_versions(names, labels).items():
        if theirs[corpus] != version:
            raise ConfigError(
                f"{option}: expected a run on the labels of this one ({corpus}: {version}), received {run.name} "
                f"({corpus}: {theirs[corpus]}); fit both with one --labels"
            )
    for field, ours in (("split", work.hash), ("parts", work.exact)):
        if settings.get(field) != ours:
            raise ConfigError(
                f"{option}: expected a run with the same songs in training and test ({field} {ours[:12]}), received "
                f"{run.name} ({str(settings.get(field))[:12]}), which may have learnt from songs that judge; fit both "
                "with one --split and the same --data"
            )


def digest_of(files: Iterable[Path]) -> str:
    """SHA-256 of files, one behind the other."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Start:
    """A finished run whose models a training goes on from, part by part: none has seen what its part is judged by."""

    run: Path
    labels: str  # version of what is trained now

    def check(self, plan_of: PlanOf) -> None:
        """Raises: ConfigError if the run trained and judged by other songs or labels, or lacks a part."""
        work = plan_of(self.run)
        check_same_songs(self.run, read_settings(self.run), work, self.labels, option="--start")
        for part in work.parts:
            if not self.model(part.name).exists():
                raise ConfigError(
                    f"--start: expected the model of fold {part.name} in {self.run}, received none; fit it to the end"
                )

    def model(self, part: str) -> Path:
        return self.run / f"fold-{part}" / "model.keras"

    def identity(self, work: Plan) -> str:
        """SHA-256 of all models, by which a run directory knows what it started from."""
        return digest_of(self.model(part.name) for part in work.parts)

    def builder(self, build: Builder, part: str) -> Builder:
        """`build`, whose networks start with the weights of the run's model of that part."""
        source = load_model(self.model(part))

        def started(normalize: keras.layers.Layer, seconds: float, precision: str) -> keras.Model:
            network = build(normalize, seconds, precision)
            try:
                transfer(source, network)
            except ValueError as error:
                raise ConfigError(f"--start: {error}; start from a run of the same model and architecture") from None
            return network

        return started


def start_from_ridge(
    config: FitConfig,
    model: keras.Model,
    twin: keras.Model,
    train: Sequence[Track],
    heard: pipeline.Cache,
    answers: Answers | None,
    *,
    given: tuple[Iterable[np.ndarray], np.ndarray] | None = None,
    label: str,
    report: Callable[[str], None],
) -> None:
    """Lay the ridge solution over all windows of the training tracks into the last layer of `model`.

    Args:
        answers: of resting stages, where `twin` takes these.
        given: other examples, those of `model`, and their targets `(n, 3)`.
    """
    if given:
        examples, targets = given
    else:
        counts, examples = own_windows(train, heard, answers)
        targets = np.repeat([pipeline.target(t) for t in train], counts, axis=0)
    network = model if given else twin
    network.set_weights(model.get_weights())
    found = initialise(network, batched(examples, 16), targets, alpha=config.head_alpha)
    model.set_weights(network.get_weights())
    report(f"{label}: head starts as the ridge solution, R² {found:.3f} on {len(targets)} training windows")


def own_windows(
    tracks: Sequence[Track], heard: pipeline.Cache, answers: Answers | None
) -> tuple[list[int], Iterator[np.ndarray]]:
    """How many windows each track has, and all of them, or what resting stages answered to them."""
    if answers:
        return [len(answers.of[t.key]) for t in tracks], (x for t in tracks for x in answers.of[t.key])
    return [len(pipeline.places_of(t, heard)) for t in tracks], (x for _, x in pipeline.windows(tracks, heard))


def batched(examples: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Stacks of `size` examples, the last one smaller."""
    endless = iter(examples)
    while part := list(islice(endless, size)):
        yield np.stack(part)
