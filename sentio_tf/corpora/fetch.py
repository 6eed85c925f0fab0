"""A corpus' public files: transferred, continued, verified, unpacked.

Everything on its way lies in `ROOT/.downloads`: `NAME.part` (what has arrived) with `NAME.part.json` (the version
it belongs to), `NAME` (whole and verified, or laid there by hand), `NAME.unpack` (an archive being unpacked),
`manifest.json` (what is done, with its SHA-256) and `lock`.  Each step leaves a state from which the next run
continues, so that a killed run costs at most the step it was in.

Decided here:

- A name ending in .zip, .tar, .tar.gz, .tgz, .tar.bz2, .tbz2, .tar.xz or .txz is an archive; others (a .xlsx is a
  zip file too) are laid as they are.
- A file that exists with other content is never overwritten: nothing of the archive is laid, and the line says which.
- A fetched archive is removed once it is unpacked; one laid by hand is never removed or changed.
- Where no checksum is published, the first file's SHA-256 is remembered and every later one must have it.
- Links within an archive become copies of what they point to.  A path or link that leads out of the folder, or a
  device, refuses the whole archive.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import http.client
import importlib
import json
import os
import posixpath
import re
import shutil
import stat
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urldefrag, urlsplit

from .. import __version__
from ..errors import DataError
from ..terminal import printable
from .track import Corpus, Download

STORE = ".downloads"
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
OWN_NAMES = ("manifest.json", "lock")
OWN_SUFFIXES = (".part", ".part.json", ".unpack", ".new")
BLOCK = 1 << 18  # bytes
# Beyond both an archive is a bomb: music hardly compresses, label files do, but are small.
BOMB_RATIO = 20
BOMB_BYTES = 50 * 10**9
MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "lzma"}

Report = Callable[[str], None]
Progress = Callable[[str, int, int], None]  # step, bytes done, bytes in all


@dataclass(frozen=True)
class Retry:
    """How patient a transfer is: `attempts` in a row without `growth` more bytes, pauses doubling from `pause_s`."""

    attempts: int = 5
    pause_s: float = 1.0
    longest_s: float = 30.0
    timeout_s: float = 60.0  # without a byte
    growth: int = 16 << 20  # bytes that make the count of attempts start anew


class _Dropped(Exception):
    """A failure that may pass: worth another attempt, after `wait_s` if the server asks for it."""

    def __init__(self, reason: str, wait_s: float = 0.0):
        super().__init__(reason)
        self.wait_s = wait_s


class _Refused(Exception):
    """A failure that stays: no network, no such file, or an answer that must not be taken."""


@dataclass(frozen=True)
class _Job:
    """One download, where its pieces lie, and how to talk about it."""

    download: Download
    name: str
    root: Path
    how_to_get: str
    report: Report
    progress: Progress
    retry: Retry

    @property
    def url(self) -> str:
        return urldefrag(self.download.url).url

    @property
    def published(self) -> str:
        return self.download.checksum.lower()

    @property
    def is_archive(self) -> bool:
        return self.name.lower().endswith(ARCHIVES)

    @property
    def target(self) -> Path:
        return self.root / self.download.folder

    @property
    def whole(self) -> Path:
        return self.root / STORE / self.name

    @property
    def part(self) -> Path:
        return self.whole.with_name(f"{self.name}.part")

    @property
    def notes(self) -> Path:
        return self.whole.with_name(f"{self.name}.part.json")

    @property
    def staging(self) -> Path:
        return self.whole.with_name(f"{self.name}.unpack")

    @property
    def by_hand(self) -> str:
        fate = "unpacked into" if self.is_archive else "laid into"
        return (
            f"get it by hand ({self.how_to_get}; {self.url}), lay it as {self.whole} and run this again: "
            f"it is verified and {fate} {self.target}"
        )


def fetch(
    corpus: Corpus, root: Path, *, report: Report, progress: Progress | None = None, retry: Retry = Retry()
) -> None:
    """Bring every file of `corpus.downloads` into `root`, unpacked; a second call continues or finds all of it there.

    `report(line)` says name, citation and terms before anything is transferred, then what happens; `progress(step,
    done, total)` counts bytes, with step `fetch`, `check` or `unpack`.  A file that cannot be fetched may be laid by
    hand into `root/.downloads`: it is verified and unpacked as if it had been.

    Raises: DataError, one line, if the corpus has no public files, a file cannot be transferred (with the steps by
    hand), has another checksum than published or remembered, is a damaged or unsafe archive, or would overwrite a
    file of other content, if the disk is full, or if another fetch is at work in `root`.
    """
    if not corpus.downloads:
        raise DataError(
            f"{corpus.name}: expected a corpus with public files, received one without; "
            f"get it by hand: {_line(corpus.how_to_get)}"
        )
    how, show = _line(corpus.how_to_get), _thinned(progress)
    jobs = [_Job(d, name_of(d), root, how, report, show, retry) for d in corpus.downloads]
    _check_downloads(jobs)
    store = root / STORE
    try:
        store.mkdir(parents=True, exist_ok=True)
        with _locked(store / "lock", report):
            report(f"{corpus.name}: {corpus.citation}")
            report(f"licence: {corpus.licence}")
            for job in jobs:
                size = _amount(job.download.size) if job.download.size else "size not published"
                report(f"{job.name}: {size}, {job.url}")
            manifest = _Manifest(store / "manifest.json")
            pending = [job for job in jobs if not _is_here(job, manifest)]
            missing = (j.download.size - _size(j.part) for j in pending if not j.whole.exists())
            _need(store, sum(max(0, n) for n in missing), "for what is to be fetched")
            for job in pending:
                _bring(job, manifest)
            report(f"{corpus.name}: complete in {root}")
    except OSError as error:
        raise DataError(
            f"{error.filename or store}: {error.strerror or error}; "
            f"{_remedy(error)} and run this again, what has arrived is kept"
        ) from None


def name_of(download: Download) -> str:
    """The file's name: the fragment of its URL (`#name.zip`), else the last part of the path that is a name.

    Raises: DataError if that gives no name a file can have here.
    """
    url = urlsplit(download.url)
    parts = [unquote(part) for part in url.path.split("/") if part]
    # Zenodo's and SourceForge's URLs end in a verb behind the name.
    while len(parts) > 1 and parts[-1] in ("content", "download"):
        parts.pop()
    name = unquote(url.fragment) or (parts[-1] if parts else "")
    wrong = not name or name.startswith(".") or re.search(r"[/\\\x00-\x1f\x7f]", name) or len(os.fsencode(name)) > 200
    if wrong or name.lower() in OWN_NAMES or name.lower().endswith(OWN_SUFFIXES):
        raise DataError(
            f"{_line(download.url)}: expected a URL that names a file, received {name!r}; add #NAME to the URL"
        )
    return name


def _check_downloads(jobs: list[_Job]) -> None:
    names: set[str] = set()
    for job in jobs:
        url, folder = job.download.url, job.download.folder
        if urlsplit(url).scheme.lower() not in ("http", "https") or not urlsplit(url).hostname or re.search(r"\s", url):
            raise DataError(f"{_line(url)}: expected an http or https URL, received another; correct the corpus")
        if job.published and not re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", job.published):
            raise DataError(
                f"{job.name}: expected a checksum sha256:HEX or md5:HEX, received {job.published!r}; correct the corpus"
            )
        parts = _parts(folder)
        if parts is None or parts[:1] == (STORE,):
            raise DataError(f"{job.name}: expected a folder within the root, received {folder!r}; correct the corpus")
        if job.name.casefold() in names:
            raise DataError(
                f"{job.name}: expected one download of this name, received two; add #NAME to one of the URLs"
            )
        names.add(job.name.casefold())


# -- one file, from the manifest to the manifest


def _is_here(job: _Job, manifest: _Manifest) -> bool:
    entry = manifest.entries.get(job.name)
    if not entry or not entry["done"] or entry["folder"] != job.download.folder:
        return False
    digests = {f"{name}:{entry[name]}" for name in ("sha256", "md5") if name in entry}
    if job.published not in digests if job.published else entry["url"] != job.url:
        return False
    gone = sum(not os.path.lexists(job.target / name) for name in entry["files"])
    if gone:
        job.report(f"{job.name}: {gone} of its {len(entry['files'])} files are gone; getting it again")
        return False
    job.report(f"{job.name}: already here")
    return True


def _bring(job: _Job, manifest: _Manifest) -> None:
    """Get one file, by hand or from its URL, lay it or its content into the target and note it as done."""
    entry = manifest.entries.get(job.name)
    remembered = f"sha256:{entry['sha256']}" if entry and entry["url"] == job.url else ""
    expected = job.published or remembered
    if not job.is_archive and _lies_there(job, expected):
        digests = _hash(job, job.target / job.name)
        manifest.note(job, digests, files=[job.name], done=True)
        job.report(f"{job.name}: already here")
        return
    if job.whole.exists():
        digests = _hash(job, job.whole)
        fetched = bool(entry and not entry["by_hand"] and entry["sha256"] == digests["sha256"])
        if not fetched:
            job.report(f"{job.name}: taken as it lies in {job.whole.parent}")
        if (received := _differs(digests, expected)) is not None:
            raise DataError(
                f"{job.whole}: expected {_source(job, expected)}, received {received}; nothing was unpacked; "
                f"remove it, or replace it by the right file ({job.how_to_get}; {job.url})"
            )
    else:
        digests, fetched = _download(job, expected), True
    if not expected:
        job.report(
            f"{job.name}: no checksum is published; sha256:{digests['sha256']} is remembered and verified from now on"
        )
    manifest.note(job, digests, by_hand=not fetched)
    if not job.whole.exists():
        os.replace(job.part, job.whole)
    for path in (job.part, job.notes):
        path.unlink(missing_ok=True)
    if job.is_archive:
        try:
            files = _unpack(job)
        except _Damaged as damage:
            if fetched and not job.published:  # otherwise another transfer would bring the same
                job.whole.unlink()
                manifest.forget(job)
                raise DataError(f"{damage}; {job.name} was removed, run this again to fetch it anew") from None
            raise DataError(f"{damage}; replace {job.whole} by a sound one") from None
    else:
        files = [job.name]
        _lay(job.whole, job.target / job.name, keep=not fetched)
    manifest.note(job, digests, by_hand=not fetched, files=files, done=True)
    if fetched:
        job.whole.unlink(missing_ok=True)


def _source(job: _Job, expected: str) -> str:
    if job.published:
        return f"{expected} as published"
    return f"{expected} as fetched before (remove {job.whole.parent / 'manifest.json'} to accept another)"


def _lies_there(job: _Job, expected: str) -> bool:
    """Whether a file that is no archive already lies in the target as it should be."""
    path = job.target / job.name
    if not os.path.lexists(path) or not expected:
        return False
    if (received := _differs(_hash(job, path), expected)) is not None:
        raise DataError(
            f"{path}: expected no such file or {_source(job, expected)}, received {received}; "
            "move it away and run this again"
        )
    return True


class _Manifest:
    """What is known of each file by name: url, sha256 (and md5 where published), folder, files, by_hand, done."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self.entries: dict[str, dict[str, Any]] = json.loads(path.read_bytes())["downloads"]
            for entry in self.entries.values():
                kinds = {"url": str, "sha256": str, "folder": str, "files": list, "by_hand": bool, "done": bool}
                if not all(isinstance(entry[key], kind) for key, kind in kinds.items()):
                    raise TypeError
                if not all(isinstance(name, str) for name in entry["files"]):
                    raise TypeError
        except FileNotFoundError:
            self.entries = {}
        except (ValueError, TypeError, KeyError, AttributeError):
            raise DataError(
                f"{path}: expected the record of what was fetched, received something else; remove it to fetch anew"
            ) from None

    def note(
        self, job: _Job, digests: dict[str, str], *, files: Iterable[str] = (), by_hand: bool = False, done=False
    ) -> None:
        when = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self.entries[job.name] = {"url": job.url, **digests, "folder": job.download.folder, "when": when}
        self.entries[job.name] |= {"by_hand": by_hand, "done": done, "files": sorted(files)}
        _write_json(self.path, {"downloads": self.entries})

    def forget(self, job: _Job) -> None:
        self.entries.pop(job.name, None)
        _write_json(self.path, {"downloads": self.entries})


