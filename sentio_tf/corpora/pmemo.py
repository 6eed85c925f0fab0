"""PMEmo 2019: choruses of 794 popular songs, 767 of them rated 0-1 by 10 or more subjects."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import labels
from .track import Corpus, Dynamics, Track

LOW, HIGH = 0.0, 1.0
RATERS = 10  # or more
STATIC = "annotations/static_annotations.csv"


def read(root: Path) -> list[Track]:
    """Tracks of the static annotations; grouped by artist where `metadata.csv` is at hand."""
    home = labels.home(root, STATIC)
    artists = {}
    if (home / "metadata.csv").exists():
        about = labels.rows(home / "metadata.csv", {"musicId", "artist"}, corpus="PMEmo, metadata")
        artists = {row["musicId"]: row["artist"] for _, row in about}
    deviations = {}
    if (file := home / "annotations" / "static_annotations_std.csv").exists():
        spreads = labels.rows(file, {"musicId", "Arousal(std)", "Valence(std)"}, corpus="PMEmo")
        deviations = {row["musicId"]: (row, f"{file}:{line}") for line, row in spreads}

    def build(row: dict[str, str], where: str) -> Track:
        song = row["musicId"]
        mean = [labels.number(row, f"{axis}(mean)", LOW, HIGH, where=where) for axis in ("Valence", "Arousal")]
        sd = None
        if song in deviations:
            about, there = deviations[song]
            sd = [labels.number(about, f"{axis}(std)", 0, HIGH - LOW, where=there) for axis in ("Valence", "Arousal")]
        return Track(
            track_id=song,
            corpus="pmemo",
            path=home / "chorus" / f"{song}.mp3",
            group=labels.artist(artists[song]) if artists.get(song) else f"pmemo:{song}",
            valence=labels.rescale(mean[0], LOW, HIGH),
            arousal=labels.rescale(mean[1], LOW, HIGH),
            valence_sd=sd[0] * 2 / (HIGH - LOW) if sd else None,
            arousal_sd=sd[1] * 2 / (HIGH - LOW) if sd else None,
            raters=RATERS,
        )

    return labels.tracks(home / STATIC, ["musicId", "Arousal(mean)", "Valence(mean)"], build, corpus="PMEmo")


def dynamics(root: Path) -> dict[str, Dynamics]:
    """Labels per half second from 15 s on, mapped to [-1, 1]; empty where the file is missing."""
    file = labels.home(root, STATIC) / "annotations" / "dynamic_annotations.csv"
    if not file.exists():
        return {}
    columns = {"musicId", "frameTime", "Arousal(mean)", "Valence(mean)"}
    songs: dict[str, list[tuple[float, float, float]]] = {}
    for line, row in labels.rows(file, columns, corpus="PMEmo, labels over time"):
        where = f"{file}:{line}"
        time = labels.number(row, "frameTime", 0, 1e5, where=where)
        mean = (labels.number(row, f"{axis}(mean)", LOW, HIGH, where=where) for axis in ("Valence", "Arousal"))
        valence, arousal = (labels.rescale(value, LOW, HIGH) for value in mean)
        songs.setdefault(row["musicId"], []).append((time, valence, arousal))
    return {song: Dynamics(*np.array(sorted(points)).T) for song, points in songs.items()}


CORPUS = Corpus(
    name="pmemo",
    citation="Zhang, Zhang, Yang, Han & Sun 2018, The PMEmo dataset for music emotion recognition, "
    "doi:10.1145/3206025.3206037",
    licence="research use; none stated for the data, choruses of commercial recordings",
    how_to_get="https://github.com/HuiZhangDB/PMEmo (PMEmo2019.zip, behind a link there)",
    scale="0-1, mapped by 2x - 1",
    read=read,
    dynamics=dynamics,
)
