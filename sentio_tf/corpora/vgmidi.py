"""VGMIDI: piano arrangements of game music as MIDI, rated by 28-32 people; rendered before use."""

from __future__ import annotations

from pathlib import Path

from . import labels
from .track import Corpus, Track


def read(root: Path) -> list[Track]:
    """Tracks with mean ratings; grouped by game series (`Other` is no series: by game)."""
    file = root / "labels.csv"
    columns = {"track_id", "series", "game", "valence", "arousal", "valence_rater_sd", "arousal_rater_sd"}
    tracks = []
    for line, row in labels.rows(file, columns, corpus="VGMIDI"):
        where = f"{file}:{line}"
        series = row["series"] if row["series"] != "Other" else row["game"]
        tracks.append(
            Track(
                track_id=row["track_id"],
                corpus="vgmidi",
                path=root / "midi" / f"{row['track_id']}.mid",
                group=f"vgmidi:{series}",
                valence=labels.number(row, "valence", -1, 1, where=where),
                arousal=labels.number(row, "arousal", -1, 1, where=where),
                valence_sd=labels.number(row, "valence_rater_sd", 0, 2, where=where),
                arousal_sd=labels.number(row, "arousal_rater_sd", 0, 2, where=where),
            )
        )
    return tracks


CORPUS = Corpus(
    name="vgmidi",
    citation="Ferreira & Whitehead 2019, Learning to generate music with sentiment, ISMIR, arXiv:2103.06125",
    licence="none stated by the authors",
    how_to_get="https://github.com/lucasnfe/vgmidi",
    scale="already [-1, 1]",
    read=read,
)
