"""Extraction of many files: order, failures, processes, and a cache that survives what disks do."""

import importlib.util
import multiprocessing
import os
import shutil
import sqlite3

import numpy as np
import pytest
import soundfile

from sentio_tf.audio import decode
from sentio_tf.errors import DataError, SentioError
from sentio_tf.features import Item, analyse, extract, store, table
from sentio_tf.features import extract as extract_function

module = importlib.import_module("sentio_tf.features.extract")
RATE = 22_050


@pytest.fixture
def songs(tmp_path, make_music):
    folder = tmp_path / "songs"
    folder.mkdir()
    for i in range(3):
        soundfile.write(folder / f"{i}.wav", make_music(1.5, seed=i), RATE)
    return [folder / f"{i}.wav" for i in range(3)]


@pytest.fixture
def counted(monkeypatch):
    """Paths of what was computed in this process."""
    seen = []
    compute_item = module.compute_item

    def count(item, set):
        seen.append(item.path)
        return compute_item(item, set)

    monkeypatch.setattr(module, "compute_item", count)
    return seen


def get(paths, folder=None, set="recipe", **options):
    return extract([Item(p) for p in paths], set, cache=folder, workers=1, **options)


def test_rows_are_those_of_the_files(songs):
    names, matrix, failed = get(songs, set="extended")
    assert names == table.columns("extended")
    assert matrix.dtype == np.float32
    assert not failed
    for row, song in zip(matrix, songs, strict=True):
        np.testing.assert_array_equal(row, analyse.vector(decode.load(song), "extended"))


def test_parts_of_files_and_doubled_items(songs, counted, tmp_path):
    part = Item(songs[0], start_s=0.5, duration_s=0.75)
    _, matrix, failed = extract([part, Item(songs[0]), part], cache=tmp_path, workers=1)
    assert not failed
    assert len(counted) == 2
    np.testing.assert_array_equal(matrix[0], matrix[2])
    expected = analyse.vector(decode.load(songs[0], offset_s=0.5, duration_s=0.75))
    np.testing.assert_array_equal(matrix[0], expected)


def test_nothing_to_do():
    names, matrix, failed = extract([])
    assert (len(names), matrix.shape, failed) == (164, (0, 164), {})


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_file_loses_only_itself(songs, tmp_path, workers):
    bad = tmp_path / "text.mp3"
    bad.write_text("no music\n" * 50)
    paths = [songs[0], bad, songs[1], tmp_path / "none.wav", songs[2]]
    steps = []
    _, matrix, failed = extract(
        [Item(p) for p in paths], workers=workers, cache=tmp_path, progress=lambda *step: steps.append(step)
    )
    assert list(failed) == [1, 3]
    assert "no decoder recognises" in failed[1]
    assert "no such file" in failed[3]
    assert np.isnan(matrix[[1, 3]]).all()
    np.testing.assert_allclose(matrix[[0, 2, 4]], get(songs)[1], rtol=1e-4, atol=1e-3)
    assert sorted(steps)[-1] == (5, 5)


def test_a_strange_error_loses_only_its_file(songs, monkeypatch):
    def fail(item, set):
        raise RuntimeError("what?")

    monkeypatch.setattr(module, "compute_item", fail)
    _, matrix, failed = get(songs[:1])
    assert failed == {0: f"{songs[0]}: RuntimeError: what?"}
    assert np.isnan(matrix).all()


def test_the_second_time_nothing_is_computed(songs, counted, tmp_path):
    _, first, _ = get(songs, tmp_path)
    assert counted == songs
    _, second, _ = get(songs[::-1], tmp_path)
    assert counted == songs
    np.testing.assert_array_equal(first, second[::-1])


def test_what_makes_an_entry_another(songs, counted, tmp_path, monkeypatch):
    song = songs[:1]
    get(song, tmp_path)
    os.utime(song[0], ns=(1, 1))  # is no other song
    get(song, tmp_path)
    get(song, tmp_path, "extended")
    monkeypatch.setattr(table, "VERSION", 99)
    get(song, tmp_path)
    shutil.copy(songs[1], song[0])
    os.utime(song[0], ns=(1, 1))
    soundfile.write(song[0], np.zeros(99), RATE)
    get(song, tmp_path)
    assert len(counted) == 4
    get(song, tmp_path)
    assert len(counted) == 4


def test_an_interrupted_run_continues(songs, counted, tmp_path):
    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(songs, tmp_path, progress=stop)
    get(songs, tmp_path)
    assert counted == songs, "two were kept, the third is computed now"


