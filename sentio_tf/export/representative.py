"""Windows of real music: for measuring activations, from songs the model learnt from, and for comparing it with Keras.

No group of songs serves both.  The comparison takes songs that the model did not learn from first.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from ..contract import AudioContract
from ..corpora.track import Track
from ..errors import AudioError, ModelError
from .settings import FINAL

REPRESENTATIVE = 64
COMPARISON = 96
FEW = 16  # songs, below which ranges of activations are a guess
SILENCE_DB = -70.0  # dBFS, root mean square of a window


@dataclass(frozen=True)
class Windows:
    """First windows of songs, float32 `(samples,)`, and their groups; `silent` and `unreadable` were left out."""

    tracks: list[Track] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    samples: list[np.ndarray] = field(default_factory=list)
    silent: int = 0
    unreadable: int = 0


def draw(
    run: Path,
    sources: Sequence[str],
    config: dict[str, Any],
    *,
    root: Path,
    fold: str = FINAL,
    audio: AudioContract = AudioContract(),
    representative: int = REPRESENTATIVE,
    comparison: int = COMPARISON,
    calibrate: bool = True,
) -> tuple[Windows, Windows]:
    """Windows to calibrate with (as many as `representative`, if there are) and to compare with.

    Args:
        run: finished run directory, whose `trained.csv` and `predictions.csv` say what the final model knows.
        sources: the run's corpora, `CORPUS:ROOT`.
        config: the run's configuration.
        root: of the cache; renderings of MIDI lie there.
        fold: whose model it is.
        audio: rate and length of the windows.
        calibrate: whether the first are wanted; they are kept out of the comparison anyway, so that it is the same.

    Raises: ModelError if the corpora are others or hold none of the run's tracks, and as `heard`.
    """
    from .. import corpora, pipeline

    if sorted(s.partition(":")[0] for s in sources) != sorted(config["data"]):
        raise ModelError(f"expected the run's corpora {', '.join(config['data'])}, received {', '.join(sources)}")
    groups, unseen = known_tracks(run, fold)
    version = config.get("labels") or None
    tracks = [t for s in sources for t in corpora.read(s, version=version, skip_missing=True)]
    tracks = [t for t in tracks if t.has_emotion and t.key in groups and not t.generated]  # of which there is no sound
    if not tracks:
        raise ModelError(
            f"{run}: expected tracks of the run in {', '.join(sources)}, received none; give its own --data"
        )

    learnt = spread([t for t in tracks if t.key not in unseen], groups)
    kept = spread([t for t in tracks if t.key in unseen], groups)
    chosen: list[Track] = []
    if representative:
        # A published split may divide an artist, who then is compared on and does not calibrate.
        held = {groups[t.key] for t in kept[:comparison]}
        # Where too few songs were held back, half of the groups stay behind for the comparison.
        order = list(dict.fromkeys(groups[t.key] for t in learnt if groups[t.key] not in held))
        calibrating = set(order if len(kept) >= comparison else order[: max(2, len(order) // 2)])
        chosen = [t for t in learnt if groups[t.key] in calibrating][:representative]
    used = {groups[t.key] for t in chosen}
    others = [*kept, *(t for t in learnt if groups[t.key] not in used)][:comparison]
    return (
        heard(pipeline.render_tracks(chosen if calibrate else [], root), groups, audio),
        heard(pipeline.render_tracks(others, root), groups, audio),
    )


def known_tracks(run: Path, fold: str = FINAL) -> tuple[dict[str, str], set[str]]:
    """Group by key of all tracks of a run, and the keys of those that the fold's model did not learn from.

    Raises: ModelError if the run does not say.
    """
    from ..training.run import read_songs

    try:
        groups = {row["key"]: row["together"] for row in read_songs(run) if not row["via"]}
        with (run / "predictions.csv").open(newline="", encoding="utf-8") as file:
            unseen = {f"{r['corpus']}/{r['track_id']}" for r in csv.DictReader(file) if r["fold"] == fold}
    except (OSError, KeyError) as error:
        missing = Path(error.filename).name if isinstance(error, OSError) else f"the column {error}"
        raise ModelError(
            f"{run}: expected a run that says what it was trained on, {missing} is missing; finish it with "
            "sentio-tf fit"
        ) from None
    return groups, unseen


def spread(tracks: Sequence[Track], groups: dict[str, str]) -> list[Track]:
    """The tracks in a fixed random order: corpora in turn, in each one track of every group before a second."""
    rng = np.random.default_rng(0)
    pools: dict[str, list[Track]] = {}
    for corpus in dict.fromkeys(t.corpus for t in tracks):
        own = [t for t in tracks if t.corpus == corpus]
        turns: dict[str, int] = defaultdict(int)
        ranked = []
        for track in (own[i] for i in rng.permutation(len(own))):
            ranked.append((turns[groups[track.key]], track))
            turns[groups[track.key]] += 1
        pools[corpus] = [track for _, track in sorted(ranked, key=lambda pair: pair[0])]
    return [t for t in chain.from_iterable(zip_longest(*pools.values())) if t is not None]


def heard(tracks: Iterable[Track], groups: dict[str, str], audio: AudioContract = AudioContract()) -> Windows:
    """The tracks' first windows; files that cannot be read were left out of the training, too."""
    found: list[tuple[Track, np.ndarray]] = []
    silent = unreadable = 0
    for track in tracks:
        try:
            samples = first_window(track, audio)
        except AudioError:
            unreadable += 1
            continue
        if is_silent(samples):
            silent += 1
        else:
            found.append((track, samples))
    return Windows([t for t, _ in found], [groups[t.key] for t, _ in found], [w for _, w in found], silent, unreadable)


