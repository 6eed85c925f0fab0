"""Every reader on a miniature with the public layout: what it finds, and how it refuses what is not its own."""

import csv
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf import corpora
from sentio_tf.corpora import labels
from sentio_tf.errors import DataError

from . import miniatures
from .miniatures import MINIATURES, expected

AXES = ("valence", "arousal")
SONG_LEVEL = "annotations/annotations averaged per song/song_level/static_annotations_averaged_songs_1_2000.csv"
LATE = SONG_LEVEL.replace("1_2000", "2000_2058")
OVER_TIME = "annotations/annotations averaged per song/dynamic (per second annotations)"
# Where the labels of each stand.
LABELS = dict.fromkeys(MINIATURES, "labels.csv") | {
    "deam": SONG_LEVEL,
    "emomusic": "annotations/static_annotations.csv",
    "emomusic.flat": "static_annotations.csv",
    "emopia": "EMOPIA_2.2/label.csv",
    "esc10": "ESC-50-master/meta/esc50.csv",
    "esc50": "ESC-50-master/meta/esc50.csv",
    "jamendo": "mtg-jamendo-dataset-master/data/autotagging_moodtheme.tsv",
    "musifeast17": "MUSIFEAST-17-main/data/MUSIFEAST17_all.csv",
    "panda4q": "MER_audio_taffc_dataset/panda_dataset_taffc_annotations.csv",
    "pmemo": "PMEmo2019/annotations/static_annotations.csv",
    "vgmidi": "vgmidi-master/vgmidi_labelled.csv",
}
ALL = pytest.mark.parametrize("name", MINIATURES)


def corpus_of(name):
    return name.partition(".")[0]


def read(name, root, **options):
    return corpora.read(f"{corpus_of(name)}:{root}", **options)


def refused(name, root, match, **options):
    """The one line with which a reader refuses."""
    with pytest.raises(DataError, match=match) as caught:
        read(name, root, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="session")
def minis(tmp_path_factory):
    """Name -> root of its miniature, for tests that only read."""
    root = tmp_path_factory.mktemp("minis")
    return {name: miniatures.write(name, root / name) for name in MINIATURES}


@pytest.fixture
def copied(minis, tmp_path):
    """`copied(name)`: a copy of a miniature that a test may spoil, in a folder of the same name."""
    return lambda name: shutil.copytree(minis[name], tmp_path / name)


def edit(path, change):
    """Rewrite the lines of a text; `change` takes and gives a list of them, header first, ends kept apart."""
    raw = path.read_bytes().decode()
    end = "\r\n" if "\r\n" in raw else "\n"
    path.write_bytes("".join(line + end for line in change(raw.split(end)[:-1])).encode())


def set_cell(path, line, column, value):
    """Put `value` where line `line` (the header is 1) has its `column`."""
    form = {"delimiter": "\t" if path.suffix == ".tsv" else ",", "skipinitialspace": True}

    def change(lines):
        header, row = (next(csv.reader([lines[i]], **form)) for i in (0, line - 1))
        row[[name.strip() for name in header].index(column)] = value
        return [*lines[: line - 1], form["delimiter"].join(f'"{c}"' if "," in c else c for c in row), *lines[line:]]

    edit(path, change)


# -- What is found --------------------------------------------------------------------------------


@ALL
def test_every_song_once_with_its_file(minis, name):
    tracks = read(name, minis[name])
    # DEAM's rows stand by id, all others in their own order.
    order = (lambda s: int(s.song_id)) if name == "deam" else (lambda s: s.index)
    assert [t.track_id for t in tracks] == [s.song_id for s in sorted(expected(name), key=order)]
    for track in tracks:
        assert track.path.is_file()
        assert minis[name] in track.path.parents
        assert not track.path.name.startswith("._")
    assert len({t.path for t in tracks}) == len(tracks)


