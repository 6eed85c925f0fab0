"""VGMIDI: piano arrangements of game music as MIDI, rated by 28-32 people; rendered before use.

Read from the authors' repository, where phrases have the sign of valence and arousal
(`vgmidi_labelled.csv`, `labelled/phrases/`), or from a table `labels.csv` with the mean ratings of
whole pieces in `midi/`.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError
from . import labels
from .track import Corpus, Download, Track

PUBLIC = "vgmidi_labelled.csv"


def read(root: Path) -> list[Track]:
    """Rated tracks of `labels.csv`, else tracks with signs of the repository; grouped by game series.

    `Other` is no series: those are grouped by game.
    """
    if not (root / "labels.csv").exists():
        return _read_repository(labels.home(root, PUBLIC))

    def build(row: dict[str, str], where: str) -> Track:
        return Track(
            track_id=row["track_id"],
            corpus="vgmidi",
            path=root / "midi" / f"{row['track_id']}.mid",
            group=_group(row),
            valence=labels.number(row, "valence", -1, 1, where=where),
            arousal=labels.number(row, "arousal", -1, 1, where=where),
            valence_sd=labels.number(row, "valence_rater_sd", 0, 2, where=where),
            arousal_sd=labels.number(row, "arousal_rater_sd", 0, 2, where=where),
            raters=int(labels.number(row, "n_raters", 1, 1e6, where=where)) if row.get("n_raters") else None,
        )

    columns = ["track_id", "series", "game", "valence", "arousal", "valence_rater_sd", "arousal_rater_sd"]
    return labels.tracks(root / "labels.csv", columns, build, corpus="VGMIDI")


def _read_repository(root: Path) -> list[Track]:
    """Phrases; those that stand in the table twice with different labels are left out."""

    def build(row: dict[str, str], where: str) -> Track:
        signs = [labels.number(row, axis, -1, 1, where=where) for axis in ("valence", "arousal")]
        if not {-1.0, 1.0}.issuperset(signs):
            raise DataError(f"{where}: expected valence and arousal as -1 or 1, received {signs}; correct the row")
        path = root / row["midi"]
        return Track(path.stem, "vgmidi", path, _group(row), valence_sign=int(signs[0]), arousal_sign=int(signs[1]))

    found = labels.tracks(root / PUBLIC, ["series", "game", "midi", "valence", "arousal"], build, corpus="VGMIDI")
    sides: dict[str, set[tuple[int, int]]] = {}
    for track in found:
        sides.setdefault(track.track_id, set()).add(track.side)
    return list({t.track_id: t for t in found if len(sides[t.track_id]) == 1}.values())


def _group(row: dict[str, str]) -> str:
    return f"vgmidi:{row['series'] if row['series'] != 'Other' else row['game']}"


CORPUS = Corpus(
    name="vgmidi",
    citation="Ferreira & Whitehead 2019, Learning to generate music with sentiment, ISMIR, arXiv:2103.06125",
    licence="none stated by the authors",
    how_to_get="https://github.com/lucasnfe/vgmidi",
    scale="already [-1, 1]; signs in the repository",
    read=read,
    downloads=(Download("https://github.com/lucasnfe/vgmidi/archive/refs/heads/master.zip"),),
)
