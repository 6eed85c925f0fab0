"""EmoMusic (1000 Songs): 744 excerpts of 45 s from the Free Music Archive, rated 1-9 by a crowd."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import DataError
from . import labels
from .track import Corpus, Download, Dynamics, Track

LOW, HIGH = 1.0, 9.0
RATERS = 10  # at least so many a song (Soleymani et al. 2013)
PARTS = {"development": "train", "evaluation": "test"}


def recording(song_id: int | str) -> str:
    """Name of the recording, which DEAM holds under the same id (up to 1000)."""
    return f"emomusic/{song_id}"


def read(root: Path) -> list[Track]:
    """Tracks of the static annotations; grouped by artist, split as in MediaEval 2013."""
    notes = label_folder(root)
    clips = labels.first(root, "clips_45seconds", "clips_45sec/clips_45seconds")
    info = songs_info(notes / "songs_info.csv")

    def build(row: dict[str, str], where: str) -> Track:
        song = row["song_id"]
        valence, arousal = (labels.number(row, f"mean_{axis}", LOW, HIGH, where=where) for axis in AXES)
        sd = [labels.number(row, f"std_{axis}", 0, HIGH - LOW, where=where) for axis in AXES]
        about = info.get(song, {})
        return Track(
            track_id=song,
            corpus="emomusic",
            path=clips / f"{song}.mp3",
            group=labels.artist(about["Artist"]) if about.get("Artist") else recording(song),
            valence=labels.rescale(valence, LOW, HIGH),
            arousal=labels.rescale(arousal, LOW, HIGH),
            valence_sd=sd[0] * 2 / (HIGH - LOW),
            arousal_sd=sd[1] * 2 / (HIGH - LOW),
            split=PARTS.get(about.get("Mediaeval 2013 set", ""), ""),
            recording=recording(song),
            genre=about.get("Genre", ""),
            raters=RATERS,
        )

    columns = ["song_id", *(f"{kind}_{axis}" for kind in ("mean", "std") for axis in AXES)]
    return labels.tracks(notes / "static_annotations.csv", columns, build, corpus="EmoMusic")


AXES = ("valence", "arousal")


def label_folder(root: Path) -> Path:
    """The folder of the label files; their archive has no folder of its own."""
    name = "static_annotations.csv"
    return labels.first(root, f"annotations/{name}", name).parent


def songs_info(path: Path) -> dict[str, dict[str, str]]:
    """Artist, title, genre and MediaEval set by song id; empty without the file."""
    if not path.exists():
        return {}
    return {row["song_id"]: row for _, row in labels.rows(path, {"song_id", "Artist"}, corpus="EmoMusic")}


def dynamics(root: Path) -> dict[str, Dynamics]:
    """Labels per half second from 15 s on; empty where the files are missing."""
    notes = label_folder(root)
    if not (notes / "valence_cont_average.csv").exists():
        return {}
    return read_dynamics(notes / "valence_cont_average.csv", notes / "arousal_cont_average.csv", corpus="EmoMusic")


def read_dynamics(valence: Path, arousal: Path, *, corpus: str) -> dict[str, Dynamics]:
    """Labels over time of the two files of DEAM or EmoMusic, columns `sample_15000ms` and so on, in [-1, 1].

    A song's row ends where its annotation does; times are those both files have.

    Raises: DataError for a value outside [-1, 1] or a column that names no time.
    """
    curves: list[Mapping[str, dict[float, float]]] = []
    for path in (valence, arousal):
        songs: dict[str, dict[float, float]] = {}
        for line, row in labels.rows(path, {"song_id"}, corpus=f"{corpus}, labels over time"):
            curve = {}
            for name, text in row.items():
                if name != "song_id" and text:
                    value = labels.number(row, name, -1, 1, where=f"{path}:{line}")
                    curve[_milliseconds(name, path) / 1000] = value
            songs[row["song_id"]] = curve
        curves.append(songs)
    result = {}
    for song in curves[0].keys() & curves[1].keys():
        times = sorted(curves[0][song].keys() & curves[1][song].keys())
        if times:
            result[song] = Dynamics(
                np.array(times),
                np.array([curves[0][song][t] for t in times]),
                np.array([curves[1][song][t] for t in times]),
            )
    return result


def _milliseconds(column: str, path: Path) -> int:
    text = column.removeprefix("sample_").removesuffix("ms")
    if not text.isdecimal():
        raise DataError(f"{path}: expected columns like sample_15000ms, received {column!r}; is this the right file?")
    return int(text)


CORPUS = Corpus(
    name="emomusic",
    citation="Soleymani, Caro, Schmidt, Sha & Yang 2013, 1000 songs for emotional analysis of music, "
    "doi:10.1145/2506364.2506365",
    licence="annotations for non-commercial research; songs under their own Creative Commons licences",
    how_to_get="https://cvml.unige.ch/databases/emoMusic/ (a form sends the link)",
    scale="1-9, mapped by (x - 5) / 4; over time already [-1, 1]",
    read=read,
    dynamics=dynamics,
    downloads=(
        Download("https://cvml.unige.ch/databases/emoMusic/clips_45sec.tar.gz"),
        Download("https://cvml.unige.ch/databases/emoMusic/annotations.tar.gz", folder="annotations"),
    ),
)
