"""A run directory becomes one file: graph, quantisation, parity, card."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from .. import __version__
from .. import config as configuration
from ..contract import AXES, MEL, SAMPLE_RATE, WINDOW_SAMPLES, AudioContract, Card, MelSpec, SignatureContract
from ..errors import ModelError
from .settings import FINAL, TARGETS, Quantization

if TYPE_CHECKING:
    import keras

    from .error_report import Report

NON_COMMERCIAL = "CC BY-NC-SA 4.0"
OWN = "not stated by the owner of the training music"
FEWEST = 4  # songs to compare with Keras


@dataclass(frozen=True)
class Exported:
    """What `export_run` wrote: the card, and the error of the layers if it was asked for."""

    card: Card
    layers: Report | None = None


def export_run(
    run: Path,
    out: Path,
    *,
    sources: Sequence[str],
    to: str = "tflite",
    quantization: Quantization | str = "dynamic",
    fold: str = FINAL,
    name: str | None = None,
    licence: str | None = None,
    cache: Path | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Write the run's final model, or that of a fold, to `out`.

    `sources` must be the corpora of the run: representative windows for INT8 and the windows of the
    parity check come from there, no artist or series in both.

    Args:
        to: `tflite`, or, in float, `onnx` or `savedmodel` (a folder).
        quantization: of a `.tflite`; a kind alone, or all its settings.
        fold: whose model; that of a fold has not heard the fold's songs, which are then what it is compared on.
        report: takes lines about what is worth knowing meanwhile.

    Raises: ModelError if the run is incomplete, the data are others or say too little, the graph needs more than
        builtins, or the exported model deviates from Keras by more than `parity.TOLERANCE`.
    """
    from ..models import FLOAT_LAYERS
    from ..training.build import load_model
    from ..training.generated import generated_corpora
    from ..training.quantize_aware import plain
    from ..training.run import COMMIT, known_songs
    from . import graph, parity, representative, targets
    from .unfold import unfold

    if to not in TARGETS:
        raise ModelError(f"expected a target of {', '.join(TARGETS)}, received {to!r}")
    how = Quantization(quantization) if isinstance(quantization, str) else quantization
    if to != "tflite" and how.kind != "none":
        raise ModelError(f"expected quantization none for {to}, which is exported in float, received {how.kind}")
    results = read_run(run)
    how = dataclasses.replace(
        how, float_layers=(*how.float_layers, *FLOAT_LAYERS.get(results["config"].get("model", ""), ()))
    )
    settings, metrics = results["config"], results["metrics"]
    network = load_model(model_file(run, fold))
    bare, learnt = plain(network)
    if how.kind != "int8":  # the rounding that training felt is that of int8
        network, learnt = bare, {}
    audio = audio_of(settings)
    calibrating, compared = representative.draw(
        run,
        sources,
        settings,
        root=cache or configuration.cache_root(),
        fold=fold,
        audio=audio,
        representative=how.representative,
        calibrate=how.kind == "int8" or bool(how.report),
    )
    if how.kind == "int8":
        representative.check_representative(calibrating, settings["data"], report=report)
    if len(compared.samples) < FEWEST:
        raise ModelError(
            f"expected {FEWEST} readable songs or more to compare with Keras, received {len(compared.samples)}"
        )

    reference = keras_model(run, network, settings, fold=fold)
    with_deviation = graph.DEVIATION in reference.output
    domain = _domain(run, settings)
    songs = known_songs(run)
    behind = corpora_behind(settings["data"], songs)
    card = Card(
        name=name or run.name,
        version=__version__,
        licence=licence or default_licence(behind),
        git_commit=COMMIT,
        description="Valence and arousal of music, trained on human ratings; see metrics for what it can do.",
        audio=audio,
        signature=SignatureContract(
            distance=graph.DISTANCE if domain else None, deviation=graph.DEVIATION if with_deviation else None
        ),
        front_end=_front_end(settings),
        training={
            "corpora": settings["data"],
            "terms": terms(behind),
            **({"generated": made} if (made := generated_corpora(songs)) else {}),
            "config": {k: v for k, v in settings.items() if k not in ("data", "split")},
            "split": metrics["split"],
            "protocol": metrics["protocol"],
        },
        metrics=metrics["corpora"],
        uncertainty=_uncertainty(metrics, learnt=with_deviation),
        domain=domain,
        quantization=how.kind,
    )
    if to == "savedmodel":
        target: targets.Target = targets.SavedModel(reference)
    else:
        exported = keras_model(run, unfold(bare), settings, fold=fold, transform="matmul")
        target = (
            targets.Onnx(exported)
            if to == "onnx"
            else targets.TFLite(exported, network.name, how, calibrating, learnt=learnt)
        )
    # Songs that the model learnt from: which layers stay float must not be chosen by those that judge it.
    layers = target.layers(calibrating.samples) if isinstance(target, targets.TFLite) else None
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f"{out.stem}.part{out.suffix}")
    try:
        runner = target.write(part, card)
        found = {**parity.compare(reference, runner, compared), "representative": how.representative, "fold": fold}
        limit = parity.TOLERANCE[how.kind]
        if not max(found["max"], found.get("std_max", 0.0)) <= limit:
            hint = "leave layers that hurt in float (--report), or choose another --quantize"
            raise ModelError(
                f"{out}: expected at most {limit} deviation from Keras with {how.kind}, received {found['max']} "
                f"(mean {found['mean']}, CCC lost {found['ccc_lost']}); {hint}"
            )
        if not found.get("distance_max", 0.0) <= parity.DISTANCE_TOLERANCE:
            raise ModelError(
                f"{out}: expected a distance from the training music within {parity.DISTANCE_TOLERANCE} of Keras', "
                f"received {found['distance_max']}; leave the layers that it is made of in float"
            )
        runner = target.write(part, dataclasses.replace(card, parity=found, golden=_golden(runner, audio)))
        replace(part, out)
    finally:
        shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
    if to == "tflite":
        (run / "card.json").write_text(runner.card.to_json() + "\n", encoding="utf-8")
    return Exported(runner.card, layers)


