"""Fetching from a real server on this machine that drops, changes, refuses and lies."""

import contextlib
import errno
import hashlib
import io
import json
import os
import random
import shutil
import socket
import ssl
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import urllib.request
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf.corpora import fetch as module
from sentio_tf.corpora.fetch import STORE, Retry, fetch, name_of
from sentio_tf.corpora.track import Corpus, Download
from sentio_tf.errors import DataError

QUICK = Retry(attempts=3, pause_s=0.001, longest_s=0.01, timeout_s=5)
BODY = random.Random(0).randbytes(300_000)


@dataclass
class Page:
    """What the server answers under one path, and how it misbehaves."""

    body: bytes = BODY
    etag: str = '"v1"'
    modified: str = ""
    ranges: bool = True
    respects_if_range: bool = True
    tells_version_of_ranges: bool = True
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
    most: int = 0  # bytes a range is cut to, with the headers saying so
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
            stop = min(stop, start + page.most) if page.most else stop
            if not page.tells_version_of_ranges:
                headers |= {"ETag": "", "Last-Modified": ""}
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


def zipped(files: dict, *, compression=zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
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


def laid(root: Path) -> dict[str, bytes]:
    """Every file below root that is not on its way."""
    inside = (p for p in root.rglob("*") if p.is_file() and STORE not in p.relative_to(root).parts)
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in inside}


def store(root: Path) -> set[str]:
    return {p.name for p in (root / STORE).iterdir()}


def record(root: Path, name: str) -> dict:
    return json.loads((root / STORE / "manifest.json").read_text())["downloads"][name]


# -- the whole way


def test_files_and_archives_land_where_they_belong(site, tmp_path):
    archive = zipped({"audio/1.mp3": b"one", "audio/2.mp3": b"two", "labels.csv": b"a,b\n"})
    site.add("songs.zip", archive)
    site.add("labels.xlsx", zipped({"sheet.xml": b"a zip file that is no archive"}))
    files = (
        Download(site.url("songs.zip"), sha(archive), len(archive), "data"),
        Download(site.url("labels.xlsx?download=1")),
    )
    site.pages["/labels.xlsx?download=1"] = site.pages["/labels.xlsx"]
    steps = []
    said = get(tmp_path, *files, progress=lambda *step: steps.append(step))
    assert laid(tmp_path) == {
        "data/audio/1.mp3": b"one",
        "data/audio/2.mp3": b"two",
        "data/labels.csv": b"a,b\n",
        "labels.xlsx": site.pages["/labels.xlsx"].body,
    }
    assert store(tmp_path) == {"manifest.json", "lock"}
    assert record(tmp_path, "songs.zip")["files"] == ["audio/1.mp3", "audio/2.mp3", "labels.csv"]
    assert {step for step, _, _ in steps} == {"fetch", "unpack"}
    assert all(0 < done <= total for _, done, total in steps)
    assert ("fetch", len(archive), len(archive)) in steps
    assert ("unpack", 10, 10) in steps
    assert all("\n" not in line for line in said)


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
    archive = zipped({"a.txt": b"a"})
    site.add("a.zip", archive)
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
    archive = zipped({"a.txt": b"a", "b.txt": b"b"})
    site.add("a.zip", archive)
    get(tmp_path, Download(site.url("a.zip")))
    (tmp_path / "b.txt").unlink()
    said = get(tmp_path, Download(site.url("a.zip")))
    assert "a.zip: 1 of its 2 files are gone; getting it again" in said
    assert laid(tmp_path) == {"a.txt": b"a", "b.txt": b"b"}


def test_a_file_that_lies_there_already_is_recognised_by_its_checksum(site, tmp_path):
    (tmp_path / "a.bin").write_bytes(BODY)
    assert "a.bin: already here" in get(tmp_path, Download(site.url("a.bin"), sha(BODY)))
    assert not site.log


def test_another_checksum_published_fetches_anew(site, tmp_path):
    old, new = zipped({"old.txt": b"1"}), zipped({"new.txt": b"2"})
    site.add("a.zip", old)
    get(tmp_path, Download(site.url("a.zip"), sha(old)))
    site.add("a.zip", new)
    get(tmp_path, Download(site.url("a.zip"), sha(new)))
    assert set(laid(tmp_path)) == {"old.txt", "new.txt"}


def test_no_public_files(tmp_path):
    assert "the page of its authors" in fails(tmp_path / "new", match="mini: expected a corpus with public files")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://zenodo.org/records/1/files/EMOPIA_1.0.zip?download=1", "EMOPIA_1.0.zip"),
        ("https://zenodo.org/api/records/1/files/a%20b.zip/content", "a b.zip"),
        ("https://osf.io/download/abc12#ratings.csv", "ratings.csv"),
        ("https://example.org/download", "download"),
    ],
)
def test_names(url, name):
    assert name_of(Download(url)) == name


@pytest.mark.parametrize(
    ("download", "match"),
    [
        (Download("https://example.org/"), "names a file"),
        (Download("https://example.org/a%2f..%2fb"), "names a file"),
        (Download("https://example.org/..%5Cb"), "names a file"),
        (Download("https://example.org/manifest.json"), "names a file"),
        (Download("https://example.org/a.zip.part"), "names a file"),
        (Download("file:///etc/passwd"), "expected an http or https URL"),
        (Download("ftp://example.org/a"), "expected an http or https URL"),
        (Download("https://example.org/a", "crc32:00"), "sha256:HEX or md5:HEX"),
        (Download("https://example.org/a", "sha256:00"), "sha256:HEX or md5:HEX"),
        (Download("https://example.org/a", folder="../b"), "a folder within the root"),
        (Download("https://example.org/a", folder="/b"), "a folder within the root"),
    ],
)
def test_a_download_that_cannot_be_meant(tmp_path, download, match):
    fails(tmp_path / "new", download, match=match)
    assert not (tmp_path / "new").exists()


