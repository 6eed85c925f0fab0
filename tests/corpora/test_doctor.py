"""The doctor finds what was put there, and says nothing of a sound corpus."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import soundfile

from sentio_tf import corpora
from sentio_tf.corpora import doctor, split
from sentio_tf.corpora.doctor import examine
from sentio_tf.corpora.swap import swap_test
from sentio_tf.corpora.track import Dynamics
from sentio_tf.errors import DataError

RATE = 22_050


@pytest.fixture
def rated(tmp_path, make_music, make_table):
    """A function that writes a sound folder corpus of 24 songs and returns its root and rows."""

    def write(name="mine", count=24, seconds=6, **columns):
        root = tmp_path / name
        root.mkdir()
        rng = np.random.default_rng(len(name))
        rows = []
        for i in range(count):
            soundfile.write(root / f"{i:02}.flac", make_music(seconds, seed=100 * len(name) + i), RATE)
            valence, arousal = np.round(rng.uniform(-0.9, 0.9, 2), 3)
            rows.append({"path": f"{i:02}.flac", "valence": valence, "arousal": arousal, "artist": f"{name}{i // 2}"})
            rows[-1] |= {k: f(i) for k, f in columns.items()}
        make_table(root / "labels.csv", rows)
        return root, rows

    return write


def levels(report, check):
    return {f.level for f in report.findings if f.check == check}


def texts(report, level="error"):
    return "\n".join(f"{f.check}: {f.text}" for f in report.findings if f.level == level)


def test_a_sound_corpus_has_no_errors(rated):
    root, _ = rated()
    report = examine([f"folder:{root}"], workers=2)
    assert not report.spoiled, texts(report)
    assert texts(report, "warning") == ""
    assert {"labels", "duplicates", "audio"} <= {f.check for f in report.findings if f.level == "ok"}
    assert report.durations["median_s"] == pytest.approx(6, abs=0.01)
    assert sum(report.quadrants["folder-mine"].values()) == 24
    json.dumps(report.to_dict(), allow_nan=False)


# -- audio ------------------------------------------------------------------------------------------


def test_half_a_corpus(rated):
    root, _ = rated()
    for i in range(12):
        (root / f"{i:02}.flac").unlink()
    report = examine([f"folder:{root}"], workers=1)
    assert "12 of 24 labelled tracks have no file: 00.flac" in texts(report)
    assert "12 files decode" in texts(report, "ok"), "the other half is examined all the same"


def test_files_without_a_label(rated, make_table):
    root, rows = rated()
    make_table(root / "labels.csv", rows[:20])
    report = examine([f"folder:{root}"], workers=1)
    assert "4 audio files without a label: 20.flac" in texts(report, "note")
    assert not report.spoiled


def test_files_that_do_not_decode(rated):
    root, _ = rated()
    (root / "03.flac").write_bytes(b"no audio")
    (root / "04.flac").write_bytes((root / "05.flac").read_bytes()[:20_000])
    report = examine([f"folder:{root}"], workers=2)
    assert "2 files cannot be decoded" in texts(report)
    (finding,) = [f for f in report.findings if "decoded" in f.text]
    assert {item.partition(":")[0] for item in finding.items} == {"folder-mine/03.flac", "folder-mine/04.flac"}


def test_silence(rated, make_music):
    root, _ = rated()
    soundfile.write(root / "01.flac", np.zeros(6 * RATE), RATE)
    soundfile.write(root / "02.flac", np.r_[make_music(2, seed=1), np.zeros(4 * RATE)], RATE)
    report = examine([f"folder:{root}"], workers=1)
    assert "1 file silent throughout: folder-mine/01.flac" in texts(report)
    assert "1 file silent for more than 50%" in texts(report, "warning")


def test_short_files(rated):
    root, _ = rated(seconds=3)
    assert "24 files shorter than 5 s" in texts(examine([f"folder:{root}"], workers=1), "warning")


@pytest.mark.parametrize("how", ["copy", "another codec", "another cut"])
def test_the_same_sound_under_two_artists(rated, how, tune):
    root, _ = rated(seconds=14)
    y, _ = soundfile.read(tune, frames=28 * RATE, dtype="float32")  # 14 s of 44.1 kHz
    soundfile.write(root / "03.flac", y[::2], RATE)
    if how == "copy":
        (root / "20.flac").write_bytes((root / "03.flac").read_bytes())
    else:
        y, _ = soundfile.read(root / "03.flac", dtype="float32")
        y = y if how == "another codec" else 0.5 * y[2 * RATE + 100 :]
        soundfile.write(root / "20.flac", y, RATE)
        if how == "another codec":
            (root / "20.flac").unlink()
            soundfile.write(root / "20.ogg", y, RATE, format="OGG", subtype="VORBIS", compression_level=0.9)
            (root / "20.ogg").rename(root / "20.flac")
    report = examine([f"folder:{root}"], workers=2)
    assert "1 pair of the same sound, which may be divided between training and test" in texts(report)
    (line,) = next(f.items for f in report.findings if f.check == "duplicates")
    assert line.startswith("folder-mine/03.flac and folder-mine/20.flac: the same")
    assert ("samples" in line) == (how == "copy")
    if how == "another cut":
        assert "2.0 s apart" in line


def test_the_same_sound_within_a_group_is_a_note(rated):
    root, _ = rated()
    (root / "03.flac").write_bytes((root / "02.flac").read_bytes())  # the same artist
    report = examine([f"folder:{root}"], workers=1)
    assert not report.spoiled
    assert "within one group" in texts(report, "note")


def test_two_parts_of_one_file_are_not_the_same(rated, make_table):
    root, rows = rated(seconds=24)
    parts = [rows[0] | {"track_id": f"p{i}", "start_s": 12 * i, "duration_s": 12} for i in range(2)]
    make_table(
        root / "labels.csv", [r | {"track_id": r["path"], "start_s": "", "duration_s": ""} for r in rows[1:]] + parts
    )
    report = examine([f"folder:{root}"], workers=1)
    assert "duplicates" not in {f.check for f in report.findings if f.level == "error"}


def test_a_label_that_lasts_longer_than_its_file(rated):
    root, _ = rated(duration_s=lambda i: 60 if i == 4 else "")
    report = examine([f"folder:{root}"], workers=1)
    assert "1 file too short for the label: folder-mine/04.flac" in texts(report, "warning")


# -- labels -----------------------------------------------------------------------------------------


def test_rows_off_the_scale_are_all_listed(rated, make_table):
    root, rows = rated()
    rows[3]["valence"], rows[7]["arousal"] = 7, "loud"
    make_table(root / "labels.csv", rows)
    report = examine([f"folder:{root}"], listen=False)
    (finding,) = [f for f in report.findings if f.check == "labels"]
    assert finding.level == "error"
    assert [item.partition(": ")[0].rpartition(":")[2] for item in finding.items] == ["5", "9"]
    assert len(report.tracks) == 22


def small(i):
    """Labels on a scale of 0 to 1."""
    return i % 7 / 10, i % 9 / 12


@pytest.mark.parametrize(
    ("scale", "values", "text"),
    [
        ("[0, 10]", lambda i: small(i) if i % 4 == 0 else (4 + i % 5, 5 + i % 4), "two scales in one table"),
        ("[1, 9]", lambda i: small(i) if i < 20 else (4 + i % 5, 5 + i % 4), "another scale?"),
        ("[-1, 1]", lambda i: small(i), "upper half of the scale"),
        ("[1, 9]", lambda i: (1 + i % 5, 1 + i % 4), "lower half of the scale"),
        ("[1, 9]", lambda i: (5, 1 + i % 8), "valence is the same in every row"),
        ("[1, 9]", lambda i: (1 + i % 8, 1 + i % 8), "the same column"),
    ],
    ids=["0-1 among 0-10", "0-1 among 1-9", "0-1 as -1-1", "1-5 as 1-9", "constant", "one column twice"],
)  # fmt: skip
def test_scales(rated, make_table, scale, values, text):
    root, rows = rated(count=48, seconds=0.1)
    for i, row in enumerate(rows):
        row["valence"], row["arousal"] = values(i)
    make_table(root / "labels.csv", rows)
    (root / "corpus.yaml").write_text(f"scale: {scale}\n")
    assert text in texts(examine([f"folder:{root}"], listen=False))


@pytest.mark.shared
@pytest.mark.parametrize("name", ["deam", "emomusic", "musifeast17", "vgmidi"])
def test_real_labels_raise_no_alarm(shared, name):
    report = examine([f"{name}:{shared / name}"], listen=False)
    assert not report.spoiled, texts(report)


def test_double_ids(rated, make_table):
    root, rows = rated()
    make_table(root / "labels.csv", [*rows, rows[5]])
    report = examine([f"folder:{root}"], workers=1)
    assert "1 id more than once: folder-mine/05.flac" in texts(report)
    assert len(report.tracks) == 24


def test_every_track_its_own_group_is_a_warning(rated, make_table):
    root, rows = rated()
    make_table(root / "labels.csv", [{k: v for k, v in r.items() if k != "artist"} for r in rows])
    report = examine([f"folder:{root}"], listen=False)
    assert "24 groups (artist, song or series) of 24 tracks: an artist may be" in texts(report, "warning")


def test_hardly_any_in_a_quadrant(rated, make_table):
    root, rows = rated()
    for row in rows[1:]:
        row["valence"] = abs(row["valence"])
    make_table(root / "labels.csv", rows)
    assert "hardly any tracks in Q" in texts(examine([f"folder:{root}"], listen=False), "warning")


@pytest.mark.parametrize("rows", [[], [{"path": f"{i}.wav", "valence": 2 + i, "arousal": 5} for i in range(6)]])
def test_nothing_is_left_to_examine(tmp_path, make_table, rows):
    """The most usual mistake, a scale that is not named, must not end the examination without a reason."""
    make_table(tmp_path / "labels.csv", rows or [{"path": "", "valence": "", "arousal": ""}])
    if not rows:
        (tmp_path / "labels.csv").write_text("path,valence,arousal\n")
    report = examine([f"folder:{tmp_path}"], listen=False)
    assert "no track is left to examine" in texts(report)
    if rows:
        assert "6 rows cannot be used" in texts(report)
        assert "from 2 to 7: another scale? name it in corpus.yaml, e.g. scale: [1, 9]" in texts(report)
    json.dumps(report.to_dict(), allow_nan=False)


def test_an_unknown_version_of_the_labels_is_refused(rated):
    root, _ = rated(count=4)
    with pytest.raises(DataError, match="labels: expected one of corrected, official, received 'foo'"):
        examine([f"folder:{root}"], version="foo", listen=False)


# -- splits and other corpora -----------------------------------------------------------------------


def test_a_split_that_divides_an_artist(rated):
    root, _ = rated()
    tracks = corpora.read(f"folder:{root}")
    sound = split.make(tracks, "kfold", k=3)
    assert not examine([f"folder:{root}"], listen=False, split=sound).spoiled
    parts = dict(sound.parts) | {tracks[0].key: ("0",), tracks[1].key: ("1",)}
    report = examine([f"folder:{root}"], listen=False, split=dataclasses.replace(sound, parts=parts))
    assert "split: 1 group in more than one part: artist:mine0" in texts(report)


def test_a_split_of_other_tracks(rated):
    root, _ = rated()
    other, _ = rated("other")
    made = split.make(corpora.read(f"folder:{other}"), "kfold", k=3)
    assert "expected a split of these tracks" in texts(examine([f"folder:{root}"], listen=False, split=made))


def test_a_split_by_level_is_seen(rated):
    """Kolmogorov-Smirnov: a part whose labels are distributed otherwise, against a stratified one."""
    root, _ = rated(count=120, seconds=0.1)
    tracks = corpora.read(f"folder:{root}")
    even = split.make(tracks, "kfold", k=3)
    by_level = sorted(tracks, key=lambda t: t.arousal)
    parts = {t.key: (str(i // 40),) for i, t in enumerate(by_level)}
    skewed = dataclasses.replace(even, parts=parts, groups={t.key: t.key for t in tracks})
    good, bad = (examine([f"folder:{root}"], listen=False, split=s) for s in (even, skewed))
    assert "distributed otherwise" not in texts(good, "warning")
    assert "labels are distributed otherwise in 0 arousal" in texts(bad, "warning")
    assert all(row["p"] > 0.05 for row in good.splits)
    assert min(row["p"] for row in bad.splits if row["axis"] == "arousal") < 1e-6


def test_official_splits_are_judged(rated):
    root, _ = rated(split=lambda i: "test" if i in (1, 5) else "train")
    report = examine([f"folder:{root}"], listen=False)
    assert "folder, official split: 2 groups in more than one part" in texts(report, "warning")


def test_the_same_artist_in_two_corpora(rated):
    a, _ = rated("mine")
    b, _ = rated("yours", artist=lambda i: "mine1" if i == 0 else f"y{i // 2}")
    report = examine([f"folder:{a}", f"folder:{b}"], listen=False)
    assert "1 group in several corpora, together in splits: artist:mine1" in texts(report, "note")


def test_the_same_song_in_two_corpora(rated):
    a, _ = rated("mine")
    b, _ = rated("yours")
    (b / "07.flac").write_bytes((a / "03.flac").read_bytes())
    report = examine([f"folder:{a}", f"folder:{b}"], workers=2)
    assert "folder-mine/03.flac and folder-yours/07.flac: the same samples" in texts(report)


# -- the swap test ----------------------------------------------------------------------------------


def songs(rng, n, noise=0.1, swapped=False):
    """Labels over time around the truth, at another scale, and static labels of the truth."""
    truth = rng.multivariate_normal([0, 0], [[0.1, 0.05], [0.05, 0.1]], n)
    over_time = {
        str(i): Dynamics(
            np.arange(4.0), 0.4 * v + 0.02 * rng.standard_normal(4), 0.4 * a + 0.02 * rng.standard_normal(4)
        )
        for i, (v, a) in enumerate(truth)
    }
    static = truth + noise * rng.standard_normal(truth.shape)
    static = static[:, ::-1] if swapped else static
    return {str(i): tuple(row) for i, row in enumerate(static)}, over_time


@pytest.mark.parametrize("swapped", [True, False])
@pytest.mark.parametrize("n", [10, 30, 300])
def test_the_swap_test_decides(swapped, n):
    for seed in range(30):
        static, over_time = songs(np.random.default_rng(seed), n, swapped=swapped)
        test = swap_test("all", static, over_time)
        assert test.swapped is swapped
        assert test.songs == n


def test_the_swap_test_is_the_least_squares_choice():
    """`difference` has the sign of the difference of squared errors, whatever the scale of the dynamic labels."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        static, over_time = songs(rng, 12, noise=0.6, swapped=bool(rng.integers(2)))
        s = np.array(list(static.values()))
        d = np.array([(over_time[k].valence.mean(), over_time[k].arousal.mean()) for k in static])
        scale = rng.uniform(0.1, 9)
        gap = ((s - scale * d[:, ::-1]) ** 2).sum() - ((s - scale * d) ** 2).sum()
        assert np.sign(gap) == np.sign(swap_test("all", static, over_time).difference)


