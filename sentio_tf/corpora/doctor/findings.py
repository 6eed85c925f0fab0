"""The report: findings, the tables behind them, and how they are put."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..swap import SwapTest
from ..track import Track

FEW = 20  # tracks below which a distribution says nothing
SHOWN = 5  # names in a line
QUADRANTS = {"Q1": (1, 1), "Q2": (-1, 1), "Q3": (-1, -1), "Q4": (1, -1)}


@dataclass(frozen=True)
class Finding:
    """One line of the report; `items` names what it is about, all of it."""

    check: str
    level: str  # error, warning, note or ok
    text: str
    items: tuple[str, ...] = ()


@dataclass
class Report:
    """The findings, and the tables behind them."""

    sources: list[str]
    tracks: list[Track]
    version: str = ""
    findings: list[Finding] = field(default_factory=list)
    swaps: list[SwapTest] = field(default_factory=list)  # on the columns as the file has them
    quadrants: dict[str, dict[str, int]] = field(default_factory=dict)  # corpus -> quadrant -> tracks
    splits: list[dict[str, Any]] = field(default_factory=list)  # parts, axis, tracks, KS statistic and p
    durations: dict[str, float] = field(default_factory=dict)  # shortest, median, longest [s], total [h]

    @property
    def spoiled(self) -> bool:
        """Whether a result on these data would be."""
        return any(f.level == "error" for f in self.findings)

    def add(self, check: str, level: str, text: str, items: Sequence[str] = ()) -> None:
        self.findings.append(Finding(check, level, text, tuple(items)))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "sources": self.sources,
            "tracks": len(self.tracks),
            "labels": self.version,
            "spoiled": self.spoiled,
            "findings": [{**vars(f), "items": list(f.items)} for f in self.findings],
            "swap": [t.to_dict() for t in self.swaps],
            "quadrants": self.quadrants,
            "splits": self.splits,
            "durations": self.durations,
        }


def many(n: int, word: str) -> str:
    """`1 file`, `2 files`."""
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def name_some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def quadrant(track: Track) -> str:
    return next((name for name, side in QUADRANTS.items() if side == track.side), "-")


def distribution(tracks: Sequence[Track]) -> Counter:
    """Tracks per quadrant."""
    return Counter(quadrant(t) for t in tracks)
