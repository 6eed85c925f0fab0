"""EMOPIA: pop-piano clips as MIDI with a quadrant each; rendered to audio before use.

Read from the authors' archive (`label.csv`, `midis/`, perhaps `split/`), or from a table
`labels.csv` with `midi/` that has song, quadrant and split in one place.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError
from . import labels
from .track import Corpus, Download, Track


def read(root: Path) -> list[Track]:
    """Tracks with signs; grouped by song, because the official splits divide 23 songs."""
    if not (root / "labels.csv").exists():
        return _read_archive(labels.home(root, "label.csv"))

    def build(row: dict[str, str], where: str) -> Track:
        name = row["track_id"]
        return _track(name, row["song_id"], root / "midi" / f"{name}.mid", row["quadrant"], row["split"], where)

    columns = ["track_id", "song_id", "quadrant", "split"]
    return labels.tracks(root / "labels.csv", columns, build, corpus="EMOPIA")


def _read_archive(root: Path) -> list[Track]:
    parts: dict[str, str] = {}
    for part in ("train", "val", "test"):
        file = root / "split" / f"{part}_clip.csv"
        if file.exists():
            names = (row["clip_name"] for _, row in labels.rows(file, {"clip_name"}, corpus="EMOPIA, split"))
            parts |= {name.removesuffix(".mid"): part for name in names}

    def build(row: dict[str, str], where: str) -> Track:
        # Q1_0vLPYiPN7qY_0: the YouTube id has 11 characters, `_` may be one of them.
        name = row["ID"].removesuffix(".mid")
        if len(name) < 16:
            raise DataError(f"{where}: expected an ID like Q1_0vLPYiPN7qY_0, received {row['ID']!r}; correct the row")
        return _track(name, name[3:14], root / "midis" / f"{name}.mid", f"Q{row['4Q']}", parts.get(name, ""), where)

    return labels.tracks(root / "label.csv", ["ID", "4Q"], build, corpus="EMOPIA")


def _track(name: str, song: str, path: Path, quadrant: str, split: str, where: str) -> Track:
    valence, arousal = labels.signs(quadrant, where=where)
    return Track(
        track_id=name,
        corpus="emopia",
        path=path,
        group=f"emopia:{song}",
        valence_sign=valence,
        arousal_sign=arousal,
        split="" if split == "extra" else split,
    )


CORPUS = Corpus(
    name="emopia",
    citation="Hung et al. 2021, EMOPIA: a multi-modal pop piano dataset, arXiv:2108.01374",
    licence="CC BY-NC-SA 4.0",
    how_to_get="https://zenodo.org/records/5257995 (EMOPIA_2.2.zip)",
    scale="quadrants Q1..Q4 -> signs (+,+), (-,+), (-,-), (+,-) of valence and arousal",
    read=read,
    downloads=(
        Download(
            "https://zenodo.org/records/5257995/files/EMOPIA_2.2.zip",
            "md5:bad5171786a4898f37fc2678e99afd94",
        ),
    ),
)
