"""Labelled music: `read("panda4q:ROOT")` gives tracks whose labels are in [-1, 1]."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ..errors import DataError
from . import emopia, folder, musifeast17, panda4q, vgmidi
from .track import Corpus, Track

CORPORA: dict[str, Corpus] = {
    "emopia": emopia.CORPUS,
    "folder": folder.CORPUS,
    "musifeast17": musifeast17.CORPUS,
    "panda4q": panda4q.CORPUS,
    "vgmidi": vgmidi.CORPUS,
}


def read(source: str) -> list[Track]:
    """Tracks of `CORPUS:ROOT`, every one with its file.

    Raises: DataError if the corpus is unknown, the folder or its label file missing or of another
    corpus, an id double, a label outside its scale, or the audio of any track missing.
    """
    name, _, root = source.partition(":")
    if name not in CORPORA or not root:
        raise DataError(f"expected CORPUS:ROOT with CORPUS one of {', '.join(CORPORA)}, received {source!r}")
    if not Path(root).is_dir():
        raise DataError(f"{root}: no such folder; name the folder of {name} ({CORPORA[name].how_to_get})")
    tracks = CORPORA[name].read(Path(root))
    if not tracks:
        raise DataError(f"{root}: expected labelled tracks of {name}, received an empty label file")
    twice = [key for key, n in Counter(t.key for t in tracks).items() if n > 1]
    if twice:
        raise DataError(f"{root}: expected every track once, received {twice[0]} twice or more ({len(twice)} such ids)")
    missing = [t for t in tracks if not t.path.exists()]
    if missing:
        raise DataError(
            f"{root}: {len(missing)} of {len(tracks)} labelled files are missing, first {missing[0].path}; "
            "complete the corpus or remove their rows"
        )
    return tracks


__all__ = ["CORPORA", "Corpus", "Track", "read"]
