"""Fetching from a real server on this machine that drops, changes, refuses and lies."""

import errno
import hashlib
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf.corpora import CORPORA
from sentio_tf.corpora import fetch as module
from sentio_tf.corpora.fetch import Retry, fetch, name_of
from sentio_tf.corpora.track import Corpus, Download
from sentio_tf.errors import DataError

from .test_archive import BODY, STORE, laid, tarred, zipped

QUICK = Retry(attempts=3, pause_s=0.001, timeout_s=5)


@dataclass
class Page:
    """What the server answers under one path, and how it misbehaves."""

    body: bytes = BODY
    etag: str = '"v1"'
    modified: str = ""
    ranges: bool = True
    respects_if_range: bool = True
    length: bool = True
    chunked: bool = False
    kind: str = "application/octet-stream"
    cuts: list = field(default_factory=list)  # bytes after which the next answers end; None: whole
    cut_always: int | None = None
    reset: bool = False  # a cut is a reset, not an orderly end
    statuses: list = field(default_factory=list)  # of the next answers
    status: int = 200
    headers: dict = field(default_factory=dict)
    content_range: str = ""
    before: object = None  # called with the handler before it answers


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        page = self.server.pages.get(self.path, Page(status=404))
        entry = {"path": self.path, "range": self.headers.get("Range"), "if_range": self.headers.get("If-Range")}
        entry |= {"agent": self.headers.get("User-Agent"), "status": 0, "sent": 0}
        self.server.log.append(entry)
        self.close_connection = True
        if page.before:
            page.before(self)
        start, stop = 0, len(page.body)
        headers = {"Content-Type": page.kind, "ETag": page.etag, "Last-Modified": page.modified, **page.headers}
        status = page.statuses.pop(0) if page.statuses else page.status
        version = (None, page.etag or None, page.modified or None)
        current = not page.respects_if_range or entry["if_range"] in version
        if status == 200 and entry["range"] and page.ranges and current:
            start = int(entry["range"].removeprefix("bytes=").removesuffix("-"))
            status = 206 if start < stop else 416
            headers["Content-Range"] = page.content_range or f"bytes {start}-{stop - 1}/{len(page.body)}"
        entry["status"] = status
        if status == 416:
            headers["Content-Range"] = f"bytes */{len(page.body)}"
        if status in (200, 206):
            self.send(page, entry, start, stop, headers)
        else:
            self.plain(status, headers)

    def send(self, page, entry, start, stop, headers):
        if page.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif page.length:
            headers["Content-Length"] = str(stop - start)
        self.plain(entry["status"], headers, length=None)
        cut = page.cuts.pop(0) if page.cuts else page.cut_always
        whole = cut is None or start + cut >= stop
        stop = stop if whole else start + cut
        entry["sent"] = stop - start
        for at in range(start, stop, 4096):
            block = page.body[at : min(at + 4096, stop)]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block) if page.chunked else block)
        if page.chunked and whole:
            self.wfile.write(b"0\r\n\r\n")
        if page.reset and not whole:
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def plain(self, status, headers, length="0"):
        self.send_response(status)
        for name, value in {"Content-Length": length, "Connection": "close", **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()


class Site(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Page] = {}
        self.log: list[dict] = []

    def handle_error(self, request, client_address):
        pass  # a client that has gone is part of the tests

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def add(self, name: str, body: bytes = BODY, **how) -> Page:
        page = self.pages["/" + name] = Page(body, **how)
        return page

    @property
    def sent(self) -> int:
        return sum(entry["sent"] for entry in self.log)


@pytest.fixture(scope="module")
def server():
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        site.shutdown()
        thread.join()


@pytest.fixture
def site(server):
    server.pages.clear()
    server.log.clear()
    return server


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def sha(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


def corpus(*downloads: Download) -> Corpus:
    return Corpus(
        "mini", "Somebody 2020", "CC BY 4.0", "the page of its authors", "", lambda root: [], (), *[None] * 2, downloads
    )


def get(root: Path, *downloads: Download, retry: Retry = QUICK, **more) -> list[str]:
    said: list[str] = []
    fetch(corpus(*downloads), root, report=said.append, retry=retry, **more)
    return said


def fails(root: Path, *downloads: Download, match: str = ".", retry: Retry = QUICK, **more) -> str:
    with pytest.raises(DataError, match=match) as caught:
        get(root, *downloads, retry=retry, **more)
    text = str(caught.value)
    assert "\n" not in text
    assert ";" in text  # says what to do
    return text


def store(root: Path) -> set[str]:
    return {p.name for p in (root / STORE).iterdir()}


DONE = {"manifest.json", "lock"}


# -- the whole way


def test_files_and_archives_land_where_they_belong(site, tmp_path):
    archive = zipped({"audio/1.mp3": b"one", "audio/2.mp3": b"two", "labels.csv": b"a,b\n"})
    table = zipped({"sheet.xml": b"a zip file that is no archive"})
    site.add("songs.zip", archive)
    site.add("more.tgz", tarred(("3.mp3", b"three"), form="gz"))
    site.add("labels.xlsx?download=1", table)
    steps = []
    said = get(
        tmp_path,
        Download(site.url("songs.zip"), sha(archive), len(archive), "data"),
        Download(site.url("more.tgz"), folder="data/audio"),
        Download(site.url("labels.xlsx?download=1")),
        progress=lambda *step: steps.append(step),
    )
    assert laid(tmp_path) == {
        "data/audio/1.mp3": b"one",
        "data/audio/2.mp3": b"two",
        "data/audio/3.mp3": b"three",
        "data/labels.csv": b"a,b\n",
        "labels.xlsx": table,
    }
    assert store(tmp_path) == DONE
    assert {step for step, _, _ in steps} == {"fetch", "check", "unpack"}
    assert all(0 < done <= total for _, done, total in steps)
    assert ("fetch", len(archive), len(archive)) in steps
    assert ("unpack", 10, 10) in steps
    assert all("\n" not in line for line in said)
    assert site.log[0]["agent"].startswith("sentio-tf/")


def test_terms_and_sizes_are_said_before_anything_is_transferred(site, tmp_path):
    site.add("a.bin")
    before = []
    fetch(
        corpus(Download(site.url("a.bin"), size=len(BODY))),
        tmp_path,
        report=lambda line: before.append(line) if not site.log else None,
    )
    assert before[:2] == ["mini: Somebody 2020", "licence: CC BY 4.0"]
    assert before[2].startswith("a.bin: 300 kB")


def test_a_second_fetch_transfers_nothing(site, tmp_path):
    site.add("a.zip", zipped({"a.txt": b"a"}))
    site.add("b.bin")
    files = (Download(site.url("a.zip")), Download(site.url("b.bin"), sha(BODY)))
    get(tmp_path, *files)
    (tmp_path / "a.txt").write_bytes(b"corrected by its user")
    site.log.clear()
    said = get(tmp_path, *files)
    assert not site.log
    assert {"a.zip: already here", "b.bin: already here"} <= set(said)
    assert (tmp_path / "a.txt").read_bytes() == b"corrected by its user"


def test_what_has_gone_is_fetched_again(site, tmp_path):
    site.add("a.zip", zipped({"a.txt": b"a", "b.txt": b"b"}))
    get(tmp_path, Download(site.url("a.zip")))
    (tmp_path / "b.txt").unlink()
    said = get(tmp_path, Download(site.url("a.zip")))
    assert "a.zip: 1 of its 2 files are gone; getting it again" in said
    assert laid(tmp_path) == {"a.txt": b"a", "b.txt": b"b"}


def test_another_checksum_published_fetches_anew(site, tmp_path):
    old, new = zipped({"old.txt": b"1"}), zipped({"new.txt": b"2"})
    site.add("a.zip", old)
    get(tmp_path, Download(site.url("a.zip"), sha(old)))
    site.add("a.zip", new)
    get(tmp_path, Download(site.url("a.zip"), sha(new)))
    assert set(laid(tmp_path)) == {"old.txt", "new.txt"}


def test_another_folder_fetches_anew(site, tmp_path):
    site.add("a.bin")
    get(tmp_path, Download(site.url("a.bin")))
    get(tmp_path, Download(site.url("a.bin"), folder="new"))
    assert laid(tmp_path) == {"a.bin": BODY, "new/a.bin": BODY}


def test_no_public_files(tmp_path):
    assert "the page of its authors" in fails(tmp_path / "new", match="mini: expected a corpus with public files")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://zenodo.org/records/1/files/EMOPIA_1.0.zip?download=1", "EMOPIA_1.0.zip"),
        ("https://example.org/a%20b.zip", "a b.zip"),
        ("https://osf.io/download/abc12#ratings.csv", "ratings.csv"),
    ],
)
def test_names(url, name):
    assert name_of(Download(url)) == name