def test_the_swap_test_abstains():
    rng = np.random.default_rng(0)
    static, over_time = songs(rng, 9)
    assert swap_test("few", static, over_time).swapped is None
    static, _ = songs(rng, 200)
    _, over_time = songs(rng, 200)
    assert swap_test("strangers", static, over_time).swapped is None
    test = swap_test("none", {}, over_time)
    assert test.songs == 0
    assert test.swapped is None
    json.dumps(test.to_dict(), allow_nan=False)


@pytest.mark.shared
def test_the_swap_in_the_real_file(shared):
    report = examine([f"deam:{shared / 'deam'}"], listen=False)
    first, second, third = report.swaps
    assert [t.swapped for t in report.swaps] == [True, False, False]
    assert [t.songs for t in report.swaps] == [744, 1000, 58]
    found = [round(getattr(first, f), 3) for f in ("arousal_arousal", "arousal_valence", "valence_arousal")]
    assert found == [0.570, 0.949, 0.956]
    assert [round(x, 3) for x in (second.arousal_arousal, second.valence_valence)] == [0.942, 0.912]
    assert [round(x, 3) for x in (third.arousal_arousal, third.valence_valence)] == [0.929, 0.984]
    assert not report.spoiled
    assert "744 songs); put right while reading" in texts(report, "warning")
    official = examine([f"deam:{shared / 'deam'}"], version="official", listen=False)
    assert official.spoiled
    assert "every result on them is wrong" in texts(official)


