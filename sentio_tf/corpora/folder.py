"""A user's own corpus: a folder of audio and a `labels.csv`.

Columns: `path` (relative to the folder), and `valence` and `arousal`, or `quadrant` (Q1..Q4).
Optional: `track_id` (else the path), `group` or `artist` (what must not be divided between training
and test; else every file is its own group), `split`, `start_s`, `duration_s`.
Ratings are expected in [-1, 1]; another scale is named in `corpus.yaml` beside it: `scale: [1, 9]`.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from ..errors import DataError
from . import labels
from .track import Corpus, Track


def read(root: Path) -> list[Track]:
    """Tracks of `root/labels.csv`."""
    file = root / "labels.csv"
    low, high = read_scale(root / "corpus.yaml")
    name = root.resolve().name
    tracks: list[Track] = []
    for line, row in labels.rows(file, {"path"}, corpus="a folder corpus"):
        where = f"{file}:{line}"
        if not row["path"]:
            raise DataError(f"{where}: expected the path of an audio file, received none; complete the row")
        values: dict = {}
        if row.get("valence") and row.get("arousal"):
            for axis in ("valence", "arousal"):
                values[axis] = labels.rescale(labels.number(row, axis, low, high, where=where), low, high)
        elif row.get("quadrant"):
            values["valence_sign"], values["arousal_sign"] = labels.signs(row, where=where)
        else:
            raise DataError(f"{where}: expected valence and arousal, or a quadrant, received neither; complete the row")
        # An artist is the same in every corpus; any other group is this folder's own.
        own = row.get("group") or row["path"]
        group = f"artist:{row['artist']}" if row.get("artist") and not row.get("group") else f"{name}:{own}"
        tracks.append(
            Track(
                track_id=row.get("track_id") or row["path"],
                corpus=f"folder-{name}",
                path=root / row["path"],
                group=group,
                split=row.get("split", ""),
                start_s=labels.number(row, "start_s", 0, 1e6, where=where) if row.get("start_s") else 0.0,
                duration_s=labels.number(row, "duration_s", 0.01, 1e6, where=where) if row.get("duration_s") else None,
                **values,
            )
        )
    return tracks


def read_scale(path: Path) -> tuple[float, float]:
    """`scale: [low, high]` of a `corpus.yaml`, (-1, 1) where there is none.

    Raises: DataError if the file is no YAML or the scale no pair of rising numbers.
    """
    if not path.exists():
        return -1.0, 1.0
    try:
        scale = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("scale", [-1, 1])
        low, high = (float(x) for x in scale)
    except (yaml.YAMLError, AttributeError, TypeError, ValueError, OSError):
        raise DataError(
            f"{path}: expected 'scale: [low, high]', received something else; write scale: [1, 9]"
        ) from None
    if not low < high:
        raise DataError(f"{path}: expected scale low < high, received {scale}; write scale: [1, 9]")
    return low, high


CORPUS = Corpus(
    name="folder",
    citation="the user's own",
    licence="the user's own",
    how_to_get="write labels.csv (path, valence, arousal[, group]) into a folder of audio files",
    scale="[-1, 1], or as corpus.yaml says",
    read=read,
)
