"""The training of a GAN, from tracks to a run directory."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .. import config as configuration
from .. import pipeline
from ..config import GanConfig
from ..contract import N_FRAMES
from ..corpora.split import components
from ..corpora.track import Track
from ..errors import ConfigError, DataError, SentioError
from ..pipeline.checks import check_tracks
from ..training.callbacks import History, Progress
from ..training.fit import divided
from ..training.plan import Part, Plan, planner
from ..training.run import (
    COMMIT,
    TRAINED,
    claim,
    environment,
    finished,
    labels_hash,
    read_tracks,
    write_csv,
    write_json,
)
from . import conditions, networks, quality, sheets
from .augment import augmenter
from .copies import Windows
from .objectives import OBJECTIVES, Objective
from .profile import Profile, profile
from .reader import Reader
from .run import FAILED, FINISHED, ROLES, TRAINING, save_networks, write_status
from .scale import BandScale
from .trainer import GAN
from .watch import Checkpoint, Guard, Judge, twins, verdict

PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn")
DONE = "done.json"
REFERENCE = 256  # training songs at most whose statistics are the reference of the scores
LEAST = 16  # training songs: fewer are no distribution


def fit(
    config: GanConfig,
    sources: Sequence[str],
    out: Path,
    *,
    fold: str = "",
    cache: Path | None = None,
    split: Path | None = None,
    allow_divided: bool = False,
    purge_divided: bool = False,
    skip_missing: bool = False,
    report: Callable[[str], None] = print,
    progress: pipeline.Progress | None = None,
) -> dict[str, Any]:
    """Train on the training part of one fold of `sources` (`CORPUS:ROOT`), write the run `out`; returns its quality.

    Test tracks of the fold are not opened.  Its validation part (that of the split, else `config.validation` of the
    training tracks, as `training.fit` divides them) judges the samples and trains nothing but the regressor that
    reads their labels.  An interrupted training goes on behind its last whole epoch, to the same result.

    Args:
        fold: name of the part: "0", "1", ... of a split; may be left out where there is only one.
        split: a file of `sentio-tf data split`; None: all tracks are training and validation part.
        Others: as of `training.fit`.

    Raises: DataError, ConfigError; SentioError where the training fails (see `watch.Guard`), which `status.json` says,
        too.
    """
    root = cache or configuration.cache_root()
    diffaug = augmenter(config.diffaug if config.augmented else None, config.seed)
    tracks = read_tracks(sources, labels=config.labels, skip_missing=skip_missing, report=report)
    choose = planner(config, split, allow_divided=allow_divided, purge_divided=purge_divided, final=split is None)
    work = choose(tracks)
    part = chosen(work, fold)
    train, held = divided(tracks, part, config)
    train, held = (pipeline.render_tracks(some, root, progress=progress) for some in (train, held))
    store = pipeline.open_cache(pipeline.Spec(root, bits=config.cache_bits))
    failed = store.build([*train, *held], progress=progress, report=report)
    failed |= check_tracks([t for t in (*train, *held) if t.key not in failed], store).errors
    for reason in failed.values():
        report(f"left out: {reason}")
    train, held = ([t for t in some if t.key not in failed] for some in (train, held))
    if len(train) < max(LEAST, config.batch_size) or len(held) < 2:
        raise DataError(
            f"expected {max(LEAST, config.batch_size)} training tracks and 2 validation tracks or more, received "
            f"{len(train)} and {len(held)}; bring more songs"
        )
    known = [*train, *held]
    with alone(out):
        claim(
            out,
            config,
            sources,
            known,
            work=dataclasses.replace(work, parts=[part]),
            labels_and_audio=labels_hash(known, [pipeline.entry_id(t) for t in known]),
        )
        write_songs(out, train, held)
        return _train(config, out, Songs(fold, work, part, train, held, store), diffaug, report)


@dataclasses.dataclass(frozen=True)
class Songs:
    """What a GAN is trained with: the part `part` of `work`, which `--fold` may have named, and where its mels are."""

    fold: str
    work: Plan
    part: Part
    train: Sequence[Track]
    held: Sequence[Track]
    store: pipeline.Cache


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Nobody else trains in the run directory meanwhile.

    Raises: ConfigError if it cannot be written; SentioError while another process trains there.
    """
    with ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            locks = stack.enter_context(pipeline.Locks(out / "lock"))
        except OSError as error:
            raise ConfigError(
                f"{out}: the run directory cannot be written ({error.strerror}); choose another"
            ) from None
        if not locks.acquire(hashlib.sha256(b"gan").hexdigest(), wait=False):
            raise SentioError(
                f"{out}: expected a run that nobody trains now, received one that another process does; wait for it, "
                "or choose another --out"
            )
        yield


