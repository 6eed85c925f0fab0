"""A student that is trained by teachers: terms of the loss, and a guard that notices when one is dead.

The published student of this recipe kept 13 % of its teacher, with an attention loss of 0.0000 for 30 epochs.  So every
term has a curve and a gradient norm in history.csv, and a term that does nothing, or everything, stops the training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from ..errors import SentioError
from ..layers.grid import OnGrid
from ..losses import EmotionLoss, attention_loss, soft_loss
from . import taps as places
from .callbacks import History

TERMS = ("hard", "soft", "features", "attention")
TARGET = 3  # numbers of a target, see `losses`
AXES = 2


@dataclass(frozen=True)
class Layout:
    """What a row of targets holds: [target (3), teacher (2), spread (2), features, attention], each part flat.

    One array, because that is what every backend's data stream carries.

    Args:
        features: `(bands, time, channels)` of the teacher's features, z-scored; None without.
        attention: `(bands, time)` of its attention map; None without.
    """

    features: tuple[int, int, int] | None = None
    attention: tuple[int, int] | None = None

    @property
    def taught(self) -> int:
        """Numbers that a teacher gives of a window, without the spread, which several give together."""
        return AXES + sum(int(np.prod(shape)) for shape in (self.features, self.attention) if shape)

    def split(self, rows) -> dict:
        """Parts of targets `(batch, 3 + 2 + 2 + ...)` by name."""
        found = {"target": rows[:, :TARGET]}
        place = TARGET
        for name, shape in (("teacher", (AXES,)), ("spread", (AXES,)), *self.maps()):
            size = int(np.prod(shape))
            found[name] = ops.reshape(rows[:, place : place + size], (-1, *shape))
            place += size
        return found

    def maps(self) -> list[tuple[str, tuple[int, ...]]]:
        return [(n, s) for n, s in (("features", self.features), ("attention", self.attention)) if s]


class Distiller(keras.Model):
    """The student with its taps: input -> {"answers", "features", "attention"}; `compute_loss` weighs the terms.

    A functional model around the student's own layers: what it learns is in the student.  Only the projection of the
    student's features belongs to it alone.  Targets are as `Layout` says.

    Args:
        student: functional network to `(batch, 2)`.
        name_of: its name in `models.MODELS`, which says where it is tapped.
        layout: of the targets.
        weights: term -> weight; terms without one are left out.
        hard: loss of target and answers.
        floor, bounded: of `soft_loss`.

    Raises: ConfigError for a weighted term that looks where no layer of the student trains: call with those trainable
        that will be in any phase.
    """

    def __init__(
        self,
        student: keras.Model,
        name_of: str,
        layout: Layout,
        weights: Mapping[str, float],
        hard: EmotionLoss,
        *,
        floor: float,
        bounded: float | None = None,
    ):
        outputs = {"answers": student.output}
        tapped = places.taps(name_of, student) if layout.maps() else {}
        if layout.features:
            bands, time, channels = layout.features
            x = OnGrid(bands, time, name="features_grid")(tapped["features"])
            outputs["features"] = keras.layers.Dense(channels, name="features_projection")(x)
        if layout.attention:
            outputs["attention"] = OnGrid(*layout.attention, energy=True, name="attention_map")(tapped["attention"])
        super().__init__(inputs=student.input, outputs=outputs, name=f"{student.name}_distilled")
        self.layout, self.hard, self.floor, self.bounded = layout, hard, floor, bounded
        self.weights_of = {name: float(weights[name]) for name in TERMS if weights.get(name)}
        self.trackers = [keras.metrics.Mean(name=name) for name in self.weights_of]
        below = {name: keras.Model(student.input, tapped.get(name, student.output)) for name in self.weights_of}
        # A function, because a network in an attribute would be a layer of this one.
        self.moved_by: Callable[[str], list] = lambda name: below[name].trainable_variables
        places.check_trained(name_of, {name: below[name] for name in self.weights_of if name in tapped})

    def terms(self, y, outputs) -> dict:
        """Value of each weighted term, not yet weighted."""
        parts = self.layout.split(y)
        answers = ops.cast(outputs["answers"], "float32")
        found: dict[str, Callable] = {
            "hard": lambda: self.hard(parts["target"], answers),
            "soft": lambda: soft_loss(
                parts["target"], parts["teacher"], parts["spread"], answers, floor=self.floor, bounded=self.bounded
            ),
            "features": lambda: ops.mean(ops.square(ops.cast(outputs["features"], "float32") - parts["features"])),
            "attention": lambda: attention_loss(parts["attention"], ops.cast(outputs["attention"], "float32")),
        }
        return {name: found[name]() for name in self.weights_of}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return sum(self.weights_of[name] * value for name, value in self.terms(y, y_pred).items())

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        values = self.terms(y, y_pred)
        for tracker in self.trackers:
            tracker.update_state(values[tracker.name])
        return self.get_metrics_result()


def gradient_norms(model: Distiller, x, y) -> dict[str, float]:
    """L2 norm of each weighted term's gradient on what it moves of the student, by name; nothing is updated.

    The projection of features does not count: it learns even where nothing of the student can.  A term below whose tap
    nothing trains in this phase rests, and is not in the answer.
    """
    moved = {name: variables for name in model.weights_of if (variables := model.moved_by(name))}
    if keras.backend.backend() == "jax":
        return _jax_norms(model, x, y, moved)
    import tensorflow as tf

    with tf.GradientTape(persistent=True) as tape:
        values = model.terms(ops.convert_to_tensor(y), model(x, training=False))
    found = {}
    for name, variables in moved.items():
        own = [v.value for v in variables]
        gradients = tape.gradient(values[name], own, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        found[name] = model.weights_of[name] * float(tf.linalg.global_norm(gradients))
    return found


def _jax_norms(model: Distiller, x, y, moved: Mapping[str, list]) -> dict[str, float]:
    import jax

    fixed = [v.value for v in model.non_trainable_variables]

    def term(variables, name: str):
        outputs, _ = model.stateless_call(variables, fixed, x, training=False)
        return model.terms(ops.convert_to_tensor(y), outputs)[name]

    found = {}
    for name, variables in moved.items():
        own = {id(v) for v in variables}
        gradients = jax.grad(term)([v.value for v in model.trainable_variables], name)
        pairs = zip(model.trainable_variables, gradients, strict=True)
        norm = np.sqrt(sum(float((g**2).sum()) for v, g in pairs if id(v) in own))
        found[name] = model.weights_of[name] * float(norm)
    return found


class Guard(keras.callbacks.Callback):
    """After each epoch: `gradient_<term>` into the history; stops where a term is dead, or leaves nothing to others.

    A term that rests in a phase, see `gradient_norms`, is neither, and has no value in its epochs.  Put it before
    `History`, which writes what it logs and where it looks an epoch back.

    Args:
        batch: `(x, y)` that gradients are taken on, the same in all epochs.
        history: of the training.
        dead: share of the sum of all norms below which a term does nothing; twice in a row stops.
        dominating: share above which it leaves nothing to the others.
    """

    def __init__(self, batch: tuple, history: History, *, dead: float = 1e-3, dominating: float = 0.99):
        super().__init__()
        self.batch, self.history, self.dead, self.dominating = batch, history, dead, dominating

    def on_epoch_end(self, epoch, logs=None):
        norms = gradient_norms(self.model, *self.batch)
        if logs is not None:
            logs.update({f"gradient_{name}": value for name, value in norms.items()})
        before = self.history.rows[-1] if self.history.rows else {}
        earlier = {name: before[key] for name in TERMS if (key := f"gradient_{name}") in before}
        # What is dead first: that another term dominates follows from it.
        for name, verdict in sorted(self._verdicts(norms).items(), key=lambda pair: pair[1]):
            if self._verdicts(earlier).get(name) == verdict:
                raise SentioError(self._message(name, verdict, norms, logs or {}, epoch))

    def _verdicts(self, norms: Mapping[str, float]) -> dict[str, str]:
        total = sum(norms.values())
        if not np.isfinite(total):
            return {}
        shares = {name: norm / total if total else 0.0 for name, norm in norms.items()}
        return {
            name: "dead" if share < self.dead else "dominating"
            for name, share in shares.items()
            if share < self.dead or (share > self.dominating and len(norms) > 1)
        }

    def _message(self, name: str, verdict: str, norms: Mapping[str, float], logs: Mapping, epoch: int) -> str:
        said = ", ".join(f"{n} {value:.3g}" for n, value in norms.items())
        advice = (
            f"raise terms.{name} or set it to 0; a value near 0 says that there is nothing to learn in it"
            if verdict == "dead"
            else f"lower terms.{name}, or raise the others"
        )
        return (
            f"distillation: expected every term to move the student, received {name} "
            f"({float(logs.get(name, np.nan)):.4g}) {verdict} in epochs {epoch} and {epoch + 1} (norms of gradients: "
            f"{said}); {advice}"
        )


def spread_of(answers: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (ddof 0, so that of one teacher is 0) over teachers of `(windows, 2)` each."""
    stacked = np.stack(answers)
    return stacked.mean(axis=0), stacked.std(axis=0)