def truth(name, minis, **options):
    """(track, what the miniature says of it) of every track."""
    songs = {s.song_id: s for s in expected(name)}
    return [(t, songs[t.track_id]) for t in read(name, minis[name], **options)]


RATED = ["deam", "emomusic", "emomusic.flat", "musifeast17", "musifeast17.flat", "pmemo", "vgmidi.flat"]


@pytest.mark.parametrize("name", RATED)
def test_ratings_are_mapped_exactly(minis, name):
    pairs = truth(name, minis)
    for track, song in pairs:
        for field in (*AXES, "valence_sd", "arousal_sd"):
            assert getattr(track, field) == pytest.approx(getattr(song, field), abs=1e-12), field
        assert track.valence_sign is None
        assert track.arousal_sign is None
    corners = {(t.valence, t.arousal) for t, song in pairs if song.index < 4}
    assert corners == {(1, 1), (-1, 1), (-1, -1), (1, -1)}, "ends of the scale stay ends, to the last bit"


@pytest.mark.parametrize("name", ["emopia", "emopia.flat", "panda4q", "panda4q.flat", "vgmidi"])
def test_signs(minis, name):
    for track, song in truth(name, minis):
        assert (track.valence_sign, track.arousal_sign) == miniatures.SIGNS[song.index % 4]
        assert not track.rated
        assert track.valence_sd is None


@pytest.mark.parametrize("name", ["folder", "folder.synthetic"])
def test_folder(minis, name):
    for track, song in truth(name, minis):
        if song.index % 4 == 3:
            assert (track.valence_sign, track.arousal_sign, track.valence) == (1, -1, None)
        else:
            assert (track.valence, track.arousal) == pytest.approx((song.valence, song.arousal), abs=1e-12)
        assert track.split == ("train", "test", "")[song.index % 3]
        assert track.start_s == (0.25 if song.index == 0 else 0)
        assert track.duration_s is None
        assert track.synthetic is (name == "folder.synthetic")
        assert track.corpus == f"{'synthetic' if track.synthetic else 'folder'}-{name}"


@pytest.mark.parametrize("name", ["esc10", "esc10.flat", "esc50", "esc50.flat"])
def test_sounds_have_a_class_and_no_emotion(minis, name):
    pairs = truth(name, minis)
    for track, song in pairs:
        fold, clip, _, target = song.song_id.split("-")
        assert (track.split, track.category) == (fold, miniatures.SOUNDS[int(target)][0])
        assert track.group == f"freesound:{clip}"
        assert not track.has_emotion
        assert track.corpus == corpus_of(name)
    wanted = {"dog", "sea_waves", "rain"} | ({"mouse_click", "siren"} if corpus_of(name) == "esc50" else set())
    assert {t.category for t, _ in pairs} == wanted
    assert max(Counter(t.group for t, _ in pairs).values()) == 2


def test_jamendo_tags_signs_and_files(minis):
    for track, song in truth("jamendo", minis):
        assert track.tags == miniatures.TAGS[song.index % 5], "every cell is a tag"
        # happy; no word of Russell's; sad; calm and relaxing, which agree; happy and sad, which do not.
        signs = ((1, 1), (None, None), (-1, -1), (1, -1), (None, None))[song.index % 5]
        assert (track.valence_sign, track.arousal_sign) == signs
        assert track.group == f"jamendo:artist_{490 + song.index // 2:06}"
        assert track.duration_s == 166 + song.index / 2
        assert track.path.name.endswith(".low.mp3") is (song.index % 2 == 1)


def test_jamendo_has_five_splits(minis):
    named = corpora.CORPORA["jamendo"].official(minis["jamendo"])
    songs = expected("jamendo")
    assert named == {
        f"split-{i}": {s.song_id: miniatures.fold(s, i) for s in songs if miniatures.fold(s, i)} for i in range(5)
    }
    assert {t.track_id: t.split for t in read("jamendo", minis["jamendo"])} == {
        s.song_id: miniatures.fold(s, 0) for s in songs
    }


