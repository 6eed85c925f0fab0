"""4Q Audio Emotion Dataset: clips of 30 s of popular music with a quadrant each.

Read from the authors' archive (`Q1/` to `Q4/` of mp3 and two tables), or from a table `labels.csv`
with `audio/` in opus, whose artists are hashed.
"""

from __future__ import annotations

from pathlib import Path

from . import labels
from .track import Corpus, Download, Track

ANNOTATIONS = "panda_dataset_taffc_annotations.csv"
METADATA = "panda_dataset_taffc_metadata.csv"


# One recording under two artists' names (fingerprints agree over 29 and 15 s): not to be divided.
SAME = {
    "MT0000523076": "panda4q/MT0000523076",
    "MT0000941301": "panda4q/MT0000523076",
    "MT0002161109": "panda4q/MT0002161109",
    "MT0033415296": "panda4q/MT0002161109",
}


def read(root: Path) -> list[Track]:
    """Tracks with signs only: the quadrant comes from expert mood tags, not from listeners' ratings."""
    if not (root / "labels.csv").exists():
        return _read_archive(labels.home(root, ANNOTATIONS))

    def build(row: dict[str, str], where: str) -> Track:
        path = root / "audio" / f"{row['track_id']}.opus"
        group, genre = f"artist:{row['artist_group']}", row.get("genres", "")
        return _track(row["track_id"], path, group, row["quadrant"], where, genre)

    return labels.tracks(root / "labels.csv", ["track_id", "artist_group", "quadrant"], build, corpus="Panda 4Q")


def _read_archive(root: Path) -> list[Track]:
    artists, genres = {}, {}
    if (root / METADATA).exists():
        about = labels.rows(root / METADATA, {"Song", "Artist"}, corpus="Panda 4Q, metadata", errors="replace")
        for _, row in about:
            artists[row["Song"]], genres[row["Song"]] = row["Artist"], row.get("Genres", "")

    def build(row: dict[str, str], where: str) -> Track:
        song, quadrant = row["Song"], row["Quadrant"]
        group = labels.artist(artists[song]) if artists.get(song) else f"panda4q:{song}"
        return _track(song, root / quadrant / f"{song}.mp3", group, quadrant, where, genres.get(song, ""))

    return labels.tracks(root / ANNOTATIONS, ["Song", "Quadrant"], build, corpus="Panda 4Q")


def _track(name: str, path: Path, group: str, quadrant: str, where: str, genre: str) -> Track:
    valence, arousal = labels.signs(quadrant, where=where)
    return Track(
        track_id=name,
        corpus="panda4q",
        path=path,
        group=group,
        valence_sign=valence,
        arousal_sign=arousal,
        recording=SAME.get(name, ""),
        genre=genre,
    )


CORPUS = Corpus(
    name="panda4q",
    citation="Panda, Malheiro & Paiva 2018, Novel audio features for music emotion recognition, "
    "doi:10.1109/TAFFC.2018.2820691",
    licence="research use; the audio may not be redistributed",
    how_to_get="http://mir.dei.uc.pt/downloads.html (4Q audio emotion dataset)",
    scale="quadrants Q1..Q4 -> signs (+,+), (-,+), (-,-), (+,-) of valence and arousal",
    read=read,
    downloads=(Download("http://mir.dei.uc.pt/resources/MER_audio_taffc_dataset.zip"),),
)
