"""Decoding inside the graph with tensorflow-io, for TensorFlow 2.16 and 2.17 (extra [tfio]).

Everything from the file's bytes to the log-mel runs as TensorFlow operations, without Python: no
GIL, at the price of a library whose last release loads with these versions only, and of its resampler,
which differs from soxr.  mp3, flac, ogg and wav; the native decoder reads far more and is the default.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

import numpy as np

from ..audio import decode
from ..audio.augment import Augment
from ..corpora.track import Track
from ..errors import ConfigError, DataError
from .cache import Spec

SUFFIXES = {".mp3": "mp3", ".flac": "flac", ".ogg": "vorbis", ".wav": "wav"}


def load_tfio():
    """tensorflow-io, its native operations loaded.

    Raises: ConfigError where it is missing or does not fit TensorFlow.
    """
    try:
        version = importlib.metadata.version("tensorflow-io")
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError(
            "decoder: tfio needs tensorflow-io, which is not installed; "
            "make an environment with: pip install 'sentio-tf[tfio]', or use decoder='native'"
        ) from None
    import tensorflow as tf

    release = tuple(int(x) for x in tf.__version__.split(".")[:2])
    if release > (2, 17):
        # The import works there and every decoder fails later, inside the graph.
        raise ConfigError(
            f"decoder: tensorflow-io {version} needs TensorFlow 2.16 or 2.17, received {tf.__version__}; "
            "make an environment of its own with: pip install 'sentio-tf[tfio]', or use decoder='native'"
        )
    import tensorflow_io as tfio

    return tfio


def decoder(kind: str):
    """`decode(bytes) -> float32 (samples, channels)` in [-1, 1], as a graph operation."""
    import tensorflow as tf

    tfio = load_tfio()
    if kind == "mp3":
        return tfio.audio.decode_mp3
    if kind == "vorbis":
        return tfio.audio.decode_vorbis
    native = tfio.audio.decode_flac if kind == "flac" else tfio.audio.decode_wav
    return lambda content: tf.cast(native(content, dtype=tf.int16), tf.float32) / 32768


def dataset(
    tracks: Sequence[Track],
    targets: np.ndarray,
    spec: Spec,
    *,
    augment: Augment | None,
    frames: int,
    batch: int,
    repeats: dict[str, float] | None,
    seed: int,
):
    """`pipeline.dataset` with everything in the graph; one kind of file at a time.

    Raises: ConfigError for augmentation of waveforms, which is not in the graph; DataError for files of
        several kinds or of none that tensorflow-io decodes, or that cannot be opened.
    """
    import tensorflow as tf

    from ..layers.logmel import LogMel
    from .data import draws, mixed, places, track_frames

    if augment:
        raise ConfigError("decoder: tfio decodes in the graph, augmentation is not there; use decoder='native'")
    kinds = {SUFFIXES.get(t.path.suffix.lower()) for t in tracks}
    if len(kinds) != 1 or None in kinds:
        names = ", ".join(sorted({t.path.suffix or "no suffix" for t in tracks}))
        raise DataError(f"decoder: tfio expected files of one kind of {', '.join(SUFFIXES)}, received {names}")
    decode_bytes = decoder(next(iter(kinds)) or "")
    tfio = load_tfio()
    rates = []
    for track in tracks:
        with decode.open_audio(track.path) as source:
            rates.append(source.sample_rate)
    lengths = [track_frames(t, spec) for t in tracks]
    counts = draws(tracks, repeats)
    hop, rate = spec.mel.hop_length, spec.mel.sample_rate
    samples = (frames - 1) * hop
    front_end = LogMel(spec.mel)
    paths = tf.constant([str(t.path) for t in tracks])
    starts_s = tf.constant([t.start_s for t in tracks])
    last = [int((t.start_s + t.duration_s) * rate) if t.duration_s else 2**60 for t in tracks]
    ends = tf.constant(last, tf.int64)
    rates_ = tf.constant(rates, tf.int64)
    goals = tf.constant(targets)

    def load(place):
        i, start, draw = tf.unstack(place)
        y = tf.reduce_mean(decode_bytes(tf.io.read_file(paths[i])), axis=1, keepdims=True)
        y = tfio.audio.resample(y, rate_in=rates_[i], rate_out=rate)[:, 0]
        first = tf.cast(tf.round(starts_s[i] * rate), tf.int64) + start * hop
        part = y[first : tf.minimum(first + samples, ends[i])]
        times = -(-samples // tf.maximum(tf.size(part), 1))  # too short: repeated
        part = tf.tile(part, [times])[:samples]
        return front_end(tf.ensure_shape(part, (samples,))[None])[0], goals[i], draw

    data = places(lengths, counts, frames=frames, seed=seed)
    data = data.map(load, num_parallel_calls=2, deterministic=True).batch(batch, drop_remainder=True)
    return mixed(data, None).prefetch(2)
