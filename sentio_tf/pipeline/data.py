"""Tracks to `tf.data`: MIDI is rendered, audio is cached once, examples are cut and augmented anew each time.

Only `dataset`, `places` and `mixed` need TensorFlow; `loader.batches` gives the same examples without it.
"""

from __future__ import annotations

import atexit
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..audio import decode, mel
from ..audio.augment import Augment
from ..audio.windows import MIN_TAIL_S
from ..contract import HOP_S, MEL, N_FRAMES, SAMPLE_RATE, WINDOW_SAMPLES
from ..corpora.render import RenderSpec, render_all
from ..corpora.track import Track
from ..errors import ConfigError, DataError
from .cache import Cache, Progress, Spec, fast_rfft, open_cache
from .shards import Codes

WINDOW_S = WINDOW_SAMPLES / SAMPLE_RATE
UNLABELLED = -1  # third column of a target of a track with neither ratings nor signs
IDS = 2**24  # whole numbers that float32 holds

Values = np.ndarray | Codes
Example = Callable[[int, int, int], np.ndarray]  # track, first frame or sample, seed


def render_tracks(
    tracks: Sequence[Track], root: Path, *, spec: RenderSpec = RenderSpec(), progress: Progress | None = None
) -> list[Track]:
    """The same tracks with every MIDI file replaced by its rendering, kept in `root/render`.

    Raises: DataError naming the first MIDI that could not be rendered, after all others were.
    """
    midis = [t.path for t in tracks if t.path.suffix.lower() in (".mid", ".midi")]
    if not midis:
        return list(tracks)
    report = (lambda done, total: progress("render", done, total)) if progress else None
    done, failed = render_all(midis, root / "render", spec, progress=report)
    if failed:
        raise DataError(f"{len(failed)} of {len(midis)} MIDI files failed, first: {next(iter(failed.values()))}")
    return [dataclasses.replace(t, path=done.get(t.path, t.path)) for t in tracks]


def crop(values: Values, start: int, frames: int, *, top_db: float = MEL.top_db) -> np.ndarray:
    """`frames` frames from `start` on, float32 `(bands, frames, 1)`, repeated if there are too few.

    The floor is `top_db` below the crop's maximum, as in `LogMel`.
    """
    part = np.asarray(values[start : start + frames], np.float32)
    if len(part) < frames:
        part = np.resize(part, (frames, part.shape[1]))
    return np.maximum(part, part.max() - top_db).T[:, :, None]


def cut(values: Values, start: int, samples: int) -> np.ndarray:
    """`samples` samples of a waveform `(n, 1)` from `start` on, float32 `(samples,)`, repeated if there are too few."""
    part = np.asarray(values[start : start + samples], np.float32)[:, 0]
    return part if len(part) == samples else np.resize(part, samples)


def window_starts(
    total: int,
    frames: int = N_FRAMES,
    hop_s: float = HOP_S,
    *,
    per_second: float = MEL.sample_rate / MEL.hop_length,
) -> list[int]:
    """First frames of the windows of a track of `total` frames: the rule of `audio.windows`.

    Samples serve as well as frames: `per_second` says how many a second has.
    """
    hop = round(hop_s * per_second)
    starts = list(range(0, max(1, total - frames + 1), hop))
    if total - (starts[-1] + frames) > MIN_TAIL_S * per_second:
        starts.append(total - frames)
    return starts


