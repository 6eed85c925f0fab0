"""Keras waveform model -> SavedModel for TensorFlow Serving: a window, or a batch of any size; card beside it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras

from ..contract import METADATA_NAME, Card, SignatureContract
from ..errors import ModelError
from ..terminal import quiet
from .graph import archive
from .runner import Runner, outputs_of

GRAPH = "saved_model.pb"
CARD = Path("assets.extra") / METADATA_NAME  # where the format leaves room for what TensorFlow does not read
BATCH = "batch"


def write(model: keras.Model, folder: str | Path, card: Card) -> None:
    """Write a SavedModel with two signatures over the same weights, and its card as `assets.extra/sentio.json`.

    `predict`: waveform `(1, samples)` -> valence_arousal `(1, 2)` and what else it has; `batch`: the same with
    any number of waveforms.  A SavedModel of ours that lies at `folder` is replaced once the new one is complete.

    Args:
        model: of `graph.waveform_model`, or any of the same input and outputs.

    Raises: ModelError for another model or card, if `folder` is something else, or cannot be written.
    """
    import tensorflow as tf

    folder = Path(folder)
    outputs_of(model, card)
    replaceable(folder)

    def answers(waveform):
        found = model(waveform, training=False)
        return dict(found) if isinstance(found, dict) else {SignatureContract.output: found}

    functions = {}
    for name, batch in ((card.signature.name, 1), (BATCH, None)):
        spec = tf.TensorSpec((batch, model.input_shape[1]), tf.float32, name=card.signature.input)
        functions[name] = tf.function(answers, input_signature=[spec], autograph=False)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.part") as work:
            made = Path(work) / folder.name
            archive(functions, str(made))  # who trains takes the .keras file
            _put(made, card)
            if folder.exists():
                shutil.rmtree(folder)
            made.rename(folder)
    except OSError as error:
        raise ModelError(f"{folder}: the model cannot be written ({error.strerror or error})") from None


def embed(folder: str | Path, card: Card) -> None:
    """Replace the card of a SavedModel.  Raises: ModelError if the folder is none of ours."""
    read_card(folder)
    _put(Path(folder), card)


def read_card(folder: str | Path) -> Card:
    """The card of a SavedModel.  Raises: ModelError naming the folder if it is none, or its card cannot be used."""
    folder = Path(folder)
    if not (folder / GRAPH).is_file():
        raise ModelError(f"{folder}: expected a SavedModel, a folder with {GRAPH}, received something else")
    try:
        return Card.from_json((folder / CARD).read_bytes())
    except OSError:
        raise ModelError(
            f"{folder}: expected a SavedModel with a card ({CARD}), received one without; "
            "export it with sentio-tf export"
        ) from None
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from None


def replaceable(folder: str | Path) -> None:
    """Raise ModelError unless nothing is lost by writing a SavedModel there: no or an empty folder, or one of ours."""
    folder = Path(folder)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ModelError(f"{folder}: expected a folder for a SavedModel, received something else; choose another --out")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not ((folder / GRAPH).is_file() and (folder / CARD).is_file()):
        raise ModelError(
            f"{folder}: expected a new folder or a SavedModel of sentio-tf, received a folder with other files; "
            "choose another --out"
        )


class SavedModelRunner(Runner):
    """A SavedModel in TensorFlow, called like `runtime.engine.Engine`; threads are TensorFlow's own setting.

    Raises: ModelError naming the folder if it holds no SavedModel with a card, it does not load, or its signature is
        not the one that the card promises.
    """

    def __init__(self, folder: str | Path):
        import tensorflow as tf

        card = read_card(folder)
        try:
            with quiet():
                self._loaded = tf.saved_model.load(str(folder))  # kept: the function holds its variables weakly
                self.signatures = self._loaded.signatures
                self._function = self.signatures[card.signature.name]
        except Exception as error:  # of TensorFlow, protobuf, or a missing signature
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise ModelError(f"{folder}: the model does not load ({reason}); export it again") from None
        inputs = {name: spec.shape.as_list() for name, spec in self._function.structured_input_signature[1].items()}
        outputs = {name: spec.shape.as_list() for name, spec in self._function.structured_outputs.items()}
        super().__init__(str(folder), card, inputs, outputs)

    def _run(self, batch):
        import tensorflow as tf

        found: Any = self._function(**{self.card.signature.input: tf.constant(batch)})
        return {name: value.numpy() for name, value in found.items()}


def _put(folder: Path, card: Card) -> None:
    (folder / CARD).parent.mkdir(exist_ok=True)
    (folder / CARD).write_text(card.to_json() + "\n", encoding="utf-8")
