"""MTG-Jamendo, mood and theme subset: 18 486 full tracks under Creative Commons with free-text moods.

Tags are no ratings.  Words that stand on Russell's circumplex themselves (1980, doi:10.1037/h0077714)
give a track signs, if all such words of the track agree; every other track has tags only.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError
from . import labels
from .track import Corpus, Download, Track

TABLE = "data/autotagging_moodtheme.tsv"
PREFIX = "mood/theme---"
SPLITS = 5
# Russell's words among the tags (relaxing for relaxed), and the quadrant they lie in.
QUADRANTS = {"happy": "Q1", "sad": "Q3", "calm": "Q4", "relaxing": "Q4"}


def read(root: Path) -> list[Track]:
    """Tracks with tags, and signs where the tags have them; grouped by artist, split as in split-0."""
    home = labels.home(root, TABLE)
    parts = official(root).get("split-0", {})
    folder = labels.first(home, "audio", "audio-low", "autotagging_moodtheme_audio", ".")

    def build(cells: list[str], where: str) -> Track:
        if len(cells) < 6:
            raise DataError(f"{where}: expected 6 cells or more, received {len(cells)}; complete the row")
        name, artist, _, path, seconds, *tags = cells
        duration = labels.number({"DURATION": seconds}, "DURATION", 0.01, 1e6, where=where)
        moods = tuple(tag.removeprefix(PREFIX) for tag in tags if tag)
        signs = {labels.QUADRANT_SIGNS[QUADRANTS[m]] for m in moods if m in QUADRANTS}
        side = signs.pop() if len(signs) == 1 else (None, None)
        return Track(
            track_id=name,
            corpus="jamendo",
            path=labels.first(folder, path, path.removesuffix(".mp3") + ".low.mp3"),
            group=f"jamendo:{artist}",
            valence_sign=side[0],
            arousal_sign=side[1],
            split=parts.get(name, ""),
            duration_s=duration,
            tags=moods,
        )

    return labels.built(home / TABLE, _rows(home / TABLE), build)


def official(root: Path) -> dict[str, dict[str, str]]:
    """The five published splits that are at hand: name -> {track_id: train, validation or test}."""
    home = labels.home(root, TABLE)
    found: dict[str, dict[str, str]] = {}
    for name in (f"split-{i}" for i in range(SPLITS)):
        for part in ("train", "validation", "test"):
            file = home / "data" / "splits" / name / f"autotagging_moodtheme-{part}.tsv"
            if file.exists():
                found.setdefault(name, {}).update({cells[0]: part for _, cells in _rows(file)})
    return found


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Line number and cells; the tags are as many cells as there are tags, so this is no table for `csv`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: no such label file; name the folder of MTG-Jamendo that holds it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a table in UTF-8, received one that does not read ({error})") from None
    if not lines or lines[0].split("\t")[:5] != ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION"]:
        raise DataError(
            f"{path}: expected the label file of MTG-Jamendo (TRACK_ID, ARTIST_ID, ALBUM_ID, PATH, DURATION, TAGS), "
            f"received {lines[0][:80] if lines else 'an empty file'!r}; is this the right folder?"
        )
    return [(number, line.split("\t")) for number, line in enumerate(lines[1:], start=2) if line.strip()]


CORPUS = Corpus(
    name="jamendo",
    citation="Bogdanov, Won, Tovstogan, Porter & Serra 2019, The MTG-Jamendo dataset for automatic music tagging",
    licence="metadata CC BY-NC-SA 4.0; audio under each track's Creative Commons licence",
    how_to_get="https://github.com/MTG/mtg-jamendo-dataset (its scripts/download fetches autotagging_moodtheme audio "
    "into audio/)",
    scale="mood words; happy, sad, calm, relaxing -> signs",
    read=read,
    official=official,
    downloads=(Download("https://github.com/MTG/mtg-jamendo-dataset/archive/refs/heads/master.zip"),),
)