@pytest.mark.parametrize("source", CORPORA.values(), ids=CORPORA)
def test_the_downloads_of_every_corpus_are_sound(source):
    """Checked here once, so that the fetcher may rely on it."""
    names = [name_of(download).lower() for download in source.downloads]
    assert len(set(names)) == len(names)
    for download, name in zip(source.downloads, names, strict=True):
        assert download.url.startswith(("https://", "http://"))
        assert re.fullmatch(r"\w[\w. -]*\.\w+", name)
        assert name != "manifest.json"
        assert not name.endswith((".part", ".json", ".unpack", ".new"))
        assert re.fullmatch(r"(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})?", download.checksum.lower())
        assert download.size >= 0
        folder = Path(download.folder)
        assert not folder.is_absolute()
        assert not {"..", STORE} & set(folder.parts)


# -- interrupted transfers


@pytest.mark.parametrize("reset", [False, True], ids=["ends", "resets"])
def test_a_dropped_connection_is_continued(site, tmp_path, reset):
    site.add("a.bin", cuts=[100_000], reset=reset)
    said = get(tmp_path, Download(site.url("a.bin"), sha(BODY)))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert any("trying again" in line for line in said)
    first, second = site.log
    assert first["range"] is None
    if not reset:  # a reset may discard what had arrived
        assert (second["range"], second["if_range"]) == ("bytes=100000-", '"v1"')
        assert site.sent == len(BODY)