def _train(
    config: GanConfig,
    out: Path,
    given: Songs,
    diffaug: keras.Sequential | None,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """What `fit` does once it is known with which songs: from the networks to `quality.json`."""
    work, part, train, held, store = given.work, given.part, given.train, given.held, given.store
    folder = out / f"fold-{part.name}"
    if done := finished(folder):
        if why := done.get("failed"):
            raise SentioError(f"{out}: this training has failed before: {why}; change the configuration and --out")
        report(f"{out}: the training is complete")
        return done["quality"]

    keras.utils.set_random_seed(config.seed)
    scale = BandScale(*pipeline.band_statistics(train, store), name="decibels")
    np.savez(out / "scale.npz", mean=scale.mean, std=scale.std)
    np.save(out / "targets.npy", conditions.targets(train))
    steps = math.ceil(len(train) / config.batch_size)
    objective = objective_of(config)
    gan = build(config, scale, objective, steps=config.epochs * steps, diffaug=diffaug)
    counts = [network.count_params() / 1e6 for network in (gan.generator, gan.discriminator)]
    report(
        f"{len(train)} training, {len(held)} validation tracks; {counts[0]:.1f} M parameters make spectrograms, "
        f"{counts[1]:.2f} M judge them"
    )
    jury = Jury.of(config, train, held, store)
    Reader.fit(jury.held, jury.of_held, jury.train, jury.of_train).save(out)
    history = History(out / "history.csv")
    guard = Guard(config, objective.least)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(
        out, folder / "checkpoint.npz", guard, history, purpose=f"{configuration.dump(config)}{work.exact}{given.fold}"
    )
    epochs = checkpoint.restore(gan)
    if epochs:
        report(f"goes on behind epoch {epochs}")
    write_status(out, TRAINING, epoch=epochs)
    of_known, mels_of_known = jury.known()
    real = {"known": (mels_of_known, of_known), "held": (jury.mels_of_held, jury.of_held)}
    judge = Judge(config, jury.train, jury.asked, real, out / "sheets")
    if epochs < config.epochs:
        gan.fit(
            batches(config, train, store.spec, skip=epochs * steps),
            initial_epoch=epochs,
            epochs=config.epochs,
            steps_per_epoch=steps,
            shuffle=False,  # the stream is
            verbose=0,
            callbacks=[judge, guard, history, Progress(report, "gan"), checkpoint],
        )
    guard.failed = guard.failed or verdict(config, objective.least, history.rows)
    result: dict[str, Any] = {}
    if guard.finite:  # else the networks of the last whole epoch stay
        save_networks(out, gan)
        mels = gan.sample(jury.asked, seed=config.seed + 1)  # not those that the epochs were judged by
        result = jury.levels(
            scale, mels, jury.asked, twins(lambda of: gan.sample(of, seed=config.seed + 1), jury.asked)
        )
        result["clipped"] = float(np.mean([scale.clipped_share(x[None]) for x in songs(train, store)]))
    sheets.draw_curves(out, least=objective.least)
    end = {"failed": guard.failed} if guard.failed else {}
    about = {"seconds": round(checkpoint.seconds()), "git_commit": COMMIT, "quality": result, **end}
    write_json(folder / DONE, about)
    write_json(out / "quality.json", result)
    write_json(out / "environment.json", environment(out, [part.name], packages=PACKAGES, epochs=len(history.rows)))
    status = FAILED if guard.failed else FINISHED
    write_status(out, status, why=guard.failed, epoch=len(history.rows), split=work.hash, fold=part.name)
    checkpoint.path.unlink(missing_ok=True)
    if guard.failed:
        raise SentioError(f"{out}: the training has failed: {guard.failed}; see curves.png and sheets/ there")
    return result


def chosen(work: Plan, fold: str) -> Part:
    """The part of that name; the only one where none is named.  Raises: ConfigError."""
    names = [part.name for part in work.parts]
    if not fold and len(names) > 1:
        raise ConfigError(
            f"expected one fold to train on, received a split with {len(names)}; name it with --fold {names[0]}: a GAN "
            "of several would know the songs that judge"
        )
    if fold and fold not in names:
        raise ConfigError(f"--fold: expected one of {', '.join(names)}, received {fold!r}; correct it")
    return next(part for part in work.parts if part.name == (fold or names[0]))


def objective_of(config: GanConfig) -> Objective:
    """The losses of a configuration."""
    return OBJECTIVES["bce"](config.label_smoothing) if config.objective == "bce" else OBJECTIVES[config.objective]()


def build(
    config: GanConfig, scale: BandScale, objective: Objective, *, steps: int, diffaug: keras.Sequential | None
) -> GAN:
    """The networks of a configuration, compiled; `steps` of the whole training."""
    gan = GAN(
        networks.generator(config.size),
        networks.discriminator(config.size, condition=config.condition, spectral_norm=config.spectral_norm),
        scale,
        objective,
        augment=diffaug,
        generator_updates=config.generator_updates,
        noise=config.instance_noise,
        steps=steps,
        ema=config.ema,
        adapt=config.adapt,
        seed=config.seed,
    )
    adam = lambda: keras.optimizers.Adam(
        config.learning_rate, config.beta_1, config.beta_2, global_clipnorm=config.clip_norm
    )
    gan.compile(adam(), adam(), jit_compile=False)
    if diffaug is not None:  # now: a checkpoint holds the states of its random layers
        diffaug.build((None, *gan.generator.output_shape[1:]))
    return gan


def batches(config: GanConfig, train: Sequence[Track], spec: pipeline.Spec, *, skip: int):
    """Endless batches of log-mels [dB] and conditions, from step `skip` on."""
    data = pipeline.dataset(train, spec, frames=N_FRAMES, batch=config.batch_size, seed=config.seed, skip=skip)

    def condition(mel, goal):
        import tensorflow as tf

        size = tf.where(goal[:, conditions.RATED :] == 1, 1.0, config.sign_value)
        return mel, goal[:, :2] * size

    return data.map(condition)


def songs(tracks: Sequence[Track], store: pipeline.Cache) -> Iterator[np.ndarray]:
    """The window in the middle of each track, `(128, 1292, 1)` in dB."""
    for track in tracks:
        values = store.read(track)
        yield pipeline.crop(values, max(0, (len(values) - N_FRAMES) // 2), N_FRAMES)


def write_songs(out: Path, train: Sequence[Track], held: Sequence[Track]) -> None:
    """`trained.csv` with the role of each song, which a corpus of samples carries on."""
    groups = components([*train, *held])
    rows = [
        {"key": t.key, "group": t.group, "together": g, "recording": t.recording, "role": ROLES[i >= len(train)]}
        for i, (t, g) in enumerate(zip([*train, *held], groups, strict=True))
    ]
    write_csv(out / TRAINED, list(rows[0]), rows)


@dataclasses.dataclass(frozen=True)
class Jury:
    """Real songs that samples are compared with: profiles of training and validation songs, and their labels."""

    config: GanConfig
    train: Profile
    of_train: np.ndarray
    held: Profile
    of_held: np.ndarray
    asked: np.ndarray  # conditions of the samples that are judged, as training songs have them
    train_tracks: Sequence[Track]
    held_tracks: Sequence[Track]
    store: pipeline.Cache

    @classmethod
    def of(cls, config: GanConfig, train: Sequence[Track], held: Sequence[Track], store: pipeline.Cache) -> Jury:
        rng = np.random.default_rng(config.seed)
        some = [train[i] for i in rng.permutation(len(train))[:REFERENCE]]
        of_train, of_held = (conditions.conditions(conditions.targets(t), config.sign_value) for t in (some, held))
        asked = of_train[rng.integers(len(some), size=config.judge_samples)]
        return cls(
            config,
            profile(songs(some, store)),
            of_train,
            profile(songs(held, store)),
            of_held,
            asked,
            train,
            held,
            store,
        )

    def mels_of_held(self) -> Iterator[np.ndarray]:
        """Log-mels of the validation songs."""
        return songs(self.held_tracks, self.store)

    def known_tracks(self) -> list[Track]:
        """As many training songs as there are validation songs; by a draw, since songs come corpus by corpus."""
        order = np.random.default_rng(self.config.seed).permutation(len(self.train_tracks))
        return [self.train_tracks[i] for i in order[: len(self.held_tracks)]]

    def known(self) -> tuple[np.ndarray, Callable[[], Iterator[np.ndarray]]]:
        """Conditions of `known_tracks`, and what makes their log-mels."""
        some = self.known_tracks()
        asked = conditions.conditions(conditions.targets(some), self.config.sign_value)
        return asked, lambda: songs(some, self.store)

    def levels(
        self,
        scale: BandScale,
        mels: Iterable[np.ndarray],
        asked: np.ndarray,
        twins: tuple[Profile, np.ndarray] | None = None,
    ) -> dict[str, Any]:
        """`quality.levels` of log-mels [dB], the conditions `(n, 2)` that they were made of, and `twins` as there."""
        noise = quality.noise(scale.mean, scale.std, len(asked), frames=N_FRAMES, seed=self.config.seed)
        labels = (self.of_train, self.of_held, asked)
        known = Windows.of(pipeline.windows(self.train_tracks, self.store))
        return quality.levels(
            self.train,
            self.held,
            profile(mels),
            profile(noise),
            known,
            labels=labels,
            twins=twins,
            seed=self.config.seed,
        )