def test_two_downloads_of_one_name(site, tmp_path):
    fails(tmp_path, Download(site.url("x/a.zip")), Download(site.url("y/A.zip")), match="received two")
    site.add("x/a.bin", b"x")
    site.add("y/a.bin", b"y")
    get(tmp_path, Download(site.url("x/a.bin")), Download(site.url("y/a.bin#b.bin")))
    assert laid(tmp_path) == {"a.bin": b"x", "b.bin": b"y"}


# -- interrupted transfers


@pytest.mark.parametrize("reset", [False, True], ids=["ends", "resets"])
def test_a_dropped_connection_is_continued(site, tmp_path, reset):
    site.add("a.bin", cuts=[100_000], reset=reset)
    said = get(tmp_path, Download(site.url("a.bin"), sha(BODY)))
    assert laid(tmp_path) == {"a.bin": BODY}
    first, second = site.log
    assert first["range"] is None
    start = int(second["range"].removeprefix("bytes=").removesuffix("-"))
    assert second["if_range"] == '"v1"'
    assert second["sent"] == len(BODY) - start
    if not reset:  # a reset may discard what had arrived
        assert start == 100_000
        assert site.sent == len(BODY)
    assert any("trying again" in line for line in said)


def test_a_connection_that_always_drops_fails_and_continues_next_time(site, tmp_path):
    page = site.add("a.bin", cut_always=50_000)
    text = fails(tmp_path, Download(site.url("a.bin")), match="ended after 150000 of 300000 bytes, 3 times")
    assert "150 kB are kept, run this again to continue" in text
    assert len(site.log) == 3
    assert (tmp_path / STORE / "a.bin.part").read_bytes() == BODY[:150_000]
    page.cut_always = None
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert site.log[-1]["range"] == "bytes=150000-"
    assert site.sent == len(BODY)
    assert store(tmp_path) == {"manifest.json", "lock"}


def test_attempts_start_anew_with_every_piece_of_growth(site, tmp_path):
    site.add("a.bin", cut_always=50_000)
    patient = Retry(attempts=2, pause_s=0.001, growth=50_000)
    get(tmp_path, Download(site.url("a.bin")), retry=patient)
    assert laid(tmp_path) == {"a.bin": BODY}
    assert [e["sent"] for e in site.log] == [50_000] * 6
    site.add("b.bin", cut_always=50_000, ranges=False)  # arrives again and again: no growth
    site.log.clear()
    fails(tmp_path, Download(site.url("b.bin")), retry=patient, match="2 times")
    assert len(site.log) < 4


def test_without_ranges_it_starts_over(site, tmp_path):
    site.add("a.bin", cuts=[100_000], ranges=False)
    said = get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert [e["status"] for e in site.log] == [200, 200]
    assert site.sent == 100_000 + len(BODY)
    assert any("starting over" in line for line in said)


def test_without_a_version_it_starts_over(site, tmp_path):
    """A range of a file that may be another by now is not asked for, unless a checksum will tell."""
    site.add("a.bin", cuts=[100_000], etag="")
    get(tmp_path, Download(site.url("a.bin")))
    assert [e["range"] for e in site.log] == [None, None]
    site.add("b.bin", cuts=[100_000], etag="")
    site.log.clear()
    get(tmp_path, Download(site.url("b.bin"), sha(BODY)))
    assert [e["range"] for e in site.log] == [None, "bytes=100000-"]
    assert laid(tmp_path) == {"a.bin": BODY, "b.bin": BODY}


def test_a_weak_etag_is_no_condition(site, tmp_path):
    when = "Wed, 01 Jan 2020 00:00:00 GMT"
    site.add("a.bin", cuts=[100_000], etag='W/"v1"', modified=when)
    get(tmp_path, Download(site.url("a.bin")))
    assert site.log[1]["if_range"] == when
    assert site.sent == len(BODY)


@pytest.mark.parametrize("respects", [True, False], ids=["says so", "hides it"])
@pytest.mark.parametrize("tells", [True, False])
def test_a_file_that_changed_in_between(site, tmp_path, respects, tells):
    site.add("a.bin", cut_always=50_000)
    fails(tmp_path, Download(site.url("a.bin")))
    new = BODY[::-1]
    site.add("a.bin", new, etag='"v2"', respects_if_range=respects, tells_version_of_ranges=tells)
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": new}


def test_a_file_that_changed_unnoticed_costs_one_more_transfer(site, tmp_path):
    """Neither ETag nor date: only the checksum tells that the pieces are of two files."""
    new = BODY[::-1]
    site.add("a.bin", cut_always=50_000, etag="")
    fails(tmp_path, Download(site.url("a.bin"), sha(new)))
    site.add("a.bin", new, etag="")
    site.log.clear()
    said = get(tmp_path, Download(site.url("a.bin"), sha(new)))
    assert laid(tmp_path) == {"a.bin": new}
    assert [e["range"] for e in site.log] == ["bytes=150000-", None]
    assert any("not of this file; starting over" in line for line in said)


def test_a_file_that_changed_unnoticed_while_it_was_fetched(site, tmp_path):
    new = BODY[::-1]

    def change(handler):
        page.body = new if len(site.log) > 1 else BODY

    page = site.add("a.bin", cuts=[100_000], etag="", before=change)
    get(tmp_path, Download(site.url("a.bin"), sha(new)))
    assert laid(tmp_path) == {"a.bin": new}
    assert [e["range"] for e in site.log] == [None, "bytes=100000-", None]