def test_a_connection_that_always_drops_fails_and_continues_next_time(site, tmp_path):
    page = site.add("a.bin", cut_always=50_000)
    fails(tmp_path, Download(site.url("a.bin")), match="received 150000 of 300000 bytes; run this again to continue")
    assert len(site.log) == 3
    assert (tmp_path / STORE / "a.bin.part").read_bytes() == BODY[:150_000]
    page.cut_always = None
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert site.log[-1]["range"] == "bytes=150000-"
    assert site.sent == len(BODY)
    assert store(tmp_path) == DONE


@pytest.mark.parametrize(
    "how", [{"ranges": False}, {"etag": ""}, {"etag": 'W/"v1"'}], ids=["no ranges", "no version", "weak"]
)
def test_what_cannot_be_continued_starts_over(site, tmp_path, how):
    site.add("a.bin", cuts=[100_000], **how)
    said = get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert [e["status"] for e in site.log] == [200, 200]
    assert any("starting over" in line for line in said)


def test_a_date_is_a_version_too(site, tmp_path):
    when = "Wed, 01 Jan 2020 00:00:00 GMT"
    site.add("a.bin", cuts=[100_000], etag='W/"v1"', modified=when)
    get(tmp_path, Download(site.url("a.bin")))
    assert site.log[1]["if_range"] == when
    assert site.sent == len(BODY)


@pytest.mark.parametrize("respects", [True, False], ids=["heeds If-Range", "ignores it"])
def test_a_file_that_changed_in_between(site, tmp_path, respects):
    site.add("a.bin", cut_always=50_000)
    fails(tmp_path, Download(site.url("a.bin")))
    site.add("a.bin", BODY[::-1], etag='"v2"', respects_if_range=respects)
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY[::-1]}


