"""Tracks to `tf.data`: MIDI is rendered, audio becomes log-mel once, training reads mels from disk.

The cache holds one file a track, `(frames, 128)` float16 in dB without the `top_db` floor, which
belongs to a window and is applied when one is cut.  Its rounding error is below 0.032 dB.  A file's
name is a hash of the source's path, size and time of change, the part used and the front end, so other
parameters never meet the same file; files appear whole (rename), so a killed run continues and two
processes may build the same cache.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from .audio import decode, mel
from .contract import HOP_S, MEL, N_FRAMES
from .corpora.render import RenderSpec, render_all
from .corpora.track import Track
from .errors import DataError, SentioError

VERSION = 2
UNLIMITED = dataclasses.replace(MEL, top_db=1e9)
Progress = Callable[[str, int, int], None]  # step, done, total


def render_tracks(
    tracks: Sequence[Track], cache: Path, *, spec: RenderSpec = RenderSpec(), progress: Progress | None = None
) -> list[Track]:
    """The same tracks with every MIDI file replaced by its rendering.

    Raises: DataError naming the first MIDI that could not be rendered, after all others were.
    """
    midis = [t.path for t in tracks if t.path.suffix.lower() in (".mid", ".midi")]
    if not midis:
        return list(tracks)
    report = (lambda done, total: progress("render", done, total)) if progress else None
    done, failed = render_all(midis, cache / "render", spec, progress=report)
    if failed:
        raise DataError(f"{len(failed)} of {len(midis)} MIDI files failed, first: {next(iter(failed.values()))}")
    return [dataclasses.replace(t, path=done.get(t.path, t.path)) for t in tracks]


def cached_path(track: Track, cache: Path) -> Path:
    """Where the mel of this track lies."""
    stat = track.path.stat()
    parts = (VERSION, dataclasses.astuple(UNLIMITED), stat.st_size, stat.st_mtime_ns, str(track.path.resolve()))
    key = hashlib.sha256(repr((parts, track.start_s, track.duration_s)).encode()).hexdigest()[:24]
    return cache / "mel" / track.corpus / f"{key}.npy"


def _single_thread() -> None:
    """In a worker: one BLAS thread, or the workers' threads wait for one another."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def _write_mel(track: Track, target: Path) -> None:
    y = decode.load(track.path, offset_s=track.start_s, duration_s=track.duration_s)
    values = mel.log_mel(y, spec=UNLIMITED).T.astype(np.float16)
    part = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=target.parent, suffix=".part")
        with os.fdopen(descriptor, "wb") as file:
            np.save(file, values)
        os.replace(part, target)
    except OSError as error:
        if part:
            Path(part).unlink(missing_ok=True)
        raise DataError(
            f"{target.parent}: the mel cache cannot be written ({error.strerror}); free space or name another --cache"
        ) from None


def build_cache(
    tracks: Sequence[Track], cache: Path, *, workers: int | None = None, progress: Progress | None = None
) -> dict[str, str]:
    """Compute the mels that are missing; returns `{track key: reason}` of the files that failed."""
    todo = [(t, path) for t in tracks if not (path := cached_path(t, cache)).exists()]
    failed: dict[str, str] = {}
    if not todo:
        return failed
    with ProcessPoolExecutor(workers or os.cpu_count(), initializer=_single_thread) as pool:
        jobs = {pool.submit(_write_mel, t, path): t for t, path in todo}
        for done, job in enumerate(as_completed(jobs), start=1):
            try:
                job.result()
            except SentioError as error:
                failed[jobs[job].key] = str(error)
            except BrokenProcessPool:
                raise DataError(
                    "a worker of the mel cache was killed (out of memory?); run again to continue"
                ) from None
            if progress:
                progress("mel", done, len(todo))
    return failed


def load_mel(track: Track, cache: Path) -> np.ndarray:
    """Mel of the whole track, float16 `(frames, 128)` in dB, mapped from disk.

    Raises: DataError if it is not in the cache or not readable (the damaged file is removed).
    """
    path = cached_path(track, cache)
    try:
        values = np.load(path, mmap_mode="r")
        if values.ndim != 2 or values.shape[1] != MEL.n_mels or values.dtype != np.float16:
            raise ValueError(f"{values.shape} {values.dtype}")
        return values
    except FileNotFoundError:
        raise DataError(f"{track.key}: not in the mel cache; build it first") from None
    except OSError as error:
        raise DataError(f"{path}: the cache file cannot be read ({error.strerror})") from None
    except (ValueError, EOFError) as error:
        path.unlink(missing_ok=True)
        raise DataError(f"{path}: damaged cache file removed ({error}); run again to rebuild it") from None


