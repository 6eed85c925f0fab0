"""A corpus' public files: transferred, continued, verified, unpacked.

Everything on its way lies in `ROOT/.downloads`: `NAME.part` (what has arrived) with `NAME.part.json` (the version it
belongs to), `NAME` (laid there by hand), `NAME.unpack` (an archive being unpacked), `manifest.json` (what is done)
and `lock`.  Each step leaves a state from which the next run continues.

Decided here:

- A file that exists with other content is never overwritten, and the line says which.
- A fetched archive is removed once it is unpacked; one laid by hand is never removed or changed.
- A published checksum must be met.  Where none is published (an archive of a moving branch has none), the one that
  came is remembered, and a file that is fetched again and differs is said to be another version, not refused.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import hashlib
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

from .. import __version__
from ..errors import DataError
from ..terminal import printable
from .archive import BLOCK, STORE, Progress, amount, is_archive, lay, need, unpack
from .track import Corpus, Download

Report = Callable[[str], None]


@dataclass(frozen=True)
class Retry:
    """How patient a transfer is: `attempts` in all, pauses doubling from `pause_s`, `timeout_s` without a byte."""

    attempts: int = 5
    pause_s: float = 1.0
    timeout_s: float = 60.0


class _Dropped(Exception):
    """What came instead of the file, where another attempt may bring it."""


class _Unreachable(_Dropped):
    """No server answered at all: offline, unless it answered a moment ago."""


class _Job:
    """One download, where its pieces lie, and how to talk about it."""

    def __init__(
        self, download: Download, root: Path, how_to_get: str, report: Report, progress: Progress, retry: Retry
    ):
        self.report, self.progress, self.retry = report, progress, retry
        self.url, self.name = urldefrag(download.url).url, name_of(download)
        self.size, self.published, self.folder = download.size, download.checksum.lower(), download.folder
        self.target = root / download.folder
        self.whole = root / STORE / self.name
        self.part, self.notes, self.staging = (Path(f"{self.whole}{end}") for end in (".part", ".part.json", ".unpack"))
        self.source = f"{how_to_get}; {self.url}"
        self.by_hand = f"get it by hand ({self.source}), lay it as {self.whole} and run this again"

    def refused(self, received: str) -> DataError:
        return DataError(f"{self.url}: expected the file, received {received}; {self.by_hand}")

    def discard_part(self) -> None:
        # The bytes first: old ones must never stand beside a new version.
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)


def fetch(
    corpus: Corpus, root: Path, *, report: Report, progress: Progress | None = None, retry: Retry = Retry()
) -> None:
    """Bring every file of `corpus.downloads` into `root`, unpacked; a second call continues or finds all of it there.

    `report(line)` says citation, licence and sizes before anything is transferred, then what happens; `progress(step,
    done, total)` counts bytes, with step `fetch`, `check` or `unpack`, where the total is known.  A file that cannot be
    fetched may be laid by hand into `root/.downloads`: it is verified and unpacked as if it had been.

    Raises: DataError, one line, if the corpus has no public files, a file cannot be transferred (with the steps by
    hand), has another checksum than published, is a damaged or unsafe archive, or would overwrite a file of other
    content, if the disk is full, or if another fetch is at work in `root`.
    """
    if not corpus.downloads:
        raise DataError(
            f"{corpus.name}: expected a corpus with public files, received one without; "
            f"get it by hand: {corpus.how_to_get}"
        )
    show = _thinned(progress)
    jobs = [_Job(d, root, corpus.how_to_get, report, show, retry) for d in corpus.downloads]
    store = root / STORE
    try:
        store.mkdir(parents=True, exist_ok=True)
        with _locked(store / "lock"):
            report(f"{corpus.name}: {corpus.citation}")
            report(f"licence: {corpus.licence}")
            for job in jobs:
                size = amount(job.size) if job.size else "size not published"
                report(f"{job.name}: {size}, {job.url}")
            manifest = _read_manifest(store / "manifest.json")
            for job in jobs:
                if not _is_here(job, manifest.get(job.name)):
                    manifest[job.name] = _bring(job, manifest.get(job.name))
                    _write_json(store / "manifest.json", {name: asdict(done) for name, done in manifest.items()})
                    job.discard_part()
            report(f"{corpus.name}: complete in {root}")
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise DataError(
            f"{printable(str(error.filename or store))}: expected to write there, received {error.strerror or error}; "
            f"{'free some disk space' if full else 'make the folder writable or name another'} and run this again, "
            "what has arrived is kept"
        ) from None


def name_of(download: Download) -> str:
    """The file's name: the fragment of its URL (`#name.zip`), else the last part of its path."""
    url = urlsplit(download.url)
    return unquote(url.fragment) or unquote(url.path.rpartition("/")[2])


