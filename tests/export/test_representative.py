"""Which songs calibrate and which compare: never the same artist, and unknown songs first."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sentio_tf.contract import SAMPLE_RATE, WINDOW_SAMPLES
from sentio_tf.corpora.track import Track
from sentio_tf.errors import AudioError, ModelError
from sentio_tf.export import representative
from sentio_tf.export.representative import Windows

SONGS = 24  # of each corpus, two of an artist
CONFIG = {"data": ["folder", "folder"]}


def track(name: str, *, corpus="a", group="g", path=Path("none.wav"), **options) -> Track:
    return Track(track_id=name, corpus=corpus, path=path, group=group, valence=0.1, arousal=0.1, **options)


def noise(path: Path, *, seconds=0.3, gain=0.1, seed=0) -> Path:
    count = int(seconds * SAMPLE_RATE)
    soundfile.write(path, gain * np.random.default_rng(seed).standard_normal(count), SAMPLE_RATE, subtype="FLOAT")
    return path


def table(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["key", "together", "fold", "corpus", "track_id"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def know(run: Path, *, unseen: dict[str, list[str]]) -> None:
    """What a run says that it was trained on: all songs of both corpora, but per fold the `unseen` keys."""
    keys = {f"folder-{c}/{i:02}.wav": f"artist{i // 2}" for c in ("one", "two") for i in range(SONGS)}
    rows = [
        {"fold": fold, "corpus": key.partition("/")[0], "track_id": key.partition("/")[2]}
        for fold, some in unseen.items()
        for key in some
    ]
    table(run / "trained.csv", [{"key": key, "together": f"{key[:10]}:{g}"} for key, g in keys.items()])
    table(run / "predictions.csv", rows)


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Two corpora of short files; `one` and `two`."""
    root = tmp_path_factory.mktemp("music")
    for name in ("one", "two"):
        (root / name).mkdir()
        lines = ["path,valence,arousal,artist"]
        for i in range(SONGS):
            noise(root / name / f"{i:02}.wav", seed=i)
            lines.append(f"{i:02}.wav,0.1,-0.1,{name} artist{i // 2}")
        (root / name / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def run(tmp_path):
    know(tmp_path, unseen={})
    return tmp_path


def draw(run, music, *, names=("one", "two"), **options):
    options = {"representative": 8, "comparison": 12, **options}
    return representative.draw(run, [f"folder:{music / n}" for n in names], CONFIG, root=run / "cache", **options)


def keys(windows: Windows) -> list[str]:
    return [t.key for t in windows.tracks]


HELD_BACK = [f"folder-one/{i:02}.wav" for i in (*range(4), 10, 11)]


@pytest.mark.parametrize("unseen", [[], HELD_BACK[:2], HELD_BACK])
@pytest.mark.parametrize(("count", "comparison"), [(2, 4), (8, 12), (48, 6), (48, 48), (64, 96)])
def test_no_artist_in_both(run, music, unseen, count, comparison):
    know(run, unseen={"final": unseen})
    calibrating, compared = draw(run, music, representative=count, comparison=comparison)
    assert not set(calibrating.groups) & set(compared.groups)
    assert len(set(calibrating.groups)) >= 2
    assert len(set(compared.groups)) >= 2
    assert len(calibrating.samples) <= count
    assert len(compared.samples) <= comparison
    assert not set(keys(calibrating)) & set(unseen)


def test_songs_that_the_model_does_not_know_come_first(run, music):
    know(run, unseen={"final": HELD_BACK, "0": ["folder-two/00.wav", "folder-two/01.wav"]})
    _, compared = draw(run, music)
    assert sorted(keys(compared)[: len(HELD_BACK)]) == sorted(HELD_BACK)
    assert len(compared.samples) == 12, "filled up with others"
    _, compared = draw(run, music, fold="0")
    assert sorted(keys(compared)[:2]) == ["folder-two/00.wav", "folder-two/01.wav"], "another model, other songs"


def test_an_artist_whose_songs_an_official_split_divides(run, music):
    """00 was learnt, 01 not: this artist may be compared on, and so must not calibrate."""
    odd = [f"folder-{c}/{i:02}.wav" for c in ("one", "two") for i in range(1, 9, 2)]
    know(run, unseen={"final": odd})
    for comparison in (4, 8, 40):
        calibrating, compared = draw(run, music, representative=48, comparison=comparison)
        assert not set(calibrating.groups) & set(compared.groups)
        assert set(keys(compared)[: len(odd)]) <= set(odd)
        assert len(calibrating.samples) >= 4


def test_the_comparison_does_not_depend_on_calibration(run, music):
    """So that `--quantize` of every kind is judged on the same songs."""
    for unseen in ([], HELD_BACK):
        know(run, unseen={"final": unseen})
        calibrating, compared = draw(run, music, calibrate=True)
        nothing, same = draw(run, music, calibrate=False)
        assert nothing == Windows()
        assert len(calibrating.samples) == 8
        assert keys(same) == keys(compared)
        np.testing.assert_array_equal(same.samples, compared.samples)


def test_both_corpora_calibrate(run, music):
    calibrating, _ = draw(run, music, representative=4)
    assert [t.corpus for t in calibrating.tracks] == ["folder-one", "folder-two"] * 2
    assert len(set(calibrating.groups)) == 4, "as many artists as can be"


def test_enough_songs_held_back_leave_all_others_to_calibrate(run, music):
    know(run, unseen={"final": HELD_BACK})
    calibrating, compared = draw(run, music, representative=64, comparison=6)
    assert len(calibrating.samples) == 2 * SONGS - 6
    assert sorted(keys(compared)) == sorted(HELD_BACK)


def test_without_calibration_all_may_be_compared(run, music):
    calibrating, compared = draw(run, music, representative=0, comparison=96)
    assert calibrating == Windows()
    assert len(compared.samples) == 2 * SONGS


def test_windows_are_those_of_the_predictor(run, music):
    calibrating, _ = draw(run, music)
    assert {w.shape for w in calibrating.samples} == {(WINDOW_SAMPLES,)}
    assert {w.dtype for w in calibrating.samples} == {np.dtype(np.float32)}


def test_other_corpora_than_the_runs(run, music):
    with pytest.raises(ModelError, match="expected the run's corpora folder, folder, received"):
        draw(run, music, names=("one",))
    with pytest.raises(ModelError, match="expected the run's corpora"):
        representative.draw(run, [f"folder:{music / 'one'}", f"deam:{music}"], CONFIG, root=run)


def test_corpora_of_the_same_name_with_other_songs(run, music):
    table(run / "trained.csv", [{"key": "folder-three/00.wav", "together": "x"}])
    with pytest.raises(ModelError, match=r"expected tracks of the run in .*, received none; give its own --data"):
        draw(run, music)


@pytest.mark.parametrize("name", ["trained.csv", "predictions.csv"])
def test_a_run_that_does_not_say_what_it_knows(run, name):
    content = (run / name).read_text()
    (run / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing; finish it"):
        representative.known_tracks(run)
    (run / name).write_text(content.replace("together", "other").replace("fold", "other") + "x,x,x,x,x\n")
    with pytest.raises(ModelError, match=r"the column '(together|fold)' is missing"):
        representative.known_tracks(run)


def test_spread_takes_corpora_in_turn_and_artists_before_their_second_song():
    tracks = [track(f"{i}", corpus=c, group=f"{c}{i // 3}") for c in ("a", "b") for i in range(9)]
    groups = {t.key: t.group for t in tracks}
    order = representative.spread(tracks, groups)
    assert sorted(t.key for t in order) == sorted(groups)
    assert [t.corpus for t in order] == ["a", "b"] * 9
    for start in (0, 6, 12):
        assert len({t.group for t in order[start : start + 6]}) == 6
    assert [t.key for t in order] != [t.key for t in sorted(order, key=lambda t: (t.track_id, t.corpus))], "random"
    assert order == representative.spread(tracks, groups), "but fixed"
    assert representative.spread([], {}) == []


def test_what_cannot_be_heard_is_counted(tmp_path):
    files = {"good": noise(tmp_path / "good.wav"), "still": noise(tmp_path / "still.wav", gain=0)}
    for name in ("text", "gone"):
        files[name] = tmp_path / f"{name}.wav"
    files["text"].write_text("no sound")
    tracks = [track(name, path=path) for name, path in files.items()]
    found = representative.heard(tracks, {t.key: f"of {t.track_id}" for t in tracks})
    assert [t.track_id for t in found.tracks] == ["good"]
    assert found.groups == ["of good"]
    assert len(found.samples) == 1
    assert (found.silent, found.unreadable) == (1, 2)


def test_first_window_keeps_to_the_labelled_part(tmp_path):
    ramp = np.linspace(0.1, 0.9, 3 * SAMPLE_RATE, dtype=np.float32)
    soundfile.write(tmp_path / "ramp.wav", ramp, SAMPLE_RATE, subtype="FLOAT")
    part = track("x", path=tmp_path / "ramp.wav", start_s=1.0, duration_s=0.5)
    window = representative.first_window(part)
    expected = ramp[SAMPLE_RATE : SAMPLE_RATE + SAMPLE_RATE // 2]
    np.testing.assert_allclose(window, np.resize(expected, WINDOW_SAMPLES), atol=1e-6)
    with pytest.raises(AudioError):
        representative.first_window(track("y", path=tmp_path / "none.wav"))


@pytest.mark.parametrize(("db", "silent"), [(-69, False), (-71, True)])
def test_silence_is_what_lies_below_its_level(db, silent):
    wave = np.sin(np.arange(22_050) / 3) * np.sqrt(2) * 10 ** (db / 20)
    assert representative.is_silent(wave.astype(np.float32)) == silent


def drawn(count: int, *, artists=None, corpora=("a", "b"), **counts) -> Windows:
    tracks = [track(f"{i}", corpus=corpora[i % len(corpora)]) for i in range(count)]
    groups = [f"artist{i % (artists or count)}" for i in range(count)]
    return Windows(tracks, groups, [np.ones(4, np.float32)] * count, **counts)


def check(windows: Windows, corpora=("a", "b")) -> list[str]:
    said: list[str] = []
    representative.check_representative(windows, corpora, report=said.append)
    return said


@pytest.mark.parametrize(
    ("windows", "words"),
    [
        (Windows(silent=3), r"received 3 windows of silence \(below -70 dBFS\); give music"),
        (Windows(unreadable=5), r"received no song that can be read \(5 cannot\)"),
        (Windows(), r"received no song that can be read"),
        (drawn(1), r"2 songs or artists or more, received one \(artist0\)"),
        (drawn(20, artists=1), r"received one \(artist0\)"),
    ],
)
def test_songs_that_say_nothing_are_refused(windows, words):
    with pytest.raises(ModelError, match=words):
        check(windows)


def test_songs_that_say_little_are_warned_of():
    assert check(drawn(representative.FEW)) == []
    (few,) = check(drawn(representative.FEW - 1))
    assert "only 15 representative songs, better 16" in few
    assert check(drawn(16, silent=2)) == ["int8: 2 silent representative windows are left out"]
    assert check(drawn(16, unreadable=1)) == ["int8: 1 representative songs cannot be read and are left out"]
    (one,) = check(drawn(16, corpora=("b",)))
    assert "come from one of 2 corpora, b" in one
    assert check(drawn(16, corpora=("b",)), ["b"]) == []