def test_a_file_that_shrank(site, tmp_path):
    site.add("a.bin", cut_always=50_000)
    fails(tmp_path, Download(site.url("a.bin")))
    site.log.clear()
    site.add("a.bin", BODY[:1000], respects_if_range=False)
    get(tmp_path, Download(site.url("a.bin")))
    assert [e["status"] for e in site.log] == [416, 200]
    assert laid(tmp_path) == {"a.bin": BODY[:1000]}


@pytest.mark.parametrize("wrong", ["bytes 0-299999/300000", "bytes 100000-299999/300001", "none", "bytes */9"])
def test_a_wrong_content_range(site, tmp_path, wrong):
    site.add("a.bin", cuts=[100_000], content_range=wrong)
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert [e["status"] for e in site.log] == [200, 206, 200]


def cut_part(site, root: Path) -> None:
    """Leave a part of `a.bin` behind, and the server sound."""
    site.add("a.bin", cut_always=50_000)
    fails(root, Download(site.url("a.bin")))
    site.add("a.bin")
    site.log.clear()


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_text("{"), lambda p: p.write_text("[]")])
def test_a_part_of_unknown_origin_is_not_continued(site, tmp_path, damage):
    cut_part(site, tmp_path)
    damage(tmp_path / STORE / "a.bin.part.json")
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert site.log[0]["range"] is None


