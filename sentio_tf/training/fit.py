"""One training experiment, from tracks to a run directory."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .. import config as configuration
from .. import pipeline
from ..config import FitConfig, GanConfig
from ..contract import SAMPLE_RATE, WINDOW_SAMPLES
from ..corpora.split import components
from ..corpora.track import Track
from ..errors import ConfigError, DataError, SentioError
from ..evaluation.summary import summarize
from ..layers.normalize import BandNormalize, ClipZScore
from ..losses import EmotionLoss
from ..models import MODELS, OWN_MEL, STAGES, WAVEFORM
from ..pipeline.checks import check_tracks
from ..pipeline.loader import closed
from . import deviation, generated
from .build import Builder, builder, crops, heard_spec, make_optimizer, rest
from .callbacks import Checkpoint, History, Progress, TrackValidation, board
from .curves import draw_curves
from .domain import TrackFeatures, calibrate, fit_domain
from .frozen import Answers, divide
from .lesson import Lesson
from .memory import check_memory, told
from .plan import FINAL, Part, planner, validation_part
from .run import (
    COMMIT,
    claim,
    environment,
    finished,
    known_songs,
    labels_hash,
    prediction_row,
    read_tracks,
    reopen,
    songs_via,
    write_json,
    write_predictions,
)
from .schedule import ProgressiveUnfreezing
from .start import Start, foreseen, own_windows, start_from_ridge
from .teachers import School
from .voice import predict_tracks

# Each fold, phase and length of window is a graph of its own: TensorFlow warns of that with half a page.
logging.getLogger("tensorflow").addFilter(lambda record: "retracing" not in record.getMessage())

WINDOW_S = WINDOW_SAMPLES / SAMPLE_RATE
FILES = ("model.keras", "history.csv")  # of a trained part
PACKAGES = ("tensorflow", "keras", "numpy", "soxr", "soundfile", "scikit-learn")


def fit(
    config: FitConfig,
    sources: Sequence[str],
    out: Path,
    *,
    cache: Path | None = None,
    split: Path | None = None,
    start: Path | None = None,
    school: School | None = None,
    allow_divided: bool = False,
    purge_divided: bool = False,
    skip_missing: bool = False,
    only: Sequence[str] = (),
    tensorboard: bool = False,
    report: Callable[[str], None] = print,
    progress: pipeline.Progress | None = None,
) -> dict[str, Any]:
    """Train on all `sources` (`CORPUS:ROOT`) and write the run directory `out`; returns its metrics.

    With `config.folds`, a grouped cross-validation comes first: every track is predicted by a model
    that saw neither it nor its artist, song or series, and early stopping saw a part of the training
    folds only.  Metrics are out-of-fold then, else of the validation part.  The final model is
    trained the same way on everything but its validation part.  A fold that is complete in `out` is
    not trained again, so an interrupted run continues.

    Args:
        cache: folder of renderings and caches; None: `config.cache_root()`.
        split: a file of `sentio-tf data split`; None: folds are made from config.seed.
        start: a finished run on the same songs and split, from whose models training goes on.
        school: teachers, see `distill`; songs without a label learn from them, too.
        allow_divided, purge_divided: what to do with a split that divides groups, see `plan.plan`.
        skip_missing: leave tracks without their file out.
        only: names of the parts to train now ("0", "1", ..., "final"), so that several processes can
            share a run; the one that finds all parts complete writes the results, others return {}.
        tensorboard: write curves for TensorBoard beside each part's files.

    Raises: DataError, ConfigError; a run directory of another experiment is refused.
    """
    root = cache or configuration.cache_root()
    augment = pipeline.Augment.from_dict(config.augment) if config.augment else None
    if augment and config.model in WAVEFORM and (augment.freq_masks or augment.time_masks):
        raise ConfigError(
            f"augment: {config.model} hears a waveform, which has no bands and frames to mask; received freq_masks or "
            "time_masks; leave them out"
        )
    if config.model not in MODELS:
        models = ", ".join([*MODELS, *configuration.CLASSICAL])
        raise ConfigError(f"model: expected one of {models}, received {config.model!r}")
    if config.quantize_aware and not start:
        raise ConfigError(
            "quantize_aware: expected a trained network to go on from, whose batch normalisation keeps its statistics, "
            "received none; name its run with --start"
        )
    mute = config.consistency > 0 or school is not None  # whether songs without a label are of use
    tracks = read_tracks(
        sources, labels=config.labels, skip_missing=skip_missing, unlabelled=mute, generated=True, report=report
    )
    tracks, made = [t for t in tracks if not t.generated], [t for t in tracks if t.generated]
    gans = generated.check(made, sources, config, taught=school is not None)
    tracks, extra = [t for t in tracks if t.has_emotion], [t for t in tracks if not t.has_emotion]
    divide = planner(config, split, allow_divided=allow_divided, purge_divided=purge_divided, final=config.final)
    # What can be known before hours of decoding.
    known = [part.name for part in divide(tracks).parts]
    if strange := sorted(set(only) - set(known)):
        raise ConfigError(f"expected parts among {', '.join(known)}, received {strange[0]!r}; correct --only")
    build = builder(config, root, report)
    begin = Start(start, config.labels) if start else None
    priors = [prior for prior in (begin, school) if prior]
    for prior in priors:
        prior.check(foreseen(tracks, divide))
    if school:
        school.check_student(build)
    asked = len(tracks) + len(extra) + len(made)
    tracks, extra = (pipeline.render_tracks(some, root, progress=progress) for some in (tracks, extra))
    # Every run has the mels: of them the check of the audio is made, and the domain where the network hears them.
    store = pipeline.open_cache(heard_spec("", root, bits=config.cache_bits, f_max=config.f_max))
    heard = pipeline.open_cache(heard_spec(config.model, root, bits=config.cache_bits, f_max=config.f_max))
    built = TrackFeatures(heard if config.model in OWN_MEL else store)
    examples = heard.spec
    if heard is store and augment and augment.needs_waveform:
        examples = pipeline.Spec(root, "waveform", mel=store.spec.mel)
    for spec in dict.fromkeys([store.spec, heard.spec, examples]):
        failed = pipeline.open_cache(spec).build([*tracks, *extra, *made], progress=progress, report=report)
        for reason in failed.values():
            report(f"left out: {reason}")
        tracks, extra, made = ([t for t in some if t.key not in failed] for some in (tracks, extra, made))
    quality = check_tracks([*tracks, *extra, *made], store)
    report(quality.lines()[0])
    for key, why in quality.errors.items():
        report(f"left out: {key}: {why}")
    tracks, extra, made = ([t for t in some if t.key not in quality.errors] for some in (tracks, extra, made))
    if (left := asked - len(tracks) - len(extra) - len(made)) > 0:
        report(f"{left} of {asked} tracks are left out")
    work = divide(tracks)
    config = dataclasses.replace(config, folds=work.folds)
    names = {t.corpus for t in [*tracks, *extra, *made]}
    if unknown := sorted(set(config.repeats) - names):
        raise ConfigError(f"repeats: expected corpora among {', '.join(sorted(names))}, received {unknown[0]!r}")
    audio = [pipeline.entry_id(t) for t in [*tracks, *made]]
    everything = labels_hash([*tracks, *made], audio)
    if extra:
        everything += f" and {hashlib.sha256(''.join(sorted(map(pipeline.entry_id, extra))).encode()).hexdigest()}"
    for prior in priors:
        prior.check(lambda _: work)  # tracks may have been left out
    came_from = {"start": begin, "teachers": school}
    earlier = [*([begin.run] if begin else []), *(teacher.run for teacher in (school.teachers if school else ()))]
    claim(
        out,
        config,
        sources,
        [*tracks, *extra, *made],
        work=work,
        labels_and_audio=everything,
        came_from={name: prior.identity(work) for name, prior in came_from.items() if prior},
        heard_of=[
            *(song for gan in gans for song in gan.songs),
            *(song for run in earlier for song in songs_via(run.resolve().name, known_songs(run))),
        ],
    )
    learnt = {part.name: divided(tracks, part, config) for part in work.parts}
    for line in generated.warnings(gans):
        report(line)
    for part in work.parts:
        judges = [tracks[i] for i in part.test]
        generated.check_part(gans, made, part.name, *learnt[part.name], judges, report, repeats=config.repeats)
    for name, (_, held) in learnt.items():
        if max(Counter(t.corpus for t in held).values(), default=0) < 2:
            raise DataError(
                f"fold {name}: expected two validation tracks of a corpus or more, received {len(held)} in all; "
                "bring more songs or raise validation"
            )

    answers = Answers(root / "answers")  # of frozen stages, over all folds and runs
    with pipeline.Locks(out / "lock") as locks:
        for part in work.parts:
            if finished(out / f"fold-{part.name}", *FILES) or (only and part.name not in only):
                continue
            name = f"fold {part.name}"
            lock = hashlib.sha256(name.encode()).hexdigest()
            if not locks.acquire(lock, wait=False):
                report(f"{name}: another process trains it")
                continue
            inner, held = learnt[part.name]
            strangers = apart(extra, [*held, *(tracks[i] for i in part.test)])
            report(f"{name}: {len(inner)} training, {len(held)} validation, {len(part.test)} test tracks")
            for some, what in ((strangers, "unlabelled"), (made, "generated")):
                if some:
                    report(f"{name}: {len(some)} {what} tracks")
            train_fold(
                config,
                [*inner, *made],
                held,
                out / f"fold-{part.name}",
                build=begin.builder(build, part.name) if begin else build,
                cache=store,
                heard=heard,
                examples=examples,
                unlabelled=strangers,
                answers=answers,
                teach=partial(school.lesson, part.name) if school else None,
                label=name,
                tensorboard=tensorboard,
                report=report,
            )
            locks.release(lock)
    missing = [p.name for p in work.parts if not finished(out / f"fold-{p.name}", *FILES)]
    if missing:
        report(f"still to be trained: {', '.join(missing)}")
        return {}

    group_of = dict(zip([t.key for t in tracks], components(tracks), strict=True))
    rows: list[dict[str, Any]] = []
    domain_distances: list[np.ndarray] = []
    for part in work.parts:
        judged = [tracks[i] for i in part.test] or learnt[part.name][1]
        model = out / f"fold-{part.name}" / "model.keras"
        estimated, deviations = predict_tracks(model, config, judged, heard, root, report=report)
        if not np.isfinite(estimated).all():
            (out / f"fold-{part.name}" / "done.json").unlink()  # the next call trains it again
            raise SentioError(f"fold {part.name}: the model's answers are not finite; lower learning_rate")
        role = "test" if part.test else "validation"
        rows += [
            prediction_row(t, part.name, role, e, group=group_of[t.key], std=s)
            for t, e, s in zip(judged, estimated, deviations, strict=True)
        ]
        if part.test and config.final:
            domain = fit_domain([tracks[i] for i in part.train], built)
            domain_distances.append(domain.distances(judged, built))

    reopen(out)
    predictions = write_predictions(out / "predictions.csv", rows)
    kept = [r for r in rows if r["split"] == "test"] or rows
    results = {
        "model": config.model,
        "scale": "[-1, 1]",
        "protocol": work.protocol,
        "split": work.hash,
        "seed": config.seed,
        "predictions": predictions,
        "corpora": summarize(kept),
    }
    if gans:
        results["generated"] = generated.marks(gans)
    if config.deviation and (found := deviation.of_rows(kept)):
        results["deviation"] = found
    if config.final:
        for name in FILES:
            shutil.copyfile(out / f"fold-{FINAL}" / name, out / name)
        deviation.write(out, deviation.Deviation.load(out / f"fold-{FINAL}" / deviation.FILE))
        domain = fit_domain(tracks, built)
        distances = np.concatenate(domain_distances) if domain_distances else domain.distances(tracks, built)
        domain.save(out / "domain.npz", **calibrate(distances, out_of_fold=bool(domain_distances)))
    draw_curves(out, [p.name for p in work.parts])
    about = environment(
        out,
        [p.name for p in work.parts],
        packages=PACKAGES,
        backend=keras.backend.backend(),
        best_epochs=best_epochs(out),
    )
    write_json(out / "environment.json", about)
    write_json(out / "metrics.json", results)  # last: it says that the run is complete
    return results


def train_fold(
    config: FitConfig,
    train: Sequence[Track],
    validation: Sequence[Track],
    folder: Path,
    *,
    build: Builder,
    cache: pipeline.Cache,
    heard: pipeline.Cache,
    examples: pipeline.Spec,
    unlabelled: Sequence[Track] = (),
    answers: Answers,
    teach: Callable[..., Lesson] | None = None,
    label: str,
    tensorboard: bool = False,
    report: Callable[[str], None],
) -> None:
    """Train one model; `folder` gets model.keras (best by validation CCC), history.csv, done.json.

    Interrupted, it goes on behind the last whole epoch, to the same result.
    """
    began = time.time()
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(config.seed)

    # Statistics of the training part only.
    if config.normalization == "dataset" and config.model not in WAVEFORM:
        # Of music: how loud generated spectrograms are says nothing of songs.
        mean, std = pipeline.band_statistics([t for t in train if not t.generated], cache)
        normalize = lambda: BandNormalize(mean, std, name="normalize", dtype="float32")
    else:
        normalize = lambda: ClipZScore(name="normalize", dtype="float32")

    # A network for crops, and its twin in full precision for windows of 30 s: one set of weights fits both.
    model = build(normalize(), config.crop_s, config.precision)
    whole = twin = build(normalize(), WINDOW_S, "float32")
    stages, rest_count = rest(model, config)

    # Stages that never train answer every window once; what is behind them is all that is trained then.
    judge = lambda network: pipeline.predict_tracks(network, validation, heard)
    stream: Callable[[int], Any]
    lesson = teach(model, [*train, *unlabelled], heard=heard, examples=examples) if teach else None
    frozen = None
    again = lesson.repeats_windows if lesson else not unlabelled  # whether windows come again as they were
    if config.cache_frozen and rest_count and again and not config.augment:
        short = whole if config.crop_s == WINDOW_S else build(normalize(), config.crop_s, "float32")
        frozen = divide(model, short, STAGES[config.model], rest_count)
    if frozen:
        asked = validation if lesson else [*train, *validation]
        kept = answers.compute(frozen.front, asked, heard, seconds=config.crop_s, report=report)
        if not kept or (lesson and not lesson.through(frozen.front)):
            frozen = None
    if frozen:
        model, twin = frozen.trained, frozen.twin
        judge = lambda network: answers.predict(network, validation)
        stream = lambda skip: answers.stream(
            train, batch=config.batch_size, repeats=config.repeats, seed=config.seed, skip=skip
        )
    else:
        stream = lambda skip: crops(config, [*train, *unlabelled], examples, skip=skip)
    if lesson:
        stream = lesson.batches

    check_memory(model, config.batch_size)

    # Of an unlabelled track a draw gives two examples.
    twice = [] if lesson else unlabelled
    drawn = pipeline.draws([*train, *unlabelled, *twice], config.repeats).sum()
    if drawn < 2 * config.batch_size * config.accumulate:
        report(
            f"{label}: an epoch of {drawn:.0f} examples makes hardly an update; lower batch_size, or raise repeats or "
            "epochs"
        )
    # Gradients that no update follows change nothing: whole cycles.
    steps = math.ceil(drawn / config.batch_size / config.accumulate) * config.accumulate
    optimizer = make_optimizer(config, steps, slow={v.path for stage in stages for y in stage for v in y.variables})
    loss = EmotionLoss(config.mse_weight, consistency=config.consistency)
    learner = lesson.distiller(model, loss) if lesson else model  # what is fitted; `model` is what learns
    jit = config.jit or keras.backend.backend() == "jax"
    learner.compile(optimizer, None if lesson else loss, jit_compile=jit)
    if config.head_alpha:
        given = lesson.for_ridge() if lesson else None
        kept_answers = answers if frozen else None
        start_from_ridge(config, model, twin, train, heard, kept_answers, given=given, report=report, label=label)
    learner.optimizer.build(learner.trainable_variables)  # now: averages start from the weights as they are

    judgement = TrackValidation(
        twin,
        validation,
        heard,
        folder / "best.weights.h5",
        patience=config.patience,
        judge=judge,
        from_start=config.head_alpha > 0,
        network=model,
    )
    history = History(folder / "history.csv")
    checkpoint = Checkpoint(
        folder / "checkpoint.npz",
        judgement,
        history,
        purpose=purpose(config, label, [*train, *unlabelled], frozen is not None),
    )
    checkpoint.began = began
    done = checkpoint.restore(learner)
    if done:
        report(f"{label}: goes on behind epoch {len(history.rows)}")
    callbacks = [
        *([ProgressiveUnfreezing(stages, config.unfreeze, report)] if config.unfreeze and stages else []),
        judgement,
        *([lesson.guard(history)] if lesson else []),
        history,
        *([board(folder / "tensorboard")] if tensorboard else []),
        Progress(report, label),
        checkpoint,
    ]
    if done < config.epochs:
        batches = stream(done * steps)
        with told(config, label), closed(batches):
            learner.fit(
                batches,
                initial_epoch=done,
                epochs=config.epochs,
                steps_per_epoch=steps,
                shuffle=False,  # the stream is
                verbose=0,
                callbacks=callbacks,
            )
    if judgement.bad_from is not None:
        where = f"{label}: {judgement.trouble}"
        if not judgement.found:
            raise SentioError(f"{where}, and there are no good weights yet; lower learning_rate")
        report(f"{where}; the weights of epoch {judgement.best_epoch + 1} are kept; lower learning_rate")
    if not judgement.found:
        raise SentioError(f"{label}: training diverged in the first epoch; lower learning_rate")
    twin.load_weights(folder / "best.weights.h5")
    learnt = None
    if config.deviation:
        model.set_weights(twin.get_weights())
        own = lambda: deviation.rated(train, *own_windows(train, heard, answers if frozen else None))
        learnt = deviation.learn(
            model if lesson else twin,
            lesson.wanted() if lesson else own(),
            validation,
            judge,
            twin=twin,
            report=lambda line: report(f"{label}: {line}"),
        )
    deviation.write(folder, learnt)
    if frozen:
        whole.set_weights(frozen.short.get_weights())
    whole.save(folder / "model.keras")
    write_json(
        folder / "done.json",
        {
            "best_epoch": judgement.best_epoch + 1,
            "val_ccc": judgement.best,
            "seconds": round(checkpoint.seconds()),
            "frozen_cached": frozen is not None,  # or random crops: another experiment, if the memory decided it
            "git_commit": COMMIT,
            "not_finite_from": judgement.bad_from,
        },
    )
    for name in ("best.weights.h5", "checkpoint.npz"):
        (folder / name).unlink(missing_ok=True)


def purpose(config: FitConfig, label: str, train: Sequence[Track], cached: bool) -> str:
    """What a checkpoint must agree in: configuration, part, training tracks, and whether frozen stages are cached."""
    text = f"{configuration.dump(config)}{label}{cached}" + "".join(sorted(t.key for t in train))
    return hashlib.sha256(text.encode()).hexdigest()


def apart(tracks: Sequence[Track], judged: Sequence[Track]) -> list[Track]:
    """Those of `tracks` that share neither group nor recording with any of `judged`."""
    groups = components([*judged, *tracks])
    known = set(groups[: len(judged)])
    return [t for t, g in zip(tracks, groups[len(judged) :], strict=True) if g not in known]


def divided(tracks: Sequence[Track], part: Part, config: FitConfig | GanConfig) -> tuple[list[Track], list[Track]]:
    """Training and validation tracks of a part: those the split names, else a share of its training tracks."""
    own = [tracks[i] for i in part.train]
    if part.validation:
        return own, [tracks[i] for i in part.validation]
    held = validation_part(own, share=config.validation, seed=config.seed, grid=config.grid)
    return (
        [t for t, v in zip(own, held, strict=True) if not v],
        [t for t, v in zip(own, held, strict=True) if v],
    )


def best_epochs(out: Path) -> dict[str, int]:
    """Epoch whose weights were kept, by part."""
    return {
        f.parent.name.removeprefix("fold-"): json.loads(f.read_text(encoding="utf-8"))["best_epoch"]
        for f in sorted(out.glob("fold-*/done.json"))
    }