def test_official_parts(minis):
    for track, song in truth("deam", minis):
        assert track.split == ("test" if int(song.song_id) > 2000 else "train")
    for name in ("emomusic", "emomusic.flat"):
        for track, song in truth(name, minis):
            assert track.split == ("test" if song.index % 6 == 5 else "train")
    for name in ("emopia", "emopia.flat"):
        for track, song in truth(name, minis):
            assert track.split == miniatures.part(song)
    for name in ("musifeast17", "panda4q", "pmemo", "vgmidi"):
        assert {t.split for t in read(name, minis[name])} == {""}, "no official split"


# -- Groups ---------------------------------------------------------------------------------------


BY_ARTIST = ["deam", "emomusic", "emomusic.flat", "folder", "musifeast17", "panda4q", "pmemo"]


@pytest.mark.parametrize("name", BY_ARTIST)
def test_artists_are_the_same_in_every_corpus(minis, name):
    for track, song in truth(name, minis):
        own = (name == "folder" and song.index % 3 == 2) or (name == "musifeast17" and song.index == 7)
        if own:
            assert track.group.startswith(f"{name}:"), "without an artist a group of its own"
            assert track.group.endswith(song.song_id)
        else:
            assert track.group == f"artist:{miniatures.name_of(song.index // 2).casefold()}"


@pytest.mark.parametrize("name", ["panda4q.flat", "musifeast17.flat"])
def test_hashed_artists(minis, name):
    assert all(track.group == f"artist:{miniatures.hashed(song)}" for track, song in truth(name, minis))


@pytest.mark.parametrize("name", ["emopia", "emopia.flat"])
def test_emopia_clips_of_a_song_belong_together(minis, name):
    """YouTube ids have `_` and `-` in them, even in front."""
    pairs = truth(name, minis)
    assert all(t.group == f"emopia:{t.track_id[3:14]}" for t, _ in pairs)
    assert Counter(t.group for t, _ in pairs).most_common() == [(pairs[0][0].group, 4), (pairs[4][0].group, 4)]
    assert pairs[0][0].group.startswith("emopia:_8v")


@pytest.mark.parametrize("name", ["vgmidi", "vgmidi.flat"])
def test_game_series_belong_together(minis, name):
    for track, song in truth(name, minis):
        series, _, game, *_ = song.song_id.split("_")
        assert track.group == f"vgmidi:{game if series == 'Other' else series}"
    assert len({t.group for t in read(name, minis[name])}) == 2


def test_deam_holds_the_recordings_of_emomusic(minis):
    both = [{t.recording: t for t in read(name, minis[name]) if t.recording} for name in ("deam", "emomusic")]
    assert both[0].keys() == both[1].keys() == {f"emomusic/{s.song_id}" for s in expected("emomusic")}
    for name, track in both[0].items():
        other = both[1][name]
        assert track.group == other.group, "blanks and case of the artist differ"
        assert (track.valence, track.arousal) == pytest.approx((other.valence, other.arousal))
        assert track.path.read_bytes() == other.path.read_bytes()
    assert all(int(t.track_id) > 1000 for t in read("deam", minis["deam"]) if not t.recording)


def test_no_two_songs_sound_the_same(minis):
    """What the miniatures are for elsewhere: a search for doubles finds those of DEAM and EmoMusic only."""
    heard = {}
    for name in ("deam", "emomusic", "pmemo", "panda4q", "musifeast17"):
        for track, song in truth(name, minis):
            y, _ = soundfile.read(track.path)
            heard.setdefault(song.sound, y[2000:12_000])
    songs = np.stack(list(heard.values()))
    close = np.corrcoef(songs) - np.eye(len(songs))
    assert close.max() < 0.9


