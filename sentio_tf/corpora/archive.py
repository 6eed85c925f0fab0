"""Archives of others, unpacked safely: all of an archive is laid, or none of it.

The content is written to a staging folder and moved from there, so that a killed run leaves only whole files and the
next one does it again.  Paths out of the folder, links and devices refuse the whole archive, and so does a file that
would replace one of other content.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from ..errors import DataError
from ..terminal import printable

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
STORE = ".downloads"  # the fetcher's own folder: no archive may write there
BLOCK = 1 << 18  # bytes
# What an archive's names and offsets lead to; any other number of an OSError is the disk's.
ODD = (None, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ENAMETOOLONG, errno.EILSEQ)

Progress = Callable[[str, int, int], None]  # step, bytes done, bytes in all


@dataclass(frozen=True)
class _Member:
    """A file of an archive: its name as stored, its size in bytes, and how to read it."""

    name: str
    size: int
    open: Callable[[], IO[bytes] | None]


def is_archive(name: str) -> bool:
    """Whether a file of this name is to be unpacked (a .xlsx, though a zip file, is not)."""
    return name.lower().endswith(SUFFIXES)


def unpack(archive: Path, staging: Path, target: Path, *, progress: Progress) -> list[str]:
    """Unpack a zip or tar archive into `target` by way of `staging`; returns the names of its files, sorted.

    A file that is there already with the same content is left as it is.

    Raises: DataError if the archive is damaged or unsafe, does not fit on the disk, or a file of it would replace one
    of other content; nothing is laid then.  OSError if the disk fails.
    """
    shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed
    try:
        names = _stage(archive, staging, progress)
    except Exception as error:  # zipfile, tarfile and the decompressors raise a dozen kinds
        if isinstance(error, DataError) or (isinstance(error, OSError) and error.errno not in ODD):
            raise
        reason = printable((str(error) or type(error).__name__).splitlines()[0])
        raise DataError(
            f"{archive}: expected a sound archive of plain files, received another ({reason}); nothing was unpacked; "
            f"remove it and run this again, or unpack it into {target} yourself if you trust it"
        ) from None
    else:
        lay({staging / name: target / name for name in names})
        return sorted(names)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def lay(moves: Mapping[Path, Path], *, copy: bool = False) -> None:
    """Move (or copy) every file to its place, where nothing is or the same content.

    Raises: DataError, before the first move, if a file of other content is in a place.
    """
    taken = [p for source, p in moves.items() if os.path.lexists(p) and not filecmp.cmp(source, p, shallow=False)]
    if taken:
        raise DataError(
            f"{printable(str(taken[0]))}: expected no such file or the same content, received another ({len(taken)} "
            "such files); nothing was overwritten; move what is there away and run this again, or name another folder"
        )
    for source, target in moves.items():
        if not os.path.lexists(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            # Not os.replace: a folder of the corpus may be a link to another disk.
            (shutil.copyfile if copy else shutil.move)(source, target)


def need(folder: Path, size: int, purpose: str) -> None:
    """Raises: DataError if the disk of `folder` has less than `size` bytes free."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DataError(
            f"{folder}: expected {amount(size)} of free disk {purpose}, received {amount(free)}; "
            "free some or name another folder"
        )


def amount(size: int) -> str:
    """Bytes in words: `1.3 GB`, `345 kB`."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def _stage(archive: Path, staging: Path, progress: Progress) -> list[str]:
    """Write every file of the archive below `staging`, once all of them are known to be safe; returns their names."""
    with _opened(archive) as content:
        members = {_inside(member.name): member for member in content}  # the last of a name counts
        total = sum(member.size for member in members.values())
        need(archive.parent, total, f"to unpack {archive.name}")
        done = 0
        for name, member in members.items():
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            source = member.open()
            assert source  # None for what is no file
            with source, open(staging / name, "xb") as file:
                while block := source.read(BLOCK):
                    file.write(block)
                    done += len(block)
                    progress("unpack", done, total)
        return list(members)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Iterator[_Member]]:
    """The files of an archive, still to be checked; its first bytes say whether it is a zip."""
    with open(path, "rb") as file:
        is_zip = file.read(2) == b"PK"
    if is_zip:
        with zipfile.ZipFile(path) as archive:
            yield _zip_members(archive)
    else:
        with tarfile.open(path, encoding="utf-8") as archive_:
            yield _tar_members(archive_)


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    """The files of a zip archive."""
    for info in archive.infolist():
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ValueError(f"{info.filename}: a link or a device")
        if not info.is_dir():
            yield _Member(info.filename, info.file_size, partial(archive.open, info))


def _tar_members(archive: tarfile.TarFile) -> Iterator[_Member]:
    """The files of a tar archive, compressed or not, read to its very end."""
    for info in archive:
        if not (info.isreg() or info.isdir()):
            raise ValueError(f"{info.name}: a link or a device")
        if info.isreg():
            yield _Member(info.name, info.size, partial(archive.extractfile, info))
    stream = archive.fileobj
    assert stream
    # tarfile takes a header that does not parse for the end, and never reads as far as gzip's checksum.
    stream.seek(archive.offset)
    if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError("a header does not parse")
    while stream.read(BLOCK):
        pass


def _inside(name: str) -> str:
    """The path of an archive's file relative to the folder it is unpacked into.

    Raises: ValueError if it leads out of there.
    """
    path = PurePosixPath(name)
    odd = not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name
    if odd or path.parts[0].casefold() == STORE:
        raise ValueError(f"{name}: a path out of its folder")
    return str(path)