def first_window(track: Track, audio: AudioContract = AudioContract()) -> np.ndarray:
    """The first window of a track, as the predictor would cut it, float32 `(audio.samples,)`.  Raises: AudioError."""
    from ..audio import decode
    from ..audio.windows import windows

    part = min(track.duration_s or np.inf, audio.samples / audio.sample_rate)
    blocks = decode.blocks(track.path, offset_s=track.start_s, duration_s=float(part), sample_rate=audio.sample_rate)
    return next(windows(blocks, size=audio.samples, sample_rate=audio.sample_rate)).samples


def is_silent(samples: np.ndarray) -> bool:
    """Whether a window's root mean square stays below `SILENCE_DB`."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) < 10 ** (SILENCE_DB / 20)


def check_representative(drawn: Windows, corpora: Sequence[str], *, report: Callable[[str], None]) -> None:
    """Refuse windows that say nothing about activations, and warn of those that say little.

    Raises: ModelError for none that can be read, silence alone, or a single song (or artist).
    """
    if not drawn.samples:
        if drawn.silent:
            raise ModelError(
                f"int8: expected representative music, received {drawn.silent} windows of silence (below "
                f"{SILENCE_DB:g} dBFS); give music"
            )
        raise ModelError(
            f"int8: expected representative music, received no song that can be read ({drawn.unreadable} cannot); "
            "give the run's --data"
        )
    count = len(set(drawn.groups))
    if count < 2:
        raise ModelError(
            f"int8: expected representative music of 2 songs or artists or more, received one ({drawn.groups[0]}); "
            "raise --representative or choose another --quantize"
        )
    if len(drawn.samples) < FEW:
        report(
            f"int8: only {len(drawn.samples)} representative songs, better {FEW} or more; its ranges may be too narrow"
        )
    if drawn.silent:
        report(f"int8: {drawn.silent} silent representative windows are left out")
    if drawn.unreadable:
        report(f"int8: {drawn.unreadable} representative songs cannot be read and are left out")
    heard_of = {t.corpus for t in drawn.tracks}
    if len(heard_of) == 1 < len(set(corpora)):
        report(f"int8: all representative songs come from one of {len(corpora)} corpora, {next(iter(heard_of))}")