# The files beside the labels -> what their reader does without them.
OPTIONAL = [
    ("deam", "metadata", {"group": lambda t: t.recording or f"deam:{t.track_id}"}),
    ("emomusic", "annotations/songs_info.csv",
     {"group": lambda t: f"emomusic/{t.track_id}", "split": lambda t: "", "genre": lambda t: ""}),
    ("pmemo", "PMEmo2019/metadata.csv", {"group": lambda t: f"pmemo:{t.track_id}"}),
    ("pmemo", "PMEmo2019/annotations/static_annotations_std.csv",
     {"valence_sd": lambda t: None, "arousal_sd": lambda t: None}),
    ("panda4q", "MER_audio_taffc_dataset/panda_dataset_taffc_metadata.csv",
     {"group": lambda t: f"panda4q:{t.track_id}", "genre": lambda t: ""}),
    ("emopia", "EMOPIA_2.2/split", {"split": lambda t: ""}),
    ("jamendo", "mtg-jamendo-dataset-master/data/splits", {"split": lambda t: ""}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "gone", "fields"), OPTIONAL, ids=lambda x: x if isinstance(x, str) else "")
def test_files_that_may_be_missing(minis, copied, name, gone, fields):
    root = copied(name)
    (shutil.rmtree if (root / gone).is_dir() else Path.unlink)(root / gone)
    for whole, track in zip(read(name, minis[name]), read(name, root), strict=True):
        without = {field: value(whole) for field, value in fields.items()}
        assert track == replace(whole, path=track.path, **without)
        assert without != {field: getattr(whole, field) for field in fields} or "" in without.values()


@pytest.mark.parametrize("name", [n for n, path in LABELS.items() if path.count("/") and n not in ("deam", "emomusic")])
def test_root_may_be_the_folder_that_was_in_the_archive(minis, name):
    inner = minis[name] / LABELS[name].split("/")[0]
    assert read(name, inner) == read(name, minis[name])


def test_names_need_not_be_utf8(copied):
    """Titles and artists of the 4Q set: their encoding is nowhere stated."""
    root = copied("panda4q")
    file = root / "MER_audio_taffc_dataset/panda_dataset_taffc_metadata.csv"
    file.write_bytes(file.read_text().encode("cp1252"))
    tracks = read("panda4q", root)
    assert [t.group for t in tracks[::2]] == [t.group for t in tracks[1::2]]
    assert len({t.group for t in tracks}) == len(tracks) / 2


@ALL
def test_a_byte_order_mark_is_no_part_of_the_first_column(minis, copied, name):
    root = copied(name)
    file = root / LABELS[name]
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert [t.track_id for t in read(name, root)] == [t.track_id for t in read(name, minis[name])]


def test_blanks_beside_quotes(minis, copied):
    root = copied("panda4q")
    edit(root / LABELS["panda4q"], lambda lines: [line.replace(",", " , ") for line in lines])
    assert [(t.track_id, t.side, t.group) for t in read("panda4q", root)] == [
        (t.track_id, t.side, t.group) for t in read("panda4q", minis["panda4q"])
    ]


# -- Labels over time -----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "start"), [("deam", 15), ("emomusic", 15), ("emomusic.flat", 15), ("pmemo", 15.5)])
def test_labels_over_time(minis, name, start):
    found = corpora.CORPORA[corpus_of(name)].dynamics(minis[name])
    songs = {s.song_id: s for s in expected(name)}
    assert found.keys() == songs.keys()
    for key, curve in found.items():
        size = 20 if name == "pmemo" else 90 if int(key) > 2000 else 61  # clips end before the row does
        np.testing.assert_array_equal(curve.times_s, start + np.arange(size) / 2)
        for axis in AXES:
            values = miniatures.curve(getattr(songs[key], axis), size)
            np.testing.assert_allclose(getattr(curve, axis), values, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "file", "column"),
    [
        ("deam", f"{OVER_TIME}/arousal.csv", "sample_16500ms"),
        ("emomusic", "annotations/valence_cont_average.csv", "sample_16500ms"),
        ("pmemo", "PMEmo2019/annotations/dynamic_annotations.csv", "Valence(mean)"),
    ],
)
def test_labels_over_time_are_checked(copied, name, file, column):
    root = copied(name)
    set_cell(root / file, 3, column, "1.5")
    with pytest.raises(DataError, match=rf"{Path(file).name}:3: expected {re.escape(column)} in \[.*received '1.5'"):
        corpora.CORPORA[name].dynamics(root)