# -- transfer


@dataclass(frozen=True)
class _Version:
    """Which version of which file a part belongs to, as the server named it."""

    url: str
    etag: str = ""
    modified: str = ""
    total: int | None = None  # bytes

    @property
    def condition(self) -> str:
        """What may stand in If-Range: a weak ETag may not (RFC 9110, 13.1.5)."""
        return self.modified if self.etag.startswith("W/") or not self.etag else self.etag


class _Part:
    """What has arrived of a file: its bytes on disk, their digests, and their version."""

    def __init__(self, job: _Job, file, expected: str):
        self.job, self.file, self.expected = job, file, expected
        self.size = os.fstat(file.fileno()).st_size
        self.version = _read_version(job)
        self.digests = _digests(expected)
        if self.size and (self.complete or self.can_continue):
            job.report(f"{job.name}: continues after {_amount(self.size)}")
            _update(self.digests, job, job.part)
        elif self.size:
            self.clear()
        self.resumed = self.size > 0

    @property
    def complete(self) -> bool:
        return self.version is not None and self.size == self.version.total

    @property
    def can_continue(self) -> bool:
        """Whether more bytes can be told to be of the same version, by the server or in the end by the checksum."""
        version = self.version
        if not self.size or version is None or (version.total is not None and self.size > version.total):
            return False
        return bool(version.condition or self.expected)

    def clear(self) -> None:
        # Before the version is forgotten or replaced: old bytes must never stand beside a new version.
        self.file.truncate(0)
        self.size, self.version, self.digests, self.resumed = 0, None, _digests(self.expected), False

    def belongs_to(self, version: _Version) -> None:
        self.version = version
        _write_json(self.job.notes, asdict(version))

    def add(self, block: bytes) -> None:
        view = memoryview(block)
        while view:
            written = self.file.write(view)
            for digest in self.digests.values():
                digest.update(view[:written])
            self.size += written
            view = view[written:]


