"""What a teacher's network says of windows: computed once and kept, or asked for anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import keras
import numpy as np

from .. import pipeline
from ..config import FitConfig
from ..corpora.track import Track
from ..layers.grid import OnGrid
from ..models import STAGES
from ..pipeline.data import WINDOW_S, crop, cut, per_second
from ..pipeline.inference import answers
from . import deviation, taps
from .build import load_model
from .distiller import Layout
from .frozen import Answers, Divided, divide
from .schedule import resting

BATCH = 64  # rows of a head at once


class Voice:
    """A frozen network, from windows to rows `(batch, layout.taught)`: answers, features, attention, each flat.

    Args:
        networks: the teacher's for windows of one length, twice: Keras cuts a network but does not copy it.
        name: in `models.MODELS`.
        cache: what it hears.
        layout: of the rows.
        stages: how many of its stages never trained.  They are the same for all heads on them, so their answers, which
            `fit` has kept where it trained such a head, serve all folds and seeds; for rows with attention, which is
            read inside them, they must be asked again.
    """

    def __init__(
        self,
        networks: tuple[keras.Model, keras.Model],
        name: str,
        cache: pipeline.Cache,
        layout: Layout,
        *,
        stages: int = 0,
    ):
        self.cache = cache
        self._said: dict[str, np.ndarray] = {}  # key of a track -> (windows, taught)
        self.network, self.parameters = networks[0], networks[0].count_params()
        self.divided: Divided | None = None
        if stages and not layout.attention:
            self.divided = divide(*networks, STAGES[name], stages)
        if self.divided and layout.features:
            ends = self.divided.front.output_shape  # the features are where the stages end, or further inside
            if layout.features != (1, 1, ends[-1]) or len(ends) != 2:
                self.divided = None
        if self.divided:
            rest = self.divided.twin
            parts = [rest.output, *([rest.input] if layout.features else [])]
            self.model = keras.Model(rest.input, _joined(parts), name="rest_taught")
        else:
            self.network.trainable = False
            self.model = _taught(self.network, name, layout)

    def compute(
        self, tracks: Sequence[Track], root: Path, *, seconds: float, hop_s: float, report: Callable[[str], None]
    ) -> bool:
        """Ask once for all windows of `tracks`; False if they do not fit into half of the free memory."""
        store = Answers(root / "answers", who="frozen stages" if self.divided else "teachers")
        first = self.divided.front if self.divided else self.model
        if not store.compute(first, tracks, self.cache, seconds=seconds, hop_s=hop_s, report=report):
            return False
        self._said = store.of
        if self.divided:
            examples = ((t.key, row) for t in tracks for row in store.of[t.key])
            told = groupby(answers(self.model, examples, batch=BATCH), key=lambda pair: pair[0])
            self._said = {key: np.stack([row for _, row in rows]) for key, rows in told}
        return True

    def said(self, track: Track) -> np.ndarray:
        """Rows of a track's windows, `(windows, taught)`, after `compute`."""
        return self._said[track.key]

    def say(self, windows: np.ndarray) -> np.ndarray:
        """Rows of windows, `(n, ...)` of what the cache holds."""
        inside = self.divided.front.predict_on_batch(windows) if self.divided else windows
        return np.asarray(self.model.predict_on_batch(inside))

    def window(self, track: Track, start_s: float, seconds: float) -> np.ndarray:
        """A window of a track, `(bands, frames, 1)` or `(samples,)`, moved back to lie in it."""
        spec, values = self.cache.spec, self.cache.read(track)
        unit = per_second(spec)
        length = round(seconds * unit)
        start = max(0, min(round(start_s * unit), len(values) - length))
        if spec.holds == "log-mel":
            return crop(values, start, length, top_db=spec.mel.top_db)
        return cut(values, start, length)


def resting_stages(name: str, network: keras.Model, unfreeze: dict, epochs: int) -> int:
    """How many of the first stages of a network trained by that schedule are as they came."""
    if name not in STAGES or not unfreeze:
        return 0
    return resting(unfreeze, len(STAGES[name](network)), epochs)


def _taught(network: keras.Model, name: str, layout: Layout) -> keras.Model:
    parts = [network.output]
    if layout.maps():
        shown = taps.taps(name, network)
        if layout.features:
            bands, time, _ = layout.features
            parts.append(keras.layers.Flatten()(OnGrid(bands, time, name="features_grid")(shown["features"])))
        if layout.attention:
            grid = OnGrid(*layout.attention, energy=True, name="attention_map")
            parts.append(keras.layers.Flatten()(grid(shown["attention"])))
    return keras.Model(network.input, _joined(parts), name=f"{network.name}_taught")


def _joined(parts: list):
    return keras.layers.Concatenate(name="taught")(parts) if len(parts) > 1 else parts[0]


def predict_tracks(
    file: Path,
    config: FitConfig,
    tracks: Sequence[Track],
    heard: pipeline.Cache,
    root: Path,
    *,
    report: Callable[[str], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Answers of a saved network to whole tracks, and their standard deviations, both `(tracks, 2)`.

    Stages that never train are the same in all folds, seeds and variants: what they have answered before is not asked
    again.  Deviations are NaN where the part has learnt none.
    """

    def judge(network: keras.Model) -> np.ndarray:
        stages = resting_stages(config.model, network, config.unfreeze, config.epochs)
        if config.cache_frozen and stages:
            store = Answers(root / "answers")
            halves = divide(load_model(file), network, STAGES[config.model], stages)
            if halves and store.compute(halves.front, tracks, heard, seconds=WINDOW_S, report=report):
                return store.predict(halves.twin, tracks)
        return pipeline.predict_tracks(network, tracks, heard)

    return deviation.predict_with(file, judge)