def replace(part: Path, out: Path) -> None:
    """Put a file or folder where another may be."""
    if part.is_dir() and out.is_dir():
        shutil.rmtree(out)
    part.replace(out)


def read_run(run: Path) -> dict[str, Any]:
    """`config` and `metrics` of a finished run of a network.

    Raises: ModelError if it is not finished, or is a classical model's.
    """
    try:
        results = {
            "config": yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")),
            "metrics": json.loads((run / "metrics.json").read_text(encoding="utf-8")),
        }
    except OSError as error:
        raise ModelError(
            f"{run}: expected a finished run directory, {Path(error.filename).name} is missing; "
            "finish it with sentio-tf fit"
        ) from None
    if (run / "model.skops").exists():
        raise ModelError(f"{run}: expected a network, received a classical model, which has no export; fit mobilevit")
    return results


def model_file(run: Path, fold: str = FINAL) -> Path:
    """The saved network of a run, or of one of its folds.  Raises: ModelError if there is none."""
    file = run / "model.keras" if fold == FINAL else run / f"fold-{fold}" / "model.keras"
    if not file.exists():
        folds = sorted(f.parent.name.removeprefix("fold-") for f in run.glob("fold-*/model.keras"))
        asked = "a final model" if fold == FINAL else f"fold {fold}"
        raise ModelError(f"{run}: expected {asked}, received folds {', '.join(folds) or 'none'}; choose --fold")
    return file


def audio_of(settings: dict[str, Any]) -> AudioContract:
    """What the exported network hears: 30 s at the rate of the front end, or at that of a network with its own."""
    from ..models import WAVEFORM

    rate = WAVEFORM.get(settings.get("model", ""), SAMPLE_RATE)
    return AudioContract(sample_rate=rate, samples=round(WINDOW_SAMPLES / SAMPLE_RATE * rate))