def _read_version(job: _Job) -> _Version | None:
    try:
        version = _Version(**json.loads(job.notes.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    sound = isinstance(version.etag, str) and isinstance(version.modified, str)
    sound = sound and (version.total is None or isinstance(version.total, int))
    return version if sound and version.url == job.url else None


def _download(job: _Job, expected: str) -> dict[str, str]:
    """Transfer the file to `job.part` and verify it; returns its digests.

    Where what was continued turns out not to belong together, it is transferred once more from its start.
    """
    opener = _opener()
    for again in (False, True):
        with open(job.part, "ab", buffering=0) as file:
            part = _Part(job, file, expected)
            _receive(job, part, opener)
            os.fsync(file.fileno())
        digests = {name: digest.hexdigest() for name, digest in part.digests.items()}
        received = _differs(digests, expected)
        if received is None:
            return digests
        job.part.unlink()
        job.notes.unlink(missing_ok=True)
        if again or not part.resumed:
            break
        job.report(f"{job.name}: what had arrived earlier is not of this file; starting over")
    raise DataError(
        f"{job.name}: expected {_source(job, expected)}, received {received}; "
        f"it was removed and nothing unpacked; run this again, or {job.by_hand}"
    )


def _receive(job: _Job, part: _Part, opener: urllib.request.OpenerDirector) -> None:
    """Ask until the part is complete."""
    failures, best, received = 0, part.size, False
    while not part.complete:
        before = part.size
        try:
            _request(job, part, opener, received)
        except _Refused as refusal:
            raise DataError(f"{job.url}: {refusal}; {job.by_hand}") from None
        except _Dropped as drop:
            if part.size >= best + job.retry.growth:
                failures = 0
            best = max(best, part.size)
            failures += 1
            if failures >= job.retry.attempts:
                kept = f"{_amount(part.size)} are kept, run this again to continue" if part.can_continue else ""
                raise DataError(
                    f"{job.url}: {drop}, {failures} times; {kept or 'run this again to continue'}, or {job.by_hand}"
                ) from None
            pause = min(max(job.retry.pause_s * 2 ** (failures - 1), drop.wait_s), job.retry.longest_s)
            job.report(f"{job.name}: {drop}; trying again in {pause:g} s")
            time.sleep(pause)
        finally:
            received = received or part.size > before


def _request(job: _Job, part: _Part, opener: urllib.request.OpenerDirector, received: bool) -> None:
    """One request and its answer, appended to the part.

    Raises: _Dropped or _Refused if the answer is not what was asked for, or ends before its length.
    """
    if part.size and not part.can_continue:
        job.report(f"{job.name}: the server names no version that could be continued; starting over")
        part.clear()
    headers = {"User-Agent": f"sentio-tf/{__version__}", "Accept": "*/*"}
    if part.size and part.version:
        headers["Range"] = f"bytes={part.size}-"
        if part.version.condition:
            headers["If-Range"] = part.version.condition
    with _ask(job, urllib.request.Request(job.url, headers=headers), opener, received) as response:
        status = response.status
        if status == 416 and part.size and part.version:
            known = re.fullmatch(r"bytes \*/(\d{1,18})", _header(response, "Content-Range"))
            if known and int(known[1]) == part.size and _same(part, response):
                part.belongs_to(replace(part.version, total=part.size))
                return
            part.clear()
            raise _Dropped("what has arrived is not of the file that is there now")
        if status == 200:
            stop = _whole_answer(job, part, response)
        elif status == 206:
            stop = _part_answer(job, part, response)
        else:
            raise _Refused(f"expected the file, received HTTP {status}")
        total = part.version.total if part.version and part.version.total is not None else job.download.size
        while stop is None or part.size < stop:
            try:
                block = response.read1(BLOCK if stop is None else min(BLOCK, stop - part.size))
            except (OSError, http.client.HTTPException) as error:
                raise _Dropped(f"the connection dropped ({_line(str(error)) or type(error).__name__})") from None
            if not block:
                break
            part.add(block)
            job.progress("fetch", part.size, total)
    if stop is None and part.size >= job.download.size and part.version:  # its end is the connection's end
        part.belongs_to(replace(part.version, total=part.size))
    elif part.size < (end := job.download.size if stop is None else stop):
        raise _Dropped(f"the connection ended after {part.size} of {end} bytes")


def _whole_answer(job: _Job, part: _Part, response) -> int | None:
    """Where the whole file that is being answered ends; the part starts over."""
    length = _header(response, "Content-Length")
    total = int(length) if re.fullmatch(r"\d{1,18}", length) and not _header(response, "Transfer-Encoding") else None
    kind = _header(response, "Content-Type").partition(";")[0].strip().lower()
    if kind == "text/html" and not job.name.lower().endswith((".html", ".htm")):
        raise _Refused("expected the file, received a web page (of a login, a consent or a network's portal)")
    if total is not None and job.download.size and total != job.download.size:
        difference = f"expected {job.download.size} bytes, received an offer of {total}"
        if job.published:
            raise _Refused(f"{difference}: the file there is another one now")
        job.report(f"{job.name}: {difference}; the file there may be a newer one")
    elif total is not None and not job.download.size and not part.size:
        job.report(f"{job.name}: {_amount(total)}")
    # What has arrived is given up only now that nothing speaks against its successor.
    _need(job.part.parent, (total or job.download.size) - part.size, f"for {job.name}")
    if part.size:
        job.report(f"{job.name}: the file has changed or the server cannot continue; starting over")
    part.clear()
    part.belongs_to(_Version(job.url, _header(response, "ETag"), _header(response, "Last-Modified"), total))
    return total


def _part_answer(job: _Job, part: _Part, response) -> int:
    """Where the range that is being answered ends, if it is of the same file and starts where the part ends."""
    given = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", _header(response, "Content-Range"))
    if given and part.size and part.version and _same(part, response):
        start, last = int(given[1]), int(given[2])
        total = part.version.total if given[3] == "*" else int(given[3])
        if start == part.size <= last and (total is None or last < total) and part.version.total in (None, total):
            _need(job.part.parent, last + 1 - part.size, f"for the rest of {job.name}")
            part.belongs_to(replace(part.version, total=total))
            part.resumed = True
            return last + 1
    part.clear()
    raise _Dropped("the server answered with another part than asked for")


def _header(response, name: str) -> str:
    return (response.headers.get(name) or "").strip()


def _same(part: _Part, response) -> bool:
    """Whether an answer is of the part's version, as far as the headers say or a checksum will."""
    assert part.version
    for ours, name in ((part.version.etag, "ETag"), (part.version.modified, "Last-Modified")):
        theirs = _header(response, name)
        if ours and theirs:
            return ours == theirs
    return bool(part.expected)


def _ask(job: _Job, request: urllib.request.Request, opener: urllib.request.OpenerDirector, received: bool) -> Any:
    """The answer, of status 2xx or 416; `received`: the network was there a moment ago, so its failure may pass."""
    try:
        return opener.open(request, timeout=job.retry.timeout_s)
    except urllib.error.HTTPError as error:
        if error.code == 416 and request.has_header("Range"):
            return error
        with error:
            reason = f"HTTP {error.code} {_line(str(error.reason))}".strip()
            after = error.headers.get("Retry-After", "") if error.headers else ""
            if error.code in (408, 425, 429) or error.code >= 500:
                raise _Dropped(reason, float(after) if after.isdecimal() else 0.0) from None
            raise _Refused(f"expected the file, received {reason}") from None
    except urllib.error.URLError as error:
        cause = error.reason
        reason = _line(str(getattr(cause, "strerror", None) or cause))
        reason = f"the server cannot be reached{_through_proxy(job.url)} ({reason})"
        if received or isinstance(cause, (ConnectionResetError, BrokenPipeError)):
            raise _Dropped(reason) from None
        raise _Refused(reason) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Dropped(f"the connection dropped ({_line(str(error)) or type(error).__name__})") from None
    except ValueError as error:  # a redirect to what is no URL
        raise _Refused(f"expected the file, received an answer that cannot be followed ({_line(str(error))})") from None


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Redirects to http and https, never from https to http."""

    # Python 3.10 does not know 308.
    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        scheme = urlsplit(newurl).scheme.lower()
        if scheme not in ("http", "https") or (urlsplit(req.full_url).scheme == "https" and scheme != "https"):
            fp.close()
            raise _Refused(f"expected the file, received a redirect to {scheme}, which is not followed")
        return super().redirect_request(req, fp, 307 if code == 308 else code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """http and https only: urllib's own would open file: and ftp: as well."""
    request = urllib.request
    opener = request.OpenerDirector()
    kinds = (request.ProxyHandler, request.HTTPHandler, request.HTTPSHandler, request.HTTPDefaultErrorHandler)
    for kind in (*kinds, _Redirect, request.HTTPErrorProcessor, request.UnknownHandler):
        opener.add_handler(kind())
    return opener


def _through_proxy(url: str) -> str:
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme, "")
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    return f" through the proxy {urlsplit(proxy).hostname or proxy.rpartition('@')[2]}"  # without its password


# -- archives


class _Damaged(Exception):
    """An archive that does not read, or that no honest maker packed."""


@dataclass(frozen=True)
class _Entry:
    """A file of an archive; `link` is what a link points to, relative to the archive, None for the rest."""

    name: str  # as stored, for messages
    parts: tuple[str, ...]
    size: int
    open: Callable[[], IO[bytes] | None]
    link: tuple[str, ...] | None = None


def _unpack(job: _Job) -> list[str]:
    """Unpack the archive beside the others, then move file by file into the target; returns their names there.

    Raises: _Damaged if it does not read or is unsafe; DataError if it is a bomb, or would overwrite a file.
    """
    job.report(f"{job.name}: unpacking into {job.target}")
    if os.path.lexists(job.staging):  # of a run that was killed
        shutil.rmtree(job.staging)
    try:
        job.staging.mkdir()
        try:
            with _entries(job.whole) as entries:
                plan = _plan(job, entries)
                _need(job.staging, sum(e.size for e in plan.values()), f"to unpack {job.name}")
                _stage(job, plan)
        except OSError as error:
            if error.errno is not None:
                raise
            raise _unreadable(job, error) from None
        except (DataError, _Damaged):
            raise
        except Exception as error:  # zipfile, tarfile and the decompressors raise a dozen kinds
            raise _unreadable(job, error) from None
        return _settle(job, plan)
    finally:
        shutil.rmtree(job.staging, ignore_errors=True)


def _unreadable(job: _Job, error: Exception) -> Exception:
    reason = _line(str(error)) or type(error).__name__
    if isinstance(error, (NotImplementedError, ImportError, UnicodeError)) or "encrypted" in reason:
        return DataError(
            f"{job.whole}: expected an archive that Python can unpack, received one packed otherwise ({reason}); "
            f"unpack it into {job.target} yourself"
        )
    return _Damaged(f"{job.whole}: expected a sound archive, received a damaged or incomplete one ({reason})")


@contextlib.contextmanager
def _entries(path: Path) -> Iterator[Iterator[_Entry]]:
    """The entries of a zip or tar archive without its folders; content decides which it is."""
    with open(path, "rb") as file:
        start = file.read(6)
    if not path.name.lower().endswith(".zip"):
        kind = next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), "")
        # Opened here and not by tarfile, so that it can be read to its very end, where its checksum is.
        opener = importlib.import_module(kind).open if kind else open
        with opener(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r:", encoding="utf-8") as tar:
            yield _tar_entries(tar, stream)
    else:
        with zipfile.ZipFile(path) as archive:
            yield _zip_entries(archive)


def _tar_entries(tar: tarfile.TarFile, stream: IO[bytes]) -> Iterator[_Entry]:
    for info in tar:
        if info.isdir():
            _within(info.name)
        elif info.isreg():
            yield _Entry(info.name, _within(info.name), info.size, partial(tar.extractfile, info))
        elif info.issym() or info.islnk():
            parts = _within(info.name)
            link = _link(parts[:-1] if info.issym() else (), info.linkname, info.name)
            if info.islnk() and link == parts:  # tar writes a file that was named twice so
                continue
            yield _Entry(info.name, parts, 0, lambda: None, link)
        else:
            raise _unsafe(info.name, "a device or another special file")
    # tarfile takes a header that does not parse for the archive's end.
    stream.seek(tar.offset)
    if stream.read(512).strip(b"\0"):
        raise tarfile.ReadError("a header does not parse")
    extra = 0
    while block := stream.read(BLOCK):
        extra += len(block)
        if extra > BOMB_BYTES:
            raise tarfile.ReadError("no end")


def _zip_entries(archive: zipfile.ZipFile) -> Iterator[_Entry]:
    for info in archive.infolist():
        name = info.filename
        if not info.flag_bits & 0x800:  # not said to be UTF-8, and read as code page 437
            try:
                name = name.encode("cp437").decode("utf-8")
            except UnicodeError:
                pass
        name = name.replace("\\", "/")  # some Windows programs write them
        mode = info.external_attr >> 16
        kind = stat.S_IFMT(mode) if info.create_system == 3 else 0  # made by Unix
        if name.endswith("/") or kind == stat.S_IFDIR:
            _within(name)
        elif kind == stat.S_IFLNK:
            with archive.open(info) as file:
                pointed = file.read(4096).decode("utf-8", "surrogateescape")
            parts = _within(name)
            yield _Entry(name, parts, 0, lambda: None, _link(parts[:-1], pointed, name))
        elif kind in (0, stat.S_IFREG):
            yield _Entry(name, _within(name), info.file_size, partial(archive.open, info))
        else:
            raise _unsafe(name, "a device or another special file")


def _parts(name: str) -> tuple[str, ...] | None:
    """The parts of a relative path that stays where it is; None for any other."""
    parts = re.split(r"[/\\]", name)
    if (not parts[0] and name) or ".." in parts or re.match(r"[A-Za-z]:[/\\]", name) or "\0" in name:
        return None
    return tuple(_storable(part) for part in name.split("/") if part not in ("", "."))


def _storable(part: str) -> str:
    """The name itself where this system can write it, else with escapes: no name is lost for its encoding."""
    try:
        # macOS takes UTF-8 only; elsewhere any byte goes back as it came.
        part.encode() if sys.platform == "darwin" else os.fsencode(part)
    except UnicodeEncodeError:
        return part.encode("ascii", "backslashreplace").decode()
    return part


def _within(name: str) -> tuple[str, ...]:
    parts = _parts(name)
    if parts is None or (parts and parts[0].casefold() == STORE):
        raise _unsafe(name, "a path out of its folder")
    return parts


def _link(folder: tuple[str, ...], pointed: str, name: str) -> tuple[str, ...]:
    path = posixpath.normpath(posixpath.join(*folder, pointed)) if pointed else ".."
    if posixpath.isabs(path) or "\0" in path or path.split("/")[0] == "..":
        raise _unsafe(name, "a link out of its folder")
    return tuple(_storable(part) for part in path.split("/"))


def _unsafe(name: str, what: str) -> _Damaged:
    return _Damaged(
        f"{printable(name)}: expected files within the archive's folder, received {what}; nothing was unpacked"
    )


def _plan(job: _Job, entries: Iterable[_Entry]) -> dict[tuple[str, ...], _Entry]:
    """Which entry gives which file: the last of a name counts, links become what they point to."""
    plan: dict[tuple[str, ...], _Entry] = {}
    total = 0
    for entry in entries:
        total += entry.size
        _refuse_bomb(job, total)  # at once: reading on to the end of a bomb is what it wants
        if not entry.parts:
            raise _unsafe(entry.name, "a file without a name")
        plan[entry.parts] = entry
    left_out = []
    for parts, entry in list(plan.items()):
        pointed: _Entry | None = entry
        for _ in range(40):  # as many as a kernel follows
            if pointed is None or pointed.link is None:
                break
            pointed = plan.get(pointed.link)
        if pointed is None or pointed.link is not None:
            left_out.append(entry.name)
            del plan[parts]
        elif pointed is not entry:
            plan[parts] = replace(pointed, link=pointed.parts)
    if left_out:
        first = printable(left_out[0])
        job.report(f"{job.name}: {len(left_out)} links to no file of the archive are left out, first {first}")
    _refuse_bomb(job, sum(e.size for e in plan.values()))
    return plan


def _refuse_bomb(job: _Job, size: int) -> None:
    limit = max(BOMB_BYTES, BOMB_RATIO * _size(job.whole))
    if size > limit:
        raise DataError(
            f"{job.whole}: expected at most {_amount(limit)} when unpacked, received an archive of more; "
            "nothing was unpacked; if it is meant to be that large, unpack it yourself"
        )


def _stage(job: _Job, plan: dict[tuple[str, ...], _Entry]) -> None:
    """Write the planned files into the staging folder."""
    done, total = 0, sum(e.size for e in plan.values())
    # Links last: they are copied from the files, because a compressed archive is slow to read backwards.
    for parts, entry in sorted(plan.items(), key=lambda item: item[1].link is not None):
        path = job.staging.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "xb") as target:
                source = entry.open() if entry.link is None else job.staging.joinpath(*entry.link).open("rb")
                assert source  # None for what is no file, and the plan holds only files
                with source:
                    while block := source.read(BLOCK):
                        target.write(block)
                        job.progress("unpack", done + target.tell(), total)
                if target.tell() != entry.size:
                    raise EOFError(f"{printable(entry.name)} ends early")
        except (FileExistsError, NotADirectoryError):
            raise DataError(
                f"{job.whole}: expected every file to have its own name, received {printable(entry.name)}, "
                f"which this disk cannot tell from another; unpack it into {job.target} yourself"
            ) from None
        done += entry.size