def test_a_part_of_another_url_is_not_continued(site, tmp_path):
    cut_part(site, tmp_path)
    site.add("new/a.bin", BODY[::-1])
    get(tmp_path, Download(site.url("new/a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY[::-1]}
    assert site.log[0]["range"] is None


@pytest.mark.parametrize("how", [{"chunked": True}, {"length": False}], ids=["chunked", "closed"])
@pytest.mark.parametrize("size", [0, 1000])
def test_without_a_length(site, tmp_path, how, size):
    site.add("a.bin", **how)
    steps = []
    get(tmp_path, Download(site.url("a.bin"), sha(BODY), size), progress=lambda *step: steps.append(step))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert all(0 < done <= total for _, done, total in steps)
    assert {step for step, _, _ in steps} == ({"fetch", "check"} if size else {"check"})


@pytest.mark.parametrize("how", [{"chunked": True}, {"length": False}], ids=["chunked", "closed"])
def test_an_early_end_without_a_length(site, tmp_path, how):
    """Chunks tell their end; otherwise the published size does."""
    site.add("a.bin", cuts=[100_000], **how)
    get(tmp_path, Download(site.url("a.bin"), size=len(BODY)))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert site.log[1]["range"].startswith("bytes=")
    assert site.log[1]["sent"] < len(BODY)


def test_an_early_end_is_no_complete_file(site, tmp_path):
    site.add("a.zip", zipped({"a": b"a" * 1000}), cut_always=20, ranges=False)
    fails(tmp_path, Download(site.url("a.zip")), match="received 20 of")
    assert not laid(tmp_path)


def test_a_server_that_falls_silent(site, tmp_path):
    gate = threading.Event()
    site.add("a.bin", before=lambda handler: gate.wait(2))
    try:
        fails(tmp_path, Download(site.url("a.bin")), retry=Retry(2, 0.001, timeout_s=0.05), match="timed out")
    finally:
        gate.set()
    assert len(site.log) == 2


def test_empty_file(site, tmp_path):
    site.add("a.txt", b"")
    get(tmp_path, Download(site.url("a.txt")))
    assert laid(tmp_path) == {"a.txt": b""}


@settings(deadline=None, max_examples=60)
@given(
    cuts=st.lists(st.none() | st.integers(0, 3000), max_size=5),
    changes=st.lists(st.integers(0, 4), max_size=2),
    etag=st.booleans(),
    published=st.booleans(),
    how=st.fixed_dictionaries(
        {}, optional={k: st.booleans() for k in ("ranges", "respects_if_range", "chunked", "reset")}
    ),
)
def test_whatever_happens_the_file_is_one_that_was_served(server, cuts, changes, etag, published, how):
    """Any sequence of drops and changes leads to a whole version of the file, or to an error; never to a mixture."""
    versions = [random.Random(i).randbytes(3000) for i in range(len(changes) + 1)]
    server.log.clear()

    def change(handler):
        number = sum(at < len(server.log) for at in changes)
        page.body = versions[number]
        page.etag = f'"v{number}"' if etag else ""

    page = server.add("p.bin", versions[0], cuts=list(cuts), before=change, **how)
    checksum = sha(versions[-1]) if published else ""
    with tempfile.TemporaryDirectory() as root:
        for _ in range(6):
            try:
                get(Path(root), Download(server.url("p.bin"), checksum))
                break
            except DataError:
                assert not laid(Path(root))
        else:
            pytest.fail("six runs of three attempts each did not get past five drops")
        (content,) = laid(Path(root)).values()
        assert content in (versions[-1:] if published else versions)


# -- checksums and versions


def test_a_wrong_checksum(site, tmp_path):
    archive = zipped({"a.txt": b"a"})
    site.add("a.zip", archive)
    text = fails(tmp_path, Download(site.url("a.zip"), sha(b"other")))
    assert f"expected {sha(b'other')} as published, received {sha(archive)}; nothing was unpacked" in text
    assert store(tmp_path) == {"lock"}
    assert not laid(tmp_path)
    assert len(site.log) == 1


def test_md5(site, tmp_path):
    site.add("a.bin")
    digest = hashlib.md5(BODY).hexdigest()
    get(tmp_path, Download(site.url("a.bin"), f"md5:{digest.upper()}"))
    assert "a.bin: already here" in get(tmp_path, Download(site.url("a.bin"), f"md5:{digest}"))
    site.add("b.bin", cuts=[1000])
    fails(tmp_path, Download(site.url("b.bin"), f"md5:{digest[::-1]}"), match=f"received md5:{digest}")


def test_a_branch_that_moved(site, tmp_path):
    """No checksum is published and the file changes: what is here stays, a new fetch takes the new version."""
    branch = Download(site.url("archive/master.zip"))
    site.add("archive/master.zip", old := zipped({"labels.csv": b"1", "README": b"old"}))
    assert f"master.zip: no checksum is published, received {sha(old)}" in get(tmp_path, branch)
    site.add("archive/master.zip", new := zipped({"labels.csv": b"1", "README": b"new"}), etag='"v2"')
    assert "master.zip: already here" in get(tmp_path, branch)
    (tmp_path / "labels.csv").unlink()
    fails(tmp_path, branch, match="README: expected .* the same content.*move what is there away and run this again")
    assert laid(tmp_path) == {"README": b"old"}
    (tmp_path / "README").rename(tmp_path / "README.old")
    said = get(tmp_path, branch)
    assert any("another version than that of 20" in line and sha(new) in line for line in said)
    assert laid(tmp_path) == {"labels.csv": b"1", "README": b"new", "README.old": b"old"}
    assert len(site.log) == 2
    assert store(tmp_path) == DONE


def test_another_size_than_published(site, tmp_path):
    site.add("a.bin")
    fails(tmp_path, Download(site.url("a.bin"), sha(BODY), 5), match="received an offer of 300000 bytes instead of 5")
    said = get(tmp_path, Download(site.url("a.bin"), size=5))
    assert any("may be a newer one" in line for line in said)
    assert laid(tmp_path) == {"a.bin": BODY}


def test_a_manifest_that_is_none(site, tmp_path):
    site.add("a.bin")
    (tmp_path / STORE).mkdir()
    entry = '{"a.bin": {"url": "", "checksum": "", "folder": ".", "when": "", "files": [1]}}'
    for text in ("{", "[]", '{"a.bin": {}}', '{"a.bin": 1}', "\xff", entry):
        (tmp_path / STORE / "manifest.json").write_text(text, encoding="latin-1")
        fails(tmp_path, Download(site.url("a.bin")), match=r"manifest\.json: expected the record")


# -- servers and networks that refuse


def by_hand(text: str, url: str, root: Path, name: str) -> None:
    for part in ("the page of its authors", url, str(root / STORE / name), "by hand"):
        assert part in text


@pytest.mark.parametrize(("status", "times"), [(403, 1), (404, 1), (500, 3), (503, 3), (429, 3), (204, 1)])
def test_a_server_that_refuses(site, tmp_path, status, times):
    site.add("a.zip", status=status)
    text = fails(tmp_path, Download(site.url("a.zip")), match=f"expected the file, received HTTP {status}")
    by_hand(text, site.url("a.zip"), tmp_path, "a.zip")
    assert len(site.log) == times


def test_a_server_that_is_busy_for_a_moment(site, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    site.add("a.bin", statuses=[503, 429, 500])
    get(tmp_path, Download(site.url("a.bin")), retry=Retry(attempts=4, pause_s=1))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert pauses == [1, 2, 4]


def closed_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_offline(tmp_path, monkeypatch):
    monkeypatch.setattr(module.time, "sleep", lambda s: pytest.fail("nobody waits for a network that is not there"))
    url = f"http://127.0.0.1:{closed_port()}/a.zip"
    text = fails(tmp_path, Download(url), match="the server cannot be reached")
    assert "refused" in text.lower()
    by_hand(text, url, tmp_path, "a.zip")


def test_a_name_that_does_not_resolve(tmp_path, monkeypatch):
    def unknown(*args, **more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    text = fails(tmp_path, Download("http://example.org/a.zip"), match=r"reached \(Name or service not known\)")
    by_hand(text, "http://example.org/a.zip", tmp_path, "a.zip")


def test_the_network_goes_in_the_middle(tmp_path):
    """A refusal after bytes have come is a drop: it is tried again, and what has come is kept."""
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        closing = threading.Thread(target=lambda: (site.shutdown(), site.server_close()))
        site.add("a.bin", cuts=[100_000], before=lambda handler: (closing.start(), closing.join()))
        said = []
        with pytest.raises(DataError, match=r"refused.*run this again to continue"):
            fetch(corpus(Download(site.url("a.bin"))), tmp_path, report=said.append, retry=QUICK)
        thread.join()
    assert sum("trying again" in line for line in said) == 2
    assert (tmp_path / STORE / "a.bin.part").stat().st_size == 100_000


def test_a_web_page_instead_of_the_file_spares_the_part(site, tmp_path):
    """A hotel's portal answers 200 to everything."""
    cut_part(site, tmp_path)
    site.add("a.bin", b"<html>", kind="text/html; charset=utf-8", etag="")
    fails(tmp_path, Download(site.url("a.bin")), match="received a web page")
    assert (tmp_path / STORE / "a.bin.part").stat().st_size == 150_000


def test_a_redirect_keeps_the_range(site, tmp_path):
    site.add("a.bin", status=302, headers={"Location": "/real"})
    site.add("real", cuts=[100_000])
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert [e["range"] for e in site.log if e["path"] == "/real"] == [None, "bytes=100000-"]


@pytest.mark.parametrize("where", ["file:///etc/passwd", "data:,a", "//[", "/a.bin"])
def test_redirects_that_are_not_followed(site, tmp_path, where):
    site.add("a.bin", status=302, headers={"Location": where})
    fails(tmp_path, Download(site.url("a.bin")), match="expected the file, received")
    assert not laid(tmp_path)


def test_no_redirect_from_https_to_http(site, tmp_path, monkeypatch):
    site.add("a.bin")
    plain = module.urllib.request.build_opener()

    class Opener:
        def open(self, request, timeout):
            return plain.open(site.url("a.bin"), timeout=timeout)

    monkeypatch.setattr(module.urllib.request, "build_opener", Opener)
    fails(tmp_path, Download("https://example.org/a.bin"), match="a redirect to http://.*not encrypted")
    assert not laid(tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"",
        b"HTTP/1.1 404 gone\x1b[2J\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/2\r\n\r\nab",
    ],
)
def test_answers_that_are_none(site, tmp_path, answer):
    def send(handler):
        handler.wfile.write(answer)
        raise ConnectionError

    site.add("a.zip", before=send)
    assert fails(tmp_path, Download(site.url("a.zip"))).isprintable()
    assert not laid(tmp_path)


# -- by hand


def test_an_archive_laid_by_hand(tmp_path):
    archive = zipped({"a.txt": b"a"})
    url = f"http://127.0.0.1:{closed_port()}/a.zip"
    fails(tmp_path, Download(url, sha(archive)))
    (tmp_path / STORE / "a.zip").write_bytes(archive)
    said = get(tmp_path, Download(url, sha(archive)))
    assert any("taken as it lies" in line for line in said)
    assert laid(tmp_path) == {"a.txt": b"a"}
    assert (tmp_path / STORE / "a.zip").read_bytes() == archive  # it is the user's
    assert "a.zip: already here" in get(tmp_path, Download(url, sha(archive)))


def test_a_file_laid_by_hand(site, tmp_path):
    (tmp_path / STORE).mkdir()
    (tmp_path / STORE / "a.csv").write_bytes(b"a,b\n")
    get(tmp_path, Download(site.url("a.csv"), folder="tables"))
    assert laid(tmp_path) == {"tables/a.csv": b"a,b\n"}
    assert (tmp_path / STORE / "a.csv").exists()
    assert not site.log


def test_a_wrong_archive_laid_by_hand_is_not_removed(tmp_path):
    (tmp_path / STORE).mkdir()
    (tmp_path / STORE / "a.zip").write_bytes(b"something else")
    url = "http://127.0.0.1:9/a.zip"
    text = fails(tmp_path, Download(url, sha(b"right")), match="nothing was unpacked; remove .*, or replace it")
    assert sha(b"something else") in text
    fails(tmp_path, Download(url), match="expected a sound archive")
    assert (tmp_path / STORE / "a.zip").exists()


def test_by_hand_beats_a_part(site, tmp_path):
    cut_part(site, tmp_path)
    (tmp_path / STORE / "a.bin").write_bytes(BODY)
    get(tmp_path, Download(site.url("a.bin"), sha(BODY)))
    assert not site.log
    assert laid(tmp_path) == {"a.bin": BODY}
    assert store(tmp_path) == {*DONE, "a.bin"}


# -- disk, and files that exist


def test_too_little_disk_for_the_length_the_server_says(site, tmp_path, monkeypatch):
    cut_part(site, tmp_path)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    fails(tmp_path, Download(site.url("a.bin")), match=r"expected 150 kB of free disk for a\.bin, received 100 kB")
    site.add("a.bin", etag='"v2"')
    fails(tmp_path, Download(site.url("a.bin")), match=r"expected 150 kB of free disk for a\.bin, received 100 kB")
    assert (tmp_path / STORE / "a.bin.part").stat().st_size == 150_000


def test_a_disk_that_fills_up_keeps_the_part(site, tmp_path):
    def full(step, done, total):
        if done > 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    site.add("a.bin")
    text = fails(
        tmp_path, Download(site.url("a.bin")), progress=full, match="No space left on device; free some disk space"
    )
    assert "what has arrived is kept" in text
    site.log.clear()
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert site.sent < len(BODY) - 100_000


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_real_disk_that_fills_up(site, small_disk):
    """The first time while fetching, the second while unpacking."""
    page = site.add("a.zip", zipped({"a": BODY}), length=False)
    fails(small_disk, Download(site.url("a.zip")), match="No space left on device; free some disk space")
    size = (small_disk / STORE / "a.zip.part").stat().st_size
    assert size > 100_000
    subprocess.run(["mount", "-o", "remount,size=400k", str(small_disk)], check=True)
    fails(small_disk, Download(site.url("a.zip")), match="free disk to unpack")
    assert site.log[-1]["range"] == f"bytes={size}-"
    assert site.log[-1]["sent"] == len(page.body) - size
    assert not laid(small_disk)
    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    site.log.clear()
    get(small_disk, Download(site.url("a.zip")))
    assert not site.log
    assert laid(small_disk) == {"a": BODY}


def test_a_folder_of_the_root_on_another_disk(site, tmp_path, small_disk):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "audio").symlink_to(small_disk)
    site.add("t.zip", zipped({"audio/1.mp3": b"1", "a.txt": b"a"}))
    get(tmp_path / "root", Download(site.url("t.zip")))
    assert (small_disk / "1.mp3").read_bytes() == b"1"


def test_a_root_that_cannot_be(site, tmp_path):
    (tmp_path / "file").write_text("")
    fails(tmp_path / "file", Download(site.url("a.bin")), match="make the folder writable or name another")
    fails(tmp_path / "file" / "below", Download(site.url("a.bin")), match="make the folder writable or name another")


@pytest.mark.parametrize("name", ["a.csv", "a.zip"])
def test_a_file_of_other_content_is_not_overwritten(site, tmp_path, name):
    site.add(name, b"theirs" if name == "a.csv" else zipped({"a.csv": b"theirs"}))
    (tmp_path / "a.csv").write_bytes(b"mine")
    fails(tmp_path, Download(site.url(name)), match=r"a\.csv: expected no such file.*nothing was overwritten; move")
    assert laid(tmp_path) == {"a.csv": b"mine"}
    (tmp_path / "a.csv").unlink()
    get(tmp_path, Download(site.url(name)))
    assert laid(tmp_path) == {"a.csv": b"theirs"}
    assert len(site.log) == 1  # what had arrived was kept


# -- killed, and two at once

KILLED = """
import os, shutil, sys
from pathlib import Path
from sentio_tf.corpora import fetch as module
from sentio_tf.corpora.track import Corpus, Download

url, root, where = sys.argv[1:]
def die(step, done, total):
    if step == where and done > total / 2:
        os._exit(9)
move, moved = shutil.move, []
def counted(source, target):
    moved.append(target)
    if where == "move" and len(moved) == 3:
        os._exit(9)
    move(source, target)
shutil.move = counted
corpus = Corpus("mini", "", "", "", "", list, downloads=(Download(url),))
module.fetch(corpus, Path(root), report=lambda line: None, progress=die)
"""


@pytest.mark.parametrize(("where", "files"), [("fetch", 0), ("check", 0), ("unpack", 0), ("move", 2)])
def test_killed(site, tmp_path, where, files):
    tree = {f"{i}.bin": random.Random(i).randbytes(400_000) for i in range(5)}
    site.add("t.zip", zipped(tree))
    command = [sys.executable, "-c", KILLED, site.url("t.zip"), str(tmp_path), where]
    assert subprocess.run(command).returncode == 9
    assert len(laid(tmp_path)) == files
    assert not set(laid(tmp_path).items()) - set(tree.items())  # whole ones
    site.log.clear()
    get(tmp_path, Download(site.url("t.zip")))
    assert laid(tmp_path) == tree
    assert store(tmp_path) == DONE
    assert [e["status"] for e in site.log] == ([206] if where == "fetch" else [])


def test_two_fetches_at_once(site, tmp_path):
    arrived, go = threading.Event(), threading.Event()
    site.add("a.bin", before=lambda handler: (arrived.set(), go.wait(5)))
    first = threading.Thread(target=get, args=(tmp_path, Download(site.url("a.bin"))))
    first.start()
    try:
        assert arrived.wait(5)
        fails(tmp_path, Download(site.url("a.bin")), match="no other fetch at work here")
    finally:
        go.set()
        first.join()
    assert laid(tmp_path) == {"a.bin": BODY}
    assert len(site.log) == 1
    get(tmp_path, Download(site.url("a.bin")))  # and the lock is free again


def test_a_disk_without_locks(site, tmp_path, monkeypatch):
    def none(*args):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(module.fcntl, "flock", none)
    site.add("a.bin")
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}
