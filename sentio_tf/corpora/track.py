"""One labelled recording, whatever corpus it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Track:
    """A recording with its label.

    A rated track has `valence` and `arousal` in [-1, 1].  A track of which only the quadrant is
    known has the signs instead (-1 or +1) and `valence`, `arousal` None.  `group` is what must not
    be divided between training and test: artist, song or game series, unique over all corpora.

    `start_s` and `duration_s` limit the part of the file that the label is about (None: to its end).
    """

    track_id: str
    corpus: str
    path: Path
    group: str
    valence: float | None = None
    arousal: float | None = None
    valence_sign: int | None = None
    arousal_sign: int | None = None
    valence_sd: float | None = None
    arousal_sd: float | None = None
    split: str = ""  # official split, where the corpus has one
    start_s: float = 0.0
    duration_s: float | None = None

    @property
    def key(self) -> str:
        """Unique over all corpora."""
        return f"{self.corpus}/{self.track_id}"

    @property
    def rated(self) -> bool:
        return self.valence is not None


@dataclass(frozen=True)
class Corpus:
    """What is known about a corpus, and how to read it.

    `read(root)` gives every labelled track whose label file entry is sound; `scale` says the
    corpus' own scale, which `read` maps to [-1, 1].
    """

    name: str
    citation: str
    licence: str
    how_to_get: str
    scale: str
    read: Callable[[Path], list[Track]]
