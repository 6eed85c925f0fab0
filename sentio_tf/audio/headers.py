"""What containers say of their own length, where a decoder would not tell that part of a file is missing.

libsndfile trusts the file's size over the header and reads a cut wav, aiff or ogg without a word; it
guesses the length of an mp3 without a Xing header from its first frame and stops there; of chained
or concatenated files it reads the first.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

TAIL = 1 << 16  # bytes; tags behind the audio are smaller than that, pictures come in front


def stated_size(path: Path) -> int | None:
    """Bytes the file should have by its header; None if it says nothing or was written to a pipe."""
    with path.open("rb") as file:
        head = file.read(32)
        if len(head) < 32:
            return None
        if head[:4] == b"RIFF":
            size = int.from_bytes(head[4:8], "little")
            # 0, the largest values and sox's 0x7ffff0xx stand for a length that was not known.
            return None if size == 0 or size >= 0x7FFFF000 else size + 8
        if head[:4] == b"FORM":
            return int.from_bytes(head[4:8], "big") + 8
        if head[:4] == b"RF64":
            return int.from_bytes(head[20:28], "little") + 8
        if head[:4] == b"riff":  # Sony Wave64
            return int.from_bytes(head[16:24], "little")
        if head[:4] == b".snd":
            size = int.from_bytes(head[8:12], "big")
            return None if size == 0xFFFFFFFF else int.from_bytes(head[4:8], "big") + size
        if head[:4] == b"caff":
            return _caf_size(file)
    return None


def _caf_size(file: BinaryIO) -> int | None:
    at = 8
    while True:
        file.seek(at)
        chunk = file.read(12)
        if len(chunk) < 12:
            return None
        size = int.from_bytes(chunk[4:], "big", signed=True)
        if chunk[:4] == b"data":
            return None if size < 0 else at + 12 + size
        at += 12 + max(0, size)


def ogg_state(path: Path) -> str:
    """`whole`, `cut` (the last page is missing or incomplete), `damaged` (bytes between pages) or `chained`."""
    size = path.stat().st_size
    ended = False
    with path.open("rb") as file:
        at = 0
        while at < size:
            file.seek(at)
            head = file.read(27)
            if len(head) < 27 or head[:4] != b"OggS":
                return "whole" if ended and size - at < TAIL else "damaged" if at and len(head) == 27 else "cut"
            first, last = head[5] & 2, head[5] & 4
            if first and ended:
                return "chained"
            lengths = file.read(head[26])
            at += 27 + len(lengths) + sum(lengths)
            if len(lengths) < head[26] or at > size:
                return "cut"
            ended = bool(last)
    return "whole" if ended else "cut"


def mp3_length_is_known(path: Path) -> bool:
    """Whether the first frame holds a Xing, Info or VBRI header that speaks of this whole file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        while (tag := _id3_size(file, at)) > 0:
            at += tag
        file.seek(at)
        frame = file.read(4096)
    for name in (b"Xing", b"Info"):
        place = frame.find(name)
        if place >= 0 and len(frame) >= place + 16:
            flags = int.from_bytes(frame[place + 4 : place + 8], "big")
            if not flags & 2:  # no byte count: nothing to compare with
                return bool(flags & 1)
            offset = place + 8 + (4 if flags & 1 else 0)
            stated = int.from_bytes(frame[offset : offset + 4], "big")
            return size - at <= 1.05 * stated + TAIL  # longer: several files joined
    return b"VBRI" in frame


def _id3_size(file: BinaryIO, at: int) -> int:
    """Bytes of the ID3v2 tag at a position, 0 if there is none."""
    file.seek(at)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
