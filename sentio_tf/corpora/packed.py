"""Tracks whose files stayed on another machine, in `sentio-packed.json` of `tools/lab/pack.py`.

A folder that holds one stands for its corpus: `deam:PACK/data/0` gives DEAM's tracks, and their names in caches are
those of the files that stayed behind, by their content.  So a fit there is the same experiment as here, to the last
hash.
"""

from __future__ import annotations

import dataclasses
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path, PosixPath
from typing import Any

from ..audio.content import content_id
from ..errors import DataError
from .track import Track

TABLE = "sentio-packed.json"  # no name that a user's own folder has
VERSION = 2


class Absent(PosixPath):
    """Path of a file that is elsewhere; it answers what caches ask: its size and what is in it."""

    size: int
    content: str  # see `audio.content`

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return os.stat_result((stat.S_IFREG | 0o444, 0, 0, 1, 0, 0, self.size, 0, 0, 0))

    def is_file(self, **_: Any) -> bool:
        return True

    def resolve(self, strict: bool = False) -> Absent:
        return self


def absent(path: str, size: int, content: str) -> Absent:
    """A file that was `size` bytes large, with the SHA-256 `content`."""
    made = Absent(path)
    made.size, made.content = size, content
    return made


def write(root: Path, tracks: Sequence[Track], *, labels: str = "") -> None:
    """`root/sentio-packed.json` of tracks whose files are here; `labels` is the version they were read with.

    Raises: OSError if a file is gone or the table cannot be written.
    """
    rows = []
    for track in tracks:
        size = track.path.stat().st_size
        about = {"path": str(track.path.resolve()), "size": size, "content": content_id(track.path)}
        rows.append(dataclasses.asdict(track) | about)
    text = json.dumps({"version": VERSION, "labels": labels, "tracks": rows}, indent=0, ensure_ascii=False)
    (root / TABLE).write_text(text + "\n", encoding="utf-8")


def holds(root: Path) -> bool:
    """Whether `root` is a packed corpus."""
    return (root / TABLE).is_file()


def read(root: Path, *, version: str | None = None) -> list[Track]:
    """Tracks of `root/sentio-packed.json`, their paths `Absent`.

    Raises: DataError if it does not read, or was packed with another version of the labels.
    """
    file = root / TABLE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']}")
        labels = content["labels"]
        tracks = [_track(row) for row in content["tracks"]]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{file}: expected a table of tools/lab/pack.py, received {error}; pack it again") from None
    if (version or "") != labels:
        raise DataError(
            f"{file}: expected labels {version or 'by default'}, received {labels or 'those by default'}; pack it again"
        )
    return tracks


def _track(row: dict[str, Any]) -> Track:
    path = absent(row.pop("path"), row.pop("size"), row.pop("content"))
    return Track(**row | {"path": path, "tags": tuple(row["tags"])})