def _settle(job: _Job, plan: dict[tuple[str, ...], _Entry]) -> list[str]:
    """Move the staged files into the target, unless any of them would replace one of other content."""
    conflicts = []
    for parts in plan:
        path = job.target.joinpath(*parts)
        if os.path.lexists(path):
            if not _identical(job.staging.joinpath(*parts), path):
                conflicts.append(path)
        elif blocked := next((p for p in path.parents if os.path.lexists(p) and not p.is_dir()), None):
            conflicts.append(blocked)
    if conflicts:
        raise _occupied(conflicts[0], len(conflicts))
    for parts in plan:
        _lay(job.staging.joinpath(*parts), job.target.joinpath(*parts))
    return ["/".join(parts) for parts in plan]


def _lay(source: Path, target: Path, *, keep: bool = False) -> None:
    """Move (or, with `keep`, copy) a file to where none is or an identical one, whole or not at all."""
    if os.path.lexists(target):
        if not _identical(source, target):
            raise _occupied(target, 1)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if not keep:
        try:
            os.replace(source, target)
            return
        except OSError as error:
            if error.errno != errno.EXDEV:  # a folder of the root may be a link to another disk
                raise
    part = target.with_name(f"{STORE}.new")
    try:
        shutil.copyfile(source, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _occupied(path: Path, count: int) -> DataError:
    return DataError(
        f"{printable(str(path))}: expected no such file or the same content, received another ({count} such files); "
        "nothing was overwritten; move it away and run this again, or name another folder"
    )


def _identical(one: Path, other: Path) -> bool:
    try:
        if not other.is_file() or _size(one) != _size(other):
            return False
        with open(one, "rb") as a, open(other, "rb") as b:
            while block := a.read(BLOCK):
                if block != b.read(BLOCK):
                    return False
        return True
    except PermissionError:
        return False


# -- digests, disk, words


def _digests(expected: str) -> dict[str, Any]:
    names = {"sha256", expected.partition(":")[0] or "sha256"}
    return {name: hashlib.new(name, usedforsecurity=False) for name in sorted(names)}


def _update(digests: dict[str, Any], job: _Job, path: Path) -> None:
    done, total = 0, _size(path)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            for digest in digests.values():
                digest.update(block)
            done += len(block)
            job.progress("check", done, total)


def _hash(job: _Job, path: Path) -> dict[str, str]:
    digests = _digests(job.published)
    _update(digests, job, path)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _differs(digests: dict[str, str], expected: str) -> str | None:
    """What was received instead of the expected checksum, None where it is right or none is expected."""
    algorithm = expected.partition(":")[0]
    received = f"{algorithm}:{digests.get(algorithm, '')}"
    return received if expected and received != expected else None


def _need(folder: Path, size: int, purpose: str) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DataError(
            f"{folder}: expected {_amount(size)} of free disk {purpose}, received {_amount(free)}; "
            "free some or name another folder"
        )


def _remedy(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return "free some disk space"
    return "make the folder writable or name another"


@contextlib.contextmanager
def _locked(path: Path, report: Report) -> Iterator[None]:
    """One fetch at a time; the lock goes with its process, however that ends."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise DataError(
                f"{path.parent.parent}: expected no other fetch at work here, received one "
                f"(process {printable(file.read(20)) or 'unknown'}); wait for its end and run this again"
            ) from None
        except OSError as error:
            report(f"{path}: this disk has no locks ({error.strerror}); do not run a second fetch at the same time")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _write_json(path: Path, content: dict[str, Any]) -> None:
    part = path.with_name(f"{path.name}.new")
    try:
        with open(part, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _thinned(progress: Progress | None) -> Progress:
    """At most a thousand calls a step, and none without a total."""
    last = ("", -1)

    def show(step: str, done: int, total: int) -> None:
        nonlocal last
        if progress is None or total <= 0:
            return
        done = min(done, total)
        if (now := (step, 1000 * done // total)) != last:
            last = now
            progress(step, done, total)

    return show


def _amount(size: int) -> str:
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def _line(text: str) -> str:
    """Text of others as one line that cannot steer a terminal."""
    return printable(" ".join(text.split()))
