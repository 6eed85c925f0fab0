"""Finished runs as teachers: what they answer to the windows that a student learns from, once or batch by batch.

A teacher of a fold teaches the student of that fold and no other, and both have the split: what a student is judged
by, its teachers have never heard either.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .. import pipeline
from ..config import CLASSICAL, DistillConfig, FitConfig
from ..corpora.track import Track
from ..errors import ConfigError, ModelError
from ..losses import EmotionLoss
from ..models import WAVEFORM
from ..models.weights import transfer
from ..pipeline.data import Order, per_second, reader, track_frames, track_samples
from ..pipeline.loader import grouped, made
from ..pipeline.vectors import vectors
from . import classical, taps
from .apply import read_settings
from .build import builder, extent, heard_spec, load_model
from .callbacks import History
from .deviation import Wanted, groups_of, noise_of
from .distiller import AXES, Distiller, Guard, Layout, spread_of
from .frozen import Answers
from .quantize_aware import plain
from .run import Plan
from .start import check_same_songs, digest_of
from .voice import Voice, resting_stages

TAUGHT = -2.0  # in place of UNLABELLED: no label of its own, and no pair with another place of its song
SAMPLE = 64  # training songs by which features are standardised


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
        """Raises: ConfigError if it learnt from other songs than the student may, lacks a part, or hears otherwise."""
        check_same_songs(self.run, self.settings, work, option="--teacher")
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

    @cached_property
    def config(self) -> FitConfig:
        """Of a network's run."""
        names = {f.name for f in dataclasses.fields(FitConfig)}
        return FitConfig(**{k: v for k, v in self.settings.items() if k in names})

    def networks(
        self, part: str, seconds: float, root: Path, report: Callable[[str], None], count: int = 2
    ) -> list[keras.Model]:
        """So many of the part's network, for windows of `seconds`; weights are read once."""
        saved = load_model(self.file(part))
        build = builder(dataclasses.replace(self.config, crop_s=seconds), root, report)
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
    """Teachers for all parts of a run; answers several give are averaged, the first network shows its features."""

    teachers: tuple[Teacher, ...]
    config: DistillConfig
    root: Path
    report: Callable[[str], None]

    def check(self, work: Plan) -> None:
        """Raises: ConfigError as `Teacher.check`, and for weights of taps that no teacher has."""
        for teacher in self.teachers:
            teacher.check(work, self.config)
        if self.tapped and not any(t.is_network for t in self.teachers):
            raise ConfigError(
                f"terms: expected a network among the teachers for {' and '.join(self.tapped)}, received none; set "
                "them to 0"
            )

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
        return Lesson(self, layout, voices, songs, tracks, heard=heard, examples=examples)