def windows(
    tracks: Sequence[Track], cache: Cache, *, seconds: float = WINDOW_S, hop_s: float | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """The windows of each track, by which `predict_tracks` judges: the track's index and the window.

    A window is a log-mel `(bands, frames, 1)` in dB of a cache of log-mels, frames the nearest to `seconds`,
    or `(samples,)` in [-1, 1] of one of waveforms; shorter tracks are repeated.

    Args:
        seconds: length of a window.
        hop_s: from one to the next [s], at most a window; None: half a window.

    Raises: ConfigError for another hop; DataError for a track that is not in the cache.
    """
    spec = cache.spec
    length = round(seconds * per_second(spec))
    for i, track in enumerate(tracks):
        values = cache.read(track)
        for start in places_of(track, cache, seconds=seconds, hop_s=hop_s):
            if spec.holds == "log-mel":
                yield i, crop(values, start, length, top_db=spec.mel.top_db)
            else:
                yield i, cut(values, start, length)


def places_of(track: Track, cache: Cache, *, seconds: float = WINDOW_S, hop_s: float | None = None) -> list[int]:
    """First frames, or samples, of the `windows` of a track.  Arguments and errors as there."""
    hop_s = seconds / 2 if hop_s is None else hop_s
    unit = per_second(cache.spec)
    if round(hop_s * unit) < 1 or hop_s > seconds:
        raise ConfigError(
            f"hop_s: expected more than 0 and at most the window's {seconds:g} s, received {hop_s:g}; choose another"
        )
    return window_starts(len(cache.read(track)), round(seconds * unit), hop_s, per_second=unit)


def per_second(spec: Spec) -> float:
    """Frames of a cache of log-mels, else samples, in a second."""
    return spec.mel.sample_rate / (spec.mel.hop_length if spec.holds == "log-mel" else 1)


def target(track: Track) -> np.ndarray:
    """[valence, arousal, 1] of a rated track, [sign, sign, 0] of another; see `losses`.

    Raises: DataError if the track has neither, as sounds and tags have not.
    """
    if not track.has_emotion:
        raise DataError(f"{track.key}: expected a track with ratings or signs, received one without; leave it out")
    if track.rated:
        return np.array([track.valence, track.arousal, 1], np.float32)
    return np.array([track.valence_sign, track.arousal_sign, 0], np.float32)


def dataset(
    tracks: Sequence[Track],
    spec: Spec = Spec(),
    *,
    augment: Augment | None = None,
    frames: int = N_FRAMES,
    samples: int | None = None,
    batch: int = 32,
    repeats: dict[str, float] | None = None,
    unlabelled: bool = False,
    seed: int = 0,
    skip: int = 0,
    workers: int | None = None,
    report: Callable[[str], None] | None = None,
):
    """Endless `tf.data.Dataset` of random crops: log-mel `(batch, bands, frames, 1)` in dB, target `(batch, 3)`.

    An epoch draws every track `repeats[corpus]` times (default 1; 0.5: every other epoch on average)
    in random order at random places, each time augmented anew.  The same seed gives the same batches,
    whatever `workers` is, because every example carries a seed of its own.  MIDI is rendered and what
    is missing cached first.

    Args:
        spec: where examples come from, see `Spec`; augmentation of the waveform needs `holds` "waveform"
            or "nothing".
        augment: what happens to an example, see `audio.augment.Augment`; None: nothing.
        samples: examples are waveforms `(batch, samples)` in [-1, 1] at `spec.mel.sample_rate` instead of
            log-mels, and `frames` does not matter; needs `holds` "waveform" or "nothing".
        unlabelled: take tracks with neither ratings nor signs, too.  Each draw of one gives two examples, next
            to each other, at two places of the song, target [id, id, -1]: what `losses.EmotionLoss` pairs up.
        skip: begin behind so many batches, as if they had been drawn; none of their examples is made.
        workers: examples made at the same time; None: one a core.

    Raises: ConfigError if `augment` needs waveforms and `spec` has none, masks log-mels and examples are
        waveforms, or blends where there are tracks without a label; DataError for a track without a label
        unless `unlabelled`, or whose file cannot be read.
    """
    import tensorflow as tf

    check_options(spec, augment=augment, samples=samples, skip=skip)
    targets = goals(tracks, augment=augment, unlabelled=unlabelled)
    tracks = render_tracks(tracks, spec.root)
    if spec.decoder == "tfio":
        from .tfio import dataset as in_graph

        if samples or (targets[:, 2] == UNLABELLED).any():
            raise ConfigError(
                "decoder: tfio gives log-mels of labelled tracks only, received samples or tracks without a label; "
                "use decoder='native'"
            )
        data = in_graph(tracks, targets, spec, augment=augment, frames=frames, batch=batch, repeats=repeats, seed=seed)
        return data.skip(skip)
    example, order = prepare(
        tracks,
        targets,
        spec,
        augment=augment,
        frames=frames,
        samples=samples,
        repeats=repeats,
        seed=seed,
        report=report,
    )
    shape = (samples,) if samples else (spec.mel.n_mels, frames, 1)

    def load(place, goal):
        i, start, draw = tf.unstack(place)
        x = from_python(example, [i, start, draw], tf.float32)
        return tf.ensure_shape(x, shape), goal, draw

    data = drawn(order, skip=skip * batch)
    data = data.map(load, num_parallel_calls=workers or os.cpu_count() or 2, deterministic=True).batch(
        batch, drop_remainder=True
    )
    return mixed(data, augment).prefetch(2)


def check_options(spec: Spec, *, augment: Augment | None, samples: int | None, skip: int) -> None:
    """What can be known before anything is decoded.  Raises: ConfigError."""
    if augment and augment.needs_waveform and spec.holds == "log-mel":
        raise ConfigError(
            "augment: gain, noise, shift, pitch and stretch work on the waveform, received a spec that holds "
            "log-mels; use Spec(holds='waveform')"
        )
    if samples is not None:
        if spec.holds == "log-mel":
            raise ConfigError(
                "samples: waveforms need a spec that holds them, received one of log-mels; use Spec(holds='waveform')"
            )
        if samples < 1:
            raise ConfigError(f"samples: expected 1 or more, received {samples}; give the model's length")
        if augment and (augment.freq_masks or augment.time_masks):
            raise ConfigError(
                "augment: freq_masks and time_masks work on log-mels, received them for waveforms; set them to 0"
            )
    if skip < 0:
        raise ConfigError(f"skip: expected 0 batches or more, received {skip}; give how many were drawn")


def goals(tracks: Sequence[Track], *, augment: Augment | None, unlabelled: bool) -> np.ndarray:
    """`target` of each track, `(tracks, 3)`; [0, 0, -1] of those without a label, where they are taken.

    Raises: DataError for no track, or one without a label where they are not; ConfigError for mixup with such.
    """
    if not tracks:
        raise DataError("expected tracks to make a dataset of, received none")
    none = np.array([0, 0, UNLABELLED], np.float32)
    found = np.stack([none if unlabelled and not t.has_emotion else target(t) for t in tracks])
    if augment and augment.mixup_alpha and (lost := int((found[:, 2] == UNLABELLED).sum())):
        raise ConfigError(
            f"augment: mixup_alpha blends labels, received {lost} tracks without one; set it to 0 or leave them out"
        )
    return found


def prepare(
    tracks: Sequence[Track],
    targets: np.ndarray,
    spec: Spec,
    *,
    augment: Augment | None,
    frames: int,
    samples: int | None,
    repeats: dict[str, float] | None,
    seed: int,
    report: Callable[[str], None] | None,
) -> tuple[Example, Order]:
    """Cache what is missing; how an example is made, and which come when.  Arguments as of `dataset`.

    Raises: DataError if a file cannot be used; ConfigError if `repeats` leave nothing to draw.
    """
    if failed := open_cache(spec).build(tracks, report=report):
        raise DataError(f"{len(failed)} of {len(tracks)} files cannot be used, first: {next(iter(failed.values()))}")
    counts = draws(tracks, repeats)
    if counts.sum() <= 0:
        raise ConfigError(f"repeats: expected numbers above 0, received {repeats}; leave tracks out instead")
    lengths = [track_samples(t, spec) if samples else track_frames(t, spec) for t in tracks]
    example = reader(tracks, spec, frames=frames, samples=samples, augment=augment)
    return example, Order(targets, np.array(lengths), counts, length=samples or frames, seed=seed)


@dataclasses.dataclass(frozen=True)
class Order:
    """Which examples come when: a function of the seed alone, so that any place of the stream can be found again.

    Args:
        targets: `(tracks, 3)`; a track whose last column is -1 is drawn twice in a row.
        lengths: of the tracks, `(tracks,)`, in frames or samples as `length` of an example.
        counts: how often an epoch draws each track on average, `(tracks,)`.
    """

    targets: np.ndarray
    lengths: np.ndarray
    counts: np.ndarray
    length: int
    seed: int

    def epoch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows (track, start, seed) of an epoch in random order, int64 `(n, 3)`, and targets, float32 `(n, 3)`."""
        rng = np.random.default_rng([self.seed, number])
        whole = np.floor(self.counts + rng.random(len(self.counts))).astype(int)
        tracks = rng.permutation(np.repeat(np.arange(len(self.counts)), whole))
        times = np.where(self.targets[tracks, 2] == UNLABELLED, 2, 1)
        draw = np.repeat(np.arange(len(tracks)), times)
        tracks = np.repeat(tracks, times)
        starts = rng.integers(np.maximum(1, self.lengths[tracks] - self.length + 1))
        rows = np.stack([tracks, starts, rng.integers(2**62, size=len(tracks))], axis=1).astype(np.int64)
        found = self.targets[tracks].astype(np.float32)
        # Numbers run on from epoch to epoch: a batch that holds the end of one and the next never has one twice.
        ids = (int(number) * int(np.ceil(self.counts).sum()) + draw) % IDS
        pairs = found[:, 2] == UNLABELLED
        found[pairs, :2] = ids[pairs, None]
        return rows, found

    def find(self, place: int) -> tuple[int, int]:
        """Epoch, and row in it, of the example at `place` of the stream."""
        number = 0
        while place >= (size := len(self.epoch(number)[0])):
            place, number = place - size, number + 1
        return number, place


def drawn(order: Order, *, skip: int = 0):
    """Endless `tf.data.Dataset` of rows and targets of `order`, int64 `(3,)` and float32 `(3,)`, from `skip` on."""
    import tensorflow as tf

    first, row = order.find(skip)

    def load(number):
        found = from_python(order.epoch, [number], [tf.int64, tf.float32])
        return tf.data.Dataset.from_tensor_slices(tuple(tf.ensure_shape(part, (None, 3)) for part in found))

    return tf.data.Dataset.counter(first).flat_map(load).skip(row)


def places(lengths: Sequence[int], counts: np.ndarray, *, frames: int, seed: int):
    """Endless `tf.data.Dataset` of `(track, first frame, seed)`, int64 `(3,)`: epoch after epoch in random order."""
    order = Order(np.zeros((len(counts), 3)), np.array(lengths), counts, length=frames, seed=seed)
    return drawn(order).map(lambda place, _: place)


_closing = threading.Event()
_lock = threading.Lock()
_running = _calls = 0


def from_python(function: Callable, inputs: list, outputs):
    """`tf.numpy_function` that does not hang the interpreter's end.

    A dataset that is still alive then has threads that wait for Python, and Python for them.
    """
    import tensorflow as tf

    def guarded(*arguments):
        global _running, _calls
        with _lock:
            _running, _calls = _running + 1, _calls + 1
        try:
            if _closing.is_set():
                raise RuntimeError("the interpreter is closing")
            return function(*arguments)
        finally:
            with _lock:
                _running -= 1

    return tf.numpy_function(guarded, inputs, outputs)


@atexit.register
def _close() -> None:
    """From now on every call fails, so that buffers fill with failures and the threads come to rest."""
    _closing.set()
    if not _calls:
        return
    seen, calm, end = -1, 0, time.monotonic() + 10
    while calm < 3 and time.monotonic() < end:  # three times a tenth of a second without a call
        calm = calm + 1 if not _running and _calls == seen else 0
        seen = _calls
        time.sleep(0.1)


def mixed(data, augment: Augment | None):
    """Batches `(x, y, seeds)` to `(x, y)`, blended within the batch where `augment` says so."""
    import tensorflow as tf

    if augment is None or not augment.mixup_alpha:
        return data.map(lambda x, y, _: (x, y))

    def load(x, y, draws):
        a, b = from_python(partial(blend, augment), [x, y, draws], [tf.float32, tf.float32])
        return tf.ensure_shape(a, x.shape), tf.ensure_shape(b, y.shape)

    return data.map(load, num_parallel_calls=1)


def blend(augment: Augment, x: np.ndarray, y: np.ndarray, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A batch blended within itself; the seeds of its examples `(batch,)` decide how."""
    return augment.batch(x, y, np.random.default_rng(seeds))


def reader(
    tracks: Sequence[Track],
    spec: Spec,
    *,
    frames: int = N_FRAMES,
    samples: int | None = None,
    augment: Augment | None = None,
) -> Example:
    """`example(i, start, seed)`: the augmented log-mel of track `i` from frame `start` on, `(bands, frames, 1)`.

    With `samples`, the augmented waveform from sample `start` on, `(samples,)`.
    """
    cache = open_cache(spec)
    hop, rate = spec.mel.hop_length, spec.mel.sample_rate
    size = samples or spec.mel.samples(frames)
    rfft = fast_rfft()

    def waveform(track: Track, first: int) -> np.ndarray:
        if spec.holds == "waveform":
            return cut(cache.read(track), first, size)
        left = None if track.duration_s is None else track.duration_s - first / rate
        y = decode.load(
            track.path,
            offset_s=track.start_s + first / rate,
            duration_s=min(size / rate, left) if left else size / rate,
            sample_rate=rate,
        )
        return cut(y[:, None], 0, size)

    def example(i: int, start: int, seed: int) -> np.ndarray:
        track = tracks[i]
        rng = np.random.default_rng(seed)
        if spec.holds == "log-mel":
            x = crop(cache.read(track), start, frames, top_db=spec.mel.top_db)
        else:
            y = waveform(track, start if samples else start * hop)
            y = augment.waveform(y, rng) if augment else y
            if samples:
                return np.ascontiguousarray(y, np.float32)
            x = mel.log_mel(y, spec=spec.mel, rfft=rfft)[:, :, None]
        return np.ascontiguousarray(augment.spectrogram(x, rng) if augment else x, np.float32)

    return example


def track_frames(track: Track, spec: Spec) -> int:
    """Frames of a whole track.  Raises: AudioError or DataError if its file cannot be read."""
    if spec.holds == "log-mel":
        return len(open_cache(spec).read(track))
    return spec.mel.frames(track_samples(track, spec))


def track_samples(track: Track, spec: Spec) -> int:
    """Samples of a whole track at `spec.mel.sample_rate`, `spec` holding waveforms or nothing.

    Raises: AudioError or DataError if its file cannot be read.
    """
    if spec.holds == "waveform":
        return len(open_cache(spec).read(track))
    with decode.open_audio(track.path, offset_s=track.start_s) as source:
        seconds = source.promised_s
    if seconds is None:  # a stream whose header does not say
        y = decode.load(track.path, offset_s=track.start_s, duration_s=track.duration_s)
        seconds = len(y) / MEL.sample_rate
    if track.duration_s is not None:
        seconds = min(seconds, track.duration_s)
    return int(seconds * spec.mel.sample_rate)


def draws(tracks: Sequence[Track], repeats: dict[str, float] | None) -> np.ndarray:
    """How often an epoch draws each track on average, `(tracks,)`."""
    return np.array([float((repeats or {}).get(t.corpus, 1)) for t in tracks])


def band_statistics(tracks: Sequence[Track], cache: Cache) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd [dB] of each mel band over windows of `tracks` (one each, the middle), float32 `(128,)`."""
    total, square, count = np.zeros(MEL.n_mels), np.zeros(MEL.n_mels), 0
    for track in tracks:
        values = cache.read(track)
        x = crop(values, max(0, (len(values) - N_FRAMES) // 2), N_FRAMES)[:, :, 0].astype(np.float64)
        total, square, count = total + x.sum(1), square + (x**2).sum(1), count + x.shape[1]
    mean = total / count
    return mean.astype(np.float32), np.sqrt(np.maximum(square / count - mean**2, 1e-6)).astype(np.float32)
