"""ESC-50 and its subset ESC-10: environmental sounds of 5 s in five official folds, for sound classifiers.

Read from the authors' repository (`meta/esc50.csv`, `audio/*.wav`), or from a table `labels.csv` with
`audio/`.  Sounds have no emotion here: a track has its class in `category`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import DataError
from . import labels
from .track import Corpus, Download, Track

FOLDS = ("1", "2", "3", "4", "5")
PUBLIC = "meta/esc50.csv"


def reader(name: str, title: str) -> Callable[[Path], list[Track]]:
    """`read(root)` of ESC-50, or of its subset where `name` is "esc10"."""

    def read(root: Path) -> list[Track]:
        own = (root / "labels.csv").exists()
        home = root if own else labels.home(root, PUBLIC)
        clip = "clip_id" if own else "src_file"

        def build(row: dict[str, str], where: str) -> Track:
            if row["fold"] not in FOLDS:
                raise DataError(f"{where}: expected fold 1 to 5, received {row['fold']!r}; correct the row")
            return Track(
                track_id=Path(row["filename"]).stem,
                corpus=name if own or row["esc10"] == "True" or name == "esc50" else "",
                path=home / "audio" / row["filename"],
                group=f"freesound:{row[clip]}",  # several clips were cut from one recording
                split=row["fold"],
                category=row["category"],
            )

        columns = ["filename", "fold", "category", clip] + ([] if own else ["esc10"])
        found = labels.tracks(home / ("labels.csv" if own else PUBLIC), columns, build, corpus=title)
        return [t for t in found if t.corpus]

    return read


def _corpus(name: str, title: str, licence: str) -> Corpus:
    return Corpus(
        name=name,
        citation="Piczak 2015, ESC: dataset for environmental sound classification, doi:10.1145/2733373.2806390",
        licence=licence,
        how_to_get="https://github.com/karolpiczak/ESC-50",
        scale="classes",
        read=reader(name, title),
        # The branch's archive is made on demand: its checksum is not stable.
        downloads=(Download("https://github.com/karolpiczak/ESC-50/archive/master.zip"),),
    )


ESC50 = _corpus("esc50", "ESC-50", "CC BY-NC 3.0")
ESC10 = _corpus("esc10", "ESC-10", "CC BY 3.0, each clip as its LICENSE says")
