"""A `.tflite` with its card: one interpreter, waveform in, emotion out; for streams, its two halves."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..contract import METADATA_NAME, Card, MelSpec, SignatureContract
from ..errors import ModelError
from ..terminal import quiet
from .flatbuffer import read_metadata


class Answer(NamedTuple):
    """Of one window: valence and arousal in [-1, 1], and what the model has beside them."""

    valence: float
    arousal: float
    distance: float | None = None  # from the training music
    std: tuple[float, float] | None = None  # standard deviations of valence and arousal


def answer_of(outputs: Mapping[str, np.ndarray], signature: SignatureContract) -> Answer | None:
    """Outputs of a model by name, of one window; None if one of them is not finite."""
    numbers = {name: [float(v) for v in np.reshape(outputs[name], -1)] for name in signature.outputs if name in outputs}
    if not all(np.isfinite(values).all() for values in numbers.values()):
        return None
    valence, arousal = numbers[signature.output]
    distance, std = numbers.get(signature.distance or ""), numbers.get(signature.deviation or "")
    return Answer(valence, arousal, distance[0] if distance else None, (std[0], std[1]) if std else None)


@dataclass(frozen=True)
class Stages:
    """The two halves of `predict`: frames of new sound, and the judgement of a window of frames.

    Both functions take and give float32; `network` raises ModelError if the model answers NaN.
    """

    spec: MelSpec  # of the card
    frames: int  # that a call of `front_end` makes, side by side
    front_end: Callable[[np.ndarray], np.ndarray]  # (n_fft + (frames - 1) * hop,) -> (n_mels, frames) [dB]
    network: Callable[[np.ndarray], Answer]  # (n_mels, frames of a window) [dB]

    @property
    def step(self) -> int:
        """Samples from one call of `front_end` to the next."""
        return self.frames * self.spec.hop_length

    @property
    def samples(self) -> int:
        """Samples that `front_end` takes."""
        return self.spec.n_fft + (self.frames - 1) * self.spec.hop_length


class Engine:
    """Loads a model once and runs windows through it.

    Args:
        path: `.tflite` with a card.
        threads: of the interpreter.

    Raises: ModelError naming the file if it is missing, no TFLite model, without a card, of an
        unknown card schema, or its signature is not the one the card promises.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None):
        self.path = Path(path)
        self._stages: Stages | None = None
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path}: the model cannot be read ({error.strerror}); check the name") from None
        try:
            raw = read_metadata(content)
            if raw is None:
                raise ModelError(
                    f"expected a model with a card (metadata entry {METADATA_NAME}), received one without; "
                    "export it with sentio-tf export"
                )
            self.card = Card.from_json(raw)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None

        from ai_edge_litert.interpreter import Interpreter

        signature = self.card.signature
        try:
            with quiet():  # LiteRT announces its delegate on stderr
                self._interpreter = Interpreter(
                    model_content=content, num_threads=threads or min(4, os.cpu_count() or 1)
                )
                self._interpreter.allocate_tensors()
                self._runner = self._interpreter.get_signature_runner(signature.name)
                details = self._runner.get_input_details()
                outputs = self._runner.get_output_details()
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise ModelError(
                f"{path}: the model does not load ({reason}); export it again or update sentio-tf"
            ) from None
        shape = details[signature.input]["shape"].tolist() if signature.input in details else None
        size = int(np.prod(outputs[signature.output]["shape"])) if signature.output in outputs else 0
        if shape != [1, self.card.audio.samples] or size != 2:
            raise ModelError(
                f"{path}: expected {signature.name}({signature.input} [1, {self.card.audio.samples}]) -> "
                f"{signature.output}, received {sorted(details)} {shape} -> {sorted(outputs)}; export it again"
            )

    def __call__(self, samples: np.ndarray) -> Answer:
        """One window, float32 `(card.audio.samples,)`.

        Raises: ModelError if the model answers NaN.
        """
        return self._answer(self._runner(**{self.card.signature.input: np.asarray(samples, np.float32)[None]}))

    def _answer(self, outputs: Mapping[str, np.ndarray]) -> Answer:
        answer = answer_of(outputs, self.card.signature)
        if answer is None:
            raise ModelError(f"{self.path}: the model answered NaN; export it again")
        return answer

    def stages(self) -> Stages:
        """What a stream needs of the file.  LiteRT prepares it at the first call: it takes memory of its own.

        Raises: ModelError if the file has no such signatures, or others than its card promises.
        """
        if self._stages is None:
            self._stages = self._prepare_stages()
        return self._stages

    def _prepare_stages(self) -> Stages:
        stream, spec = self.card.stream, self._mel_spec()
        if spec is None:
            raise ModelError(
                f"{self.path}: expected a network on log-mel frames, received one that takes sound and has no front "
                "end of its own, so nothing of a window can be used again; use predict"
            )
        if stream is None:
            raise ModelError(
                f"{self.path}: expected a model with the signatures of a stream, received one of an older export, "
                "with predict alone; export the run again"
            )
        window = (1, spec.n_mels, spec.frames(self.card.audio.samples), 1)
        part = (1, spec.n_mels, stream.frames, 1)
        front_end = self._runner_of(stream.front_end, stream.samples_name, (1, stream.samples(spec)))
        network = self._runner_of(stream.network, stream.mel_name, window)
        return Stages(
            spec=spec,
            frames=stream.frames,
            front_end=lambda samples: front_end(samples[None])[stream.mel_name].reshape(part[1:3]),
            network=lambda log_mel: self._answer(network(log_mel[None, :, :, None])),
        )

    def _mel_spec(self) -> MelSpec | None:
        """The card's front end; None where the network has its own."""
        raw = self.card.front_end
        if not raw:
            return None
        try:
            spec = MelSpec(**{f.name: raw[f.name] for f in dataclasses.fields(MelSpec)})
            sizes = (spec.n_fft, spec.hop_length, spec.n_mels)
            if all(isinstance(n, int) and n > 0 for n in sizes) and spec.n_fft % 2 == 0:
                return spec
        except (KeyError, TypeError):
            pass
        raise ModelError(
            f"{self.path}: expected a card with n_fft, hop_length and n_mels of its front end, received {raw}; "
            "export it again"
        )

    def _runner_of(self, name: str, argument: str, shape: tuple[int, ...]) -> Callable[[np.ndarray], dict[str, Any]]:
        """A signature of the stream as a function.  Raises: ModelError if it is missing or takes something else."""
        try:
            with quiet():
                runner = self._interpreter.get_signature_runner(name)
                details = runner.get_input_details()
        except (ValueError, RuntimeError):
            details = {}
        received = {key: tuple(value["shape"].tolist()) for key, value in details.items()}
        if received != {argument: shape}:
            raise ModelError(
                f"{self.path}: expected a signature {name}({argument} {list(shape)}), as its card promises, "
                f"received {received or 'none'}; export it again"
            )
        return lambda values: runner(**{argument: np.asarray(values, np.float32)})