@pytest.mark.parametrize(
    "wrong", ["bytes 0-299999/300000", "bytes 100000-299999/300001", "bytes 100000-300000/300000", "none", "bytes */9"]
)
def test_a_wrong_content_range(site, tmp_path, wrong):
    site.add("a.bin", cuts=[100_000], content_range=wrong)
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert [e["status"] for e in site.log] == [200, 206, 200]


def test_ranges_shorter_than_asked_for(site, tmp_path):
    site.add("a.bin", cuts=[60_000], most=60_000)
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert [e["sent"] for e in site.log] == [60_000] * 5


def part_on_disk(root: Path, body: bytes, url: str, *, etag='"v1"', total=None) -> None:
    (root / STORE).mkdir()
    (root / STORE / "a.bin.part").write_bytes(body)
    notes = {"url": url, "etag": etag, "modified": "", "total": total}
    (root / STORE / "a.bin.part.json").write_text(json.dumps(notes))


def test_a_part_that_is_complete_needs_no_request(site, tmp_path):
    """Killed between the last byte and the new name."""
    part_on_disk(tmp_path, BODY, site.url("a.bin"), total=len(BODY))
    get(tmp_path, Download(site.url("a.bin"), sha(BODY)))
    assert not site.log
    assert laid(tmp_path) == {"a.bin": BODY}


def test_416_of_a_complete_part(site, tmp_path):
    site.add("a.bin")
    part_on_disk(tmp_path, BODY, site.url("a.bin"))
    get(tmp_path, Download(site.url("a.bin")))
    assert [e["status"] for e in site.log] == [416]
    assert laid(tmp_path) == {"a.bin": BODY}


def test_416_of_another_file(site, tmp_path):
    site.add("a.bin", BODY[:1000], respects_if_range=False)
    part_on_disk(tmp_path, BODY, site.url("a.bin"))
    get(tmp_path, Download(site.url("a.bin")))
    assert [e["status"] for e in site.log] == [416, 200]
    assert laid(tmp_path) == {"a.bin": BODY[:1000]}


@pytest.mark.parametrize(
    "damage", [lambda p: p.unlink(), lambda p: p.write_text("{"), lambda p: p.write_text('{"url": "x", "total": "y"}')]
)
def test_a_part_of_unknown_origin_is_not_continued(site, tmp_path, damage):
    site.add("a.bin")
    part_on_disk(tmp_path, b"something else", site.url("a.bin"))
    damage(tmp_path / STORE / "a.bin.part.json")
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert site.log[0]["range"] is None


def test_a_part_of_another_url_or_too_long_is_not_continued(site, tmp_path):
    site.add("a.bin")
    part_on_disk(tmp_path, BODY[:100], site.url("other/a.bin"))
    get(tmp_path, Download(site.url("a.bin")))
    assert site.log[0]["range"] is None
    site.log.clear()
    part_on_disk(tmp_path / STORE, BODY + BODY, site.url("a.bin"), total=len(BODY))
    get(tmp_path / STORE, Download(site.url("a.bin")))
    assert site.log[0]["range"] is None


def test_a_length_that_is_not_reached_is_no_complete_file(site, tmp_path):
    site.add("a.zip", zipped({"a": b"a" * 1000}), cut_always=20, ranges=False)
    fails(tmp_path, Download(site.url("a.zip")), match="the connection ended after 20 of")
    assert not laid(tmp_path)
    assert "a.zip" not in store(tmp_path)


@pytest.mark.parametrize("how", [{"chunked": True}, {"length": False}], ids=["chunked", "closed"])
def test_without_a_length(site, tmp_path, how):
    site.add("a.bin", **how)
    get(tmp_path, Download(site.url("a.bin"), sha(BODY)))
    assert laid(tmp_path) == {"a.bin": BODY}


def test_chunks_that_end_early_are_continued(site, tmp_path):
    site.add("a.bin", chunked=True, cuts=[100_000])
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert site.log[1]["range"].startswith("bytes=")
    assert site.log[1]["sent"] < len(BODY)


def test_without_a_length_the_published_size_tells_an_early_end(site, tmp_path):
    site.add("a.bin", length=False, cuts=[100_000])
    get(tmp_path, Download(site.url("a.bin"), size=len(BODY)))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert site.log[1]["range"] == "bytes=100000-"


def test_a_server_that_falls_silent(site, tmp_path):
    gate = threading.Event()
    site.add("a.bin", before=lambda handler: gate.wait(2))
    try:
        fails(tmp_path, Download(site.url("a.bin")), retry=Retry(2, 0.001, timeout_s=0.05), match="timed out.*2 times")
    finally:
        gate.set()


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
        {}, optional={k: st.booleans() for k in ("ranges", "respects_if_range", "tells_version_of_ranges", "chunked")}
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


# -- checksums


def test_a_wrong_checksum(site, tmp_path):
    archive = zipped({"a.txt": b"a"})
    site.add("a.zip", archive)
    text = fails(tmp_path, Download(site.url("a.zip"), sha(b"other")))
    assert f"expected {sha(b'other')} as published, received {sha(archive)}" in text
    assert store(tmp_path) == {"lock"}
    assert not laid(tmp_path)
    assert len(site.log) == 1


def test_md5(site, tmp_path):
    site.add("a.bin")
    digest = hashlib.md5(BODY).hexdigest()
    get(tmp_path, Download(site.url("a.bin"), f"md5:{digest.upper()}"))
    assert record(tmp_path, "a.bin")["md5"] == digest
    assert record(tmp_path, "a.bin")["sha256"] == hashlib.sha256(BODY).hexdigest()
    site.add("b.bin", cuts=[1000])
    fails(tmp_path, Download(site.url("b.bin"), f"md5:{digest[::-1]}"), match=f"received md5:{digest}")


