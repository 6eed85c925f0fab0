"""Spectrograms that a GAN made, in training: what they may be used for, and by whom the GAN was made.

A corpus of `sentio-tf gan sample` has `gan.json`, which says how it was drawn, and `trained.csv`, the songs that the
GAN knows.  It enters the training part of every fold whose judges the GAN does not know.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import corpora, pipeline
from ..audio.augment import Augment
from ..config import FitConfig
from ..contract import GENERATED
from ..corpora.split import components
from ..corpora.track import Track
from ..errors import ConfigError, DataError
from ..models import WAVEFORM
from .run import TRAINED, corpus_of, read_songs, songs_via

ABOUT = "gan.json"
RATIO = 2.0  # generated spectrograms for one real song; the published recipe has 1.8, and beyond is a warning


@dataclass(frozen=True)
class Known:
    """What a GAN knows of the songs that it was trained on or judged by.

    Attributes:
        corpus: of its spectrograms.
        of: role ("train", "validation") -> keys, groups and recordings.
        songs: rows of `trained.csv` for the run that learns from it, whose model knows them, too.
        about: how it was drawn, see `read_about`.
    """

    corpus: str
    of: dict[str, frozenset[str]]
    songs: list[dict[str, str]]
    about: dict[str, Any]

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
    knows = {role: frozenset(values) for role, values in of.items()}
    return Known(corpus, knows, songs_via(corpus, rows), read_about(root))


def check_part(
    known: Sequence[Known],
    made: Sequence[Track],
    name: str,
    train: Sequence[Track],
    validation: Sequence[Track],
    test: Sequence[Track],
    report: Callable[[str], None],
    *,
    repeats: dict[str, float] | None = None,
) -> None:
    """Whether the judges of a part are strangers to the GANs.

    Test songs must be strangers altogether; validation songs may have judged a GAN, but not trained it.  More than
    `RATIO` draws of spectrograms for one of a real song is a warning.

    Args:
        repeats: of the configuration: how often an epoch draws the tracks of a corpus.

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
    drawn, real = (float(pipeline.draws(some, repeats).sum()) for some in (made, train))
    if drawn > RATIO * real:
        report(
            f"fold {name}: warning: an epoch draws {drawn:g} generated spectrograms and {real:g} real songs, more than "
            f"{RATIO:g} for one; what is learnt is the GAN rather than music"
        )


def generated_corpora(songs: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Generated corpus -> corpora of the songs that its GAN knows, of those that a run knows (`run.known_songs`)."""
    made = sorted({song["via"] for song in songs if song["via"].startswith(GENERATED)})
    return {name: sorted({corpus_of(song["key"]) for song in songs if song["via"] == name}) for name in made}


def read_about(corpus: Path) -> dict[str, Any]:
    """`gan.json` of a generated corpus: `gan`, the identity of its generator, `unsound` and options of the draw.

    Raises: DataError.
    """
    try:
        about = json.loads((corpus / ABOUT).read_text(encoding="utf-8"))
        return {**about, "gan": about["gan"], "unsound": about["unsound"]}
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(
            f"{corpus / ABOUT}: expected how a corpus of gan sample was drawn, received none that reads ({error}); "
            "draw it again"
        ) from None


def marks(known: Sequence[Known]) -> dict[str, dict[str, str]]:
    """Corpus -> which GAN made it, and why that is unsound (empty if it is not): what results say that rest on it."""
    return {gan.corpus: {"gan": gan.about["gan"], "unsound": gan.about["unsound"]} for gan in known}


def warnings(known: Sequence[Known]) -> list[str]:
    """A line for each corpus whose GAN failed or did not end."""
    return [f"warning: {g.corpus} was drawn by force from {g.about['unsound']}" for g in known if g.about["unsound"]]
