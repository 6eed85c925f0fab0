"""DEAM: 1802 songs under free licences, rated 1-9 per song and per half second.

The song-level file as released has valence and arousal exchanged for song ids up to 1000 (744
songs).  Correlations of its columns with the song means of DEAM's own files over time:

    ids          static arousal with dynamic      static valence with dynamic
                 arousal      valence             arousal      valence
    up to 1000   .570         .949                .956
    1001-2000    .942                                          .912
    2001-2058    .929                                          .984

`version="corrected"` (the default) tests the file at hand and exchanges the columns back only if they
are exchanged there, so that a file somebody has corrected already stays as it is.
`version="official"` gives the file as it is, for comparison with published numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError
from . import labels
from .emomusic import AXES, read_dynamics, recording
from .swap import SwapTest, swap_test
from .track import Corpus, Download, Dynamics, Track

LOW, HIGH = 1.0, 9.0
# Blocks of song ids that were annotated in one campaign (MediaEval 2013, 2014, 2015).
BLOCKS = (("1-1000", 1, 1000), ("1001-2000", 1001, 2000), ("2001-2058", 2001, 2058))
LAST_EMOMUSIC = 1000
FIRST_TEST = 2001  # the evaluation part of MediaEval 2015, and so DEAM's own
RATERS, RATERS_TEST = 10, 5  # at least so many a song (Aljanaki et al. 2017)
VERSIONS = ("corrected", "official")
STATIC = (
    "song_level/static_annotations_averaged_songs_1_2000.csv",
    "song_level/static_annotations_averaged_songs_2000_2058.csv",
)
OVER_TIME = "dynamic (per second annotations)"


def label_folder(root: Path) -> Path:
    """The folder of the averaged annotations, wherever the archive was unpacked."""
    inner = "annotations/annotations averaged per song"
    return labels.first(root, inner, f"DEAM_Annotations/{inner}", "annotations averaged per song")


def audio(root: Path) -> Path:
    """The folder of the mp3 files."""
    return labels.first(root, "MEMD_audio", "DEAM_audio/MEMD_audio", "audio/MEMD_audio", "audio", "DEAM_audio")


def read(root: Path, *, version: str = VERSIONS[0]) -> list[Track]:
    """Tracks of both song-level files, `version` being "corrected" or "official".

    Grouped by artist where the metadata files are at hand, else by song.  Songs up to id 1000 are
    EmoMusic's recordings and say so.

    Raises: DataError where "corrected" cannot tell whether the columns are exchanged.
    """
    if version not in VERSIONS:
        raise DataError(f"labels: expected one of {', '.join(VERSIONS)} for deam, received {version!r}")
    tracks = list(_static(root))
    if version == "official" or not any(int(t.track_id) <= LAST_EMOMUSIC for t in tracks):
        return tracks
    test = next(t for t in swap_tests(root, tracks) if t.block == BLOCKS[0][0])
    if test.swapped is None:
        raise DataError(
            f"{root}: cannot tell whether valence and arousal of songs up to {LAST_EMOMUSIC} are exchanged, as in the "
            f"released file: {test.songs} of them have labels over time; bring the files of '{OVER_TIME}', "
            "or choose --labels official"
        )
    return [exchanged(t) if test.swapped and int(t.track_id) <= LAST_EMOMUSIC else t for t in tracks]


def exchanged(track: Track) -> Track:
    """The track with valence and arousal, means and deviations, in each other's place."""
    from dataclasses import replace

    return replace(
        track,
        valence=track.arousal,
        arousal=track.valence,
        valence_sd=track.arousal_sd,
        arousal_sd=track.valence_sd,
    )


def _static(root: Path) -> Iterator[Track]:
    artists = read_artists(root)
    folder = audio(root)

    def build(row: dict[str, str], where: str) -> Track:
        song = row["song_id"]
        if not song.isdecimal():
            raise DataError(f"{where}: expected song_id as a whole number, received {song!r}; correct the row")
        mean = [labels.number(row, f"{axis}_mean", LOW, HIGH, where=where) for axis in AXES]
        sd = [labels.number(row, f"{axis}_std", 0, HIGH - LOW, where=where) for axis in AXES]
        same = recording(song) if int(song) <= LAST_EMOMUSIC else ""
        return Track(
            track_id=song,
            corpus="deam",
            path=folder / f"{song}.mp3",
            group=labels.artist(artists[song]) if artists.get(song) else same or f"deam:{song}",
            valence=labels.rescale(mean[0], LOW, HIGH),
            arousal=labels.rescale(mean[1], LOW, HIGH),
            valence_sd=sd[0] * 2 / (HIGH - LOW),
            arousal_sd=sd[1] * 2 / (HIGH - LOW),
            split="test" if int(song) >= FIRST_TEST else "train",
            recording=same,
            raters=RATERS if int(song) < FIRST_TEST else RATERS_TEST,
        )

    columns = ["song_id", *(f"{axis}_{kind}" for axis in AXES for kind in ("mean", "std"))]
    for name in STATIC:
        yield from labels.tracks(label_folder(root) / name, columns, build, corpus="DEAM")


def read_artists(root: Path) -> dict[str, str]:
    """Artist of each song id, from the metadata files that are at hand; each year has its own columns.

    Titles and albums of 2014 and 2015 hold commas without quotes, and last.fm labels spill to the right:
    the id and, in 2014, the artist stand before all that.
    """
    folder = labels.first(root, "metadata", "DEAM_metadata/metadata", "DEAM_metadata")
    artists: dict[str, str] = {}
    for year, (song, artist) in METADATA.items():
        file = folder / f"metadata_{year}.csv"
        if file.exists():
            rows = labels.rows(file, {song, artist}, corpus=f"DEAM, metadata of {year}", errors="replace")
            artists |= {row[song]: row[artist] for _, row in rows}
    return artists


# Year of the campaign -> columns of the song's id and of the artist.
METADATA = {"2013": ("song_id", "Artist"), "2014": ("Id", "Artist"), "2015": ("id", "artist")}


def dynamics(root: Path) -> dict[str, Dynamics]:
    """Labels per half second from 15 s on, already in [-1, 1].  Empty where the corpus came without them."""
    folder = label_folder(root) / OVER_TIME
    if not folder.is_dir():
        return {}
    return read_dynamics(folder / "valence.csv", folder / "arousal.csv", corpus="DEAM")


def swap_tests(root: Path, tracks: list[Track]) -> list[SwapTest]:
    """The test of each block of song ids, on the columns as `tracks` have them."""
    over_time = dynamics(root)
    tests = []
    for name, low, high in BLOCKS:
        block = {t.track_id: (t.valence or 0.0, t.arousal or 0.0) for t in tracks if low <= int(t.track_id) <= high}
        tests.append(swap_test(name, block, over_time))
    return tests


CORPUS = Corpus(
    name="deam",
    citation="Aljanaki, Yang & Soleymani 2017, Developing a benchmark for emotional analysis of music, "
    "doi:10.1371/journal.pone.0173392",
    licence="annotations CC BY-NC; songs under their own Creative Commons licences",
    how_to_get="https://cvml.unige.ch/databases/DEAM/ (audio, annotations and metadata are three archives)",
    scale="1-9, mapped by (x - 5) / 4; over time already [-1, 1]",
    read=read,
    versions=VERSIONS,
    dynamics=dynamics,
    downloads=tuple(
        Download(f"https://cvml.unige.ch/databases/DEAM/{name}", size=size)
        for name, size in (
            ("DEAM_audio.zip", 1_343_203_527),
            ("DEAM_Annotations.zip", 4_735_283),
            ("metadata.zip", 344_760),
        )
    ),
)