def keras_model(
    run: Path, network: keras.Model, settings: dict[str, Any], *, fold: str = FINAL, transform: str = "fft"
) -> keras.Model:
    """The run's network from waveform to answers, with the front end that it was trained with.

    Args:
        fold: which network of the run it is.
        transform: of that front end, see `LogMel`: `fft`, as in training, or `matmul`, as exported.

    Raises: ModelError if the network has another input or output than the contract's.
    """
    from ..training.deviation import FILE, Deviation
    from . import graph

    deviation = Deviation.load(model_file(run, fold).with_name(FILE))
    found = _read_domain(run, settings)
    domain = (found["mean"], found["std"]) if found else None
    if not (spec := _front_end(settings)):
        return graph.hearing_model(network, audio_of(settings).samples, domain=domain, deviation=deviation)
    return graph.waveform_model(network, spec=MelSpec(**spec), domain=domain, deviation=deviation, transform=transform)


def _front_end(settings: dict[str, Any]) -> dict[str, Any]:
    """Parameters of the mel front end; empty for a network that hears sound itself."""
    from ..models import WAVEFORM

    if settings.get("model") in WAVEFORM:
        return {}
    return dataclasses.asdict(dataclasses.replace(MEL, fmax=settings.get("f_max", MEL.fmax)))


def _domain(run: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Threshold of the distance from the training music, and what it rests on; empty without a distance."""
    found = _read_domain(run, settings)
    return {k: found[k].item() for k in ("threshold", "quantile", "out_of_fold")} if found else {}


def _read_domain(run: Path, settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """`domain.npz` of a run with a final model; empty without one, or where it is of another mel than the network's.

    A network without a mel (`sample_cnn`) has no distance, nor has `musicnn` of a run whose domain is of log-mels.
    """
    from ..layers.domain import GROUP
    from ..models import OWN_MEL, WAVEFORM

    model = settings.get("model", "")
    bands = OWN_MEL[model].n_mels if model in OWN_MEL else 0 if model in WAVEFORM else MEL.n_mels
    if not bands or not (run / "domain.npz").exists():
        return {}
    with np.load(run / "domain.npz") as found:
        values = dict(found)
    return values if len(values["mean"]) == 5 * bands // GROUP else {}


def _golden(runner, audio: AudioContract) -> dict[str, Any]:
    """The golden waveform, and what the model answers."""
    from ..runtime.golden import golden_waveform, sha256

    waveform = golden_waveform(audio.samples, audio.sample_rate)
    answer = runner(waveform)
    return {
        "waveform": "runtime.golden.golden_waveform",
        "sha256": sha256(waveform),
        "valence_arousal": [answer.valence, answer.arousal],
        "domain_distance": answer.distance,
        "valence_arousal_std": answer.std and list(answer.std),
    }


def corpora_behind(corpora: Sequence[str], songs: Sequence[dict[str, str]]) -> list[str]:
    """`corpora` of a run, and those of the songs that it knows through a GAN or an earlier run: their terms hold, too.

    Args:
        songs: of `training.run.known_songs`.
    """
    from ..training.run import corpus_of

    return sorted({*corpora, *(corpus_of(song["key"]) for song in songs if song["via"])})


def default_licence(corpora: Sequence[str]) -> str:
    """Of the weights: research corpora allow no more than CC BY-NC-SA; of a user's own music he decides."""
    return OWN if set(corpora) == {"folder"} else NON_COMMERCIAL


def terms(corpora: Sequence[str]) -> str:
    """What the licence rests on, in words."""
    if set(corpora) == {"folder"}:
        return "as the owner of the training music decides"
    return "weights for non-commercial research: the training corpora allow no more"


def _uncertainty(metrics: dict[str, Any], *, learnt: bool) -> dict[str, Any]:
    """Root mean square error per axis on the rated corpora, weighted by their number of songs.

    With `learnt`, that of each song is an output of the model; `learnt` says how it fits the errors of test songs.
    """
    rated = [c for c in metrics["corpora"].values() if c["label"] == "rating" and "valence" in c]
    songs = sum(c["tracks"] for c in rated)
    if not songs:
        return {}
    values = {
        f"{axis}_std": round(float(np.sqrt(sum(c["tracks"] * c[axis]["rmse"]["value"] ** 2 for c in rated) / songs)), 4)
        for axis in AXES
    }
    said = {"learnt": metrics.get("deviation")} if learnt else {}
    return {**values, "kind": f"root mean square error on rated songs, {metrics['protocol']}", "songs": songs, **said}
