"""Stages that never train are computed once per window: what is left trains in a fraction of the time.

A network with a pretrained backbone of which the first stages rest throughout is cut behind them.  The front part
answers every window of the training and validation tracks once; the rest trains on these answers.  Windows lie where
the prediction cuts them, so crops at random places and augmentation of the sound are given up for it.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path

import keras
import numpy as np

from .. import pipeline
from ..contract import HOP_S
from ..corpora.track import Track
from ..errors import ConfigError
from ..pipeline.data import Order, from_python
from ..pipeline.inference import answers, mean_answers
from ..pipeline.loader import grouped
from .memory import available_bytes
from .run import write_bytes

PROBE = 2  # random examples that show whether the front part draws anything in training
VERSION = 1  # of how windows are cut and what layers before the stages do; another one computes anew
AT_ONCE_S = 120.0  # sound that is answered at once: musicnn's convolutions take gigabytes for it
UNIT = 16  # tracks that a process takes at once
SHARE = 0.5  # of the free memory that answers may take

Stages = Callable[[keras.Model], Sequence[Sequence[keras.layers.Layer]]]


@dataclass(frozen=True)
class Divided:
    """A network and its twin, both for windows of one length, cut behind the same stage.

    `front` answers windows, `trained` learns from these answers, `twin` is judged; `short` is the whole twin.
    """

    front: keras.Model
    trained: keras.Model
    twin: keras.Model
    short: keras.Model


def divide(model: keras.Model, short: keras.Model, stages: Stages, count: int) -> Divided | None:
    """Both cut behind their first `count` stages, which rest from now on; None where they cannot be divided.

    They cannot where another path leads around the stages, where something before their end is random in training, or
    where a window has become several rows.
    """
    parts = [_cut(network, stages(network)[:count]) for network in (model, short)] if count else [None]
    cut = [part for part in parts if part]
    if len(cut) < 2:
        return None
    (_, trained), (front, twin) = cut
    probe = np.random.default_rng(0).normal(size=(PROBE, *short.input_shape[1:])).astype(np.float32)
    calm, drawn = (keras.ops.convert_to_numpy(front(probe, training=t)) for t in (False, True))
    # One row a window: a cut inside chunks would give answers to the wrong songs.
    whole = len(calm) == PROBE and np.array_equal(calm, drawn)
    return Divided(front, trained, twin, short) if whole else None


def _cut(model: keras.Model, stages: Sequence[Sequence[keras.layers.Layer]]) -> tuple[keras.Model, keras.Model] | None:
    for layer in (layer for stage in stages for layer in stage):
        layer.trainable = False
    between = stages[-1][-1].output
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(model.dtype_policy)  # of the parts: float16 must have its loss scaled
    try:
        return keras.Model(model.input, between, name=f"{model.name}_front"), keras.Model(
            between, model.output, name=model.name
        )
    except ValueError:  # a path around
        return None
    finally:
        keras.config.set_dtype_policy(before)


@dataclass
class Answers:
    """Answers of front parts, in memory for one front part at a time, and in files for the next run.

    Args:
        folder: `folder/<front part>/<part of a sound file>.npy`; None: no files.
        who: how messages call the front part.
    """

    folder: Path | None = None
    who: str = "frozen stages"
    front: str = ""
    of: dict[str, np.ndarray] = field(default_factory=dict)  # key of a track -> (windows, ...)

    def compute(
        self,
        front: keras.Model,
        tracks: Sequence[Track],
        cache: pipeline.Cache,
        *,
        seconds: float,
        hop_s: float | None = None,
        report: Callable[[str], None],
    ) -> bool:
        """Fill in what is missing; False if the answers of these tracks do not fit into half of the free memory.

        Args:
            hop_s: from window to window; None: `hop(seconds)`.
        """
        step = hop_s or hop(seconds)
        if (name := identity(front, seconds, cache.spec, step)) != self.front:
            self.front, self.of = name, {}
        missing = [t for t in tracks if t.key not in self.of]
        size = (
            4
            * math.prod(front.output_shape[1:])
            * sum(len(pipeline.places_of(t, cache, seconds=seconds, hop_s=step)) for t in missing)
        )
        free = available_bytes()
        if free is not None and size > SHARE * free:
            report(f"answers of {self.who} are not kept: {size / 1e9:.1f} GB, too much for this machine")
            return False
        missing = self._read_all(missing)
        if missing:
            report(f"{self.who} answer {len(missing)} tracks, once")
        batch = max(1, round(AT_ONCE_S / seconds))
        answer = partial(self._answer, front, cache, seconds=seconds, hop_s=step, batch=batch)
        with ExitStack() as stack:
            if locks := self._locks(stack):
                self._share(missing, locks, answer)
            else:
                answer(missing)
        return True

    def _share(self, tracks: Sequence[Track], locks: pipeline.Locks, answer: Callable[[Sequence[Track]], None]) -> None:
        """Answer what no other process works on; theirs comes out of the files, what they leave is done then."""
        while tracks:
            others = []
            for start in range(0, len(tracks), UNIT):
                some = tracks[start : start + UNIT]
                free = [t for t in some if locks.acquire(pipeline.entry_id(t), wait=False)]
                others += [t for t in some if t not in free]
                answer(self._read_all(free))
                for track in free:
                    locks.release(pipeline.entry_id(track))
            for track in others:  # wait, and hold nothing meanwhile
                locks.acquire(pipeline.entry_id(track), wait=True)
                locks.release(pipeline.entry_id(track))
            tracks = self._read_all(others)

    def _answer(
        self, front: keras.Model, cache: pipeline.Cache, tracks: Sequence[Track], *, batch: int, **cut: float
    ) -> None:
        examples = pipeline.windows(tracks, cache, **cut)
        for index, rows in groupby(answers(front, examples, batch=batch), key=lambda pair: pair[0]):
            self.of[tracks[index].key] = np.stack([row for _, row in rows])
            self._write(tracks[index])

    def _locks(self, stack: ExitStack) -> pipeline.Locks | None:
        """Of tracks, by which processes share the work; None where there are no files, or none can be written."""
        if self.folder:
            with suppress(OSError, ConfigError):
                path = self.folder / self.front / "lock"
                path.parent.mkdir(parents=True, exist_ok=True)
                return stack.enter_context(pipeline.Locks(path))
        return None

    def _read_all(self, tracks: Sequence[Track]) -> list[Track]:
        """Take what the files have; returns the tracks that they lack."""
        for track in tracks:
            if (found := self._read(track)) is not None:
                self.of[track.key] = found
        return [t for t in tracks if t.key not in self.of]

    def _file(self, track: Track) -> Path | None:
        return self.folder / self.front / f"{pipeline.entry_id(track)}.npy" if self.folder else None

    def _read(self, track: Track) -> np.ndarray | None:
        path = self._file(track)
        try:
            return np.load(path, allow_pickle=False) if path else None
        except (OSError, ValueError, EOFError):
            return None  # not there, or cut: computed again

    def _write(self, track: Track) -> None:
        if path := self._file(track):
            with suppress(OSError, ConfigError):  # it only saves time
                path.parent.mkdir(parents=True, exist_ok=True)
                content = io.BytesIO()
                np.save(content, self.of[track.key])
                write_bytes(path, content.getvalue())

    def predict(self, rest: keras.Model, tracks: Sequence[Track], batch: int = 64) -> np.ndarray:
        """Mean answer over the windows of each track, `(tracks, outputs)`."""
        examples = ((i, row) for i, t in enumerate(tracks) for row in self.of[t.key])
        return mean_answers(rest, examples, len(tracks), batch=batch)

    def batches(
        self,
        tracks: Sequence[Track],
        *,
        batch: int,
        repeats: Mapping[str, float],
        seed: int,
        skip: int = 0,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Endless batches `(x, targets)` from step `skip` on: per epoch every track at a random one of its windows."""
        windows = np.array([len(self.of[t.key]) for t in tracks])
        targets = np.stack([pipeline.target(t) for t in tracks])
        order = Order(targets, windows, pipeline.draws(tracks, dict(repeats)), length=1, seed=seed)
        for places, goals in grouped(order, batch, skip=skip * batch):
            yield np.stack([self.of[tracks[i].key][window] for i, window, _ in places]), goals

    def stream(self, tracks: Sequence[Track], **options):
        """`batches` for `model.fit` on this backend."""
        endless = self.batches(tracks, **options)
        if keras.backend.backend() != "tensorflow":
            return endless
        import tensorflow as tf

        shapes = (options["batch"], *next(iter(self.of.values())).shape[1:]), (options["batch"], 3)

        def load(_):
            x, y = from_python(lambda _: next(endless), [_], [tf.float32, tf.float32])
            return tf.ensure_shape(x, shapes[0]), tf.ensure_shape(y, shapes[1])

        return tf.data.Dataset.counter().map(load).prefetch(2)


