"""Tracks to `tf.data`: MIDI is rendered, audio is cached once, examples are cut and augmented anew each time."""

from __future__ import annotations

import atexit
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..audio import decode, mel
from ..audio.augment import Augment
from ..contract import HOP_S, MEL, N_FRAMES
from ..corpora.render import RenderSpec, render_all
from ..corpora.track import Track
from ..errors import ConfigError, DataError
from .cache import Cache, Progress, Spec, fast_rfft, open_cache
from .shards import Codes

Values = np.ndarray | Codes


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


def window_starts(total: int, frames: int = N_FRAMES, hop_s: float = HOP_S) -> list[int]:
    """First frames of the windows of a track of `total` frames: the rule of `audio.windows`."""
    hop = round(hop_s * MEL.sample_rate / MEL.hop_length)
    starts = list(range(0, max(1, total - frames + 1), hop))
    if total - (starts[-1] + frames) > MEL.sample_rate / MEL.hop_length:
        starts.append(total - frames)
    return starts


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
    batch: int = 32,
    repeats: dict[str, float] | None = None,
    seed: int = 0,
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
        workers: examples made at the same time; None: one a core.

    Raises: ConfigError if `augment` needs waveforms and `spec` has none; DataError for a track without a
        label, or whose file cannot be read.
    """
    import tensorflow as tf

    if augment and augment.needs_waveform and spec.holds == "log-mel":
        raise ConfigError(
            "augment: gain, noise, shift, pitch and stretch work on the waveform, received a spec that holds "
            "log-mels; use Spec(holds='waveform')"
        )
    if not tracks:
        raise DataError("expected tracks to make a dataset of, received none")
    targets = np.stack([target(t) for t in tracks])
    tracks = render_tracks(tracks, spec.root)
    if spec.decoder == "tfio":
        from .tfio import dataset as in_graph

        return in_graph(tracks, targets, spec, augment=augment, frames=frames, batch=batch, repeats=repeats, seed=seed)
    if failed := open_cache(spec).build(tracks, report=report):
        raise DataError(f"{len(failed)} of {len(tracks)} files cannot be used, first: {next(iter(failed.values()))}")
    example = reader(tracks, spec, frames=frames, augment=augment)
    lengths = [track_frames(t, spec) for t in tracks]
    counts = draws(tracks, repeats)

    def load(place):
        i, start, draw = tf.unstack(place)
        x = from_python(example, [i, start, draw], tf.float32)
        return tf.ensure_shape(x, (spec.mel.n_mels, frames, 1)), tf.gather(targets, i), draw

    data = places(lengths, counts, frames=frames, seed=seed)
    data = data.map(load, num_parallel_calls=workers or os.cpu_count() or 2, deterministic=True).batch(
        batch, drop_remainder=True
    )
    return mixed(data, augment).prefetch(2)


def places(lengths: Sequence[int], counts: np.ndarray, *, frames: int, seed: int):
    """Endless `tf.data.Dataset` of `(track, first frame, seed)`, int64 `(3,)`: epoch after epoch in random order."""
    import tensorflow as tf

    def epoch(number: int) -> np.ndarray:
        rng = np.random.default_rng([seed, number])
        whole = np.floor(counts + rng.random(len(counts))).astype(int)
        tracks = rng.permutation(np.repeat(np.arange(len(counts)), whole))
        starts = rng.integers(np.maximum(1, np.asarray(lengths)[tracks] - frames + 1))
        return np.stack([tracks, starts, rng.integers(2**62, size=len(tracks))], axis=1).astype(np.int64)

    def load(number):
        rows = tf.ensure_shape(from_python(epoch, [number], tf.int64), (None, 3))
        return tf.data.Dataset.from_tensor_slices(rows)

    return tf.data.Dataset.counter().flat_map(load)


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

    def blend(x, y, draws):
        return augment.batch(x, y, np.random.default_rng(draws))

    def load(x, y, draws):
        a, b = from_python(blend, [x, y, draws], [tf.float32, tf.float32])
        return tf.ensure_shape(a, x.shape), tf.ensure_shape(b, y.shape)

    return data.map(load, num_parallel_calls=1)


def reader(
    tracks: Sequence[Track], spec: Spec, *, frames: int = N_FRAMES, augment: Augment | None = None
) -> Callable[[int, int, int], np.ndarray]:
    """`example(i, start, seed)`: the augmented log-mel of track `i` from frame `start` on, `(bands, frames, 1)`."""
    cache = open_cache(spec)
    hop, rate = spec.mel.hop_length, spec.mel.sample_rate
    samples = (frames - 1) * hop  # a centred transform of so many has `frames` frames
    rfft = fast_rfft()

    def waveform(track: Track, start: int) -> np.ndarray:
        if spec.holds == "waveform":
            y = cache.read(track)[start * hop : start * hop + samples][:, 0]
        else:
            left = None if track.duration_s is None else track.duration_s - start * hop / rate
            y = decode.load(
                track.path,
                offset_s=track.start_s + start * hop / rate,
                duration_s=min(samples / rate, left) if left else samples / rate,
                sample_rate=rate,
            )[:samples]
        return y if len(y) == samples else np.resize(y, samples)  # too short: repeated

    def example(i: int, start: int, seed: int) -> np.ndarray:
        track = tracks[i]
        rng = np.random.default_rng(seed)
        if spec.holds == "log-mel":
            x = crop(cache.read(track), start, frames, top_db=spec.mel.top_db)
        else:
            y = waveform(track, start)
            x = mel.log_mel(augment.waveform(y, rng) if augment else y, spec=spec.mel, rfft=rfft)[:, :, None]
        return np.ascontiguousarray(augment.spectrogram(x, rng) if augment else x, np.float32)

    return example


def track_frames(track: Track, spec: Spec) -> int:
    """Frames of a whole track.  Raises: AudioError or DataError if its file cannot be read."""
    if spec.holds != "nothing":
        length = len(open_cache(spec).read(track))
        return length if spec.holds == "log-mel" else spec.mel.frames(length)
    with decode.open_audio(track.path, offset_s=track.start_s) as source:
        seconds = source.promised_s
    if seconds is None:  # a stream whose header does not say
        y = decode.load(track.path, offset_s=track.start_s, duration_s=track.duration_s)
        seconds = len(y) / MEL.sample_rate
    if track.duration_s is not None:
        seconds = min(seconds, track.duration_s)
    return spec.mel.frames(int(seconds * spec.mel.sample_rate))


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


def predict_tracks(
    model, tracks: Sequence[Track], cache: Cache, *, hop_s: float = HOP_S, batch: int = 32
) -> np.ndarray:
    """Mean over the windows of each track, `(tracks, 2)`; `model` takes windows of 30 s."""
    owner: list[int] = []
    examples: list[np.ndarray] = []
    sums = np.zeros((len(tracks), 2))
    counts = np.zeros(len(tracks))

    def flush():
        if examples:
            # Always the same batch shape: one trace, one plan.
            x = np.zeros((batch, *examples[0].shape), np.float32)
            x[: len(examples)] = np.stack(examples)
            y = np.asarray(model.predict_on_batch(x))[: len(examples)]
            np.add.at(sums, owner, y)
            np.add.at(counts, owner, 1)
            owner.clear()
            examples.clear()

    for i, track in enumerate(tracks):
        values = cache.read(track)
        for start in window_starts(len(values), hop_s=hop_s):
            owner.append(i)
            examples.append(crop(values, start, N_FRAMES))
            if len(examples) == batch:
                flush()
    flush()
    return sums / counts[:, None]
