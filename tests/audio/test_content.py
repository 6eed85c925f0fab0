"""Files are known by their content, and read once by all processes that share notes."""

import os
import shutil
import subprocess
import sys

import pytest

from sentio_tf.audio import content


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """As a new process."""
    monkeypatch.setattr(content, "_known", {})
    monkeypatch.setattr(content, "_notes", None)
    monkeypatch.setattr(content, "_unwritten", [])
    monkeypatch.setattr(content, "SETTLED_NS", -(10**18))  # what was written just now counts as settled


@pytest.fixture
def notes(tmp_path):
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "music" / "sóng\t1.wav"
    path.parent.mkdir()
    path.write_bytes(b"abc")
    return path


def another_process(monkeypatch, notes):
    monkeypatch.setattr(content, "_known", {})
    monkeypatch.setattr(content, "_notes", None)
    content.remember(notes)


ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_it_is_the_hash_of_the_bytes(song):
    assert content.content_id(song) == ABC


def test_no_process_reads_twice(song, notes, monkeypatch):
    content.remember(notes)
    assert content.content_id(song) == ABC
    another_process(monkeypatch, notes)
    monkeypatch.setattr(content.hashlib, "sha256", lambda: pytest.fail("read again"))
    assert content.content_id(song) == ABC


@pytest.mark.parametrize("what", ["size", "time", "swapped"])
def test_a_changed_file_is_read_again(song, notes, monkeypatch, what):
    """Also one that keeps its size and time, as copied and moved files do."""
    os.utime(song, ns=(-(10**9), -(10**9)))  # before 1970
    content.remember(notes)
    content.content_id(song)
    if what == "swapped":
        other = song.with_name("2.wav")
        other.write_bytes(b"xyz")
        shutil.copystat(song, other)
        other.replace(song)
    else:
        song.write_bytes(b"abcd" if what == "size" else b"xyz")
    another_process(monkeypatch, notes)
    assert content.content_id(song) not in (ABC, "")


def test_a_file_that_was_just_written_is_not_noted(song, notes, monkeypatch):
    """Within one tick of a coarse clock it may change once more and look the same."""
    monkeypatch.setattr(content, "SETTLED_NS", 10**12)
    content.remember(notes)
    content.content_id(song)
    assert not list(notes.iterdir())


def test_notes_wait_for_their_folder(song, tmp_path):
    """A cache that is asked and never built, or one that was removed, gets no folder."""
    content.remember(tmp_path / "later")
    content.content_id(song)
    assert not (tmp_path / "later").exists()
    (tmp_path / "later").mkdir()
    content.remember(tmp_path / "later")
    assert ABC in (tmp_path / "later" / content.NAME).read_text()


def test_notes_that_do_not_read_or_cannot_be_written_cost_nothing(song, notes, monkeypatch):
    lines = ["", "x", ABC, f"{ABC}\t3", f"{ABC[:-1]}\t3\t1\t1\t{song}", f"{ABC}\tthree\t1\t1\t{song}"]
    (notes / content.NAME).write_bytes("\n".join(lines).encode() + b"\n\xff\n")
    content.remember(notes)
    assert content._known == {}
    assert content.content_id(song) == ABC
    another_process(monkeypatch, notes)
    assert list(content._known.values()) == [ABC]
    another_process(monkeypatch, song)  # a file where the folder should be
    assert content.content_id(song) == ABC
    (notes / content.NAME).unlink()
    (notes / content.NAME).mkdir()
    another_process(monkeypatch, notes)
    assert content.content_id(song) == ABC


def test_processes_note_side_by_side(tmp_path, notes):
    for i in range(20):
        (tmp_path / f"{i}.wav").write_bytes(bytes([i]))
    code = (
        "from pathlib import Path; from sentio_tf.audio import content\n"
        "content.SETTLED_NS = -10**18; content.remember(Path('notes'))\n"
        "for path in sorted(Path().glob('*.wav')): content.content_id(path)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    content.remember(notes)
    assert sorted(part[-1] for part in content._known) == sorted(str(p.resolve()) for p in tmp_path.glob("*.wav"))


def test_caches_take_turns_with_their_notes(song, tmp_path):
    from sentio_tf import pipeline

    for name in ("one", "other", "one"):
        (tmp_path / name).mkdir(exist_ok=True)
        pipeline.open_cache(pipeline.Spec(tmp_path / name))
    content.content_id(song)
    assert ABC in (tmp_path / "one" / content.NAME).read_text()
    assert not (tmp_path / "other" / content.NAME).exists()