# -- DEAM: exchanged columns ----------------------------------------------------------------------


def keep(root, wanted, *files):
    """Leave only rows of songs with `wanted(id)`."""
    for file in files:
        edit(root / file, lambda lines: lines[:1] + [row for row in lines[1:] if wanted(int(row.split(",")[0]))])


def exchange(root):
    """Put the columns of songs up to 1000 right, as somebody who knows of the error would."""

    def change(lines):
        rows = [line.split(",") for line in lines[1:]]
        return lines[:1] + [",".join([r[0], *r[3:], *r[1:3]] if int(r[0]) <= 1000 else r) for r in rows]

    edit(root / SONG_LEVEL, change)


def moods(tracks):
    return {t.track_id: (t.valence, t.arousal, t.valence_sd, t.arousal_sd) for t in tracks}


def test_deam_official_labels_are_those_of_the_file(minis):
    corrected, official = (moods(read("deam", minis["deam"], version=v)) for v in ("corrected", "official"))
    assert corrected == moods(read("deam", minis["deam"])), "corrected unless asked otherwise"
    for song in expected("deam"):
        v, a, v_sd, a_sd = corrected[song.song_id]
        exchanged = int(song.song_id) <= 1000
        assert official[song.song_id] == ((a, v, a_sd, v_sd) if exchanged else (v, a, v_sd, a_sd))
    assert {"1000", "1001"} <= corrected.keys(), "both sides of the border are looked at"


def test_deam_that_somebody_corrected_stays_as_it_is(minis, copied):
    root = copied("deam")
    exchange(root)
    wanted = moods(read("deam", minis["deam"]))
    assert moods(read("deam", root)) == wanted
    assert moods(read("deam", root, version="official")) == wanted


@pytest.mark.parametrize("empty", [False, True])
def test_deam_without_labels_over_time(minis, copied, empty):
    root = copied("deam")
    shutil.rmtree(root / OVER_TIME)
    if empty:
        (root / OVER_TIME).mkdir()
    message = refused("deam", root, "no such label file" if empty else "--labels official")
    assert "dynamic (per second annotations)" in message
    wanted = moods(read("deam", minis["deam"], version="official"))
    assert moods(read("deam", root, version="official")) == wanted


def test_deam_with_too_few_songs_to_tell(copied):
    root = copied("deam")
    block = sorted(int(s.song_id) for s in expected("deam") if int(s.song_id) <= 1000)
    keep(root, lambda n: n not in block[:2], f"{OVER_TIME}/valence.csv")
    assert len(read("deam", root)) == 20, "ten of them are enough"
    keep(root, lambda n: n not in block[:3], SONG_LEVEL)
    refused("deam", root, "9 of them have labels over time")
    assert len(read("deam", root, version="official")) == 17


def test_deam_with_labels_over_time_that_tell_nothing(copied):
    root = copied("deam")
    shutil.copy(root / OVER_TIME / "valence.csv", root / OVER_TIME / "arousal.csv")
    refused("deam", root, "cannot tell whether")


def test_deam_of_later_songs_needs_no_labels_over_time(minis, copied):
    root = copied("deam")
    keep(root, lambda n: n > 1000, SONG_LEVEL)
    shutil.rmtree(root / OVER_TIME)
    wanted = {k: v for k, v in moods(read("deam", minis["deam"])).items() if int(k) > 1000}
    assert moods(read("deam", root)) == moods(read("deam", root, version="official")) == wanted