def hop(seconds: float) -> float:
    """Seconds from window to window: the prediction's, or side by side where windows are shorter."""
    return min(HOP_S, seconds)


def settled(graph: dict) -> dict:
    """A functional graph whose layers without a name of their own are called as in a fresh process.

    Keras numbers them through, so that the second network of a process would be another one than the first.
    """
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for layer in graph["config"]["layers"]:
        kind = re.sub(
            r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", layer["class_name"])
        ).lower()
        if re.fullmatch(rf"{kind}(_\d+)?", name := str(layer["config"].get("name"))):
            names[name] = f"{kind}_{counts[kind]}" if counts[kind] else kind
            counts[kind] += 1

    def renamed(value):
        if isinstance(value, dict):
            return {key: renamed(v) for key, v in value.items()}
        if isinstance(value, list):
            return [renamed(v) for v in value]
        return names.get(value, value) if isinstance(value, str) else value

    return renamed(graph)


def identity(front: keras.Model, seconds: float, spec: pipeline.Spec, hop_s: float | None = None) -> str:
    """Of graph, weights, windows and what they are cut from, 24 hexadecimal digits; `hop_s` as of `Answers.compute`."""
    # Seeds tell apart what is the same: nothing in a front part is random.
    graph = re.sub(r'"seed": \d+', '"seed": null', json.dumps(settled(json.loads(front.to_json()))))
    about = json.dumps([VERSION, spec.parameters(), seconds, hop_s or hop(seconds)])
    digest = hashlib.sha256(f"{graph} {about}".encode())
    for array in front.get_weights():
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:24]
