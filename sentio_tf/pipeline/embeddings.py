"""Tracks to vectors of frozen pretrained networks, kept in one file of the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import keras
import numpy as np
from keras import layers

from ..audio import decode
from ..audio.content import remember
from ..audio.musicnn_mel import SPEC, musicnn_mel, patches
from ..contract import N_FRAMES
from ..corpora.track import Track
from ..errors import DataError, SentioError
from ..features.store import open_store
from ..models import musicnn, pretrained, vit_encoder
from .cache import Progress, Spec, entry_id, fast_rfft, open_cache
from .data import crop, window_starts
from .inference import answers

NETWORKS = ("musicnn", "vit")
BLOCKS = (6, 9)  # of the ViT: the middle ones tell most about sound
VERSION = 1  # of what happens around the networks; another one computes anew
FILE = "embeddings.sqlite"

Examples = Iterator[np.ndarray]


def embed(
    tracks: Sequence[Track],
    which: str,
    root: Path,
    *,
    progress: Progress | None = None,
    batch: int = 16,
    report: Callable[[str], None] = print,
) -> tuple[list[str], np.ndarray, dict[str, str]]:
    """Names of the columns, float32 `(tracks, columns)`, and why tracks failed by their key (their rows are NaN).

    The whole of a track (its part of the file) is heard.  "musicnn", 6024 columns: mean, then sd over patches
    of 3 s of what the taggers of MSD and MTT pool over time (maximum and mean of front end and mid-end).  "vit",
    1536 columns: class token and mean of the patches behind blocks 6 and 9, averaged over windows of 30 s
    every 15 s, which come from the mel cache in `root`.  What is shorter than a patch or window is repeated
    to fill it (the sd of one patch is 0); silence has a vector like any other sound.

    Args:
        which: "musicnn" or "vit".
        root: folder of the caches; weights go to `root/pretrained`, vectors to `root/embeddings.sqlite`.
        batch: patches or windows that the network takes at once.
        report: takes a line where something is downloaded, or damaged and computed again.

    Raises: ModelError if the weights cannot be had; ConfigError if a package is missing; DataError if `root`
        cannot be written.
    """
    if which not in NETWORKS:
        raise ValueError(f"expected one of {', '.join(NETWORKS)}. Received: {which}")
    names = columns(which)
    remember(root)
    failed: dict[str, str] = {}
    wanted: dict[str, list[int]] = {}  # the same part of a file may stand under several keys
    for i, track in enumerate(tracks):
        try:
            wanted.setdefault(entry_id(track), []).append(i)
        except DataError as error:
            failed[track.key] = str(error)
    matrix = np.full((len(tracks), len(names)), np.nan, np.float32)
    kind = f"{which}:{VERSION}:{pretrained.identity(which)}"
    with open_store(root / FILE, report) as store:
        keys = {f"{kind}:{id_}": id_ for id_ in wanted}
        found_before = {keys[key]: vector for key, vector in store.read(keys, len(names)).items()}
        for id_, vector in found_before.items():
            matrix[wanted[id_]] = vector
        missing = [id_ for id_ in wanted if id_ not in found_before]
        parts = {id_: tracks[wanted[id_][0]] for id_ in missing}
        for done, (id_, found) in enumerate(_compute(parts, which, root, batch, progress, report), 1):
            if isinstance(found, str):
                failed |= {tracks[i].key: found for i in wanted[id_]}
            else:
                store.write(f"{kind}:{id_}", found)
                matrix[wanted[id_]] = found
            if progress:
                progress(which, done, len(missing))
    return names, matrix, failed


def columns(which: str) -> list[str]:
    """Names of the columns of `embed`."""
    if which == "vit":
        parts = [f"block_{b}_{part}" for b in BLOCKS for part in ("class", "patches")]
        return [f"{part}_{i:03}" for part in parts for i in range(1, vit_encoder.WIDTH + 1)]
    parts = [f"{network}_{pool}" for network in musicnn.NETWORKS for pool in ("max", "mean")]
    pooled = [f"{part}_{i:03}" for part in parts for i in range(1, musicnn.FEATURES + 1)]
    return [f"{name}_{statistic}" for statistic in ("mean", "sd") for name in pooled]


def network(which: str, root: Path, *, report: Callable[[str], None] | None = None) -> keras.Model:
    """The frozen network from examples of `which` to vectors `(batch, columns)`; see `embed`.

    Raises: ModelError if its weights cannot be had, ConfigError if a package is missing.
    """
    weights = pretrained.load(pretrained.fetch(which, root, report=report))
    if which == "vit":
        encoder = vit_encoder.build(weights, blocks=BLOCKS)
        outputs = [encoder.output[f"block_{b}_{part}"] for b in BLOCKS for part in ("class", "patches")]
        return keras.Model(encoder.input, layers.Concatenate(name="vector")(outputs))
    patch = keras.Input(musicnn.INPUT, name="patch")
    pooled = [musicnn.tagger(weights, name)(patch)["pooled"] for name in musicnn.NETWORKS]
    return keras.Model(patch, layers.Concatenate(name="vector")(pooled))


def _compute(
    parts: dict[str, Track],
    which: str,
    root: Path,
    batch: int,
    progress: Progress | None,
    report: Callable[[str], None],
) -> Iterator[tuple[str, np.ndarray | str]]:
    """Each id with its vector, or with the reason why there is none."""
    if not parts:
        return
    model = network(which, root, report=report)
    failed: dict[str, str] = {}
    if which == "vit":
        why = open_cache(Spec(root)).build(list(parts.values()), progress=progress, report=report)
        failed = {id_: why[track.key] for id_, track in parts.items() if track.key in why}
    read = _windows if which == "vit" else _patches

    def examples() -> Iterator[tuple[str, np.ndarray]]:
        for id_, track in parts.items():
            if id_ in failed:
                continue
            try:
                own = read(track, root)
            except SentioError as error:
                failed[id_] = str(error)
            except Exception as error:  # one strange file must not lose the others
                failed[id_] = f"{track.path}: {type(error).__name__}: {error}"
            else:
                yield from ((id_, example) for example in own)

    for id_, rows in groupby(answers(model, examples(), batch=batch), key=lambda pair: pair[0]):
        vectors = np.stack([row for _, row in rows])
        mean = vectors.mean(axis=0)
        yield id_, np.concatenate([mean, vectors.std(axis=0)]) if which == "musicnn" else mean
    yield from failed.items()


def _patches(track: Track, root: Path) -> Examples:
    y = decode.load(track.path, offset_s=track.start_s, duration_s=track.duration_s, sample_rate=SPEC.sample_rate)
    return iter(patches(musicnn_mel(y, rfft=fast_rfft())))


def _windows(track: Track, root: Path) -> Examples:
    values = open_cache(Spec(root)).read(track)
    return (crop(values, start, N_FRAMES) for start in window_starts(len(values)))
