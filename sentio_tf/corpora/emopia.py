"""EMOPIA: pop-piano clips as MIDI with a quadrant each; rendered to audio before use."""

from __future__ import annotations

from pathlib import Path

from . import labels
from .track import Corpus, Track


def read(root: Path) -> list[Track]:
    """Tracks with signs; grouped by song, because the official splits divide 23 songs."""
    file = root / "labels.csv"
    tracks = []
    for line, row in labels.rows(file, {"track_id", "song_id", "quadrant", "split"}, corpus="EMOPIA"):
        valence, arousal = labels.signs(row, where=f"{file}:{line}")
        tracks.append(
            Track(
                track_id=row["track_id"],
                corpus="emopia",
                path=root / "midi" / f"{row['track_id']}.mid",
                group=f"emopia:{row['song_id']}",
                valence_sign=valence,
                arousal_sign=arousal,
                split=row["split"],
            )
        )
    return tracks


CORPUS = Corpus(
    name="emopia",
    citation="Hung et al. 2021, EMOPIA: a multi-modal pop piano dataset, arXiv:2108.01374",
    licence="CC BY-NC-SA 4.0",
    how_to_get="https://zenodo.org/records/5090631",
    scale="quadrants Q1..Q4 -> signs (+,+), (-,+), (-,-), (+,-) of valence and arousal",
    read=read,
)
