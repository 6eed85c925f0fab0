"""Progressive unfreezing (Howard & Ruder 2018, arXiv:1801.06146, section 3.3) as a Keras callback."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from ..errors import ConfigError
from .optimizer import phased

ALL = "all"


def stages_at(epoch: int, schedule: Mapping[int, Any], count: int) -> int:
    """How many of `count` stages train in `epoch` (from 1): the schedule's last entry that has begun, 0 before any.

    An empty schedule trains all.
    """
    if not schedule:
        return count
    begun = [first for first in schedule if first <= epoch]
    number = schedule[max(begun)] if begun else 0
    return count if number == ALL else min(number, count)


def resting(schedule: Mapping[int, Any], count: int, epochs: int) -> int:
    """How many of the first stages never train in `epochs`."""
    return count - max(stages_at(epoch, schedule, count) for epoch in range(1, max(1, epochs) + 1))


class ProgressiveUnfreezing(keras.callbacks.Callback):
    """Before each phase: set which pretrained stages train, and trace the training step anew.

    Setting `trainable` alone changes nothing during `fit`, because the step is compiled.  The optimizer is built on all
    variables before, so that its state survives.  Layers outside the stages always train; frozen normalisation uses its
    running statistics.

    Args:
        stages: of the model, from input to output, see `models.STAGES`.
        schedule: epoch (from 1) -> how many of the last stages train from then on, or "all"; {1: 0, 5: 4, 9: 6} trains
            the head alone for four epochs.
        report: takes a line at each change.

    Raises: ConfigError for more stages than there are, or an optimizer that cannot rest on this backend.
    """

    def __init__(self, stages: Sequence[Sequence[keras.layers.Layer]], schedule: Mapping[int, Any], report=None):
        super().__init__()
        self.stages, self.schedule, self.report = [list(stage) for stage in stages], dict(schedule), report
        self.training: int | None = None
        for number in self.schedule.values():
            if number != ALL and not 0 <= number <= len(self.stages):
                raise ConfigError(
                    f"unfreeze: expected 0 to {len(self.stages)} stages or {ALL}, received {number}; this model has "
                    f"{len(self.stages)}"
                )

    def on_train_begin(self, logs=None):
        optimizer = self.model.optimizer
        if phased(optimizer) is None and keras.backend.backend() != "tensorflow":
            raise ConfigError(
                f"expected the optimizer training.optimizer.PhasedAdamW on {keras.backend.backend()}, received "
                f"{type(optimizer).__name__}, which cannot update some variables only"
            )
        if not optimizer.built:
            self._set(len(self.stages))
            optimizer.build(self.model.trainable_variables)

    def on_epoch_begin(self, epoch, logs=None):
        number = stages_at(epoch + 1, self.schedule, len(self.stages))
        if number == self.training:
            return
        self._set(number)
        self.training = number
        if own := phased(self.model.optimizer):
            own.activate(self.model.trainable_variables)
        self.model.make_train_function(force=True)
        if self.report:
            count = sum(math.prod(v.shape) for v in self.model.trainable_variables)
            last = (
                f"the head and the last {number} of {len(self.stages)} stages train"
                if number
                else "the head alone trains"
            )
            self.report(f"epoch {epoch + 1}: {last}, {count:,} weights")

    def _set(self, number: int) -> None:
        first = len(self.stages) - number
        for i, stage in enumerate(self.stages):
            for layer in stage:
                layer.trainable = i >= first
