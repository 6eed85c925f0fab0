"""Spectrograms that a GAN made, in training: what they may be used for, and by whom the GAN was made.

A corpus of `sentio-tf gan sample` has `gan.json`, which says how it was drawn, and `trained.csv`, the songs that the
GAN knows.  It enters the training part of every fold whose judges the GAN does not know.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import corpora
from ..audio.augment import Augment
from ..config import FitConfig
from ..contract import GENERATED
from ..corpora.split import components
from ..corpora.track import Track
from ..errors import ConfigError, DataError
from ..models import WAVEFORM
from .run import TRAINED, read_songs, songs_via

ABOUT = "gan.json"
RATIO = 2.0  # generated spectrograms for one real song; the published recipe has 1.8, and beyond is a warning


@dataclass(frozen=True)
class Known:
    """What a GAN knows of the songs that it was trained on or judged by.

    Attributes:
        corpus: of its spectrograms.
        of: role ("train", "validation") -> keys, groups and recordings.
        songs: rows of `trained.csv` for the run that learns from it, whose model knows them, too.
    """

    corpus: str
    of: dict[str, frozenset[str]]
    songs: list[dict[str, str]]

    def met(self, track: Track, group: str, *roles: str) -> bool:
        """Whether a track, its group or its recording is among those of some roles."""
        names = {track.key, track.group, group, *([track.recording] if track.recording else [])}
        return any(names & self.of.get(role, frozenset()) for role in roles)


def check(made: Sequence[Track], sources: Sequence[str], config: FitConfig, *, taught: bool) -> list[Known]:
    """Whether generated tracks can be learnt from in this experiment; what their GANs know.

    Raises: ConfigError for a network or an augmentation that needs sound, or teachers, who hear songs; DataError for a
        corpus without its provenance.
    """
    if not made:
        return []
    augment = Augment.from_dict(config.augment) if config.augment else None
    wants = "teachers" if taught else config.model if config.model in WAVEFORM else ""
    wants = wants or ("augmentation of the waveform" if augment and augment.needs_waveform else "")
    if wants:
        raise ConfigError(
            f"expected a network on log-mels alone beside generated spectrograms, received {wants}; leave "
            f"{made[0].corpus} out"
        )
    names = {t.corpus for t in made}
    return [known for source in sources if (known := _known(corpora.locate(source)[1], names))]


def _known(root: Path, names: set[str]) -> Known | None:
    corpus = GENERATED + root.resolve().name  # as `corpora.folder` calls it
    if corpus not in names:
        return None
    of: dict[str, set[str]] = {}
    try:
        rows = read_songs(root)
        for row in rows:
            own = {row["key"], row["group"], row["together"], *([row["recording"]] if row["recording"] else [])}
            of.setdefault(row["role"], set()).update(own)
        if not of:
            raise ValueError("none")
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise DataError(
            f"{root / TRAINED}: expected the songs that the GAN knows, received {error}; draw the corpus again with: "
            "sentio-tf gan sample"
        ) from None
    return Known(corpus, {role: frozenset(values) for role, values in of.items()}, songs_via(corpus, rows))


def check_part(
    known: Sequence[Known],
    made: Sequence[Track],
    name: str,
    train: Sequence[Track],
    validation: Sequence[Track],
    test: Sequence[Track],
    report: Callable[[str], None],
) -> None:
    """Whether the judges of a part are strangers to the GANs.

    Test songs must be strangers altogether; validation songs may have judged a GAN, but not trained it.  More than
    `RATIO` spectrograms a real song is a warning.

    Raises: DataError naming the first song that is known.
    """
    groups = components([*validation, *test])
    for gan in known:
        for i, track in enumerate([*validation, *test]):
            roles = ("train",) if i < len(validation) else ("train", "validation")
            if gan.met(track, groups[i], *roles):
                part = "validation" if i < len(validation) else "test"
                raise DataError(
                    f"fold {name}: expected a GAN that does not know the {part} songs, received {gan.corpus}, whose "
                    f"GAN knows {track.key} or its group; train one on this fold: sentio-tf gan fit --split SPLIT, "
                    "and give the same --split here"
                )
    if len(made) > RATIO * len(train):
        report(
            f"fold {name}: warning: {len(made)} generated spectrograms for {len(train)} real songs, more than "
            f"{RATIO:g} each; what is learnt is the GAN rather than music"
        )


def warnings(sources: Sequence[str]) -> list[str]:
    """A line for each corpus whose GAN failed or did not end, or whose provenance does not read."""
    found = []
    for source in sources:
        file = corpora.locate(source)[1] / ABOUT
        if file.is_file():
            try:
                about: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
                if why := about.get("unsound"):
                    found.append(f"warning: {file.parent.name} was drawn by force from {why}")
            except (ValueError, AttributeError, OSError) as error:
                raise DataError(
                    f"{file}: expected the provenance of a corpus, received {error}; draw it again"
                ) from None
    return found
