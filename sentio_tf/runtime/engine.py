"""A `.tflite` with its card: one interpreter, one signature, waveform in, emotion out."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from ..contract import METADATA_NAME, Card
from ..errors import ModelError
from ..terminal import quiet


def read_metadata(model: bytes, name: str = METADATA_NAME) -> bytes | None:
    """Content of the flatbuffer's metadata entry `name`, None if there is none.

    Walks four tables of the TFLite schema (Model.metadata -> Metadata.buffer -> Model.buffers) by
    hand, so that the base install needs no flatbuffers package; phones do the same.

    Raises: ModelError if the bytes are no TFLite flatbuffer or are cut short.
    """
    if len(model) < 8 or model[4:8] != b"TFL3":
        raise ModelError("expected a TFLite model, received a file that is none")

    def u32(at: int) -> int:
        return int(struct.unpack_from("<I", model, at)[0])

    def field(table: int, index: int) -> int | None:
        """Position of a field of a table, None if it is absent."""
        vtable = table - struct.unpack_from("<i", model, table)[0]
        slot = 4 + 2 * index
        if slot >= struct.unpack_from("<H", model, vtable)[0]:
            return None
        offset = struct.unpack_from("<H", model, vtable + slot)[0]
        return table + offset if offset else None

    def follow(at: int) -> int:
        return at + u32(at)

    try:
        root = follow(0)
        entries, buffers = field(root, 6), field(root, 4)  # Model.metadata, Model.buffers
        if entries is None or buffers is None:
            return None
        vector = follow(entries)
        for i in range(u32(vector)):
            entry = follow(vector + 4 + 4 * i)
            label, number = field(entry, 0), field(entry, 1)  # Metadata.name, Metadata.buffer
            if label is None:
                continue
            text = follow(label)
            if model[text + 4 : text + 4 + u32(text)] != name.encode():
                continue
            index = u32(number) if number is not None else 0
            data = field(follow(follow(buffers) + 4 + 4 * index), 0)  # Buffer.data
            if data is None:
                return b""
            content = follow(data)
            size = u32(content)
            if content + 4 + size > len(model):
                raise struct.error
            return model[content + 4 : content + 4 + size]
    except struct.error:
        raise ModelError("the TFLite model is cut short or damaged; get it again") from None
    return None


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

    def __call__(self, samples: np.ndarray) -> tuple[float, float, float | None]:
        """One window, float32 `(card.audio.samples,)` -> valence, arousal, domain distance or None.

        Raises: ModelError if the model answers NaN.
        """
        signature = self.card.signature
        answer = self._runner(**{signature.input: np.asarray(samples, np.float32)[None]})
        valence, arousal = (float(v) for v in answer[signature.output].reshape(-1))
        distance = float(answer[signature.distance].reshape(-1)[0]) if signature.distance in answer else None
        if not (np.isfinite(valence) and np.isfinite(arousal)):
            raise ModelError(f"{self.path}: the model answered NaN; export it again")
        return valence, arousal, distance
