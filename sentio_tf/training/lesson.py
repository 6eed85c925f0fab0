"""Windows of training songs with what teachers say of them: stored on a grid, or asked for batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .. import pipeline
from ..config import DistillConfig
from ..corpora.track import Track
from ..errors import ConfigError
from ..losses import EmotionLoss
from ..pipeline.data import Order, per_second, reader, track_frames, track_samples
from ..pipeline.loader import grouped, made
from .build import extent
from .callbacks import History
from .deviation import Wanted, groups_of, noise_of
from .distiller import AXES, Distiller, Guard, Layout, spread_of
from .frozen import Answers
from .voice import Voice

TAUGHT = -2.0  # in place of UNLABELLED: no label of its own, and no pair with another place of its song
SAMPLE = 64  # training songs by which features are standardised


class Lesson:
    """Windows of training tracks with what the teachers say of them, as endless batches.

    Stored: windows lie on a grid of `views` places a window's length, and every teacher answers each of them once.
    Live: windows lie anywhere, and the teachers answer every batch anew.  Student and teachers hear the same window;
    the student's augmentation is the student's alone.  Stages of the student that never train may answer the windows
    of the grid once, too, see `through`.
    """

    def __init__(
        self,
        config: DistillConfig,
        root: Path,
        layout: Layout,
        voices: Sequence[Voice],
        songs: Sequence[np.ndarray],
        tracks: Sequence[Track],
        *,
        heard: pipeline.Cache,
        examples: pipeline.Spec,
        report: Callable[[str], None],
    ):
        self.root, self.report = root, report
        self.layout, self.voices, self.songs = layout, list(voices), list(songs)
        self.tracks, self.heard, self.examples = list(tracks), heard, examples
        self.config = config
        self.hop_s = self.config.crop_s / self.config.views
        self.inside: Answers | None = None  # what the student's resting stages answer
        if not self.config.live:
            self._ask()
        self.scale = self._scale()

    def _ask(self) -> None:
        """Every teacher answers every window of the grid."""
        if not all(voice.compute(self.tracks, self.root, **self._how()) for voice in self.voices):
            raise ConfigError(
                "teacher: expected its answers to fit into memory, received too little; lower views, set "
                "terms.features=0, or answers=live"
            )

    def _how(self) -> dict[str, Any]:
        return {"seconds": self.config.crop_s, "hop_s": self.hop_s, "report": self.report}

    @property
    def repeats_windows(self) -> bool:
        """Whether each window comes again as it was, and nothing inside the student is looked at."""
        return not self.config.live and not self.layout.maps()

    def through(self, front: keras.Model) -> bool:
        """From now on batches hold what `front`, which never trains, answers; False if that does not fit into memory.

        Only where `repeats_windows`.
        """
        answers = Answers(self.root / "answers")
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
