"""Finished runs as teachers: what they answer to the windows that a student learns from, once or batch by batch.

A teacher of a fold teaches the student of that fold and no other, and both have the split: what a student is judged
by, its teachers have never heard either.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .. import pipeline
from ..config import CLASSICAL, DistillConfig, FitConfig
from ..corpora.track import Track
from ..errors import ConfigError, ModelError
from ..evaluation.predictions import read
from ..layers.normalize import ClipZScore
from ..models import WAVEFORM
from ..models.weights import transfer
from ..pipeline.vectors import vectors
from . import classical, taps
from .apply import read_settings
from .build import Builder, builder, heard_spec, load_model, rest
from .distiller import Layout
from .lesson import Lesson
from .plan import Plan
from .quantize_aware import plain
from .start import PlanOf, check_same_songs, digest_of
from .voice import Voice, resting_stages


@dataclass(frozen=True)
class Teacher:
    """A finished run, whose model of each part teaches.

    Raises: ModelError for a run without a configuration.
    """

    run: Path

    @cached_property
    def settings(self) -> dict[str, Any]:
        return read_settings(self.run)

    @property
    def model(self) -> str:
        return str(self.settings.get("model"))

    @property
    def is_network(self) -> bool:
        return self.model not in CLASSICAL

    def file(self, part: str) -> Path:
        return self.run / f"fold-{part}" / ("model.keras" if self.is_network else "model.skops")

    def check(self, work: Plan, config: FitConfig) -> None:
        """Raises: ConfigError if it learnt from other songs than the student may, lacks a part, or hears otherwise;
        as `predictions.read`, by which the student is measured.
        """
        check_same_songs(self.run, self.settings, work, config.labels, option="--teacher")
        for part in work.parts:
            if not self.file(part.name).exists():
                hint = "" if self.is_network else " with --set keep_models=true"
                raise ConfigError(
                    f"--teacher: expected the model of fold {part.name} in {self.run}, received none; fit it to the "
                    f"end{hint}"
                )
        if self.is_network and (theirs := contract(self.settings)) != (ours := contract(dataclasses.asdict(config))):
            both = set(theirs) & set(ours)  # one that hears sound itself has neither bands nor their normalisation
            if any(theirs[name] != ours[name] for name in both):
                raise ConfigError(
                    f"--teacher: expected one that hears what the student hears, received {self.run.name} with "
                    f"{said(theirs)}; the student has {said(ours)}; fit one of them with the other's settings"
                )
        read(self.run)

    @cached_property
    def config(self) -> FitConfig:
        """Of a network's run."""
        names = {f.name for f in dataclasses.fields(FitConfig)}
        return FitConfig(**{k: v for k, v in self.settings.items() if k in names})

    def networks(
        self, part: str, seconds: float, root: Path, report: Callable[[str], None], count: int = 2
    ) -> list[keras.Model]:
        """So many of the part's network, for windows of `seconds`; all their weights are in its file, read once."""
        saved = load_model(self.file(part))
        build = builder(dataclasses.replace(self.config, crop_s=seconds), root, report, like=saved)
        normalize = next((layer for layer in saved.layers if layer.name == "normalize"), None)
        found = []
        for _ in range(count):
            own = type(normalize).from_config(normalize.get_config()) if normalize else keras.layers.Identity()
            network = build(own, seconds, "float32")
            transfer(saved, network)
            found.append(network)
        return found

    def voice(self, networks: Sequence[keras.Model], layout: Layout, root: Path) -> Voice:
        """Two of `networks`, ready to be asked for rows of `layout`."""
        config = self.config
        stages = resting_stages(self.model, networks[0], config.unfreeze, config.epochs)
        return Voice((networks[0], networks[1]), self.model, self.cache(root), layout, stages=stages)

    def cache(self, root: Path) -> pipeline.Cache:
        """What the network hears."""
        bits = int(self.settings.get("cache_bits", 16))
        f_max = float(self.settings.get("f_max", FitConfig.f_max))
        return pipeline.open_cache(heard_spec(self.model, root, bits=bits, f_max=f_max))

    def songs(self, part: str, tracks: Sequence[Track], root: Path, report: Callable[[str], None]) -> np.ndarray:
        """One answer a song, `(tracks, 2)`, of a classical teacher.  Raises: ModelError if its features are missing."""
        which = str(self.settings["features"])
        _, x, failed = vectors(tracks, which, root, report=report)
        if failed:
            raise ModelError(f"--teacher {self.run.name}: {next(iter(failed.values()))}; leave that song out")
        return classical.predict(classical.load(self.file(part).parent), x)