@pytest.mark.parametrize("damage", ["another file", "cut", "zeros inside"])
def test_a_damaged_file_is_replaced_and_said_so(songs, counted, tmp_path, damage):
    _, expected, _ = get(songs, tmp_path)
    file = tmp_path / "features.sqlite"
    data = bytearray(file.read_bytes())
    if damage == "another file":
        data = bytearray(b"no database at all\n" * 1000)
    elif damage == "cut":
        data = data[: len(data) // 2]
    else:
        data[4096:] = bytes(len(data) - 4096)
    file.write_bytes(data)
    said = []
    _, matrix, failed = get(songs, tmp_path, report=said.append)
    assert not failed
    np.testing.assert_array_equal(matrix, expected)
    assert len(said) == 1
    assert "damaged" in said[0]
    assert "computed again" in said[0]
    get(songs, tmp_path, report=said.append)
    assert len(said) == 1
    assert len(counted) == 6


@pytest.mark.parametrize("vector", [b"", b"\0" * 656, b"\0" * 12, None])
def test_a_damaged_entry_is_computed_again(songs, counted, tmp_path, vector):
    _, expected, _ = get(songs, tmp_path)
    with sqlite3.connect(tmp_path / "features.sqlite") as file:
        file.execute("UPDATE vectors SET vector = ? WHERE rowid = 1", (vector,))
    file.close()
    said = []
    _, matrix, _ = get(songs, tmp_path, report=said.append)
    np.testing.assert_array_equal(matrix, expected)
    assert said == ["features.sqlite: 1 damaged entries; their vectors are computed again"]
    assert len(counted) == 4


def test_a_full_disk_is_one_line_and_what_is_there_stays(songs, counted, tmp_path, monkeypatch):
    get(songs[:1], tmp_path)
    connect = store._connect

    def small(path):
        connection = connect(path)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(store, "_connect", small)
    many = [Item(songs[1], duration_s=0.1 + i / 1000) for i in range(30)]
    with pytest.raises(DataError, match=r"cannot be used \(database or disk is full\); free space"):
        extract(many, cache=tmp_path, workers=1)
    monkeypatch.setattr(store, "_connect", connect)
    before = len(counted)
    get(songs[:1], tmp_path)
    assert len(counted) == before


def test_a_folder_that_cannot_be_written(songs, tmp_path, counted):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file.features.sqlite: the cache cannot be used .*another --cache"):
        get(songs, tmp_path / "file")
    (tmp_path / "features.sqlite").mkdir()
    with pytest.raises(DataError, match=r"the cache cannot be used \(unable to open"):
        get(songs, tmp_path)
    assert not counted, "said before any work"


def test_a_database_that_cannot_be_written_is_said_before_any_work(songs, tmp_path, counted, monkeypatch):
    get(songs[:1], tmp_path)
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda path, **options: connect(f"file:{path}?mode=ro", uri=True, **options)
    )
    with pytest.raises(DataError, match=r"readonly"):
        get(songs, tmp_path)
    assert len(counted) == 1


def _run(folder, songs, start):
    start.wait()
    for i in range(6):
        _, matrix, failed = get(songs, folder, "recipe" if i % 2 else "extended")
        assert not failed
        assert np.isfinite(matrix).all()


def test_several_processes_share_a_cache(songs, tmp_path):
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    runs = [context.Process(target=_run, args=(tmp_path / "cache", songs, start)) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert [run.exitcode for run in runs] == [0, 0, 0]
    with sqlite3.connect(tmp_path / "cache" / "features.sqlite") as file:
        assert file.execute("SELECT count(*) FROM vectors").fetchone() == (6,)
    file.close()


def _die(item, set):
    os._exit(9)


def test_a_killed_worker_is_one_line(songs, monkeypatch):
    monkeypatch.setattr(module, "_guarded", _die)
    with pytest.raises(DataError, match=r"a worker was killed: out of memory, .*run again to continue"):
        extract([Item(p) for p in songs], workers=2)


def test_without_scipy_the_install_line(songs, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "scipy" else find(name))
    with pytest.raises(SentioError, match=r"features need scipy; install it with: pip install 'sentio-tf\[train\]'"):
        get(songs)


def test_wrong_arguments(songs):
    with pytest.raises(ValueError, match=r"Received: 'some'"):
        get(songs, set="some")
    with pytest.raises(ValueError, match=r"one worker or more. Received: 0"):
        extract_function([], workers=0)