def test_deam_versions_are_two(minis):
    refused("deam", minis["deam"], "expected one of corrected, official, received 'mended'", version="mended")
    assert read("pmemo", minis["pmemo"], version="official"), "a corpus of one version has nothing to choose"


@pytest.mark.parametrize("parent", ["DEAM_Annotations", "."])
def test_deam_as_other_people_unpack_it(minis, copied, parent):
    root = copied("deam")
    (root / parent).mkdir(exist_ok=True)
    inner = "annotations" if parent != "." else "annotations averaged per song"
    source = "annotations" if parent != "." else "annotations/annotations averaged per song"
    shutil.move(root / source, root / parent / inner)
    (root / "DEAM_audio").mkdir()
    shutil.move(root / "MEMD_audio", root / "DEAM_audio")
    assert moods(read("deam", root)) == moods(read("deam", minis["deam"]))


@pytest.mark.parametrize("digits", ["²", "2.0", "two", ""])
def test_deam_ids_are_whole_numbers(copied, digits):
    root = copied("deam")
    set_cell(root / SONG_LEVEL, 3, "song_id", digits)
    refused("deam", root, r"1_2000.csv:3: expected song_id as a whole number")


# -- Another corpus, and half of one ----------------------------------------------------------------


@pytest.mark.parametrize("name", corpora.CORPORA)
def test_root_of_another_corpus(minis, name):
    alike = {"esc10": {"esc10", "esc50"}, "esc50": {"esc10", "esc50"}}.get(name, {name})
    for other, root in minis.items():
        if corpus_of(other) not in alike:
            for each in (root, (root / LABELS[other]).parent):
                message = refused(name, each, "no such label file|is this the right folder")
                assert message.startswith(str(each))


# Layouts that share their label file.
SAME = ({"emomusic", "emomusic.flat"}, {"esc10", "esc50"}, {"esc10.flat", "esc50.flat"}, {"folder", "folder.synthetic"})


@ALL
def test_label_file_of_every_other_corpus(minis, tmp_path, name):
    file = tmp_path / LABELS[name]
    file.parent.mkdir(parents=True, exist_ok=True)
    for other, root in minis.items():
        if other != name and {name, other} not in SAME:
            shutil.copy(root / LABELS[other], file)
            message = refused(name, tmp_path, "expected the label file of .*is this the right folder")
            assert message.startswith(str(file))


@ALL
def test_missing_audio(copied, name):
    root = copied(name)
    tracks = read(name, root)
    tracks[2].path.unlink()
    refused(
        name,
        root,
        f"1 of {len(tracks)} labelled files are missing, first {re.escape(str(tracks[2].path))}; .*--skip-missing",
    )
    # Jamendo's small file stands in for a whole one: its path is the candidate that is left.
    left = [t.track_id for t in tracks if t is not tracks[2]]
    assert [t.track_id for t in read(name, root, skip_missing=True)] == left
    for track in tracks[3:] + tracks[:2]:
        track.path.unlink()
    refused(name, root, f"none of the {len(tracks)} labelled files is there", skip_missing=True)


@ALL
def test_missing_and_empty_label_files(copied, name):
    root = copied(name)
    file = root / LABELS[name]
    edit(file, lambda lines: lines[:1])
    if name == "deam":
        keep(root, lambda n: False, LATE)
    refused(name, root, "expected labelled tracks of .*, received none")
    file.write_bytes(b"")
    refused(name, root, "received (no header|'an empty file')")
    file.unlink()
    refused(name, root, "no such label file")


def test_deam_needs_both_files(copied):
    root = copied("deam")
    (root / LATE).unlink()
    refused("deam", root, "2000_2058.csv: no such label file")


