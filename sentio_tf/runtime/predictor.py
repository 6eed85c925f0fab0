"""Audio file -> windows -> model -> one answer: the whole prediction, on LiteRT alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from pathlib import Path

import numpy as np

from ..audio import decode
from ..audio.windows import windows
from ..contract import Prediction, Segment
from ..errors import AudioError, ConfigError, ModelError, SentioError
from .engine import Engine
from .mood import mood, quadrant
from .stream import Stream

# Below this share of the contract's rate the music lacks the bands the model listens to.
LOW_RATE = 16_000  # Hz


def shipped() -> dict:
    """`models/registry.json` of the package: what ships, by name; the `default`, and the fast one, `live`."""
    file = resources.files("sentio_tf") / "models" / "registry.json"
    return json.loads(file.read_text(encoding="utf-8"))


def shipped_model(name: str) -> Path | None:
    """Of what ships, by whole name, or without its version: the newest of that name."""
    models = shipped()["models"]
    named = {e["name"].rpartition("-v")[0]: e["file"] for e in models}  # the newest is the last
    named |= {e["name"]: e["file"] for e in models}
    return Path(str(resources.files("sentio_tf") / "models" / named[name])) if name in named else None


def find_model(name: str | Path | None = None, *, live: bool = False) -> Path:
    """Path of a shipped model by name, with or without its version, or of a `.tflite` file.

    None: the default, the one that is most often right; with `live` the one for phones, browsers and `listen`.

    Raises: ModelError listing the names if it is neither.
    """
    registry = shipped()
    wanted = str(name or registry["live" if live else "default"])
    if found := shipped_model(wanted):
        return found
    if Path(wanted).is_file():
        return Path(wanted)
    names = ", ".join(entry["name"] for entry in registry["models"])
    raise ModelError(f"{wanted}: no such model file, and none of the shipped models ({names}); see sentio-tf models")


def load(name: str | Path | None = None, *, threads: int | None = None) -> Predictor:
    """A predictor for a shipped model (None: the default) or a `.tflite` file of `sentio-tf export`.

    >>> prediction = load().predict("song.mp3")
    >>> prediction.valence, prediction.arousal, prediction.mood

    Raises: ModelError if there is no such model or it cannot be used.
    """
    return Predictor(Engine(find_model(name), threads=threads))


class Predictor:
    """One interpreter for any number of files; memory does not grow with their length."""

    def __init__(self, engine: Engine):
        self.engine = engine

    @property
    def card(self):
        return self.engine.card

    def predict(
        self, path: str | Path, *, hop_s: float | None = None, offset_s: float = 0.0, duration_s: float | None = None
    ) -> Prediction:
        """Valence and arousal of a song, in [-1, 1], with its timeline.

        Args:
            path: any audio file.
            hop_s: step between windows [s]; default from the card.
            offset_s, duration_s: part of the file to listen to [s].

        Raises: AudioError if the file cannot be read, or is silent throughout.
        """
        card = self.card
        segments: list[Segment] = []
        distances: list[float] = []
        deviations: list[tuple[float, float]] = []
        count, repeated = 0, False
        formats: list[decode.Format] = []
        stream = decode.blocks(
            path,
            offset_s=offset_s,
            duration_s=duration_s,
            sample_rate=card.audio.sample_rate,
            on_format=formats.append,
        )
        heard = 0

        def counted() -> Iterator[np.ndarray]:
            nonlocal heard
            for block in stream:
                heard += len(block)
                yield block

        cuts = windows(
            counted(),
            size=card.audio.samples,
            hop_s=hop_s or card.windows.hop_s,
            sample_rate=card.audio.sample_rate,
        )
        for window in cuts:
            count += 1
            repeated = window.repeated
            if np.abs(window.samples).max() < card.windows.silence_peak:
                continue
            answer = self.engine(window.samples)
            segments.append(Segment(offset_s + window.start_s, offset_s + window.end_s, answer.valence, answer.arousal))
            if answer.distance is not None:
                distances.append(answer.distance)
            if answer.std:
                deviations.append(answer.std)
        end_s = heard / card.audio.sample_rate
        if not segments:
            raise AudioError(f"{path}: the file is silent throughout ({end_s:.1f} s); there is nothing to judge")
        valence = float(np.mean([s.valence for s in segments]))
        arousal = float(np.mean([s.arousal for s in segments]))
        in_domain = self._in_domain(distances)
        valence_std, arousal_std = self._std(deviations)
        return Prediction(
            path=str(path),
            model=card.name,
            valence=valence,
            arousal=arousal,
            valence_std=valence_std,
            arousal_std=arousal_std,
            quadrant=quadrant(valence, arousal),
            mood=mood(valence, arousal),
            duration_s=end_s,
            windows=count,
            in_domain=in_domain,
            warnings=tuple(self._warnings(formats[0], end_s, repeated, count - len(segments), in_domain)),
            timeline=tuple(segments),
        )

    def stream(self, *, every_s: float = 1.0, eager: bool = False) -> Stream:
        """A live timeline: what it hears is judged again about every `every_s` [s], at a fraction of a window's cost.

        A model without signatures for streams (an older export, a network that takes sound) judges whole windows;
        `Stream.incremental` tells.

        >>> stream = load().stream()
        >>> for block in microphone:  # float32 (n,), mono, at card.audio.sample_rate
        ...     for segment in stream.push(block):
        ...         show(segment.end_s, segment.valence, segment.arousal)

        Args:
            every_s: between answers, rounded to whole steps of the model (.998 s), at least one.
            eager: answer before a window was heard, too, see `Stream`.

        Raises: ConfigError unless 0 < every_s <= a window; ModelError if the file breaks its card's promise.
        """
        card = self.card
        longest = card.audio.samples / card.audio.sample_rate
        if not 0 < every_s <= longest:
            raise ConfigError(f"expected every_s of more than 0 and at most {longest:g} s, received {every_s}")
        incremental = card.stream is not None
        step = self.engine.stages().step if incremental else card.audio.sample_rate
        steps = min(max(1, round(every_s * card.audio.sample_rate / step)), card.audio.samples // step)
        return Stream(self.engine, steps=steps, eager=eager, incremental=incremental)

    def _std(self, of_windows: list[tuple[float, float]]) -> tuple[float | None, float | None]:
        """Of the song: the geometric mean over its windows, which is what was calibrated; else the card's."""
        if of_windows:
            found = np.exp(np.mean(np.log(np.maximum(of_windows, 1e-6)), axis=0))
            return float(found[0]), float(found[1])
        return self.card.uncertainty.get("valence_std"), self.card.uncertainty.get("arousal_std")

    def _in_domain(self, distances: list[float]) -> bool | None:
        threshold = self.card.domain.get("threshold")
        if threshold is None or not distances:
            return None
        return bool(np.mean(distances) <= threshold)

    def _warnings(
        self, header: decode.Format, end_s: float, repeated: bool, silent: int, in_domain: bool | None
    ) -> Iterator[str]:
        window_s = self.card.audio.samples / self.card.audio.sample_rate
        if repeated:
            yield f"shorter than one window of {window_s:g} s: {end_s:.2f} s were repeated to fill it"
        if silent:
            yield f"{silent} silent windows were left out"
        if header.sample_rate < LOW_RATE:
            top = header.sample_rate / 2000
            yield f"sampled at {header.sample_rate} Hz: nothing above {top:g} kHz, less than the model listens to"
        if header.streams > 1:
            yield f"holds {header.streams} audio streams: the first was heard"
        if in_domain is False:
            yield "does not sound like the music the model was trained on: take the answer with caution"

    def predict_many(
        self,
        paths: Iterable[str | Path],
        *,
        report: Callable[[str | Path], None] | None = None,
        **kwargs,
    ) -> Iterator[Prediction | tuple[str, SentioError]]:
        """One answer a file, in order: a `Prediction`, or `(path, error)` where it cannot be read."""
        for path in paths:
            try:
                yield self.predict(path, **kwargs)
            except ModelError:
                raise  # the model is at fault: no other file would fare better
            except AudioError as error:
                yield str(path), error
            except Exception as error:  # whatever a decoder finds next: one file never costs the others
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                yield str(path), AudioError(f"{path}: cannot be decoded ({reason}); convert it and report the file")
            if report:
                report(path)
