"""Labelled music: `read("panda4q:ROOT")` gives tracks whose labels are in [-1, 1]."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError
from . import deam, emomusic, emopia, esc50, folder, jamendo, musifeast17, packed, panda4q, pmemo, vgmidi
from .track import Corpus, Track

CORPORA: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        deam.CORPUS,
        emomusic.CORPUS,
        emopia.CORPUS,
        esc50.ESC10,
        esc50.ESC50,
        folder.CORPUS,
        jamendo.CORPUS,
        musifeast17.CORPUS,
        panda4q.CORPUS,
        pmemo.CORPUS,
        vgmidi.CORPUS,
    )
}


def locate(source: str, *, create: bool = False) -> tuple[Corpus, Path]:
    """Corpus and root of `CORPUS:ROOT`; with `create` the root need not exist.

    Raises: DataError if the corpus is unknown or the folder missing.
    """
    name, _, root = source.partition(":")
    if name not in CORPORA or not root:
        raise DataError(f"expected CORPUS:ROOT with CORPUS one of {', '.join(CORPORA)}, received {source!r}")
    if not create and not Path(root).is_dir():
        raise DataError(f"{root}: no such folder; name the folder of {name} ({CORPORA[name].how_to_get})")
    return CORPORA[name], Path(root)


def check_version(version: str | None) -> None:
    """Raises: DataError if no corpus has labels of that version."""
    known = {v: None for c in CORPORA.values() for v in c.versions}
    if version and version not in known:
        raise DataError(f"labels: expected one of {', '.join(known)}, received {version!r}")


def label_versions(names: Sequence[str], version: str | None) -> dict[str, str]:
    """Version of the labels that each corpus is read with, of those `names` that have several."""
    return {n: version or CORPORA[n].versions[0] for n in names if n in CORPORA and CORPORA[n].versions}


def read_labels(source: str, *, version: str | None = None) -> list[Track]:
    """Tracks of `CORPUS:ROOT` as its label files have them, without a look at the audio.

    `version` chooses among versions of the labels (`Corpus.versions`); corpora with one version ignore it.
    """
    corpus, root = locate(source)
    check_version(version)
    if packed.holds(root):
        return packed.read(root, version=version)
    options = {"version": version} if version and corpus.versions else {}
    return corpus.read(root, **options)


def read(source: str, *, version: str | None = None, skip_missing: bool = False) -> list[Track]:
    """Tracks of `CORPUS:ROOT`, every one with its file.

    Args:
        version: see `read_labels`.
        skip_missing: leave tracks without a file out instead of raising.

    Raises: DataError if the corpus is unknown, the folder or its label file missing or of another
    corpus, an id double, a label outside its scale, or the audio of any track missing.
    """
    _, root = locate(source)
    tracks = read_labels(source, version=version)
    if not tracks:
        raise DataError(f"{root}: expected labelled tracks of {source.partition(':')[0]}, received none")
    if twice := doubles(tracks):
        raise DataError(f"{root}: expected every track once, received {twice[0]} twice or more ({len(twice)} such ids)")
    missing = [t for t in tracks if not t.path.is_file()]
    if missing and (not skip_missing or len(missing) == len(tracks)):
        if len(missing) == len(tracks):
            raise DataError(
                f"{root}: none of the {len(tracks)} labelled files is there, first {missing[0].path}; "
                "is this the right folder, and is the audio unpacked?"
            )
        raise DataError(
            f"{root}: {len(missing)} of {len(tracks)} labelled files are missing, first {missing[0].path}; "
            "complete the corpus, or leave them out with --skip-missing"
        )
    gone = {t.key for t in missing}
    return [t for t in tracks if t.key not in gone]


def doubles(tracks: Sequence[Track]) -> list[str]:
    """Keys that more than one track has."""
    return [key for key, n in Counter(t.key for t in tracks).items() if n > 1]


__all__ = ["CORPORA", "Corpus", "Track", "doubles", "label_versions", "locate", "read", "read_labels"]