@pytest.mark.shared
def test_a_corrected_copy_is_left_alone(shared, tmp_path):
    """Somebody has put the file right: nothing is found, and nothing is exchanged back."""
    import shutil

    shutil.copytree(shared / "deam" / "annotations", tmp_path / "annotations")
    name = "annotations averaged per song/song_level/static_annotations_averaged_songs_1_2000.csv"
    file = tmp_path / "annotations" / name
    with file.open(newline="") as source:
        head, *rows = list(csv.reader(source))
    fixed = [[r[0], *r[3:5], *r[1:3]] if int(r[0]) <= 1000 else r for r in rows]
    with file.open("w", newline="") as target:
        csv.writer(target).writerows([head, *fixed])
    report = examine([f"deam:{tmp_path}"], listen=False)
    assert [t.swapped for t in report.swaps] == [False, False, False]
    assert "none found" in texts(report, "ok")
    assert not report.spoiled
    ours = {t.track_id: (t.valence, t.arousal) for t in corpora.read_labels(f"deam:{tmp_path}")}
    released = {t.track_id: (t.valence, t.arousal) for t in corpora.read_labels(f"deam:{shared / 'deam'}")}
    assert ours == released, "both read the same in the end"


@pytest.mark.shared
def test_known_doubles_of_panda4q_stay_together(shared):
    """Found by the doctor: one recording under two artists' names, twice."""
    tracks = corpora.read_labels(f"panda4q:{shared / 'panda4q'}")
    group = dict(zip([t.track_id for t in tracks], split.components(tracks), strict=True))
    assert len({t.group for t in tracks}) - len(set(group.values())) == 2
    assert group["MT0000523076"] == group["MT0000941301"]
    assert group["MT0002161109"] == group["MT0033415296"]