@pytest.mark.parametrize("name", [n for n in MINIATURES if not LABELS[n].startswith("labels.csv") or "folder" in n])
def test_double_ids(copied, name):
    root = copied(name)
    edit(root / LABELS[name], lambda lines: [*lines, lines[1]])
    if name == "vgmidi":
        assert len(read(name, root)) == 8, "phrases stand in the table twice as they are published"
    else:
        refused(name, root, r"expected every track once, received \S.* twice or more \(1 such ids\)")


# A value that a row may not have, and its column.
WRONG = [
    ("deam", "valence_mean", "9.5"),
    ("deam", "arousal_std", "-0.1"),
    ("emomusic", "mean_arousal", "0.9"),
    ("emomusic.flat", "std_valence", "NaN"),
    ("emopia", "4Q", "5"),
    ("emopia", "ID", "Q1_short_0"),
    ("emopia.flat", "quadrant", "0"),
    ("esc10", "fold", "6"),
    ("esc50.flat", "fold", ""),
    ("folder", "valence", "10"),
    ("folder", "arousal", "high"),
    ("folder", "start_s", "-1"),
    ("folder", "path", ""),
    ("jamendo", "DURATION", "0"),
    ("musifeast17", "valence_M", "NA"),
    ("musifeast17.flat", "arousal_1_5", "5.01"),
    ("panda4q", "Quadrant", "Q0"),
    ("panda4q.flat", "quadrant", ""),
    ("pmemo", "Arousal(mean)", "1.01"),
    ("vgmidi", "valence", "0.5"),
    ("vgmidi.flat", "arousal", "-1.5"),
]


@pytest.mark.parametrize(("name", "column", "value"), WRONG)
def test_a_wrong_value_names_file_and_line(copied, name, column, value):
    """... and is collected where the reader is asked to go on."""
    root = copied(name)
    whole = corpora.read_labels(f"{corpus_of(name)}:{root}")
    set_cell(root / LABELS[name], 3, column, value)
    message = refused(name, root, rf"^{re.escape(str(root / LABELS[name]))}:3: expected .*received .*; c")
    with labels.tolerated() as problems:
        rest = corpora.read_labels(f"{corpus_of(name)}:{root}")
    assert problems == [message]
    assert rest == [t for t in whole if t is not whole[1]]
    refused(name, root, ":3: expected")  # outside, it is raised again


def test_wrong_deviations_of_pmemo(copied):
    root = copied("pmemo")
    whole = read("pmemo", root)
    file = root / "PMEmo2019/annotations/static_annotations_std.csv"
    set_cell(file, 3, "Valence(std)", "2")
    message = refused("pmemo", root, rf"^{re.escape(str(file))}:3: expected Valence\(std\) in \[0, 1\]")
    with labels.tolerated() as problems:
        assert read("pmemo", root) == [t for t in whole if t is not whole[1]]
    assert problems == [message]


def test_a_short_row_of_jamendo(copied):
    root = copied("jamendo")
    edit(root / LABELS["jamendo"], lambda lines: [*lines[:2], lines[2].rpartition("\t")[0], *lines[3:]])
    message = refused("jamendo", root, r"moodtheme.tsv:3: expected 6 cells or more, received 5")
    with labels.tolerated() as problems:
        assert len(read("jamendo", root)) == 9
    assert problems == [message]


def test_a_quote_that_never_closes_loses_no_songs_in_silence(copied):
    root = copied("emopia")
    set_cell(root / LABELS["emopia"], 3, "annotator", '"B')
    message = refused("emopia", root, r"label.csv:3: expected a row in one line, received one of several")
    with labels.tolerated() as problems:
        assert len(read("emopia", root)) == 1
    assert problems == [message]


