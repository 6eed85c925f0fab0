"""4Q Audio Emotion Dataset: clips of 30 s of popular music with a quadrant each."""

from __future__ import annotations

from pathlib import Path

from . import labels
from .track import Corpus, Track


def read(root: Path) -> list[Track]:
    """Tracks with signs only: the quadrant comes from expert mood tags, not from listeners' ratings."""
    file = root / "labels.csv"
    tracks = []
    for line, row in labels.rows(file, {"track_id", "artist_group", "quadrant"}, corpus="Panda 4Q"):
        valence, arousal = labels.signs(row, where=f"{file}:{line}")
        tracks.append(
            Track(
                track_id=row["track_id"],
                corpus="panda4q",
                path=root / "audio" / f"{row['track_id']}.opus",
                group=f"artist:{row['artist_group']}",
                valence_sign=valence,
                arousal_sign=arousal,
            )
        )
    return tracks


CORPUS = Corpus(
    name="panda4q",
    citation="Panda, Malheiro & Paiva 2018, Novel audio features for music emotion recognition, "
    "doi:10.1109/TAFFC.2018.2820691",
    licence="research use; the audio may not be redistributed",
    how_to_get="http://mir.dei.uc.pt/downloads.html (4Q audio emotion dataset)",
    scale="quadrants Q1..Q4 -> signs (+,+), (-,+), (-,-), (+,-) of valence and arousal",
    read=read,
)