def contract(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a network hears at once: length of the window, and of the mel its upper edge and normalisation."""
    heard: dict[str, Any] = {"window": f"{float(settings.get('crop_s', FitConfig.crop_s)):g} s"}
    if settings.get("model") not in WAVEFORM:
        heard["bands to"] = f"{float(settings.get('f_max', FitConfig.f_max)):g} Hz"
        heard["normalization"] = settings.get("normalization", FitConfig.normalization)
    return heard


def said(heard: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in heard.items())


@dataclass(frozen=True)
class School:
    """Teachers for all parts of a run; answers several give are averaged, the first network shows its features.

    `alone` is a run of the same student without them, which it will be compared with.
    """

    teachers: tuple[Teacher, ...]
    config: DistillConfig
    root: Path
    report: Callable[[str], None]
    alone: Path | None = None

    def check(self, plan_of: PlanOf) -> None:
        """Raises: ConfigError as `Teacher.check`, for weights of taps that no teacher has, and where `alone` is of
        another network or other songs; ModelError, DataError where it is not complete.
        """
        for teacher in self.teachers:
            teacher.check(plan_of(teacher.run), self.config)
        if self.tapped:
            first = next((t for t in self.teachers if t.is_network), None)
            if not first:
                raise ConfigError(
                    f"terms: expected a network among the teachers for {' and '.join(self.tapped)}, received none; set "
                    "them to 0"
                )
            taps.check_tapped(first.model)
        if self.alone:
            read(self.alone)
            settings = read_settings(self.alone)
            if settings.get("model") != self.config.model:
                raise ConfigError(
                    f"--alone: expected a run of the student's network, {self.config.model}, received "
                    f"{self.alone.name}, of {settings.get('model')}; name the run of the same network"
                )
            check_same_songs(self.alone, settings, plan_of(self.alone), self.config.labels, option="--alone")

    def check_student(self, build: Builder) -> None:
        """Raises: ConfigError for a student without the taps that are asked for, or below which nothing ever trains."""
        if not self.tapped:
            return
        taps.check_tapped(self.config.model)
        network = build(ClipZScore(name="normalize", dtype="float32"), self.config.crop_s, "float32")
        rest(network, self.config)
        places = taps.taps(self.config.model, network)
        below = {name: keras.Model(network.input, places[name]) for name in self.tapped}
        taps.check_trained(self.config.model, below)

    def identity(self, work: Plan) -> str:
        return digest_of(t.file(part.name) for t in self.teachers for part in work.parts)

    @property
    def tapped(self) -> list[str]:
        return [name for name in ("features", "attention") if self.config.weights_of_terms()[name]]

    def lesson(
        self,
        part: str,
        student: keras.Model,
        tracks: Sequence[Track],
        *,
        heard: pipeline.Cache,
        examples: pipeline.Spec,
    ) -> Lesson:
        """What the student of a part learns from: `tracks` are its training tracks, labelled or not."""
        seconds = self.config.crop_s
        networks = {t: t.networks(part, seconds, self.root, self.report) for t in self.teachers if t.is_network}
        layouts = dict.fromkeys(networks, Layout())
        if self.tapped:
            first = next(iter(networks))
            shown, asked = taps.taps(first.model, networks[first][0]), taps.taps(self.config.model, student)
            grids = {name: taps.common(shown[name], asked[name]) for name in self.tapped}
            layouts[first] = Layout(
                features=(*grids["features"], shown["features"].shape[-1]) if "features" in grids else None,
                attention=grids.get("attention"),
            )
        voices = [t.voice(own, layouts[t], self.root) for t, own in networks.items()]
        largest, own = max((v.parameters for v in voices), default=0), plain(student)[0].count_params()
        if voices and own > largest:
            self.report(
                f"warning: the student has {own:,} weights, its largest teacher {largest:,}; it is not made smaller"
            )
        for voice in voices:
            if failed := voice.cache.build(tracks, report=self.report):
                raise ModelError(f"--teacher: {next(iter(failed.values()))}; leave that song out")
        songs = [t.songs(part, tracks, self.root, self.report) for t in self.teachers if not t.is_network]
        layout = next(iter(layouts.values()), Layout())
        return Lesson(
            self.config, self.root, layout, voices, songs, tracks, heard=heard, examples=examples, report=self.report
        )


def teachers(runs: Sequence[Path]) -> tuple[Teacher, ...]:
    """Raises: ConfigError for a folder that is no run."""
    for run in runs:
        if not (run / "config.yaml").exists():
            raise ConfigError(f"--teacher: expected a finished run, received {run}, which is none; see sentio-tf fit")
    return tuple(Teacher(run) for run in runs)