@pytest.fixture(scope="module")
def spoilt(minis, tmp_path_factory):
    root = tmp_path_factory.mktemp("spoilt")
    return {name: shutil.copytree(minis[name], root / name) for name in MINIATURES}


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(MINIATURES)),
    where=st.floats(0, 1),
    cut=st.integers(0, 12),
    into=st.one_of(st.binary(max_size=6), st.sampled_from([b",", b'"', b"\n", b"\r", b"\t", b"nan", b"1e9", b"\0"])),
)
def test_a_spoilt_label_file_never_breaks_a_reader(minis, spoilt, name, where, cut, into):
    """One line of an error, or labels in their range."""
    raw = (minis[name] / LABELS[name]).read_bytes()
    at = int(where * len(raw))
    (spoilt[name] / LABELS[name]).write_bytes(raw[:at] + into + raw[at + cut :])
    try:
        tracks = corpora.read_labels(f"{corpus_of(name)}:{spoilt[name]}")
    except DataError as error:
        tracks, said = [], str(error)
    else:
        said = ""
    assert len(said.splitlines()) <= 1
    for track in tracks:
        values = [getattr(track, axis) for axis in AXES]
        assert values == [None, None] or all(-1 <= v <= 1 for v in values)
        assert track.side in {(0, 0), *miniatures.SIGNS} or track.rated


# -- Folders --------------------------------------------------------------------------------------


def test_parquet_says_what_a_csv_says(minis, copied):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    root = copied("folder")
    with (root / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [row[name] or None for row in rows] for name in rows[0]}
    for name in ("valence", "arousal", "start_s", "duration_s"):
        columns[name] = [float(v) if v else None for v in columns[name]]
    assert None in columns["valence"]
    (root / "labels.csv").unlink()
    for missing in (None, float("nan")):  # as Arrow and as pandas write what is not there
        for axis in AXES:
            columns[axis] = [missing if v is None else v for v in columns[axis]]
        parquet.write_table(pyarrow.table(columns), root / "labels.parquet")
        tracks = read("folder", root)
        assert tracks == [replace(t, path=root / t.track_id) for t in read("folder", minis["folder"])]
    columns["valence"][1] = 9.5
    parquet.write_table(pyarrow.table(columns), root / "labels.parquet")
    refused("folder", root, r"labels.parquet:2: expected valence in \[1, 9\], received '9.5'")
    parquet.write_table(pyarrow.table({"file": ["a"]}), root / "labels.parquet")
    refused("folder", root, "columns path, received file; is this the right folder")
    (root / "labels.parquet").write_bytes(b"PAR1")
    refused("folder", root, "expected a Parquet file")


@pytest.mark.parametrize("line", ["synthetic: 1", "synthetic: maybe", "synthetic: 'true'", "synthetic: null"])
def test_synthetic_is_true_or_false(copied, line):
    root = copied("folder")
    (root / "corpus.yaml").write_text(f"scale: [1, 9]\n{line}\n")
    refused("folder", root, "expected 'synthetic: true' or 'false'")


@pytest.mark.parametrize("scale", ["[-.inf, .inf]", "[.nan, 1]", "[1, .inf]", "'19'", "{1: a, 9: b}"])
def test_scale_is_two_finite_numbers(copied, scale):
    root = copied("folder")
    (root / "corpus.yaml").write_text(f"scale: {scale}\n")
    refused("folder", root, r"corpus.yaml: expected .*write scale: \[1, 9\]")


def test_a_folder_is_no_audio_file(copied):
    root = copied("folder")
    set_cell(root / "labels.csv", 3, "path", "a b")
    refused("folder", root, "1 of 8 labelled files are missing")


@pytest.mark.parametrize(
    ("name", "genres", "raters"),
    [("emomusic", True, True), ("deam", False, True), ("pmemo", False, True), ("musifeast17", False, True)],
)
def test_ceilings_and_genres_have_what_they_need(minis, name, genres, raters):
    """Genre where the files name it, and how many people are behind a mean rating: what evaluation asks for."""
    for track in read(name, minis[name]):
        assert bool(track.genre) == genres or not genres
        assert (track.raters or 0) >= 5 or not raters