def test_an_unpublished_checksum_is_remembered(site, tmp_path):
    site.add("a.bin")
    said = get(tmp_path, Download(site.url("a.bin")))
    assert f"a.bin: no checksum is published; {sha(BODY)} is remembered and verified from now on" in said
    assert record(tmp_path, "a.bin")["sha256"] == hashlib.sha256(BODY).hexdigest()
    (tmp_path / "a.bin").unlink()
    site.add("a.bin", BODY[::-1], etag='"v2"')
    text = fails(tmp_path, Download(site.url("a.bin")), match="as fetched before")
    assert "manifest.json to accept another" in text
    assert not laid(tmp_path)
    (tmp_path / STORE / "manifest.json").unlink()
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY[::-1]}


def test_another_size_than_published(site, tmp_path):
    site.add("a.bin")
    fails(tmp_path, Download(site.url("a.bin"), sha(BODY), 5), match="expected 5 bytes, received an offer of 300000")
    assert any("may be a newer one" in line for line in get(tmp_path, Download(site.url("a.bin"), size=5)))


def test_a_manifest_that_is_none(site, tmp_path):
    site.add("a.bin")
    (tmp_path / STORE).mkdir()
    for text in ("{", "[]", '{"downloads": []}', '{"downloads": {"a.bin": {}}}', '{"downloads": {"a.bin": 1}}', "\xff"):
        (tmp_path / STORE / "manifest.json").write_text(text, encoding="latin-1")
        fails(tmp_path, Download(site.url("a.bin")), match=r"manifest\.json: expected the record")


# -- servers and networks that refuse


def by_hand(text: str, url: str, root: Path, name: str) -> None:
    for part in ("the page of its authors", url, str(root / STORE / name), "by hand"):
        assert part in text


@pytest.mark.parametrize(("status", "times"), [(403, 1), (404, 1), (410, 1), (500, 3), (503, 3), (429, 3), (204, 1)])
def test_a_server_that_refuses(site, tmp_path, status, times):
    site.add("a.zip", status=status)
    text = fails(tmp_path, Download(site.url("a.zip"), folder="data"), match=f"HTTP {status}")
    by_hand(text, site.url("a.zip"), tmp_path, "a.zip")
    assert f"unpacked into {tmp_path / 'data'}" in text
    assert len(site.log) == times