def _bring(job: _Job, before: _Done | None) -> _Done:
    """Get one file, by hand or from its URL, verify it, and lay it or its content into the target."""
    by_hand = job.whole.exists()
    if by_hand:
        job.report(f"{job.name}: taken as it lies in {job.whole.parent}")
    else:
        _transfer(job)
    source = job.whole if by_hand else job.part
    checksum = _checksum(job, source)
    if job.published and checksum != job.published:
        if by_hand:
            remedy = f"remove {source}, or replace it by the right file ({job.source})"
        else:
            job.discard_part()
            remedy = f"it was removed; run this again, or {job.by_hand}"
        raise DataError(
            f"{job.name}: expected {job.published} as published, received {checksum}; nothing was unpacked; {remedy}"
        )
    if not job.published and before and before.checksum != checksum:
        job.report(f"{job.name}: another version than that of {before.when}, now {checksum}")
    elif not job.published:
        job.report(f"{job.name}: no checksum is published, received {checksum}")
    if is_archive(job.name):
        files = unpack(source, job.staging, job.target, progress=job.progress)
    else:
        files = [job.name]
        lay({source: job.target / job.name}, copy=by_hand)
    when = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return _Done(job.url, checksum, job.folder, when, files)


def _checksum(job: _Job, path: Path) -> str:
    """The file's checksum, by the algorithm of the published one."""
    algorithm = job.published.partition(":")[0] or "sha256"
    digest = hashlib.new(algorithm, usedforsecurity=False)
    done, total = 0, path.stat().st_size
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            done += len(block)
            job.progress("check", done, total)
    return f"{algorithm}:{digest.hexdigest()}"


# -- what is done


@dataclass(frozen=True)
class _Done:
    """A download that is laid: its checksum as received, and the files it gave, relative to the folder."""

    url: str
    checksum: str
    folder: str
    when: str
    files: list[str]


def _read_manifest(path: Path) -> dict[str, _Done]:
    """What is done, by name.

    Raises: DataError if the manifest is none.
    """
    try:
        manifest = {name: _Done(**entry) for name, entry in json.loads(path.read_bytes()).items()}
        if not all(isinstance(name, str) for done in manifest.values() for name in done.files):
            raise TypeError
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        raise DataError(
            f"{path}: expected the record of what was fetched, received something else; remove it to fetch anew"
        ) from None
    return manifest


def _is_here(job: _Job, done: _Done | None) -> bool:
    """Whether the download is laid and all of its files are still there."""
    if done is None or done.folder != job.folder:
        return False
    if job.published != done.checksum if job.published else job.url != done.url:
        return False
    gone = sum(not os.path.lexists(job.target / name) for name in done.files)
    if gone:
        job.report(f"{job.name}: {gone} of its {len(done.files)} files are gone; getting it again")
    else:
        job.report(f"{job.name}: already here")
    return not gone


# -- transfer


@dataclass(frozen=True)
class _Version:
    """Which version of which file a part belongs to; `total` in bytes, None until known."""

    url: str
    validator: str  # what may stand in If-Range (RFC 9110, 13.1.5)
    total: int | None = None


def _transfer(job: _Job) -> None:
    """Ask, and ask again where the connection drops, until `job.part` is whole.

    Raises: DataError if the server cannot be reached or refuses, or no attempt is left.
    """
    attempt = 0
    while not _is_whole(job):
        attempt += 1
        try:
            _request(job)
        except _Dropped as drop:
            if attempt >= job.retry.attempts or (attempt == 1 and isinstance(drop, _Unreachable)):
                raise DataError(
                    f"{job.url}: expected the file, received {drop}; run this again to continue, or {job.by_hand}"
                ) from None
            pause = job.retry.pause_s * 2 ** (attempt - 1)
            job.report(f"{job.name}: {drop}; trying again in {pause:g} s")
            time.sleep(pause)


def _is_whole(job: _Job) -> bool:
    version = _read_version(job)
    return version is not None and job.part.exists() and version.total == job.part.stat().st_size


