"""One labelled recording, whatever corpus it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Track:
    """A recording with its label.

    A rated track has `valence` and `arousal` in [-1, 1].  A track of which only the quadrant is
    known has the signs instead (-1 or +1) and `valence`, `arousal` None.  Corpora of other labels
    have neither: `tags` (moods as words) or `category` (a sound class).  `group` is what must not be
    divided between training and test: artist, song or game series, unique over all corpora.

    `start_s` and `duration_s` limit the part of the file that the label is about (None: to its end).
    `recording` names the recording itself where another corpus holds it too (DEAM's first 744 songs
    are EmoMusic): tracks of one recording belong together whatever their groups say.
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
    tags: tuple[str, ...] = ()
    category: str = ""
    recording: str = ""
    genre: str = ""  # "Rock; Soul" where there are several
    raters: int | None = None  # people behind each mean rating

    @property
    def key(self) -> str:
        """Unique over all corpora."""
        return f"{self.corpus}/{self.track_id}"

    @property
    def rated(self) -> bool:
        return self.valence is not None

    @property
    def has_emotion(self) -> bool:
        """Whether the track can be learnt from: ratings or signs."""
        return self.rated or self.valence_sign is not None

    @property
    def synthetic(self) -> bool:
        """Composed by a program: never part of a reported result."""
        return self.corpus.startswith("synthetic-")

    @property
    def side(self) -> tuple[int, int]:
        """Signs (-1, 0, +1) of valence and arousal, from ratings or signs; (0, 0) without either."""
        if self.rated:
            return int(np.sign(self.valence or 0)), int(np.sign(self.arousal or 0))
        return self.valence_sign or 0, self.arousal_sign or 0


@dataclass(frozen=True)
class Download:
    """A public file of a corpus.

    `checksum` is `sha256:HEX` or `md5:HEX` as its host publishes it, empty where it publishes none;
    `size` in bytes, 0 if not known; an archive is unpacked into `folder` of the corpus' root, any
    other file is laid there.
    """

    url: str
    checksum: str = ""
    size: int = 0
    folder: str = "."


@dataclass(frozen=True)
class Dynamics:
    """Labels over time of one track: `times_s`, `valence`, `arousal`, each `(n,)`, in s and [-1, 1]."""

    times_s: np.ndarray
    valence: np.ndarray
    arousal: np.ndarray


@dataclass(frozen=True)
class Corpus:
    """What is known about a corpus, and how to read it.

    `read(root)` gives every labelled track whose label file entry is sound; `scale` says the
    corpus' own scale, which `read` maps to [-1, 1].  Where `versions` names more than one version
    of the labels, `read(root, version=NAME)` takes it, the first being the default.
    """

    name: str
    citation: str
    licence: str
    how_to_get: str
    scale: str
    read: Callable[..., list[Track]]
    versions: tuple[str, ...] = ()
    # Root -> {name of an official split: {track_id: part}}; where None, `Track.split` is the only one.
    official: Callable[[Path], dict[str, dict[str, str]]] | None = None
    # Root -> {track_id: labels over time}
    dynamics: Callable[[Path], dict[str, Dynamics]] | None = None
    downloads: tuple[Download, ...] = ()