@pytest.mark.shared
def test_deam_and_emomusic_are_the_same_songs(shared):
    sources = [f"{name}:{shared / name}" for name in ("deam", "emomusic")]
    report = examine(sources, listen=False)
    assert "744 recordings are in two corpora" in texts(report, "warning")
    tracks = [t for s in sources for t in corpora.read_labels(s)]
    made = split.make(tracks, "kfold", k=5)
    folds = dict(zip([t.key for t in tracks], made.of(tracks), strict=True))
    assert all(folds[f"deam/{i}"] == folds[f"emomusic/{i}"] for i in (2, 3, 4, 5, 7, 1000))


def test_listening_names_a_worker_that_died(rated, monkeypatch):
    root, _ = rated(count=8, seconds=0.2)
    monkeypatch.setattr(doctor.audio, "listen_to", die)
    with pytest.raises(DataError, match="a worker was killed: out of memory"):
        examine([f"folder:{root}"], workers=1)


def die(track):
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


# -- found in review --------------------------------------------------------------------------------


def test_a_split_made_before_its_artists_were_known(rated, make_table):
    root, rows = rated()
    make_table(root / "labels.csv", [{k: v for k, v in r.items() if k != "artist"} for r in rows])
    made = split.make(corpora.read(f"folder:{root}"), "kfold", k=3)
    assert made.leaks() == []
    make_table(root / "labels.csv", rows)
    report = examine([f"folder:{root}"], listen=False, split=made)
    assert "in more than one part" in texts(report)


