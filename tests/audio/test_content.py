"""Files are known by their content, and read once by all processes that share notes."""

import os
import subprocess
import sys

import pytest

from sentio_tf.audio import content


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """As a new process."""
    monkeypatch.setattr(content, "_known", {})
    monkeypatch.setattr(content, "_notes", None)


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "music" / "sóng\t1.wav"
    path.parent.mkdir()
    path.write_bytes(b"abc")
    os.utime(path, ns=(10**18, 10**18))
    return path


def another_process(monkeypatch, notes):
    monkeypatch.setattr(content, "_known", {})
    monkeypatch.setattr(content, "_notes", None)
    content.remember(notes)


ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_it_is_the_hash_of_the_bytes(song):
    assert content.content_id(song) == ABC


def test_no_process_reads_twice(song, tmp_path, monkeypatch):
    content.remember(tmp_path / "notes")
    assert content.content_id(song) == ABC
    another_process(monkeypatch, tmp_path / "notes")
    monkeypatch.setattr(content.hashlib, "sha256", lambda: pytest.fail("read again"))
    assert content.content_id(song) == ABC


@pytest.mark.parametrize("what", ["size", "time"])
def test_a_changed_file_is_read_again(song, tmp_path, monkeypatch, what):
    content.remember(tmp_path / "notes")
    content.content_id(song)
    song.write_bytes(b"abcd" if what == "size" else b"abd")
    if what == "size":
        os.utime(song, ns=(10**18, 10**18))
    another_process(monkeypatch, tmp_path / "notes")
    assert content.content_id(song) not in (ABC, "")


def test_a_file_that_was_just_written_is_not_noted(song, tmp_path):
    """Within one tick of a coarse clock it may change once more and look the same."""
    os.utime(song)
    content.remember(tmp_path / "notes")
    content.content_id(song)
    assert not (tmp_path / "notes").exists()


def test_notes_that_do_not_read_or_cannot_be_written_cost_nothing(song, tmp_path, monkeypatch):
    notes = tmp_path / "notes"
    notes.mkdir()
    lines = ["", "x", ABC, f"{ABC}\t3", f"{ABC[:-1]}\t3\t{10**18}\t{song}", f"{ABC}\tthree\t1\t{song}"]
    (notes / content.NAME).write_bytes("\n".join(lines).encode() + b"\n\xff\n")
    content.remember(notes)
    assert content._known == {}
    assert content.content_id(song) == ABC
    another_process(monkeypatch, notes)
    assert list(content._known.values()) == [ABC]
    another_process(monkeypatch, song)  # a file where the folder should be
    assert content.content_id(song) == ABC


def test_processes_note_side_by_side(tmp_path):
    for i in range(20):
        (tmp_path / f"{i}.wav").write_bytes(bytes([i]))
        os.utime(tmp_path / f"{i}.wav", ns=(10**18, 10**18))
    code = (
        "import sys; from pathlib import Path; from sentio_tf.audio import content\n"
        "content.remember(Path('notes'))\n"
        "for path in sorted(Path().glob('*.wav')): content.content_id(path)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    content.remember(tmp_path / "notes")
    assert len(content._known) == 20
    assert all(content._known[str(p.resolve()), 1, 10**18] for p in tmp_path.glob("*.wav"))


def test_the_cache_has_such_notes(song, tmp_path):
    from sentio_tf import pipeline

    pipeline.Cache(pipeline.Spec(tmp_path / "cache"))
    content.content_id(song)
    assert ABC in (tmp_path / "cache" / content.NAME).read_text()
