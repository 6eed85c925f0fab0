"""The final model of a finished run on other labelled corpora: does it hold beyond what it was trained on?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import yaml

from .. import config as configuration
from .. import pipeline
from ..contract import GENERATED, MEL
from ..corpora.split import components
from ..corpora.track import Track
from ..errors import DataError, ModelError
from ..evaluation.predictions import Predictions, check_complete, from_rows
from ..pipeline.vectors import needs_audio, vectors
from .run import known_songs, prediction_row, read_tracks, write_predictions


def is_network(run: Path) -> bool:
    """Whether the run's model is a Keras one."""
    return (run / "model.keras").exists()


def apply(
    run: Path,
    sources: Sequence[str],
    *,
    cache: Path | None = None,
    labels: str = "",
    features: str | None = None,
    out: Path | None = None,
    report: Callable[[str], None] = print,
) -> Predictions:
    """Predictions of the run's final model for the tracks of `sources` (`CORPUS:ROOT`).

    Tracks whose artist, song, series or recording the run was trained on are left out and counted.

    Args:
        cache: folder of renderings and features; None: `config.cache_root()`.
        features: of a classical model, a table of these tracks where the run was trained on a table.
        out: file for the predictions, as CSV.

    Raises: ModelError if the run is not complete; DataError if no unseen track is left, or the features
        are not those the model was trained on.
    """
    if not run.is_dir():
        raise ModelError(f"{run}: expected a run directory, whose model is applied, received none; see sentio-tf fit")
    found = check_complete(run)
    root = cache or configuration.cache_root()
    if out and not out.resolve().parent.is_dir():
        raise DataError(f"{out}: expected a file in a folder that exists, received none; choose another --out")
    settings = read_settings(run)
    which = features or str(settings.get("features", "recipe"))
    if not is_network(run) and not features and not needs_audio(which):
        raise DataError(
            f"{run}: expected a table of features of these tracks, as it was trained on one ({which}), received none; "
            "name it with --features"
        )
    audio = is_network(run) or needs_audio(which)
    tracks = unseen(run, read_tracks(sources, labels=labels, audio=audio, report=report), report)
    if is_network(run):
        kept, estimated, std = _network(run, settings, tracks, root, report)
    else:
        kept, estimated = _classical(run, found, which, tracks, root, report)
        std = np.full((len(kept), 2), np.nan)
    rows = [
        prediction_row(t, "final", "test", e, group=g, std=s)
        for t, e, g, s in zip(kept, estimated, components(kept), std, strict=True)
    ]
    if out:
        write_predictions(out, rows)
    return from_rows(rows, name=run.resolve().name, where=str(run))


def unseen(run: Path, tracks: Sequence[Track], report: Callable[[str], None]) -> list[Track]:
    """Tracks that share neither group nor recording with those of the run, nor with those of a GAN that it learnt from.

    Raises: ModelError if the run does not say what it knows; DataError if none is left.
    """
    rows = known_songs(run)
    seen = {row[name] for row in rows for name in ("key", "group", "recording")} - {""}
    kept = [t for t in tracks if not seen & {t.group, t.key, t.recording}]
    if len(kept) < len(tracks):
        gan = ", if only by its GAN" if any(row["via"].startswith(GENERATED) for row in rows) else ""
        left = len(tracks) - len(kept)
        report(f"left out: {left} of {len(tracks)} tracks, whose artist or recording was trained on{gan}")
    if not kept:
        raise DataError("expected tracks that the run was not trained on, received none; evaluate the run itself")
    return kept


def read_settings(run: Path) -> dict:
    """`config.yaml` of a run.  Raises: ModelError if it cannot be read."""
    try:
        values = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{run / 'config.yaml'}: cannot be read ({reason}); fit the run again") from None
    if not isinstance(values, dict):
        raise ModelError(f"{run / 'config.yaml'}: expected the configuration of a run, received none; fit it again")
    return values


def _classical(
    run: Path, found: dict, which: str, tracks: Sequence[Track], root: Path, report: Callable[[str], None]
) -> tuple[list[Track], np.ndarray]:
    from . import classical

    models = classical.load(run)
    names, x, failed = vectors(tracks, which, root, report=report)
    if found.get("columns") != classical.columns_hash(names):
        raise DataError(
            f"{run}: expected the {found.get('dimensions')} features the model was trained on "
            f"({found.get('features')}), received {len(names)} others; name them with --features"
        )
    for reason in failed.values():
        report(f"left out: {reason}")
    rows = [i for i, t in enumerate(tracks) if t.key not in failed]
    if not rows:
        raise DataError("expected features of the tracks, received none that could be computed; see the lines above")
    return [tracks[i] for i in rows], classical.predict(models, x[rows])


def _network(
    run: Path, settings: dict, tracks: Sequence[Track], root: Path, report: Callable[[str], None]
) -> tuple[list[Track], np.ndarray, np.ndarray]:
    from .build import heard_spec
    from .deviation import predict_with

    rendered = pipeline.render_tracks(tracks, root)
    store = pipeline.open_cache(
        heard_spec(
            str(settings.get("model")),
            root,
            bits=settings.get("cache_bits", 16),
            f_max=settings.get("f_max", MEL.fmax),
        )
    )
    failed = store.build(rendered, report=report)
    for reason in failed.values():
        report(f"left out: {reason}")
    kept = [t for t in rendered if t.key not in failed]
    if not kept:
        raise ModelError("expected tracks that can be decoded, received none; see the lines above")
    return kept, *predict_with(run / "model.keras", lambda network: pipeline.predict_tracks(network, kept, store))