def test_absolute_paths(rated, make_table, tmp_path, make_music):
    root, rows = rated()
    other = tmp_path / "elsewhere"
    other.mkdir()
    for name in ("a.flac", "spare.flac"):
        soundfile.write(other / name, make_music(6, seed=len(name)), RATE)
    make_table(root / "labels.csv", [*rows, rows[0] | {"path": str(other / "a.flac")}])
    found = texts(examine([f"folder:{root}"], workers=1), "note")
    assert "1 audio file without a label: ../elsewhere/spare.flac" in found


def test_undecided_is_not_ok(tmp_path):
    from tests.corpora import miniatures

    root = miniatures.write("emomusic", tmp_path, songs=5)
    report = examine([f"emomusic:{root}"], listen=False)
    assert levels(report, "swap") == {"warning"}
    for name in ("valence", "arousal"):
        file = next(root.rglob(f"{name}_cont_average.csv"))
        head, *rows = file.read_text().splitlines()
        file.write_text("\n".join([head, *("9" + r for r in rows)]) + "\n")
    report = examine([f"emomusic:{root}"], listen=False)
    assert levels(report, "swap") == {"warning"}
    assert "0 songs with both kinds of labels do not decide" in texts(report, "warning")


def test_a_bad_value_over_time_is_a_finding(tmp_path):
    from tests.corpora import miniatures

    root = miniatures.write("emomusic", tmp_path, songs=12)
    file = next(root.rglob("valence_cont_average.csv"))
    head, first, *rows = file.read_text().splitlines()
    cells = first.split(",")
    file.write_text("\n".join([head, ",".join([cells[0], "7", *cells[2:]]), *rows]) + "\n")
    report = examine([f"emomusic:{root}"], listen=False)
    assert "labels over time cannot be used" in texts(report)
    assert report.tracks


def test_holm_keeps_sound_splits_quiet():
    """Of 200 sound splits into five parts, about one in a hundred may be called strange."""
    from pathlib import Path

    from sentio_tf.corpora.track import Track

    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        tracks = [Track(str(i), "c", Path("x"), str(i), *rng.uniform(-1, 1, 2)) for i in range(150)]
        parts = {t.key: (str(f),) for t, f in zip(tracks, rng.integers(5, size=150), strict=True)}
        report = doctor.findings.Report([], tracks)
        made = split.Split("kfold", parts, {t.key: t.group for t in tracks}, {})
        doctor.splits.check(report, "split", made, tracks)
        alarms += "distributed otherwise" in texts(report, "warning")
    assert alarms <= 8
