"""Parity with Keras measured again, long after the export: the run's network beside the file, on real windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import config as configuration
from ..errors import ModelError, SentioError
from ..runtime.checks import FAILED, OK, SKIPPED, Check, Report
from . import FEWEST, keras_model, model_file, parity, read_run, representative
from .settings import FINAL


def check(report: Report, run: Path, *, sources: Sequence[str], cache: Path | None = None) -> Check:
    """The check `parity` of a file that `runtime.checks` has seen; failed where run or data cannot be used."""
    name = "parity"
    if any(c.name in ("card", "loads") and c.state != OK for c in report.checks):
        return Check(name, SKIPPED, "the model does not load, or has no card")
    try:
        found = measure(Path(report.path), run, sources=sources, cache=cache)
    except SentioError as error:
        return Check(name, FAILED, str(error))
    said = "; ".join([*parity.lines(found), f"limit {found['limit']:g}"])
    return Check(name, OK if found["max"] <= found["limit"] else FAILED, said)


def measure(path: Path, run: Path, *, sources: Sequence[str], cache: Path | None = None) -> dict[str, Any]:
    """As `parity.compare`, and the `limit` of the file's quantisation, on the songs that export compared, too.

    None of them served calibration.  Raises: SentioError if the run is not finished, or the data are not its own.
    """
    from ..runtime.engine import Engine
    from ..training.build import load_model

    engine = Engine(path, threads=1)
    settings = read_run(run)["config"]
    root = cache or configuration.cache_root()
    known = engine.card.parity
    fold, used = known.get("fold", FINAL), int(known.get("representative", representative.REPRESENTATIVE))
    _, compared = representative.draw(
        run, sources, settings, root=root, fold=fold, audio=engine.card.audio, representative=used, calibrate=False
    )
    if len(compared.samples) < FEWEST:
        raise ModelError(f"{run}: expected {FEWEST} songs or more to compare with, received {len(compared.samples)}")
    model = keras_model(run, load_model(model_file(run, fold)), settings, fold=fold)
    limit = parity.TOLERANCE.get(engine.card.quantization, min(parity.TOLERANCE.values()))
    return {**parity.compare(model, engine, compared), "limit": limit}