def crop(values: np.ndarray, start: int, frames: int) -> np.ndarray:
    """`frames` frames from `start` on, float32 `(128, frames, 1)`, repeated if there are too few.

    The floor is `top_db` below the crop's maximum, as in `LogMel`.
    """
    part = np.asarray(values[start : start + frames], np.float32)
    if len(part) < frames:
        part = np.resize(part, (frames, part.shape[1]))
    return np.maximum(part, part.max() - MEL.top_db).T[:, :, None]


def window_starts(total: int, frames: int = N_FRAMES, hop_s: float = HOP_S) -> list[int]:
    """First frames of the windows of a track of `total` frames: the rule of `audio.windows`."""
    hop = round(hop_s * MEL.sample_rate / MEL.hop_length)
    starts = list(range(0, max(1, total - frames + 1), hop))
    if total - (starts[-1] + frames) > MEL.sample_rate / MEL.hop_length:
        starts.append(total - frames)
    return starts


def target(track: Track) -> np.ndarray:
    """[valence, arousal, 1] of a rated track, [sign, sign, 0] of another; see `losses`."""
    if track.rated:
        return np.array([track.valence, track.arousal, 1], np.float32)
    return np.array([track.valence_sign, track.arousal_sign, 0], np.float32)


def dataset(
    tracks: Sequence[Track],
    cache: Path,
    *,
    frames: int = N_FRAMES,
    batch: int = 32,
    repeats: dict[str, float] | None = None,
    seed: int = 0,
):
    """Endless `tf.data.Dataset` of random crops: log-mel `(batch, 128, frames, 1)`, target `(batch, 3)`.

    An epoch draws every track `repeats[corpus]` times (default 1; 0.5: every other epoch on average)
    in random order at random places; the same seed gives the same batches.
    """
    import tensorflow as tf

    # A mapped file holds a descriptor: open them one by one, not a corpus at a time.
    lengths = [len(load_mel(t, cache)) for t in tracks]
    targets = np.stack([target(t) for t in tracks])
    counts = draws(tracks, repeats)

    def places():
        rng = np.random.default_rng(seed)
        while True:
            whole = np.floor(counts + rng.random(len(counts))).astype(int)
            for i in rng.permutation(np.repeat(np.arange(len(counts)), whole)):
                yield i, rng.integers(max(1, lengths[i] - frames + 1))

    def read(i, start):
        return crop(load_mel(tracks[i], cache), start, frames), targets[i]

    def load(i, start):
        x, y = tf.numpy_function(read, [i, start], [tf.float32, tf.float32])
        return tf.ensure_shape(x, (MEL.n_mels, frames, 1)), tf.ensure_shape(y, (3,))

    scalar = tf.TensorSpec((), tf.int64)
    data = tf.data.Dataset.from_generator(places, output_signature=(scalar, scalar))
    return data.map(load, num_parallel_calls=2).batch(batch, drop_remainder=True).prefetch(2)


def draws(tracks: Sequence[Track], repeats: dict[str, float] | None) -> np.ndarray:
    """How often an epoch draws each track on average, `(tracks,)`."""
    return np.array([float((repeats or {}).get(t.corpus, 1)) for t in tracks])


def band_statistics(tracks: Sequence[Track], cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd [dB] of each mel band over windows of `tracks` (one each, the middle), float32 `(128,)`."""
    total, square, count = np.zeros(MEL.n_mels), np.zeros(MEL.n_mels), 0
    for track in tracks:
        values = load_mel(track, cache)
        x = crop(values, max(0, (len(values) - N_FRAMES) // 2), N_FRAMES)[:, :, 0].astype(np.float64)
        total, square, count = total + x.sum(1), square + (x**2).sum(1), count + x.shape[1]
    mean = total / count
    return mean.astype(np.float32), np.sqrt(np.maximum(square / count - mean**2, 1e-6)).astype(np.float32)


def predict_tracks(model, tracks: Sequence[Track], cache: Path, *, hop_s: float = HOP_S, batch: int = 32) -> np.ndarray:
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
        values = load_mel(track, cache)
        for start in window_starts(len(values), hop_s=hop_s):
            owner.append(i)
            examples.append(crop(values, start, N_FRAMES))
            if len(examples) == batch:
                flush()
    flush()
    return sums / counts[:, None]
