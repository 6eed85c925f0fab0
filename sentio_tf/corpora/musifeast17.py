"""MUSIFEAST-17: clips of 30 s from 17 genres, rated by 30-38 listeners each.

Read from the authors' repository (`data/MUSIFEAST17_all.csv`, `stimuli/*.mp3`), or from a table
`labels.csv` with `audio/` in opus, whose artists are hashed.
"""

from __future__ import annotations

from pathlib import Path

from . import labels
from .track import Corpus, Track

LOW, HIGH = 1.0, 5.0
RATERS = 30  # a clip has 30-38, its own number is not published: the lower bound gives the lower reliability
PUBLIC = "data/MUSIFEAST17_all.csv"


def read(root: Path) -> list[Track]:
    """Tracks with mean perceived valence and arousal."""
    own = (root / "labels.csv").exists()
    home = root if own else labels.home(root, PUBLIC)
    columns = OWN_COLUMNS if own else PUBLIC_COLUMNS
    name, artist, *scales = columns
    genre = "genre" if own else "GENRE"

    def build(row: dict[str, str], where: str) -> Track:
        mean = [labels.number(row, c, LOW, HIGH, where=where) for c in scales[::2]]
        sd = [labels.number(row, c, 0.0, HIGH - LOW, where=where) for c in scales[1::2]]
        return Track(
            track_id=row[name],
            corpus="musifeast17",
            path=home / (f"audio/{row[name]}.opus" if own else f"stimuli/{row[name]}.mp3"),
            group=_group(row[name], row[artist], own),
            valence=labels.rescale(mean[0], LOW, HIGH),
            arousal=labels.rescale(mean[1], LOW, HIGH),
            valence_sd=sd[0] * 2 / (HIGH - LOW),
            arousal_sd=sd[1] * 2 / (HIGH - LOW),
            genre=row.get(genre, ""),
            raters=RATERS,
        )

    return labels.tracks(home / ("labels.csv" if own else PUBLIC), columns, build, corpus="MUSIFEAST-17")


def _group(clip: str, artist: str, own: bool) -> str:
    if artist in ("", "NA"):  # R writes NA for what is missing
        return f"musifeast17:{clip}"
    return f"artist:{artist}" if own else labels.artist(artist)


OWN_COLUMNS = ["track_id", "artist_group", "valence_1_5", "valence_sd", "arousal_1_5", "arousal_sd"]
PUBLIC_COLUMNS = ["CLIP_NAME", "ARTIST", "valence_M", "valence_SD", "arousal_M", "arousal_SD"]


CORPUS = Corpus(
    name="musifeast17",
    citation="MUSIFEAST-17: MUsic Stimuli for Imagination, Familiarity, Emotion, and Aesthetic STudies "
    "across 17 genres",
    licence="ratings CC0; audio excerpts for non-commercial research, no redistribution",
    how_to_get="https://osf.io/5ebz2 or https://github.com/HazelvdW/MUSIFEAST-17 (van der Walle et al., "
    "doi:10.3758/s13428-025-02724-0)",
    scale="1-5, mapped by (x - 3) / 2",
    read=read,
)