def test_a_server_that_is_busy_for_a_moment(site, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    site.add("a.bin", statuses=[503, 429], headers={"Retry-After": "7"})
    get(tmp_path, Download(site.url("a.bin")), retry=Retry(attempts=3, pause_s=1, longest_s=5))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert pauses == [5, 5]


def test_pauses_double(site, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    site.add("a.bin", status=500)
    fails(tmp_path, Download(site.url("a.bin")), retry=Retry(attempts=5, pause_s=1, longest_s=5))
    assert pauses == [1, 2, 4, 5]


def closed_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_offline(tmp_path):
    url = f"http://127.0.0.1:{closed_port()}/a.zip"
    text = fails(tmp_path, Download(url), match="cannot be reached")
    assert "refused" in text.lower()
    by_hand(text, url, tmp_path, "a.zip")


def test_a_name_that_does_not_resolve(tmp_path, monkeypatch):
    def unknown(*args, **more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    text = fails(tmp_path, Download("http://example.org/a.zip"), match=r"cannot be reached \(Name or service not known")
    by_hand(text, "http://example.org/a.zip", tmp_path, "a.zip")


def test_a_proxy_that_is_down(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{closed_port()}")
    text = fails(tmp_path, Download("http://example.org/a.zip"), match=r"through the proxy 127\.0\.0\.1 \(.*refused")
    assert "secret" not in text


def test_a_proxy_that_refuses(site, tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", site.url(""))  # does not know CONNECT
    fails(tmp_path, Download("https://example.org/a.zip"), match="cannot be reached through the proxy.*501")


def test_the_network_goes_in_the_middle(tmp_path):
    """A refusal after bytes have come is a drop: it is tried again, and what has come is kept."""
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        closing = threading.Thread(target=lambda: (site.shutdown(), site.server_close()))
        site.add("a.bin", cuts=[100_000], before=lambda handler: (closing.start(), closing.join()))
        text = fails(tmp_path, Download(site.url("a.bin")), match="refused.*3 times; 100 kB are kept")
        assert "trying" not in text
        thread.join()


def test_a_web_page_instead_of_the_file_spares_the_part(site, tmp_path):
    """A hotel's portal answers 200 to everything."""
    site.add("a.zip", cut_always=50_000)
    fails(tmp_path, Download(site.url("a.zip")))
    site.add("a.zip", b"<html>", kind="text/html; charset=utf-8", etag="")
    fails(tmp_path, Download(site.url("a.zip")), match="received a web page")
    assert (tmp_path / STORE / "a.zip.part").stat().st_size == 150_000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_keep_the_range(site, tmp_path, status):
    site.add("a.bin", status=status, headers={"Location": "/real"})
    site.add("real", cuts=[100_000])
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert [e["range"] for e in site.log if e["path"] == "/real"] == [None, "bytes=100000-"]
    assert site.sent == len(BODY)


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:,a", "//[", "/a.bin"])
def test_redirects_that_are_not_followed(site, tmp_path, where):
    site.add("a.bin", status=302, headers={"Location": where})
    fails(tmp_path, Download(site.url("a.bin")), match="expected the file, received")
    assert not laid(tmp_path)


def test_no_redirect_from_https_to_http(tmp_path):
    redirect = module._Redirect().redirect_request
    request = urllib.request.Request("https://example.org/a")
    with pytest.raises(module._Refused, match="a redirect to http,"):
        redirect(request, io.BytesIO(), 302, "", {}, "http://example.org/a")
    assert redirect(request, io.BytesIO(), 302, "", {}, "https://example.org/b").full_url == "https://example.org/b"
    plain = urllib.request.Request("http://example.org/a")
    assert redirect(plain, io.BytesIO(), 308, "", {}, "https://example.org/b").full_url == "https://example.org/b"


def test_a_certificate_that_nobody_signed(tmp_path, monkeypatch):
    def refuse(*args, **more):
        raise ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")

    monkeypatch.setattr(socket, "create_connection", refuse)
    fails(tmp_path, Download("https://example.org/a"), match="certificate verify failed")


def test_the_program_names_itself(site, tmp_path):
    site.add("a.bin")
    get(tmp_path, Download(site.url("a.bin")))
    assert site.log[0]["agent"].startswith("sentio-tf/")


def test_a_reason_cannot_steer_the_terminal(site, tmp_path):
    def answer(handler):
        handler.wfile.write(b"HTTP/1.1 404 gone\x1b[2J\r\nContent-Length: 0\r\n\r\n")
        raise ConnectionError

    site.add("a.bin", before=answer)
    assert "\x1b" not in fails(tmp_path, Download(site.url("a.bin")), match="HTTP 404 gone")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\nETag: \x80\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/2\r\n\r\nab",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nRetry-After: " + b"9" * 400 + b"\r\n\r\n",
    ],
)
def test_answers_that_are_none(site, tmp_path, answer):
    def send(handler):
        handler.wfile.write(answer)
        raise ConnectionError

    site.add("a.zip", before=send)
    fails(tmp_path, Download(site.url("a.zip")))
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
    assert record(tmp_path, "a.zip")["by_hand"]
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
    text = fails(tmp_path, Download(url, sha(b"right")), match="nothing was unpacked; remove it, or replace it")
    assert sha(b"something else") in text
    fails(tmp_path, Download(url), match="expected a sound archive")
    assert (tmp_path / STORE / "a.zip").exists()


def test_by_hand_beats_a_part(site, tmp_path):
    site.add("a.bin", cut_always=1000)
    fails(tmp_path, Download(site.url("a.bin"), sha(BODY)))
    (tmp_path / STORE / "a.bin").write_bytes(BODY)
    site.log.clear()
    get(tmp_path, Download(site.url("a.bin"), sha(BODY)))
    assert not site.log
    assert laid(tmp_path) == {"a.bin": BODY}
    assert store(tmp_path) == {"manifest.json", "lock", "a.bin"}


# -- disk


def free(monkeypatch, size: int) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=size))


def test_too_little_disk_for_all_files_is_said_before_the_first(site, tmp_path, monkeypatch):
    site.add("a.bin")
    site.add("b.bin")
    free(monkeypatch, 400_000)
    files = [Download(site.url(name), size=len(BODY)) for name in ("a.bin", "b.bin")]
    fails(tmp_path, *files, match="expected 600 kB of free disk for what is to be fetched, received 400 kB")
    assert not site.log


def test_too_little_disk_for_the_length_the_server_says(site, tmp_path, monkeypatch):
    site.add("a.bin", cut_always=50_000)
    fails(tmp_path, Download(site.url("a.bin")))
    free(monkeypatch, 100_000)
    fails(tmp_path, Download(site.url("a.bin")), match=r"expected 150 kB of free disk for the rest of a\.bin")
    site.add("a.bin", etag='"v2"')
    fails(tmp_path, Download(site.url("a.bin")), match=r"expected 150 kB of free disk for a\.bin")
    assert (tmp_path / STORE / "a.bin.part").stat().st_size == 150_000


@pytest.mark.parametrize("pack", [lambda body: zipped({"a": body}), lambda body: tarred(("a", body), form="gz")])
def test_too_little_disk_to_unpack(site, tmp_path, monkeypatch, pack):
    name = "a.zip" if pack(b"")[:2] == b"PK" else "a.tgz"
    site.add(name, pack(bytes(1_000_000)))
    free(monkeypatch, 500_000)
    fails(tmp_path, Download(site.url(name)), match=f"expected 1.0 MB of free disk to unpack {name}")
    assert not laid(tmp_path)
    monkeypatch.undo()
    site.log.clear()
    get(tmp_path, Download(site.url(name)))
    assert not site.log  # the archive was kept
    assert laid(tmp_path) == {"a": bytes(1_000_000)}


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


def test_a_disk_that_fills_up_keeps_the_part(site, small_disk, monkeypatch):
    """Others fill the disk after it was checked."""
    site.add("a.bin", length=False)
    text = fails(small_disk, Download(site.url("a.bin")), match="No space left on device; free some disk space")
    assert "what has arrived is kept" in text
    size = (small_disk / STORE / "a.bin.part").stat().st_size
    assert size > 100_000
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    get(small_disk, Download(site.url("a.bin")))
    assert laid(small_disk) == {"a.bin": BODY}
    assert site.log[-1]["range"] == f"bytes={size}-"


def test_a_disk_that_fills_up_while_unpacking(site, small_disk, monkeypatch):
    site.add("a.zip", zipped({f"{i}": bytes(100_000) for i in range(5)}))
    with monkeypatch.context() as patch:
        free(patch, 10**9)
        fails(small_disk, Download(site.url("a.zip")), match="No space left on device; free some disk space")
    assert not laid(small_disk)
    assert "a.zip.unpack" not in store(small_disk)
    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    site.log.clear()
    get(small_disk, Download(site.url("a.zip")))
    assert not site.log
    assert len(laid(small_disk)) == 5


def test_an_error_while_writing_is_one_line(site, tmp_path, monkeypatch):
    """Where no disk can be mounted: the same, from the operating system's answer on."""
    site.add("a.bin")
    add = module._Part.add

    def full(part, block):
        if part.size > 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        add(part, block)

    with monkeypatch.context() as patch:
        patch.setattr(module._Part, "add", full)
        fails(tmp_path, Download(site.url("a.bin")), match="No space left on device; free some disk space")
    site.log.clear()
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}
    assert site.sent < len(BODY) - 100_000


