"""Miniature copies of the corpora, in their public layouts and with the oddities of their files.

    python -m tests.corpora.miniatures DIR

writes every one into DIR/NAME.  A name is that of a corpus, or with a suffix of another layout its
reader takes.  Everything they say is invented: `expected(name)` is what a reader should find.  DEAM's
songs up to id 1000 are EmoMusic's, by the same artists with the same sound; artists recur in all corpora.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np
import soundfile

QUADRANTS = ("Q1", "Q2", "Q3", "Q4")
SIGNS = ((1, 1), (-1, 1), (-1, -1), (1, -1))  # (valence, arousal) of the quadrants
SAMPLES = 61  # labels over time of a clip: 15.0 s to 45.0 s


@dataclass(frozen=True)
class Song:
    """What a miniature says of a song: labels and deviations in [-1, 1], whatever the corpus' own scale."""

    index: int
    song_id: str
    artist: str
    title: str
    valence: float
    arousal: float
    valence_sd: float
    arousal_sd: float
    sound: str  # one sound, one name

    @property
    def quadrant(self) -> str:
        return QUADRANTS[self.index % 4]


def rng_of(*key: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def name_of(*key: object, words: int = 2) -> str:
    rng = rng_of("name", *key)
    syllables = ("ba", "ki", "lo", "mø", "nar", "pel", "ris", "sol", "tu", "vé")
    return " ".join("".join(rng.choice(syllables, 2 + rng.integers(2))).capitalize() for _ in range(words))


def expected(name: str, songs: int | None = None) -> list[Song]:
    """What a reader should find in a miniature of so many songs (at least four; of ESC-10, three in five).

    The first four lie in the corners of the scale, the others on a grid of 0.05; quadrants take turns
    and an artist has two songs one after another.
    """
    corpus, _, layout = name.partition(".")
    count = COUNTS.get(corpus, 8) if songs is None else songs
    assert count >= 4, f"expected 4 songs or more, received {count}"
    found = []
    for i in range(count):
        song_id = _song_id(corpus, layout, i, count)
        same = corpus == "emomusic" or (corpus == "deam" and int(song_id) <= 1000)
        sound = f"{'emomusic' if same else corpus.replace('esc10', 'esc50')}/{song_id}"
        v, a, *sd = rng_of("mood", sound).integers(1, 18, 4) / 20 if i >= 4 else (1, 1, 0.25, 0.5)
        v, a = (float(s * x) for s, x in zip(SIGNS[i % 4], (v, a), strict=True))
        found.append(Song(i, song_id, name_of(i // 2), name_of(sound, words=3), v, a, *map(float, sd), sound))
    return [s for s in found if corpus != "esc10" or SOUNDS[s.index % len(SOUNDS)][1]]


# DEAM's are 12 of 2013, 5 of 2014 and 3 of 2015; the test of exchanged columns needs 10 of 2013.
COUNTS = {"deam": 20, "emomusic": 12, "esc50": 10, "esc10": 10, "jamendo": 10}
TAGS = (("happy", "energetic"), ("dark",), ("sad", "melancholic"), ("calm", "relaxing", "soft"), ("happy", "sad"))
SOUNDS = (("dog", True), ("sea_waves", True), ("mouse_click", False), ("rain", True), ("siren", False))
GENRES = ("60s", "Hiphop", "VG", "RnB")


def _song_id(corpus: str, layout: str, i: int, count: int) -> str:
    if corpus in ("deam", "emomusic"):
        first, second = (count * 3 // 5, count // 4) if corpus == "deam" else (count, 0)
        blocks = ((first, 1000, 2), (second, 2000, 1001), (count, 2058, 2001))  # both ends of every block
        for size, last, start in blocks:
            if i < size:
                return str(last if i == 0 else start + i - 1 + (i - 1) // 3)
            i -= size
    q, letter = QUADRANTS[i % 4], name_of(corpus, i // 8).replace(" ", "")[:2]
    if corpus == "emopia":  # 11 characters of YouTube, which may begin with or hold `_` and `-`; clips of one song
        return f"{q}_{('_8v', 'a_-', '-0_')[i // 4 % 3]}{letter.encode().hex():x<8.8}_{i // 4}"
    if corpus == "vgmidi":
        series, game = (("Other", f"Lone {letter}"), ("Star Ünit", f"Star Ünit {letter}"))[i // 2 % 2]
        piece = ("Stage_Clear", "Piper's House, Night")[i % 2]
        return f"{series}_SNES_{game}_{piece}{' ' if layout else '_'}{i}"
    return {
        "pmemo": f"{1 + i + i // 3}",
        "panda4q": f"MT{4637 * (i + 1):010}",
        "jamendo": f"track_{948 + 7 * i:07}",
        "esc50": f"{i // 2 % 5 + 1}-{1000 + i // 2}-{'AB'[i % 2]}-{i % len(SOUNDS)}",
        "esc10": f"{i // 2 % 5 + 1}-{1000 + i // 2}-{'AB'[i % 2]}-{i % len(SOUNDS)}",
        "musifeast17": f"{GENRES[i // 2 % 4]}_{('HIGH', 'MED', 'LOW')[i % 3]}_{i:02}",
        "folder": f"{('', 'a b/', 'ünder/')[i % 3]}song {i}.{('wav', 'flac', 'ogg', 'mp3')[i % 4]}",
    }[corpus]


def curve(mean: float, samples: int) -> np.ndarray:
    """Labels over time `(samples,)` of a song with this label, in [-1, 1]."""
    return np.round(0.8 * mean + 0.1 * np.sin(np.arange(samples) / 7 + mean), 9)


# -- Files ----------------------------------------------------------------------------------------


def melody(song: Song) -> tuple[float, list[int]]:
    """Seconds of a note and MIDI numbers: fast where arousal is high, minor where valence is low."""
    scale = (0, 4, 7, 11, 12) if song.valence > 0 else (0, 3, 7, 10, 12)
    rng = rng_of("melody", song.sound)
    root = 48 + rng.integers(12)
    notes = [int(root + 12 * rng.integers(2) + rng.choice(scale)) for _ in range(32)]
    return 0.12 if song.arousal > 0 else 0.25, notes


def sound(path: Path, song: Song, seconds: float = 1.2) -> Path:
    """Write a melody over a little noise, by suffix as mp3, opus, ogg, flac or wav."""
    rate = 16_000
    length, notes = melody(song)
    t = np.arange(round(seconds * rate)) / rate
    pitch = 440 * 2 ** ((np.resize(notes, len(t) // int(length * rate) + 1)[(t / length).astype(int)] - 69) / 12)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    level = (0.3 if song.arousal > 0 else 0.1) * np.exp(-3 * (t % length))
    y = level * sum(np.sin(k * phase) / k for k in (1, 2, 3, 5))
    y += 0.003 * rng_of("noise", song.sound).normal(size=len(t))
    path.parent.mkdir(parents=True, exist_ok=True)
    form = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
    soundfile.write(path, y, rate, **form)
    return path


def midi(path: Path, song: Song, seconds: float = 1.2) -> Path:
    length, notes = melody(song)
    ticks = round(length * 960)  # 480 a beat, two beats a second
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=500_000)])
    for note in np.resize(notes, max(1, round(seconds / length))).tolist():
        track.append(mido.Message("note_on", note=note, velocity=90 if song.arousal > 0 else 50))
        track.append(mido.Message("note_off", note=note, time=ticks))
    path.parent.mkdir(parents=True, exist_ok=True)
    mido.MidiFile(ticks_per_beat=480, tracks=[track]).save(path)
    return path


def text(path: Path, *lines: str, end: str = "\n", encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode(encoding))
    return path


def table(path: Path, header: str, rows: Iterable[Sequence[object]], *, quote: bool = False, end: str = "\n") -> Path:
    """A CSV whose header is written as it stands; with `quote` every text is quoted, and no number."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC if quote else csv.QUOTE_MINIMAL).writerows(rows)
    return text(path, header, *file.getvalue().splitlines(), end=end)


def decimals(*values: float) -> list[str]:
    """As the corpora write them: 5.2, and 9 for 9.0."""
    return [f"{v:.6g}" for v in values]


# -- Corpora --------------------------------------------------------------------------------------


def deam(root: Path, found: list[Song]) -> None:
    """Valence and arousal exchanged in the song-level file up to id 1000, and there only."""
    notes = root / "annotations" / "annotations averaged per song"
    long = 90  # labels over time of a whole song; rows of clips are filled up with empty cells
    rows: dict[str, list[str]] = {}
    for song in found:
        v, a = (5 + 4 * song.valence, 4 * song.valence_sd), (5 + 4 * song.arousal, 4 * song.arousal_sd)
        if int(song.song_id) <= 1000:
            v, a = a, v
        extremes = (x for mean, sd in (v, a) for x in (mean, sd, min(mean + 0.5, 9), sd, max(mean - 0.5, 1), sd))
        rows[song.song_id] = decimals(*extremes) if int(song.song_id) > 2000 else decimals(*v, *a)
        sound(root / "MEMD_audio" / f"{song.song_id}.mp3", song)
    early = "song_id, valence_mean, valence_std, arousal_mean, arousal_std"
    late = (
        "song_id, valence_mean, valence_std, valence_ max_mean, valence_max_std, valence_min_mean, valence_min_std, "
        "arousal_mean, arousal_std, arousal_max_mean, arousal_max_std, arousal_min_mean, arousal_min_std"
    )
    for file, header, first, last in (("1_2000", early, 1, 2000), ("2000_2058", late, 2001, 2058)):
        chosen = sorted((int(k), *v) for k, v in rows.items() if first <= int(k) <= last)
        table(notes / f"song_level/static_annotations_averaged_songs_{file}.csv", header, chosen, end="\r\n")
    for axis in ("valence", "arousal"):
        for suffix, kind in (("", axis), ("_std", None)):
            path = notes / "dynamic (per second annotations)" / f"{axis}{suffix}.csv"
            over_time(path, found, kind, long, end="\r\n")
    about = [(s, int(s.song_id)) for s in found]
    table(
        root / "metadata/metadata_2013.csv",
        "song_id,file_name,Artist,Song title,start of the segment (min.sec),end of the segment (min.sec),Genre",
        [
            (n, f"\t{n}.mp3", f"{s.artist}\t", f"\t{s.title}\t", "\t0.48\t", "\t2.1\t", "\tBlues\t")
            for s, n in about
            if n <= 1000
        ],
        quote=True,
    )
    text(
        root / "metadata/metadata_2014.csv",
        "Id,Artist,Album,Track,Genre,segment start,segment end,last.fm labels",
        *(
            f"{n},{s.artist},Baby, Please,{s.title},Rock,0:35,1:20,rock,{'late night,' * (s.index % 3)}slow,,,,"
            for s, n in about
            if 1000 < n <= 2000
        ),
    )
    lines = []
    for s, n in about:
        comma = ", Really" if n == 2001 else ""  # an artist with a comma and no quotes
        if n > 2000:
            lines.append(f"{n},{80_000 + n},{s.title},{s.artist}{comma},n/a,folk,indie" + "," * (n < 2057))
    text(root / "metadata/metadata_2015.csv", "id,Filename,title,artist,album,genre,", *lines)


def over_time(path: Path, found: list[Song], axis: str | None, samples: int, end: str = "\n") -> None:
    """Rows of songs, columns of 0.5 s from 15 s on; where there is room, only whole songs (ids > 2000) fill it.

    Without `axis` deviations, 0.1 throughout.
    """
    rows = []
    for song in sorted(found, key=lambda s: int(s.song_id)):
        length = samples if int(song.song_id) > 2000 else SAMPLES
        values = curve(getattr(song, axis), length) if axis else np.full(length, 0.1)
        rows.append((song.song_id, *(f"{v:.10g}" for v in values), *[""] * (samples - len(values))))
    table(path, "song_id," + ",".join(f"sample_{15_000 + 500 * i}ms" for i in range(samples)), rows, end=end)


def emomusic(root: Path, found: list[Song], *, notes: str = "annotations", clips: str = "clips_45seconds") -> None:
    """The third song's artist has other blanks and case than in DEAM."""
    folder = root / notes
    for song in found:
        sound(root / clips / f"{song.song_id}.mp3", song)
    table(
        folder / "static_annotations.csv",
        "song_id,mean_arousal,std_arousal,mean_valence,std_valence",
        [
            (s.song_id, *decimals(5 + 4 * s.arousal, 4 * s.arousal_sd, 5 + 4 * s.valence, 4 * s.valence_sd))
            for s in found
        ],
    )
    table(
        folder / "songs_info.csv",
        '"song_id","file_name","Artist","Song title","start of the segment (min.sec)","end of the segment (min.sec)",'
        '"Genre","Mediaeval 2013 set"',
        [
            (
                int(s.song_id),
                f"\t{s.song_id}.mp3",
                (s.artist.upper().replace(" ", " \xa0") if s.index == 2 else s.artist) + "\t",
                *(f"\t{cell}\t" for cell in (s.title, "0.48", "1.33", "Blues")),
                "evaluation" if s.index % 6 == 5 else "development",
            )
            for s in found
        ],
        quote=True,
    )
    for axis in ("valence", "arousal"):
        over_time(folder / f"{axis}_cont_average.csv", found, axis, SAMPLES)
        over_time(folder / f"{axis}_cont_std.csv", found, None, SAMPLES)


def pmemo(root: Path, found: list[Song]) -> None:
    """The last clip has audio and metadata, and no annotation."""
    home, notes = root / "PMEmo2019", root / "PMEmo2019" / "annotations"
    extra = [*found, Song(len(found), "866", name_of("nobody"), "Ünrated, Unheard", 1, 1, 0, 0, "pmemo/866")]
    for song in extra:
        sound(home / "chorus" / f"{song.song_id}.mp3", song)
        text(home / "lyrics" / f"{song.song_id}.lrc", "[00:01.00]la")
        text(root / "__MACOSX/PMEmo2019/chorus" / f"._{song.song_id}.mp3", "\0Mac OS X")
    text(root / "__MACOSX/PMEmo2019/annotations/._static_annotations.csv", "\0Mac OS X")
    table(
        home / "metadata.csv",
        "musicId,fileName,title,artist,album,duration,chorus_start_time,chorus_end_time",
        [
            (
                s.song_id,
                f"{s.song_id}.mp3",
                f"{s.title}, Live",
                s.artist,
                "" if s.index == 3 else "Best",
                199.2,
                "00:45",
                "01:20",
            )
            for s in extra
        ],
    )
    for suffix, kind, both in (
        ("", "mean", [(0.5 + s.arousal / 2, 0.5 + s.valence / 2) for s in found]),
        ("_std", "std", [(s.arousal_sd / 2, s.valence_sd / 2) for s in found]),
    ):
        header = f"musicId,Arousal({kind}),Valence({kind})"
        rows = [(s.song_id, *decimals(*pair)) for s, pair in zip(found, both, strict=True)]
        table(notes / f"static_annotations{suffix}.csv", header, rows)
        points = (
            (s.song_id, f"{15.5 + i / 2:.1f}", *pair)
            for s in found
            for i, pair in enumerate(zip(*((curve(x, 20) + 1) / 2 for x in (s.arousal, s.valence)), strict=True))
        )
        table(notes / f"dynamic_annotations{suffix}.csv", f"musicId,frameTime,Arousal({kind}),Valence({kind})", points)


def panda4q(root: Path, found: list[Song]) -> None:
    home = root / "MER_audio_taffc_dataset"
    for song in found:
        sound(home / song.quadrant / f"{song.song_id}.mp3", song)
    files = [(s.song_id, s.quadrant) for s in found]
    table(home / "panda_dataset_taffc_annotations.csv", '"Song","Quadrant"', files, quote=True)
    table(
        home / "panda_dataset_taffc_metadata.csv",
        '"Song","Artist","Title","Quadrant","PQuad","MoodsTotal","Moods","MoodsFoundStr","MoodsStr","MoodsStrSplit",'
        '"Genres","GenresStr","Sample","SampleURL"',
        [
            (s.song_id, s.artist, f'{s.title}, "Live"', s.quadrant, 0.667, 3, 2, *["Greasy; Messy"] * 3, 2,
             "Pop/Rock; Rap", 1, "http://a.example/x?y,z")
            for s in found
        ],
        quote=True,
    )  # fmt: skip
    text(home / "readme.txt", "The “4Q” set’s clips", encoding="cp1252")


def panda4q_flat(root: Path, found: list[Song]) -> None:
    rows = [
        (s.song_id, hashed(s), s.quadrant, *SIGNS[s.index % 4], 0.667, "Pop/Rock; Rap", "Greasy; Messy") for s in found
    ]
    header = "track_id,artist_group,quadrant,valence_sign,arousal_sign,tag_purity,genres,moods"
    table(root / "labels.csv", header, rows)
    for song in found:
        sound(root / "audio" / f"{song.song_id}.opus", song)


def hashed(song: Song) -> str:
    return f"a{zlib.crc32(song.artist.encode()):08x}"


def musifeast17(root: Path, found: list[Song]) -> None:
    """As R writes: an unnamed index, texts quoted, NA without quotes; the last clip has no artist."""
    home = root / "MUSIFEAST-17-main"
    header = (
        '"","CLIP_NAME","GENRE","FAMILIARITY","TRACK_TITLE","ARTIST","MEDIA_RELATION_or_PERFORMER","RELEASE_DATE",'
        '"VOCALISATION","VOCALISATION_TYPE","CLIP_TIME_START","CLIP_TIME_END","group","style_familiarity_M",'
        '"style_familiarity_SD","clip_familiarity_M","clip_familiarity_SD","contrast_M","contrast_SD","enjoyment_M",'
        '"enjoyment_SD","valence_M","valence_SD","arousal_M","arousal_SD","cluster","rated_genre","rated_genre_perc",'
        '"genre_match","rated_decade","rated_decade_perc","decade_match","rated_location","rated_location_perc",'
        '"thought_type","thought_type_perc","freq_context_words"'
    )
    rows = []
    for s in found:
        genre, level, _ = s.song_id.split("_")
        artist = None if s is found[-1] else s.artist
        rows.append(
            [str(s.index + 1), s.song_id, genre, level.title(), f'{s.title}, "Live"', artist, None, 1964 + s.index,
             "yes", None, "00:10", "00:40", "all", *[3.5, 0.9] * 4, 3 + 2 * s.valence, 2 * s.valence_sd,
             3 + 2 * s.arousal, 2 * s.arousal_sd, 1, genre, 61.3, True, None, None, None, "a bar", 20.0, "memory", 40.0,
             "party, night"]
        )  # fmt: skip
        sound(home / "stimuli" / f"{s.song_id}.mp3", s)
    lines = [",".join(_r(cell) for cell in row) for row in rows]
    text(home / "data/MUSIFEAST17_all.csv", header, *lines)
    about = [[row[i] for i in range(1, 12)] + ["a link" if row is rows[0] else ""] for row in rows]
    names = header.replace('"', "").split(",")[1:12]
    table(home / "stimuli/_MUSIFEAST17_metadata.csv", ",".join([*names, "SPOTIFY_PLAYLIST_LINK"]), about)


def _r(cell: object) -> str:
    if isinstance(cell, str):
        return '"' + cell.replace('"', '""') + '"'
    if isinstance(cell, float):
        return f"{cell:.6g}"
    return "NA" if cell is None else str(cell).upper()


def musifeast17_flat(root: Path, found: list[Song]) -> None:
    rows = [
        (s.song_id, "60s", hashed(s), "yes",
         *decimals(3 + 2 * s.valence, 2 * s.valence_sd, 3 + 2 * s.arousal, 2 * s.arousal_sd))
        for s in found
    ]  # fmt: skip
    header = "track_id,genre,artist_group,vocalisation,valence_1_5,valence_sd,arousal_1_5,arousal_sd"
    table(root / "labels.csv", header, rows)
    for song in found:
        sound(root / "audio" / f"{song.song_id}.opus", song)


def part(song: Song) -> str:
    """Official split of an EMOPIA clip; of eight clips one is in none."""
    return ("train", "train", "val", "train", "test", "train", "train", "")[song.index % 8]


def emopia(root: Path, found: list[Song]) -> None:
    home = root / "EMOPIA_2.2"
    for song in found:
        midi(home / "midis" / f"{song.song_id}.mid", song)
        text(root / "__MACOSX/EMOPIA_2.2/midis" / f"._{song.song_id}.mid", "\0Mac OS X")
    text(root / "__MACOSX/EMOPIA_2.2/._label.csv", "\0Mac OS X")
    table(home / "label.csv", "ID,4Q,annotator", [(s.song_id, s.index % 4 + 1, "ABCD"[s.index % 4]) for s in found])
    for name in ("train", "val", "test"):
        clips = [f"{s.song_id}.mid" for s in found if part(s) == name]
        table(home / "split" / f"{name}_clip.csv", ",clip_name", enumerate(clips))
    table(home / "key_mode_tempo.csv", ",name,keyname,keymode,tempo", [(s.index, s.song_id, "A", 1, 90) for s in found])
    table(
        home / "metadata_by_song.csv",
        "songID,num_Q1,num_Q2,num_Q3,num_Q4,DominantQ",
        [(clip, 2, 2, 2, 2, 1) for clip in sorted({s.song_id[3:14] for s in found})],
    )
    text(home / "timestamps.json", json.dumps({s.song_id[3:14]: ["0:10", "0:40"] for s in found}))


def emopia_flat(root: Path, found: list[Song]) -> None:
    rows = [(s.song_id, s.song_id[3:14], s.quadrant, *SIGNS[s.index % 4], part(s) or "extra") for s in found]
    table(root / "labels.csv", "track_id,song_id,quadrant,valence_sign,arousal_sign,split", rows)
    for song in found:
        midi(root / "midi" / f"{song.song_id}.mid", song)


def vgmidi(root: Path, found: list[Song]) -> None:
    """The first phrase stands there twice; one more stands there twice and contradicts itself."""
    home = root / "vgmidi-master"
    odd = Song(len(found), "Star Ünit_SNES_Star Ünit_Twice_0", "", "", 1, 1, 0, 0, "vgmidi/odd")
    rows = []
    for song in [*found, found[0], odd, odd]:
        series, console, game, *_ = song.song_id.split("_")
        sign = (-1, 1) if song is odd and rows[-1][5].endswith("Twice_0.mid") else SIGNS[song.index % 4]
        piece = song.song_id.split("_", 3)[3].rpartition("_")[0]
        rows.append((8000 + song.index, series, console, game, piece, f"labelled/phrases/{song.song_id}.mid", *sign))
        midi(home / "labelled/phrases" / f"{song.song_id}.mid", song)
    table(home / "vgmidi_labelled.csv", "id,series,console,game,piece,midi,valence,arousal", rows)
    line = (1, "Other", "GB", "Lone, Far", "End", "unlabelled/midi/Other_GB_Lone, Far_End.mid", "unlabelled/pdf/x.pdf")
    table(home / "vgmidi_unlabelled.csv", "id,series,console,game,piece,midi,pdf", [line])
    midi(home / str(line[5]), odd)


def vgmidi_flat(root: Path, found: list[Song]) -> None:
    rows = []
    for s in found:
        series, _, game, *_ = s.song_id.split("_")
        rows.append((s.song_id, series, game, s.valence, s.arousal, s.valence_sd, s.arousal_sd, 30, 60))
        midi(root / "midi" / f"{s.song_id}.mid", s)
    header = "track_id,series,game,valence,arousal,valence_rater_sd,arousal_rater_sd,n_raters,duration_s"
    table(root / "labels.csv", header, rows)


def fold(song: Song, split: int) -> str:
    """Part of a Jamendo track in an official split; the last of ten is in none."""
    return "" if song.index % 10 == 9 else ("train", "validation", "test", "train", "train")[(song.index + split) % 5]


def jamendo(root: Path, found: list[Song]) -> None:
    """Tags are as many cells as there are tags; odd tracks have the small files."""
    home = root / "mtg-jamendo-dataset-master"
    lines = {}
    for s in found:
        number = int(s.song_id.removeprefix("track_"))
        path = f"{number % 100:02}/{number}.mp3"
        tags = "\t".join(f"mood/theme---{tag}" for tag in TAGS[s.index % len(TAGS)])
        lines[s] = f"{s.song_id}\tartist_{490 + s.index // 2:06}\talbum_000001\t{path}\t{166 + s.index / 2:.1f}\t{tags}"
        sound(home / "audio" / (path.replace(".mp3", ".low.mp3") if s.index % 2 else path), s)
    header = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"
    text(home / "data/autotagging_moodtheme.tsv", header, *lines.values())
    for i in range(5):
        for name in ("train", "validation", "test"):
            chosen = (line for s, line in lines.items() if fold(s, i) == name)
            text(home / f"data/splits/split-{i}/autotagging_moodtheme-{name}.tsv", header, *chosen)
    tags = sorted({f"mood/theme---{tag}" for moods in TAGS for tag in moods})
    text(home / "data/tags/moodtheme_split.txt", *tags)


def esc50(root: Path, found: list[Song]) -> None:
    home, rows = root / "ESC-50-master", []
    for s in found:
        number, clip, take, target = s.song_id.split("-")
        rows.append((f"{s.song_id}.wav", number, target, *SOUNDS[int(target)], clip, take))
        sound(home / "audio" / f"{s.song_id}.wav", s)
    table(home / "meta/esc50.csv", "filename,fold,target,category,esc10,src_file,take", rows)


def esc50_flat(root: Path, found: list[Song]) -> None:
    rows = []
    for s in found:
        number, clip, _, target = s.song_id.split("-")
        rows.append((f"{s.song_id}.ogg", number, target, SOUNDS[int(target)][0], clip))
        sound(root / "audio" / f"{s.song_id}.ogg", s)
    table(root / "labels.csv", "filename,fold,target,category,clip_id", rows)


def folder(root: Path, found: list[Song], *, synthetic: bool = False) -> None:
    """A user's own, on a scale of 1-9; every fourth song has a quadrant instead, every third no artist."""
    rows = []
    for s in found:
        own = ["", "", s.quadrant] if s.index % 4 == 3 else [*decimals(5 + 4 * s.valence, 5 + 4 * s.arousal), ""]
        part = ("train", "test", "")[s.index % 3]
        rows.append((s.song_id, "" if s.index % 3 == 2 else s.artist, *own, part, 0.25 if s.index == 0 else "", ""))
        sound(root / s.song_id, s)
    table(root / "labels.csv", "path,artist,valence,arousal,quadrant,split,start_s,duration_s", rows)
    text(root / "corpus.yaml", "scale: [1, 9]", *["synthetic: true"] * synthetic)


MINIATURES: dict[str, Callable[[Path, list[Song]], None]] = {
    "deam": deam,
    "emomusic": emomusic,
    "emomusic.flat": lambda root, found: emomusic(root, found, notes=".", clips="clips_45sec/clips_45seconds"),
    "emopia": emopia,
    "emopia.flat": emopia_flat,
    "esc10": lambda root, found: esc50(
        root, [*found, *(s for s in expected("esc50") if s.index % len(SOUNDS) in (2, 4))]
    ),
    "esc10.flat": esc50_flat,
    "esc50": esc50,
    "esc50.flat": esc50_flat,
    "folder": folder,
    "folder.synthetic": lambda root, found: folder(root, found, synthetic=True),
    "jamendo": jamendo,
    "musifeast17": musifeast17,
    "musifeast17.flat": musifeast17_flat,
    "panda4q": panda4q,
    "panda4q.flat": panda4q_flat,
    "pmemo": pmemo,
    "vgmidi": vgmidi,
    "vgmidi.flat": vgmidi_flat,
}


def write(name: str, root: Path, songs: int | None = None) -> Path:
    """Write the miniature `name` into the folder `root`, the ROOT its reader takes; the same every time.

    `songs` as in `expected`.
    """
    root.mkdir(parents=True, exist_ok=True)
    MINIATURES[name](root, expected(name, songs))
    return root


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.corpora.miniatures DIR")
    for each in MINIATURES:
        print(write(each, Path(sys.argv[1]) / each))