def _read_version(job: _Job) -> _Version | None:
    """The version of the part; None where it is not known or of another URL."""
    try:
        version = _Version(**json.loads(job.notes.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return version if version.url == job.url else None


def _request(job: _Job) -> None:
    """One request, whose answer continues the part or replaces it.

    Raises: _Dropped if the answer ends before the file does, or is of another version than the part.
    """
    known = _read_version(job)
    size = job.part.stat().st_size if job.part.exists() else 0
    headers = {"User-Agent": f"sentio-tf/{__version__}"}
    if size and known and known.validator:
        headers |= {"Range": f"bytes={size}-", "If-Range": known.validator}
        job.report(f"{job.name}: continues after {amount(size)}")
    with _ask(job, headers) as response:
        if response.status == 206 and known:
            version = _continued(job, response, known, size)
        else:
            version = _offered(job, response)
        end = job.size if version.total is None else version.total
        need(job.part.parent, end - size, f"for {job.name}")
        # What has arrived is given up only now that nothing speaks against its successor.
        if response.status == 200:
            if size:
                job.report(f"{job.name}: changed, or cannot be continued; starting over")
            job.discard_part()
        _write_json(job.notes, asdict(version))
        with open(job.part, "ab") as file:
            for block in _blocks(response):
                file.write(block)
                job.progress("fetch", file.tell(), end)
    size = job.part.stat().st_size
    if size < end:
        raise _Dropped(f"{size} of {end} bytes")
    if version.total is None:  # the end of the connection is the end of the file
        _write_json(job.notes, asdict(replace(version, total=size)))


def _offered(job: _Job, response: Any) -> _Version:
    """The version of a whole file that is being answered.

    Raises: DataError if it is not the file that was asked for.
    """
    if response.status != 200:
        raise job.refused(f"HTTP {response.status}")
    if response.headers.get_content_type() == "text/html":
        raise job.refused("a web page (of a login, a consent or a network's portal)")
    total = response.length
    if job.size and total not in (None, job.size):
        if job.published:
            raise job.refused(f"an offer of {total} bytes instead of {job.size}")
        job.report(f"{job.name}: {total} bytes instead of {job.size}; the file there may be a newer one")
    return _Version(job.url, _validator(response), total)


def _continued(job: _Job, response: Any, known: _Version, size: int) -> _Version:
    """The version of a part that is being answered, which starts where ours ends.

    Raises: _Dropped if it is another part, or of another version; ours is discarded then.
    """
    given = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})", response.headers.get("Content-Range", ""))
    same = _validator(response) in ("", known.validator)  # not every server heeds If-Range
    if not given or int(given[1]) != size or known.total not in (None, int(given[2])) or not same:
        job.discard_part()
        raise _Dropped("another part than asked for")
    return replace(known, total=int(given[2]))


def _validator(response: Any) -> str:
    """A strong ETag, else the date; a weak one (`W/...`) does not say that the bytes are the same."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _ask(job: _Job, headers: dict[str, str]) -> Any:
    """The server's answer, with a status of success.

    Raises: _Dropped if another attempt may bring one, DataError if not.
    """
    try:
        request = urllib.request.Request(job.url, headers=headers)
        response = urllib.request.build_opener().open(request, timeout=job.retry.timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            received = f"HTTP {error.code} {printable(error.reason)}".strip()
        if error.code == 416:  # longer than the file that is there now
            job.discard_part()
        if error.code in (408, 416, 429) or error.code >= 500:
            raise _Dropped(received) from None
        raise job.refused(received) from None
    except urllib.error.URLError as error:
        reason = printable(str(getattr(error.reason, "strerror", None) or error.reason))
        raise _Unreachable(f"no answer: the server cannot be reached ({reason})") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Dropped(_reason(error)) from None
    if urlsplit(job.url).scheme == "https" != urlsplit(response.url).scheme:
        response.close()
        raise job.refused(f"a redirect to {printable(response.url)}, which is not encrypted")
    return response


def _blocks(response: Any) -> Iterator[bytes]:
    """The bytes of an answer as they come.

    Raises: _Dropped if the connection does.
    """
    try:
        while block := response.read1(BLOCK):
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise _Dropped(_reason(error)) from None


def _reason(error: Exception) -> str:
    return f"a dropped connection ({printable(str(error)) or type(error).__name__})"


# -- disk and terminal


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One fetch at a time; the lock goes with its process, however that ends."""
    with open(path, "a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                f"{path.parent.parent}: expected no other fetch at work here, received one; "
                "wait for its end and run this again"
            ) from None
        except OSError:
            pass  # a network disk without locks: the user is alone on it more often than not
        yield


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f"{path.name}.new")
    part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.replace(part, path)


def _thinned(progress: Progress | None) -> Progress:
    """At most a thousand calls in a row of one step, and none without a total: a terminal is slower than a disk."""
    last: tuple[str, int] | None = None

    def show(step: str, done: int, total: int) -> None:
        nonlocal last
        if progress and total and (step, 1000 * done // total) != last:
            last = step, 1000 * done // total
            progress(step, min(done, total), total)

    return show