def test_a_root_that_cannot_be(site, tmp_path):
    (tmp_path / "file").write_text("")
    fails(tmp_path / "file", Download(site.url("a.bin")), match="make the folder writable or name another")
    fails(tmp_path / "file" / "below", Download(site.url("a.bin")), match="make the folder writable or name another")


# -- unpacking

TREE = {"a.txt": b"a", "b/c.bin": BODY, "b/empty": b""}


@pytest.mark.parametrize("name", ["t.zip", "t.tar", "t.tar.gz", "t.tgz", "t.tar.bz2", "t.tar.xz", "T.ZIP"])
def test_kinds_of_archives(site, tmp_path, name):
    form = {"gz": "gz", "tgz": "gz", "bz2": "bz2", "xz": "xz"}.get(name.rpartition(".")[2], "")
    site.add(name, zipped(TREE) if name.lower().endswith("zip") else tarred(*TREE.items(), form=form))
    get(tmp_path, Download(site.url(name), folder="x"))
    assert laid(tmp_path) == {f"x/{k}": v for k, v in TREE.items()}


SLIPS = [
    "../evil",
    "a/../../evil",
    "/evil",
    "..\\evil",
    "a\\..\\..\\evil",
    "C:\\evil",
    ".downloads/manifest.json",
    "\\evil",
]


@pytest.mark.parametrize("slip", SLIPS)
@pytest.mark.parametrize("name", ["t.zip", "t.tar"])
def test_a_path_out_of_the_folder(site, tmp_path, slip, name):
    root = tmp_path / "in" / "root"
    pack = {"t.zip": lambda: zipped({"fine": b"1", slip: b"2"}), "t.tar": lambda: tarred(("fine", b"1"), (slip, b"2"))}
    site.add(name, pack[name]())
    fails(root, Download(site.url(name)), match="received a path out of its folder; nothing was unpacked")
    assert not laid(root)
    assert not list(tmp_path.rglob("*evil*"))
    assert not Path("/evil").exists()


@pytest.mark.parametrize(
    "members",
    [
        [special("link", tarfile.SYMTYPE, "../.."), ("link/evil", b"2")],
        [special("link", tarfile.SYMTYPE, "/tmp"), ("link/evil", b"2")],
        [special("a/link", tarfile.SYMTYPE, "../../evil")],
        [special("link", tarfile.LNKTYPE, "../evil")],
        [special("link", tarfile.LNKTYPE, "/etc/passwd")],
        [special("pipe", tarfile.FIFOTYPE)],
        [special("device", tarfile.CHRTYPE)],
        [special("disk", tarfile.BLKTYPE)],
        [special("../folder", tarfile.DIRTYPE)],
    ],
)
def test_links_and_devices_that_lead_out(site, tmp_path, members):
    site.add("t.tar", tarred(("fine", b"1"), *members))
    fails(tmp_path / "root", Download(site.url("t.tar")), match="nothing was unpacked")
    assert not laid(tmp_path / "root")
    assert not list(tmp_path.rglob("*evil*"))


def test_links_within_become_copies(site, tmp_path):
    members = [
        special("first", tarfile.SYMTYPE, "./b/../b/c"),  # before what it points to
        ("b/c", b"content"),
        special("b/d", tarfile.SYMTYPE, "c"),
        special("hard", tarfile.LNKTYPE, "b/d"),  # a link to a link
        special("b/c", tarfile.LNKTYPE, "b/c"),  # as tar writes a file named twice
        special("folder", tarfile.SYMTYPE, "b"),
        special("nowhere", tarfile.SYMTYPE, "gone"),
        special("round", tarfile.SYMTYPE, "round"),
    ]
    for form in ("", "gz"):
        root = tmp_path / f"root{form}"
        site.add("t.tar", tarred(*members, form=form))
        said = get(root, Download(site.url("t.tar")))
        assert laid(root) == dict.fromkeys(("first", "b/c", "b/d", "hard"), b"content")
        assert not any(p.is_symlink() for p in root.rglob("*"))
        assert "t.tar: 3 links to no file of the archive are left out, first folder" in said


def zip_with(name: str, content: bytes, mode: int) -> bytes:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return zipped({"b": b"content", info: content})


def test_links_and_devices_of_a_zip(site, tmp_path):
    site.add("t.zip", zip_with("link", b"b", stat.S_IFLNK | 0o777))
    get(tmp_path / "in", Download(site.url("t.zip")))
    assert laid(tmp_path / "in") == {"b": b"content", "link": b"content"}
    site.add("t.zip", zip_with("link", b"../../etc", stat.S_IFLNK | 0o777))
    fails(tmp_path / "out", Download(site.url("t.zip")), match="link: .* received a link out of its folder")
    site.add("t.zip", zip_with("device", b"", stat.S_IFCHR))
    fails(tmp_path / "out", Download(site.url("t.zip")), match="received a device")
    site.add("t.zip", zip_with("suid", b"1", stat.S_IFREG | 0o4777))
    get(tmp_path / "suid", Download(site.url("t.zip")))
    assert not (tmp_path / "suid" / "suid").stat().st_mode & 0o7111