class Lesson:
    """Windows of training tracks with what the teachers say of them, as endless batches.

    Stored: windows lie on a grid of `views` places a window's length, and every teacher answers each of them once.
    Live: windows lie anywhere, and the teachers answer every batch anew.  Student and teachers hear the same window;
    the student's augmentation is the student's alone.  Stages of the student that never train may answer the windows
    of the grid once, too, see `through`.
    """

    def __init__(
        self,
        school: School,
        layout: Layout,
        voices: Sequence[Voice],
        songs: Sequence[np.ndarray],
        tracks: Sequence[Track],
        *,
        heard: pipeline.Cache,
        examples: pipeline.Spec,
    ):
        self.school, self.layout, self.voices, self.songs = school, layout, list(voices), list(songs)
        self.tracks, self.heard, self.examples = list(tracks), heard, examples
        self.config = school.config
        self.hop_s = self.config.crop_s / self.config.views
        self.inside: Answers | None = None  # what the student's resting stages answer
        if not self.config.live:
            self._ask()
        self.scale = self._scale()

    def _ask(self) -> None:
        """Every teacher answers every window of the grid."""
        root = self.school.root
        if not all(voice.compute(self.tracks, root, **self._how()) for voice in self.voices):
            raise ConfigError(
                "teacher: expected its answers to fit into memory, received too little; lower views, set "
                "terms.features=0, or answers=live"
            )

    def _how(self) -> dict[str, Any]:
        return {"seconds": self.config.crop_s, "hop_s": self.hop_s, "report": self.school.report}

    @property
    def repeats_windows(self) -> bool:
        """Whether each window comes again as it was, and nothing inside the student is looked at."""
        return not self.config.live and not self.layout.maps()

    def through(self, front: keras.Model) -> bool:
        """From now on batches hold what `front`, which never trains, answers; False if that does not fit into memory.

        Only where `repeats_windows`.
        """
        answers = Answers(self.school.root / "answers")
        if not answers.compute(front, self.tracks, self.heard, **self._how()):
            return False
        self.inside = answers
        return True

    def wanted(self) -> Wanted:
        """All windows of the grid: a rated song's have its rating, others what the teachers say.

        Teachers are as far off as on rated songs, and more or less where they disagree more or less than there.
        """
        song, mean, spread = self._told()
        rated = np.array([t.rated for t in self.tracks])[song]
        label = np.array([pipeline.target(t)[:AXES] if t.rated else (0, 0) for t in self.tracks])[song]
        off = np.zeros((1, AXES))
        if rated.any():
            off = np.mean((mean - label)[rated] ** 2 - spread[rated] ** 2, axis=0, keepdims=True)
        own = rated[:, None]
        return Wanted(
            self._windows(np.bincount(song, minlength=len(self.tracks))),
            np.where(own, label, mean),
            np.where(own, noise_of(self.tracks)[song], np.maximum(spread**2 + off, 0)),
            groups_of(self.tracks)[song],
            np.ones(len(song), bool),
            sum(t.rated for t in self.tracks),
        )

    def for_ridge(self) -> tuple[Iterator[np.ndarray], np.ndarray]:
        """All windows of the grid, and targets `(windows, 3)` of a head: the teachers' answers, if these are taught."""
        song, mean, _ = self._told()
        counts = np.bincount(song, minlength=len(self.tracks))
        if not self.config.weights_of_terms()["soft"]:
            return self._windows(counts), self._targets()[song]
        return self._windows(counts), np.concatenate([mean, np.ones((len(mean), 1))], axis=1)

    def _told(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of all windows of the grid: number of the song `(n,)`, mean and spread of the teachers `(n, 2)`."""
        of = [self._answers(voice) for voice in self.voices]
        counts = [min(map(len, each)) for each in zip(self._places(), *of, strict=True)]
        song = np.repeat(np.arange(len(self.tracks)), counts)
        said = [np.concatenate([rows[:n] for rows, n in zip(tracks, counts, strict=True)]) for tracks in of]
        return song, *spread_of([*said, *(s[song] for s in self.songs)])

    def _answers(self, voice: Voice) -> list[np.ndarray]:
        """Of a teacher to all windows of the grid of each song, `(windows, 2)`."""
        if not self.config.live:
            return [voice.said(t)[:, :AXES] for t in self.tracks]
        found: list[list[np.ndarray]] = [[] for _ in self.tracks]
        windows = pipeline.windows(self.tracks, voice.cache, seconds=self.config.crop_s, hop_s=self.hop_s)
        while part := list(islice(windows, self.config.batch_size)):
            rows = voice.say(np.stack([x for _, x in part]))[:, :AXES]
            for (i, _), row in zip(part, rows, strict=True):
                found[i].append(row)
        return [np.stack(rows) for rows in found]

    def _windows(self, counts: Sequence[int] | np.ndarray) -> Iterator[np.ndarray]:
        """The first `counts` windows of each song, as batches hold them without augmentation."""
        if self.inside:
            yield from (x for t, n in zip(self.tracks, counts, strict=True) for x in self.inside.of[t.key][:n])
            return
        seen = np.zeros(len(self.tracks), int)
        for i, x in pipeline.windows(self.tracks, self.heard, seconds=self.config.crop_s, hop_s=self.hop_s):
            seen[i] += 1
            if seen[i] <= counts[i]:
                yield x

    def distiller(self, student: keras.Model, hard: EmotionLoss) -> Distiller:
        config = self.config
        return Distiller(
            student,
            config.model,
            self.layout,
            config.weights_of_terms(),
            hard,
            floor=config.soft_floor,
            bounded=config.soft_margin if config.soft == "bounded" else None,
        )

    def guard(self, history: History) -> Guard:
        """On the first batch of all."""
        config = self.config
        return Guard(next(self.batches()), history, dead=config.dead, dominating=config.dominating)

    def batches(self, skip: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Endless `(x, y)` from batch `skip` on; a function of the seed alone."""
        config = self.config
        if self.inside:
            return self._inside(self.inside, skip)
        length = extent(config.model, config.crop_s)
        augment = pipeline.Augment.from_dict(config.augment) if config.augment else None
        example = reader(self.tracks, self.examples, augment=augment, **length)
        return made(self._rows(length, skip), example, augment, workers=2, ahead=2)

    def _inside(self, answers: Answers, skip: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for rows, goals in self._grid(skip):
            yield np.stack([answers.of[self.tracks[i].key][w] for i, w, _ in rows]), goals

    def _targets(self) -> np.ndarray:
        return np.stack(
            [pipeline.target(t) if t.has_emotion else np.array([0, 0, TAUGHT], np.float32) for t in self.tracks]
        )

    def _rows(self, length: Mapping[str, int], skip: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows (track, start, seed) and targets as `Layout` says."""
        config, tracks = self.config, self.tracks
        if not config.live:
            places = self._places()
            for rows, goals in self._grid(skip):
                yield np.array([(i, places[i][w], seed) for i, w, seed in rows]), goals
            return
        size = next(iter(length.values()))
        measure = track_samples if "samples" in length else track_frames
        lengths = np.array([measure(t, self.examples) for t in tracks])
        counts = pipeline.draws(tracks, config.repeats)
        order = Order(self._targets(), lengths, counts, length=size, seed=config.seed)
        for rows, goals in grouped(order, config.batch_size, skip=skip * config.batch_size):
            yield rows, np.concatenate([goals, self._live(rows)], axis=1)

    def _grid(self, skip: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows (track, window, seed) of the grid, and targets."""
        config, tracks = self.config, self.tracks
        counts = pipeline.draws(tracks, config.repeats)
        order = Order(self._targets(), self._counts(), counts, length=1, seed=config.seed)
        for rows, goals in grouped(order, config.batch_size, skip=skip * config.batch_size):
            taught = [np.stack([v.said(tracks[i])[w] for i, w, _ in rows]) for v in self.voices]
            yield rows, np.concatenate([goals, self._taught(taught, rows[:, 0])], axis=1)

    def _places(self) -> list[list[int]]:
        config = self.config
        return [pipeline.places_of(t, self.heard, seconds=config.crop_s, hop_s=self.hop_s) for t in self.tracks]

    def _counts(self) -> np.ndarray:
        """Windows of each track: two caches may round the end of one to a window more or less."""
        said = ((len(v.said(t)) for v in self.voices) for t in self.tracks)
        return np.array([min([len(p), *n]) for p, n in zip(self._places(), said, strict=True)])

    def _live(self, rows: np.ndarray) -> np.ndarray:
        unit = per_second(self.heard.spec)
        found = []
        for voice in self.voices:
            windows = [voice.window(self.tracks[i], start / unit, self.config.crop_s) for i, start, _ in rows]
            found.append(voice.say(np.stack(windows)))
        return self._taught(found, rows[:, 0])

    def _taught(self, networks: Sequence[np.ndarray], tracks: np.ndarray) -> np.ndarray:
        """Answers, spread, and the first network's maps, `(batch, 2 + 2 + ...)`, from what each network says."""
        mean, spread = spread_of([*(n[:, :AXES] for n in networks), *(s[tracks] for s in self.songs)])
        parts = [mean, spread]
        if self.layout.maps():
            maps = networks[0][:, AXES:]
            if self.scale is not None:
                count = int(np.prod(self.layout.features or ()))
                grid = maps[:, :count].reshape(len(maps), -1, len(self.scale[0]))
                maps = np.concatenate([self._standard(grid).reshape(len(maps), -1), maps[:, count:]], axis=1)
            parts.append(maps)
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _standard(self, grid: np.ndarray) -> np.ndarray:
        assert self.scale is not None
        mean, std = self.scale
        return (grid - mean) / std

    def _scale(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and sd of each channel of the teacher's features, over windows of some training songs."""
        if not self.layout.features:
            return None
        rng = np.random.default_rng(self.config.seed)
        some = [self.tracks[i] for i in rng.permutation(len(self.tracks))[:SAMPLE]]
        voice = self.voices[0]
        if self.config.live:
            rows = np.concatenate([voice.say(voice.window(t, 0, self.config.crop_s)[None]) for t in some])
        else:
            rows = np.concatenate([voice.said(t) for t in some])
        count = int(np.prod(self.layout.features))
        channels = rows[:, AXES : AXES + count].reshape(-1, self.layout.features[-1])
        # What never changes is left as it is: 0 after its mean.
        return channels.mean(axis=0), np.where((sd := channels.std(axis=0)) > 1e-6, sd, 1.0)


def teachers(runs: Sequence[Path]) -> tuple[Teacher, ...]:
    """Raises: ConfigError for a folder that is no run."""
    for run in runs:
        if not (run / "config.yaml").exists():
            raise ConfigError(f"--teacher: expected a finished run, received {run}, which is none; see sentio-tf fit")
    return tuple(Teacher(run) for run in runs)
