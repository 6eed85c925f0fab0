"""A run directory becomes one `.tflite`: graph, quantisation, parity, card."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from .. import __version__
from .. import config as configuration
from ..contract import MEL, Card, SignatureContract
from ..errors import ModelError

# Windows for calibration and for the parity check; drawn evenly over the corpora.
REPRESENTATIVE = 64
PARITY = 96
NON_COMMERCIAL = "CC BY-NC-SA 4.0"
OWN = "not stated by the owner of the training music"


def export_run(
    run: Path,
    out: Path,
    *,
    sources: Sequence[str],
    quantization: str = "dynamic",
    name: str | None = None,
    licence: str | None = None,
    cache: Path | None = None,
) -> Card:
    """Write the run's final model to `out` and return its card.

    `sources` must be the corpora of the run: representative windows for INT8 and the windows of the
    parity check come from there, each song for one of the two.

    Raises: ModelError if the run is incomplete, the data are others, the graph needs more than
        builtins, or the exported model deviates from Keras by more than `parity.TOLERANCE`.
    """
    from ..models import WAVEFORM
    from ..runtime.engine import Engine
    from ..training.build import load_model
    from ..training.run import COMMIT
    from . import card as cards
    from . import golden, graph, parity, quantize

    results = _read_run(run)
    if (run / "model.skops").exists():
        raise ModelError(f"{run}: expected a network, received a classical model, which has no export; fit mobilevit")
    settings = results["config"]
    if settings.get("model") in WAVEFORM:
        raise ModelError(
            f"{run}: expected a network on log-mels, received {settings['model']}, which hears sound at "
            f"{WAVEFORM[settings['model']]} Hz and has no export yet; fit another model"
        )
    front_end = dataclasses.replace(MEL, fmax=settings.get("f_max", MEL.fmax))
    network = load_model(run / "model.keras")
    domain = np.load(run / "domain.npz")
    model = graph.waveform_model(network, spec=front_end, domain=(domain["mean"], domain["std"]))
    tracks = _draw(sources, results["config"], REPRESENTATIVE + PARITY, cache or configuration.cache_root())
    tracks, windows = _windows(tracks)
    half = min(REPRESENTATIVE, len(tracks) // 2)

    content = quantize.quantize(graph.to_tflite(model), quantization, scope=network.name, representative=windows[:half])
    metrics = results["metrics"]
    card = Card(
        name=name or run.name,
        version=__version__,
        licence=licence or default_licence(results["config"]["data"]),
        git_commit=COMMIT,
        description="Valence and arousal of music, trained on human ratings; see metrics for what it can do.",
        signature=SignatureContract(distance=graph.DISTANCE),
        front_end=dataclasses.asdict(front_end),
        training={
            "corpora": results["config"]["data"],
            "terms": terms(results["config"]["data"]),
            "config": {k: v for k, v in results["config"].items() if k not in ("data", "split")},
            "split": metrics["split"],
            "protocol": metrics["protocol"],
        },
        metrics=metrics["corpora"],
        uncertainty=_uncertainty(metrics["corpora"], metrics["protocol"]),
        domain={k: domain[k].item() for k in ("threshold", "quantile", "out_of_fold")},
        quantization=quantization,
        minimum_runtime=cards.minimum_runtime(content),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    part.write_bytes(cards.embed(content, card))
    engine = Engine(part, threads=1)

    reference = np.array([_label(t) for t in tracks[half:]])
    rated = np.array([t.rated for t in tracks[half:]])
    found = parity.compare(model, engine, windows[half:], reference, rated)
    waveform = golden.golden_waveform()
    valence, arousal, distance = engine(waveform)
    card = dataclasses.replace(
        card,
        parity=found,
        golden={
            "waveform": "export.golden.golden_waveform",
            "sha256": golden.sha256(waveform),
            "valence_arousal": [valence, arousal],
            "domain_distance": distance,
        },
    )
    part.write_bytes(cards.embed(content, card))
    limit = parity.TOLERANCE[quantization]
    if not found["max"] <= limit:
        part.unlink()
        raise ModelError(
            f"{out}: expected at most {limit} deviation from Keras with {quantization}, received {found['max']} "
            f"(mean {found['mean']}, CCC lost {found['ccc_lost']}); choose another --quantize"
        )
    part.replace(out)
    (run / "card.json").write_text(card.to_json() + "\n", encoding="utf-8")
    return card


def _read_run(run: Path) -> dict[str, Any]:
    try:
        return {
            "config": yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")),
            "metrics": json.loads((run / "metrics.json").read_text(encoding="utf-8")),
        }
    except OSError as error:
        raise ModelError(
            f"{run}: expected a finished run directory, {Path(error.filename).name} is missing; "
            "finish it with sentio-tf fit"
        ) from None


def _draw(sources: Sequence[str], config: dict[str, Any], count: int, root: Path):
    """`count` tracks, evenly over the corpora, in a fixed random order, MIDI rendered."""
    from .. import corpora, pipeline
    from ..corpora.track import Track

    if sorted(s.partition(":")[0] for s in sources) != sorted(config["data"]):
        raise ModelError(f"expected the run's corpora {', '.join(config['data'])}, received {', '.join(sources)}")
    rng = np.random.default_rng(0)
    version = config.get("labels") or None
    found = [corpora.read(s, version=version, skip_missing=True) for s in sources]
    pools = [[tracks[i] for i in rng.permutation(len(tracks)) if tracks[i].has_emotion] for tracks in found]
    drawn: list[Track] = []
    while len(drawn) < count and any(pools):
        drawn += [pool.pop() for pool in pools if pool]
    return pipeline.render_tracks(drawn[:count], root)


def _window(track) -> np.ndarray:
    """The first window of a track, as the predictor would cut it."""
    from ..audio import decode
    from ..audio.windows import windows
    from ..contract import SAMPLE_RATE, WINDOW_SAMPLES

    part = min(track.duration_s or np.inf, WINDOW_SAMPLES / SAMPLE_RATE)
    return next(windows(decode.blocks(track.path, offset_s=track.start_s, duration_s=float(part)))).samples


def _label(track) -> tuple[float, float]:
    if track.rated:
        return track.valence, track.arousal
    return track.valence_sign, track.arousal_sign


def default_licence(corpora: Sequence[str]) -> str:
    """Of the weights: research corpora allow no more than CC BY-NC-SA; of a user's own music he decides."""
    return OWN if set(corpora) == {"folder"} else NON_COMMERCIAL


