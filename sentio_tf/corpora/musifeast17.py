"""MUSIFEAST-17: clips of 30 s from 17 genres, rated by 30-38 listeners each."""

from __future__ import annotations

from pathlib import Path

from . import labels
from .track import Corpus, Track

LOW, HIGH = 1.0, 5.0


def read(root: Path) -> list[Track]:
    """Tracks with mean perceived valence and arousal."""
    file = root / "labels.csv"
    columns = {"track_id", "artist_group", "valence_1_5", "valence_sd", "arousal_1_5", "arousal_sd"}
    tracks = []
    for line, row in labels.rows(file, columns, corpus="MUSIFEAST-17"):
        where = f"{file}:{line}"
        value = {c: labels.number(row, c, LOW, HIGH, where=where) for c in ("valence_1_5", "arousal_1_5")}
        sd = {c: labels.number(row, c, 0.0, HIGH - LOW, where=where) for c in ("valence_sd", "arousal_sd")}
        tracks.append(
            Track(
                track_id=row["track_id"],
                corpus="musifeast17",
                path=root / "audio" / f"{row['track_id']}.opus",
                group=f"artist:{row['artist_group']}",
                valence=labels.rescale(value["valence_1_5"], LOW, HIGH),
                arousal=labels.rescale(value["arousal_1_5"], LOW, HIGH),
                valence_sd=sd["valence_sd"] * 2 / (HIGH - LOW),
                arousal_sd=sd["arousal_sd"] * 2 / (HIGH - LOW),
            )
        )
    return tracks


CORPUS = Corpus(
    name="musifeast17",
    citation="MUSIFEAST-17: MUsic Stimuli for Imagination, Familiarity, Emotion, and Aesthetic STudies "
    "across 17 genres",
    licence="ratings CC0; audio excerpts for non-commercial research, no redistribution",
    how_to_get="the Open Science Framework page of the MUSIFEAST-17 authors",
    scale="1-5, mapped by (x - 3) / 2",
    read=read,
)
