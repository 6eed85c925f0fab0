"""Tracks to feature vectors: hand-crafted features, statistics of bands, a frozen network, or a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .. import features
from ..contract import MEL, N_FRAMES
from ..corpora.track import Track
from ..errors import ConfigError, DataError
from .cache import Progress, Spec, open_cache
from .data import crop, render_tracks, window_starts

HAND_CRAFTED = ("recipe", "extended")
NETWORKS = ("musicnn", "vit")
SETS = (*HAND_CRAFTED, "bands", *NETWORKS)
Vectors = tuple[list[str], np.ndarray, dict[str, str]]


def split_sets(which: str) -> list[str]:
    """Names of sets, or files, in `recipe+musicnn`.  Raises: ConfigError for a name that is neither."""
    parts = [p.strip() for p in which.split("+")] if not Path(which).is_file() else [which]
    for part in parts:
        if part not in SETS and Path(part).suffix.lower() not in (".csv", ".parquet"):
            raise ConfigError(
                f"features: expected {', '.join(SETS)}, several joined by +, or a table (.csv, .parquet), "
                f"received {part!r}"
            )
    return parts


def needs_audio(which: str) -> bool:
    """Whether any of the sets is computed from audio, rather than read from a table."""
    return any(part in SETS for part in split_sets(which))


def vectors(
    tracks: Sequence[Track],
    which: str,
    root: Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    report: Callable[[str], None] = print,
) -> Vectors:
    """Names of the columns, float64 `(tracks, columns)`, and why tracks failed by their key (their rows are NaN).

    Args:
        which: "recipe" (164 features), "extended", "bands" (384 statistics of the log-mel's bands),
            "musicnn", "vit" (frozen pretrained networks), a table's file, or several joined by "+".
        root: folder of renderings and caches.

    Raises: ConfigError for unknown sets; DataError for a table that is none.
    """
    parts = split_sets(which)
    if needs_audio(which):
        tracks = render_tracks(tracks, root, progress=progress)
    names: list[str] = []
    matrices: list[np.ndarray] = []
    failed: dict[str, str] = {}
    for part in parts:
        own, matrix, lost = _one(tracks, part, root, workers, progress, report)
        prefix = f"{Path(part).stem if part not in SETS else part}:" if len(parts) > 1 else ""
        names += [prefix + name for name in own]
        matrices.append(np.asarray(matrix, np.float64))
        failed |= lost
    found = np.concatenate(matrices, axis=1)
    keys = [t.key for t in tracks]
    for key in np.array(keys)[~np.isfinite(found).all(axis=1)].tolist():
        failed.setdefault(key, f"{key}: expected finite features, received NaN or inf")
    found[[key in failed for key in keys]] = np.nan
    return names, found, failed


def _one(
    tracks: Sequence[Track],
    which: str,
    root: Path,
    workers: int | None,
    progress: Progress | None,
    report: Callable[[str], None],
) -> Vectors:
    if which in HAND_CRAFTED:
        items = [features.Item(t.path, t.start_s, t.duration_s) for t in tracks]
        step = (lambda done, total: progress("features", done, total)) if progress else None
        names, matrix, lost = features.extract(items, which, cache=root, workers=workers, progress=step, report=report)
        return list(names), matrix, {tracks[i].key: reason for i, reason in lost.items()}
    if which == "bands":
        return bands(tracks, root, progress=progress, report=report)
    if which in NETWORKS:
        from .embeddings import embed

        return embed(tracks, which, root, progress=progress, report=report)
    return from_table(tracks, Path(which))


def bands(
    tracks: Sequence[Track],
    root: Path,
    *,
    progress: Progress | None = None,
    report: Callable[[str], None] = print,
) -> Vectors:
    """Mean, sd and mean absolute step [dB] over time of each of 128 mel bands, averaged over windows of 30 s."""
    cache = open_cache(Spec(root))
    failed = cache.build(tracks, progress=progress, report=report)
    matrix = np.full((len(tracks), 3 * MEL.n_mels), np.nan)
    for i, track in enumerate(tracks):
        if track.key not in failed:
            values = cache.read(track)
            windows = [crop(values, start, N_FRAMES)[:, :, 0] for start in window_starts(len(values))]
            matrix[i] = np.mean([_statistics(x) for x in windows], axis=0)
    names = [f"band_{b:03}_{s}" for s in ("mean", "std", "step") for b in range(1, MEL.n_mels + 1)]
    return names, matrix, failed


def _statistics(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x.mean(axis=1), x.std(axis=1), np.abs(np.diff(x, axis=1)).mean(axis=1)])


def from_table(tracks: Sequence[Track], path: Path) -> Vectors:
    """Rows of a table of `sentio-tf features`, or of any table with a column `track_id`, `song_id`, `id` or `path`.

    Raises: DataError if the table cannot be read, or has none of the tracks.
    """
    table = features.read(path)
    corpus = table.ids.get("corpus")
    if corpus is None and "path" not in table.ids and len({t.corpus for t in tracks}) > 1:
        raise DataError(
            f"{path}: expected a column corpus, since tracks of several corpora may have one id, received none; add it"
        )
    rows: list[int] = []
    # One column names the tracks: a running number beside it must not name others.
    for column in [c for c in table.ids if c != "corpus"]:
        own = corpus if column != "path" else None
        place = {f"{own[i]}/{value}" if own else value: i for i, value in enumerate(table.ids[column])}
        rows = []
        for t in tracks:
            names = (str(t.path), str(t.path.resolve())) if column == "path" else (t.key if own else t.track_id,)
            rows.append(next((place[n] for n in names if n in place), -1))
        if max(rows, default=-1) >= 0:
            break
    if max(rows, default=-1) < 0:
        first = next(iter(table.ids.values()))[:1]
        raise DataError(
            f"{path}: expected features of these tracks, received a table of others (it has {first}, the corpus "
            f"{tracks[0].track_id!r}); is it of another corpus?"
        )
    matrix = np.where(np.array(rows)[:, None] >= 0, table.matrix[rows], np.nan)
    failed = {t.key: f"{t.key}: {path} has no features of it" for t, row in zip(tracks, rows, strict=True) if row < 0}
    return list(table.names), matrix, failed