def terms(corpora: Sequence[str]) -> str:
    """What the licence rests on, in words."""
    if set(corpora) == {"folder"}:
        return "as the owner of the training music decides"
    return "weights for non-commercial research: the training corpora allow no more"


def _windows(tracks):
    """First window of each track; files that cannot be read were left out of the training, too."""
    from ..errors import AudioError

    kept, found = [], []
    for track in tracks:
        try:
            found.append(_window(track))
            kept.append(track)
        except AudioError:
            continue
    if len(kept) < 4:
        raise ModelError(f"expected 4 readable songs or more to compare with Keras, received {len(kept)}")
    return kept, found


def _uncertainty(corpora: dict[str, Any], protocol: str) -> dict[str, Any]:
    """Root mean square error per axis on the rated corpora, weighted by their number of songs."""
    rated = [c for c in corpora.values() if c["label"] == "rating" and "valence" in c]
    songs = sum(c["tracks"] for c in rated)
    if not songs:
        return {}
    values = {
        f"{axis}_std": round(float(np.sqrt(sum(c["tracks"] * c[axis]["rmse"]["value"] ** 2 for c in rated) / songs)), 4)
        for axis in ("valence", "arousal")
    }
    return {**values, "kind": f"root mean square error on rated songs, {protocol}", "songs": songs}
