"""Unpacking what honest makers pack, and refusing what they do not."""

import errno
import io
import os
import random
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf.corpora import archive as module
from sentio_tf.corpora.archive import STORE, amount, is_archive, unpack
from sentio_tf.errors import DataError

BODY = random.Random(0).randbytes(300_000)
TREE = {"a.txt": b"a", "b/c.bin": BODY, "b/empty": b""}


def zipped(files: dict) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(*members, form: str = "") -> bytes:
    """Members are (name or TarInfo, content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{form}") as archive:
        for info, content in members:
            if isinstance(info, str):
                info = tarfile.TarInfo(info)
            if content is not None:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content or b""))
    return buffer.getvalue()


def special(name: str, kind: bytes, link: str = "") -> tuple[tarfile.TarInfo, None]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, None


def zip_with(name: str, content: bytes, mode: int) -> bytes:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return zipped({"fine": b"1", info: content})


def unpacked(root: Path, body: bytes, progress=lambda *step: None) -> list[str]:
    """Unpack an archive of these bytes into `root`, as the fetcher does."""
    (root / STORE).mkdir(parents=True, exist_ok=True)
    (root / STORE / "t").write_bytes(body)
    return unpack(root / STORE / "t", root / STORE / "t.unpack", root, progress=progress)


def refuses(root: Path, body: bytes, match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        unpacked(root, body)
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value)  # says what to do
    assert {p.name for p in (root / STORE).iterdir()} == {"t"}


def laid(root: Path) -> dict[str, bytes]:
    """Every file below root that is not on its way."""
    inside = (p for p in root.rglob("*") if p.is_file() and STORE not in p.relative_to(root).parts)
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in inside}


@pytest.mark.parametrize("form", ["zip", "", "gz", "bz2", "xz"])
def test_kinds(tmp_path, form):
    steps = []
    body = zipped(TREE) if form == "zip" else tarred(*TREE.items(), form=form)
    names = unpacked(tmp_path, body, progress=lambda *step: steps.append(step))
    assert names == sorted(TREE)
    assert laid(tmp_path) == TREE
    assert steps[-1] == ("unpack", len(BODY) + 1, len(BODY) + 1)
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)
    assert {p.name for p in (tmp_path / STORE).iterdir()} == {"t"}


def test_which_names_are_archives():
    assert all(map(is_archive, ("a.zip", "A.ZIP", "a.tar.gz", "a.b.tgz", "a.tar", "a.tar.bz2", "a.txz")))
    assert not any(map(is_archive, ("a.xlsx", "a.csv", "a.gz", "zip", "a.zip.csv")))


@pytest.mark.parametrize(("size", "words"), [(0, "0 B"), (999, "999 B"), (1343_203_527, "1.3 GB"), (344_760, "345 kB")])
def test_amounts(size, words):
    assert amount(size) == words


# -- what no honest maker packs


@pytest.mark.parametrize(
    "slip",
    ["../evil", "a/../../evil", "/evil", "//evil", "..\\evil", "C:\\evil", ".Downloads/evil", "./.downloads/evil"],
)
@pytest.mark.parametrize("form", ["zip", "tar"])
def test_a_path_out_of_the_folder(tmp_path, slip, form):
    files = {"fine": b"1", slip: b"2"}
    body = zipped(files) if form == "zip" else tarred(*files.items())
    refuses(tmp_path / "in" / "root", body, "a path out of its folder.*; nothing was unpacked; ")
    assert not laid(tmp_path / "in" / "root")
    assert not list(tmp_path.rglob("*evil*"))
    assert not Path("/evil").exists()


@pytest.mark.parametrize(
    "members",
    [
        [special("link", tarfile.SYMTYPE, "../.."), ("link/evil", b"2")],
        [special("link", tarfile.SYMTYPE, "fine")],
        [special("link", tarfile.LNKTYPE, "/etc/passwd")],
        [special("pipe", tarfile.FIFOTYPE)],
        [special("device", tarfile.CHRTYPE)],
        [special("disk", tarfile.BLKTYPE)],
    ],
)
def test_links_and_devices_of_a_tar(tmp_path, members):
    refuses(tmp_path / "root", tarred(("fine", b"1"), *members), "a link or a device.*; nothing was unpacked; ")
    assert not laid(tmp_path / "root")
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_of_a_zip(tmp_path, kind):
    refuses(tmp_path, zip_with("odd", b"fine", kind | 0o777), "odd: a link or a device")
    assert not laid(tmp_path)


def test_rights_are_not_taken_over(tmp_path):
    unpacked(tmp_path, zip_with("suid", b"1", stat.S_IFREG | 0o4777))
    assert not (tmp_path / "suid").stat().st_mode & 0o7111


def test_a_name_cannot_steer_the_terminal(tmp_path):
    refuses(tmp_path, zipped({"../\x1b[2J": b""}), r"\\x1b")


# -- what is damaged


def flipped(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :]


def encrypted(body: bytes) -> bytes:
    changed = bytearray(body)
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        changed[changed.index(signature) + offset] |= 1
    return bytes(changed)


DAMAGED = {
    "no zip": b"PK no zip",
    "empty": b"",
    "no archive": b"x" * 2000,
    "zip cut": zipped(TREE)[:-30],
    "zip flipped": flipped(zipped(TREE), 100_000),
    "zip encrypted": encrypted(zipped({"a": b"content"})),
    "tar cut": tarred(*TREE.items())[:100_000],
    # The second header: tarfile alone would take it for the end.
    "tar header": flipped(tarred(("a", b"1"), ("b", b"2")), 1024),
    "gz cut": tarred(*TREE.items(), form="gz")[:-100],
    # The checksum at the very end, behind everything tarfile reads.
    "gz checksum": tarred(*TREE.items(), form="gz")[:-8] + b"12345678",
    "bz2 flipped": flipped(tarred(*TREE.items(), form="bz2"), 5000),
    "xz flipped": flipped(tarred(*TREE.items(), form="xz"), 5000),
    "a file that is a folder": tarred(("a", b"1"), ("a/b", b"2")),
    "a folder that is a file": tarred(("a/b", b"1"), ("a", b"2")),
    "a name too long": tarred(("a", b"1"), ("b" * 300, b"2")),
}


@pytest.mark.parametrize("body", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_archive(tmp_path, body):
    refuses(tmp_path, body, "expected a sound archive .*remove it and run this again")
    assert not laid(tmp_path)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(["zip", "", "gz", "bz2", "xz"]), st.data())
def test_no_damage_gives_more_than_a_line(form, data):
    tree = {"a.txt": b"abc" * 50, "b/c.bin": bytes(range(256))}
    body = bytearray(zipped(tree) if form == "zip" else tarred(*tree.items(), form=form))
    for at in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
        body[at] = data.draw(st.integers(0, 255))
    del body[data.draw(st.integers(1, len(body))) :]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "deep" / "root"
        try:
            unpacked(root, bytes(body))
        except DataError:
            assert not laid(root)
        assert [p.name for p in Path(folder).iterdir()] == ["deep"]
        assert [p.name for p in root.parent.iterdir()] == ["root"]
        assert not (root / STORE / "t.unpack").exists()


# -- what is there already


def test_a_file_of_other_content_is_not_overwritten(tmp_path):
    (tmp_path / "b.txt").write_bytes(b"mine")
    (tmp_path / "c.txt").write_bytes(b"c")
    body = zipped({"a.txt": b"a", "b.txt": b"b", "c.txt": b"c"})
    refuses(tmp_path, body, r"b\.txt: expected no such file .*\(1 such files\); nothing was overwritten; move what")
    assert laid(tmp_path) == {"b.txt": b"mine", "c.txt": b"c"}
    (tmp_path / "b.txt").rename(tmp_path / "mine.txt")
    unpacked(tmp_path, body)
    assert laid(tmp_path) == {"a.txt": b"a", "b.txt": b"b", "c.txt": b"c", "mine.txt": b"mine"}


def test_a_folder_in_the_place_of_a_file_is_not_overwritten(tmp_path):
    (tmp_path / "a.txt").mkdir()
    refuses(tmp_path, zipped({"a.txt": b"a"}), r"a\.txt: expected no such file")


def test_what_a_killed_run_left_is_replaced(tmp_path):
    (tmp_path / STORE / "t.unpack").mkdir(parents=True)
    (tmp_path / STORE / "t.unpack" / "half.bin").write_bytes(b"hal")
    (tmp_path / "a.txt").write_bytes(b"a")  # moved before the kill
    unpacked(tmp_path, zipped(TREE))
    assert laid(tmp_path) == TREE


def test_a_name_twice_is_the_last(tmp_path):
    assert unpacked(tmp_path, tarred(("a", b"old"), ("./a", b"new"))) == ["a"]
    assert laid(tmp_path) == {"a": b"new"}


# -- disk


@pytest.mark.parametrize("body", [zipped({"a": bytes(10**6)}), tarred(("a", bytes(10**6)), form="gz")])
def test_too_little_disk_is_known_before(tmp_path, monkeypatch, body):
    usage = module.shutil.disk_usage("/")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=500_000))
    refuses(tmp_path, body, "expected 1.0 MB of free disk to unpack t, received 500 kB")
    assert not laid(tmp_path)


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path):
    """It is the caller's to say: what failed is the disk, not the archive."""

    def full(step, done, total):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        unpacked(tmp_path, zipped(TREE), progress=full)
    assert not laid(tmp_path)
    assert not (tmp_path / STORE / "t.unpack").exists()
