"""A user's own corpus: a folder of audio and a `labels.csv` or `labels.parquet`.

Columns (in any case): `path` (relative to the folder), and `valence` and `arousal`, or `quadrant` (Q1..Q4).
Optional: `track_id` (else the path), `group` or `artist` (what must not be divided between training
and test; else every file is its own group), `split`, `genre`, `start_s`, `duration_s`.
Ratings are expected in [-1, 1]; another scale is named in `corpus.yaml` beside it: `scale: [1, 9]`.
Music that nobody labelled says `unlabelled: true` there and needs `path` only.
A corpus that a program composed says `synthetic: true` there; its tracks then belong to
`synthetic-NAME`, which no reported result may contain.  `generated: true` is of `sentio-tf gan sample`: spectrograms
that a network made, `generated-NAME`, which may train and never judge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..contract import GENERATED
from ..errors import DataError
from . import labels
from .track import Corpus, Track


def read(root: Path) -> list[Track]:
    """Tracks of `root/labels.csv`, else `root/labels.parquet`."""
    about = read_about(root / "corpus.yaml")
    low, high = about.scale
    name = root.resolve().name

    def build(row: dict[str, str], where: str) -> Track:
        if not row["path"]:
            raise DataError(f"{where}: expected the path of an audio file, received none; complete the row")
        values: dict = {}
        if row.get("valence") and row.get("arousal"):
            for axis in ("valence", "arousal"):
                values[axis] = labels.rescale(labels.number(row, axis, low, high, where=where), low, high)
        elif row.get("quadrant"):
            values["valence_sign"], values["arousal_sign"] = labels.signs(row["quadrant"], where=where)
        elif not about.unlabelled:
            raise DataError(f"{where}: expected valence and arousal, or a quadrant, received neither; complete the row")
        # An artist is the same in every corpus; any other group is this folder's own.
        own = row.get("group") or row["path"]
        group = labels.artist(row["artist"]) if row.get("artist") and not row.get("group") else f"{name}:{own}"
        return Track(
            track_id=row.get("track_id") or row["path"],
            corpus=about.prefix + name,
            path=root / row["path"],
            group=group,
            split=row.get("split", ""),
            genre=row.get("genre", ""),
            start_s=labels.number(row, "start_s", 0, 1e6, where=where) if row.get("start_s") else 0.0,
            duration_s=labels.number(row, "duration_s", 0.01, 1e6, where=where) if row.get("duration_s") else None,
            **values,
        )

    files = [root / name for name in ("labels.csv", "labels.parquet")]
    if all(file.exists() for file in files):
        raise DataError(f"{root}: expected labels.csv or labels.parquet, received both; remove one")
    file = files[1] if files[1].exists() else files[0]
    return labels.tracks(file, ["path"], build, corpus="a folder corpus", lower=True)


# Of corpus.yaml; all but the first four are for readers, and for `data demo`, which wrote them.
KNOWN = (
    "scale",
    "synthetic",
    "generated",
    "unlabelled",
    "name",
    "citation",
    "licence",
    "description",
    "version",
    "seed",
    "seconds",
    "form",
)


@dataclass(frozen=True)
class About:
    """What `corpus.yaml` says."""

    scale: tuple[float, float] = (-1.0, 1.0)
    synthetic: bool = False
    generated: bool = False
    unlabelled: bool = False

    @property
    def prefix(self) -> str:
        """What stands before the folder's name in the name of its corpus."""
        return GENERATED if self.generated else "synthetic-" if self.synthetic else "folder-"


def read_about(path: Path) -> About:
    """`scale: [low, high]` and the flags of a `corpus.yaml`; the defaults where there is none.

    Raises: DataError if the file is no YAML or the scale no pair of rising numbers.
    """
    if not path.exists():
        return About()
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        unknown = [key for key in values if key not in KNOWN]
        scale = values.get("scale", [-1, 1])
        if not isinstance(scale, list):
            raise TypeError
        low, high = (float(x) for x in scale)
    except (yaml.YAMLError, AttributeError, TypeError, ValueError, OSError):
        raise DataError(
            f"{path}: expected 'scale: [low, high]', received something else; write scale: [1, 9]"
        ) from None
    if not -math.inf < low < high < math.inf:
        raise DataError(f"{path}: expected scale low < high, both finite, received {scale}; write scale: [1, 9]")
    if unknown:
        raise DataError(f"{path}: unknown key {unknown[0]!r}; known are {', '.join(KNOWN)}")
    flags = ("synthetic", "generated", "unlabelled")
    for name in flags:
        if not isinstance(values.get(name, False), bool):
            raise DataError(f"{path}: expected '{name}: true' or 'false', received {values[name]!r}; correct it")
    return About((low, high), **{name: values.get(name, False) for name in flags})


CORPUS = Corpus(
    name="folder",
    citation="the user's own",
    licence="the user's own",
    how_to_get="write labels.csv or labels.parquet (path, valence, arousal[, group]) into a folder of audio files",
    scale="[-1, 1], or as corpus.yaml says",
    read=read,
)