def test_names_in_other_encodings(site, tmp_path):
    utf8 = zipped({"caf_.mp3": b"1"}).replace(b"caf_.mp3", "né.mp3".encode().rjust(8, b"_"))
    dos = zipped({"x_x.mp3": b"2"}).replace(b"x_x.mp3", b"x\x81x.mp3")
    windows = zipped({"audio_1.mp3": b"3"}).replace(b"audio_1.mp3", b"audio\\1.mp3")
    for i, archive in enumerate((utf8, dos, windows)):
        site.add(f"{i}.zip", archive)
        get(tmp_path, Download(site.url(f"{i}.zip")))
    assert laid(tmp_path) == {"_né.mp3": b"1", "xüx.mp3": b"2", "audio/1.mp3": b"3"}


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
def test_bytes_that_are_no_utf8(site, tmp_path):
    archive = tarred(("caf_", b"1")).replace(b"caf_", b"caf\xe9")
    archive = archive[:148] + b"%06o\0 " % (sum(archive[:148]) + 256 + sum(archive[156:512])) + archive[156:]
    site.add("t.tar", archive)
    get(tmp_path, Download(site.url("t.tar")))
    assert (tmp_path / os.fsdecode(b"caf\xe9")).read_bytes() == b"1"
    assert "t.tar: already here" in get(tmp_path, Download(site.url("t.tar")))


def test_a_name_twice_is_the_last(site, tmp_path):
    site.add("t.tar", tarred(("a", b"old"), ("./a", b"new")))
    get(tmp_path, Download(site.url("t.tar")))
    assert laid(tmp_path) == {"a": b"new"}


def test_a_file_that_is_a_folder_too(site, tmp_path):
    site.add("t.tar", tarred(("a", b"1"), ("a/b", b"2")))
    fails(tmp_path, Download(site.url("t.tar")), match="every file to have its own name, received a/b")
    assert not laid(tmp_path)


@pytest.mark.parametrize("name", ["t.zip", "t.tar.gz"])
def test_a_bomb(site, tmp_path, monkeypatch, name):
    monkeypatch.setattr(module, "BOMB_BYTES", 100_000)
    site.add(name, zipped({"a": bytes(10**6)}) if name == "t.zip" else tarred(("a", bytes(10**6)), form="gz"))
    fails(tmp_path, Download(site.url(name)), match="expected at most 100 kB when unpacked")
    assert not laid(tmp_path)
    music = random.Random(1).randbytes(200_000)
    site.add("m.zip", zipped({"a": music}))
    get(tmp_path, Download(site.url("m.zip")))
    assert laid(tmp_path) == {"a": music}


