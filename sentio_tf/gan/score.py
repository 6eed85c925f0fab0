"""A finished GAN, or a corpus that it made, against music."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import config as configuration
from .. import corpora, pipeline
from ..audio import decode
from ..contract import N_FRAMES, SAMPLE_RATE, WINDOW_SAMPLES
from ..corpora.track import Track
from ..errors import ConfigError, DataError
from ..pipeline.generated import read_log_mel
from ..training.generated import read_about
from ..training.run import read_tracks
from . import conditions, listen, quality
from .fit import REFERENCE, Jury, songs
from .run import GanRun, open_run
from .trainer import spectrograms
from .watch import twins

LEAST = 8  # samples
SAMPLES = 256
SOUNDS = 32  # of each kind that the audio distance hears


def score(
    folder: Path,
    sources: Sequence[str],
    *,
    corpus: Path | None = None,
    samples: int = SAMPLES,
    audio: bool = False,
    sounds: int = SOUNDS,
    seed: int = 0,
    force: bool = False,
    cache: Path | None = None,
    report: Callable[[str], None] = print,
    progress: pipeline.Progress | None = None,
) -> dict[str, Any]:
    """`quality.levels` of new samples of the run `folder`, or of a corpus of `gan sample`, and `audio` on demand.

    `unsound` says why the GAN failed or did not end, empty if it did neither; `fidelity_filtered` that the reader of
    labels chose the corpus, whose fidelity is then no evidence.

    Args:
        sources: the data that it was trained on: its training and validation songs are compared with.
        corpus: folder of `gan sample`; its spectrograms are judged instead of new ones.
        samples: new ones, or of the corpus at most.
        audio: the Frechet Audio Distance as well, on `sounds` of each kind; some seconds each.
        force: take a GAN whose training failed or did not end.

    Raises: ModelError, ConfigError; DataError if `sources` have not all its songs, or `corpus` is not of this GAN.
    """
    if samples < LEAST or sounds < 2:
        raise ConfigError(f"expected {LEAST} samples and 2 sounds or more, received {samples} and {sounds}")
    run = open_run(folder, force=force)
    about = _about(corpus, run) if corpus else {"unsound": run.why, "tolerance": None}
    root = cache or configuration.cache_root()
    train, held = known_tracks(run, sources, report)
    train, held = (pipeline.render_tracks(some, root, progress=progress) for some in (train, held))
    store = pipeline.open_cache(pipeline.Spec(root, bits=run.config.cache_bits))
    if failed := store.build([*train, *held], progress=progress, report=report):
        raise DataError(f"{len(failed)} songs cannot be used, first: {next(iter(failed.values()))}")
    jury = Jury.of(run.config, train, held, store)
    if corpus is None:
        rng = np.random.default_rng(seed)
        asked = jury.of_train[rng.integers(len(jury.of_train), size=samples)]
        generator = run.generator()
        mels = list(spectrograms(generator, asked, seed=seed))
        same = twins(lambda of: spectrograms(generator, of, seed=seed), jury.asked)
    else:
        mels, asked = _of_corpus(corpus, run, samples)
        same = None
    found = jury.levels(run.scale, mels, asked, same)
    found["unsound"] = about["unsound"]
    found["fidelity_filtered"] = about.get("tolerance") is not None
    if audio:
        found["audio"] = _audio(run, jury, train, held, mels, store, root, sounds, report)
    return found


def known_tracks(run: GanRun, sources: Sequence[str], report: Callable[[str], None]) -> tuple[list[Track], list[Track]]:
    """Training and validation tracks of a run, from the data that it was made of.

    Raises: DataError if any is missing.
    """
    tracks = {t.key: t for t in read_tracks(sources, labels=run.config.labels, skip_missing=True, report=report)}
    missing = [song.key for song in run.songs if song.key not in tracks]
    if missing:
        raise DataError(
            f"{run.folder}: expected the songs that it was trained on, received data without {missing[0]} "
            f"({len(missing)} of {len(run.songs)} missing); give the same --data as to gan fit"
        )
    train, held = ([tracks[s.key] for s in run.songs if s.role == role] for role in ("train", "validation"))
    return train, held


def _about(corpus: Path, run: GanRun) -> dict[str, Any]:
    """How a corpus was drawn.  Raises: DataError if it is none, or not of this run's GAN."""
    about = read_about(corpus)
    if about["gan"] != run.identity:
        raise DataError(
            f"{corpus}: expected a corpus that the GAN of {run.folder} made ({run.identity[:12]}), received another's "
            f"({str(about['gan'])[:12]}); give its own RUN"
        )
    return about


def _of_corpus(corpus: Path, run: GanRun, most: int) -> tuple[list[np.ndarray], np.ndarray]:
    tracks = corpora.read(f"folder:{corpus}")[:most]
    if len(tracks) < LEAST or not tracks[0].generated:
        raise DataError(
            f"{corpus}: expected a corpus of gan sample with {LEAST} spectrograms or more, received {len(tracks)} "
            f"tracks of {tracks[0].corpus}; draw one"
        )
    spec = pipeline.Spec()
    mels = [read_log_mel(t, spec.holds, spec.mel)[:, :, None] for t in tracks]
    return mels, conditions.conditions(conditions.targets(tracks), run.config.sign_value)


def _audio(
    run: GanRun,
    jury: Jury,
    train: Sequence[Track],
    held: Sequence[Track],
    mels: Sequence[np.ndarray],
    store: pipeline.Cache,
    root: Path,
    sounds: int,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Songs by the same draw as the other scores, `sounds` of each kind."""
    rng = np.random.default_rng(run.config.seed)
    some = [train[i] for i in rng.permutation(len(train))[:REFERENCE]][:sounds]
    others = [held[i] for i in rng.permutation(len(held))[:sounds]]
    plain = lambda given: (x[:, :, 0] for x in given)
    floor = quality.noise(run.scale.mean, run.scale.std, len(others), frames=N_FRAMES, seed=run.config.seed)
    return listen.audio_distance(
        listen.Ear(root, report=report),
        plain(songs(some, store)),
        plain(songs(others, store)),
        plain(mels[: len(others)]),
        floor,
        recorded(some),
    )


def recorded(tracks: Sequence[Track]) -> Iterator[np.ndarray]:
    """The sound of the windows that `fit.songs` takes, float32 `(samples,)`."""
    for track in tracks:
        y = decode.load(track.path, offset_s=track.start_s, duration_s=track.duration_s, sample_rate=SAMPLE_RATE)
        start = max(0, (len(y) - WINDOW_SAMPLES) // 2)
        yield np.resize(y[start : start + WINDOW_SAMPLES], WINDOW_SAMPLES)