def test_a_bomb_is_not_read_to_its_end(site, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BOMB_BYTES", 100_000)
    site.add("t.tgz", tarred(("a", bytes(10**6)), ("../evil", b"behind it"), form="gz"))
    fails(tmp_path, Download(site.url("t.tgz")), match="expected at most 100 kB when unpacked")


def test_a_bomb_of_links(site, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BOMB_BYTES", 10**6)
    site.add(
        "t.tgz", tarred(("a", bytes(10**5)), *(special(f"l{i}", tarfile.LNKTYPE, "a") for i in range(20)), form="gz")
    )
    fails(tmp_path, Download(site.url("t.tgz")), match=r"expected at most 1\.0 MB when unpacked")


def flipped(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :]


@pytest.mark.parametrize(
    ("name", "archive"),
    [
        ("t.zip", b"PK no zip"),
        ("t.zip", b""),
        ("t.zip", zipped(TREE)[:-30]),
        ("t.zip", flipped(zipped(TREE), 100_000)),
        ("t.tar", b""),
        ("t.tar", b"x" * 2000),
        ("t.tar", tarred(*TREE.items())[:100_000]),
        # The second header: tarfile alone would take it for the end.
        ("t.tar", flipped(tarred(("a", b"1"), ("b", b"2")), 1024)),
        ("t.tar.gz", tarred(*TREE.items(), form="gz")[:-100]),
        # The checksum at the very end, behind everything tarfile reads.
        ("t.tar.gz", tarred(*TREE.items(), form="gz")[:-8] + b"12345678"),
        ("t.tar.bz2", flipped(tarred(*TREE.items(), form="bz2"), 5000)),
        ("t.tar.xz", flipped(tarred(*TREE.items(), form="xz"), 5000)),
    ],
)
def test_a_damaged_archive(site, tmp_path, name, archive):
    page = site.add(name, archive)
    fails(tmp_path, Download(site.url(name)), match="received a damaged or incomplete one.*was removed, run this again")
    assert not laid(tmp_path)
    assert store(tmp_path) == {"lock", "manifest.json"}
    page.body = zipped({"a": b"a"}) if name == "t.zip" else tarred(("a", b"a"))
    get(tmp_path, Download(site.url(name)))
    assert laid(tmp_path) == {"a": b"a"}


def test_a_damaged_archive_as_published_is_kept(site, tmp_path):
    site.add("t.zip", b"PK no zip")
    fails(tmp_path, Download(site.url("t.zip"), sha(b"PK no zip")), match="replace .* by a sound one")
    assert "t.zip" in store(tmp_path)


def test_an_archive_packed_otherwise(site, tmp_path):
    secret = bytearray(zipped({"a": b"content"}))
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        secret[secret.index(signature) + offset] |= 1
    site.add("t.zip", bytes(secret))
    fails(tmp_path, Download(site.url("t.zip")), match="encrypted.*unpack it into")
    other = bytearray(zipped({"a": b"content"}))
    for signature, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        other[other.index(signature) + offset] = 9  # deflate64
    site.add("u.zip", bytes(other))
    fails(tmp_path, Download(site.url("u.zip")), match=f"unpack it into {tmp_path} yourself")
    assert {"t.zip", "u.zip"} <= store(tmp_path)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(["t.zip", "t.tar", "t.tar.gz", "t.tar.bz2", "t.tar.xz"]), st.data())
def test_no_damage_gives_more_than_a_line(name, data):
    tree = {"a.txt": b"abc" * 50, "b/c.bin": bytes(range(256))}
    form = name.rpartition(".")[2].removeprefix("tar")
    body = bytearray(zipped(tree) if name == "t.zip" else tarred(*tree.items(), form=form))
    for at in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
        body[at] = data.draw(st.integers(0, 255))
    del body[data.draw(st.integers(1, len(body))) :]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "deep" / "root"
        (root / STORE).mkdir(parents=True)
        (root / STORE / name).write_bytes(body)
        with contextlib.suppress(DataError):
            get(root, Download(f"http://127.0.0.1:9/{name}"))
        assert [p.name for p in Path(folder).iterdir()] == ["deep"]
        assert [p.name for p in root.parent.iterdir()] == ["root"]
        assert not list((root / STORE).glob("*.unpack"))


# -- files that exist


def test_a_file_of_other_content_is_not_overwritten(site, tmp_path):
    site.add("t.zip", zipped({"a.txt": b"a", "b.txt": b"b", "c.txt": b"c"}))
    (tmp_path / "b.txt").write_bytes(b"mine")
    (tmp_path / "c.txt").write_bytes(b"c")
    text = fails(tmp_path, Download(site.url("t.zip")), match=r"b\.txt: expected no such file or the same content")
    assert "(1 such files); nothing was overwritten" in text
    assert laid(tmp_path) == {"b.txt": b"mine", "c.txt": b"c"}
    (tmp_path / "b.txt").rename(tmp_path / "mine.txt")
    site.log.clear()
    get(tmp_path, Download(site.url("t.zip")))
    assert not site.log
    assert laid(tmp_path) == {"a.txt": b"a", "b.txt": b"b", "c.txt": b"c", "mine.txt": b"mine"}


def test_a_plain_file_of_other_content_is_not_overwritten(site, tmp_path):
    site.add("a.csv", b"theirs")
    (tmp_path / "a.csv").write_bytes(b"mine")
    fails(tmp_path, Download(site.url("a.csv"), sha(b"theirs")), match="move it away")
    assert not site.log  # known before
    fails(tmp_path, Download(site.url("a.csv")), match="move it away")
    assert laid(tmp_path) == {"a.csv": b"mine"}


def test_a_file_where_a_folder_is_wanted(site, tmp_path):
    site.add("t.zip", zipped({"a": b"1", "audio/1.mp3": b"1"}))
    (tmp_path / "audio").write_bytes(b"mine")
    fails(tmp_path, Download(site.url("t.zip")), match="audio: expected no such file")
    assert laid(tmp_path) == {"audio": b"mine"}


def test_a_folder_of_the_root_on_another_disk(site, tmp_path, small_disk):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "audio").symlink_to(small_disk)
    site.add("t.zip", zipped({"audio/1.mp3": b"1", "a.txt": b"a"}))
    get(tmp_path / "root", Download(site.url("t.zip")))
    assert (small_disk / "1.mp3").read_bytes() == b"1"
    assert [p.name for p in small_disk.iterdir()] == ["1.mp3"]


# -- killed, and two at once

KILLED = """
import os, sys
from pathlib import Path
from sentio_tf.corpora import fetch as module
from sentio_tf.corpora.track import Corpus, Download

url, root, where = sys.argv[1:]
def die(step, done, total):
    if step == where and done > total / 2:
        os._exit(9)
move, moved = os.replace, []
def replace(source, target):
    if where == "move" and ".unpack" in str(source):
        moved.append(target)
        if len(moved) == 3:
            os._exit(9)
    move(source, target)
module.os.replace = replace
corpus = Corpus("mini", "", "", "", "", list, downloads=(Download(url),))
module.fetch(corpus, Path(root), report=lambda line: None, progress=die)
"""


@pytest.mark.parametrize(("where", "files"), [("fetch", 0), ("unpack", 0), ("move", 2)])
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
    assert store(tmp_path) == {"manifest.json", "lock"}
    if where == "fetch":
        assert site.log[0]["status"] == 206
    else:
        assert not site.log


def test_two_fetches_at_once(site, tmp_path):
    arrived, go = threading.Event(), threading.Event()
    site.add("a.bin", before=lambda handler: (arrived.set(), go.wait(5)))
    first = threading.Thread(target=get, args=(tmp_path, Download(site.url("a.bin"))))
    first.start()
    try:
        assert arrived.wait(5)
        fails(tmp_path, Download(site.url("a.bin")), match=rf"no other fetch at work here.*process {os.getpid()}")
    finally:
        go.set()
        first.join()
    assert laid(tmp_path) == {"a.bin": BODY}
    assert len(site.log) == 1
    get(tmp_path, Download(site.url("a.bin")))  # and the lock is free again


def test_a_lock_of_a_process_that_has_died_does_not_hold(site, tmp_path):
    site.add("a.bin")
    (tmp_path / STORE).mkdir()
    (tmp_path / STORE / "lock").write_text("1")
    get(tmp_path, Download(site.url("a.bin")))
    assert laid(tmp_path) == {"a.bin": BODY}


def test_a_disk_without_locks(site, tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def none(*args):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    site.add("a.bin")
    assert any("has no locks" in line for line in get(tmp_path, Download(site.url("a.bin"))))
