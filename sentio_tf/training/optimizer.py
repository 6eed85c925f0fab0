"""AdamW for networks of which parts rest: state for all variables from the start, updates for those that train now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import SimpleNamespace

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("sentio_tf")
class PhasedAdamW(keras.optimizers.AdamW):
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) over a changing choice of the variables it was built for.

    Build it on all variables; `activate` those that train from now on.  Keras' own optimizers accept fewer gradients
    on TensorFlow only, and their averages (EMA) start at zero for a variable that joins late.  Weight decay spares
    biases and normalisation.  Each variable's moments are corrected by its own number of updates, not by the batches
    since the start: what joins late, or accumulates, takes steps of the size that the learning rate says.

    Args:
        slow: paths of variables whose learning rate is multiplied by `slow_rate`, those of pretrained layers.
        slow_rate: in (0, 1].
        others: of `keras.optimizers.AdamW`.
    """

    def __init__(self, *args, slow: Collection[str] = (), slow_rate: float = 1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.slow, self.slow_rate = frozenset(slow), slow_rate
        # Wrapped, because Keras would count variables that it finds in a list of the optimizer's as state.
        self._now = SimpleNamespace(variables=[])
        self.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])

    def build(self, variables):
        super().build(variables)
        self._now.variables = list(self._trainable_variables)
        with keras.name_scope(self.name):
            self._updates = [
                self.add_variable((), initializer="zeros", dtype="float32", name=f"updates_{i}")
                for i in range(len(variables))
            ]
        self._rates = [self.slow_rate if v.path in self.slow else 1.0 for v in self._trainable_variables]

    def add_variable_from_reference(self, reference_variable, name=None, initializer="zeros"):
        if name == "average":  # a variable that rests, or has not moved yet, is its own average
            # A copy: on JAX a step may not be given one buffer twice.
            initializer = lambda shape, dtype: ops.copy(reference_variable)
        return super().add_variable_from_reference(reference_variable, name=name, initializer=initializer)

    def activate(self, variables: Sequence[keras.Variable]) -> None:
        """Update these only, in this order, from the next step on.

        Raises: ValueError before `build`, or for a variable it was not built for.
        """
        if not self.built:
            raise ValueError(
                "expected an optimizer built on all variables before one is activated. Received: not built"
            )
        self._check_variables_are_known(variables)
        if self.use_ema:  # what rests from now on stays where it is
            resting = {v.path for v in self._now.variables} - {v.path for v in variables}
            for variable in (v for v in self._now.variables if v.path in resting):
                average = self._model_variables_moving_average[self._get_variable_index(variable)]
                average.assign(np.array(variable.numpy()))
        self._now.variables = list(variables)

    def averages(self) -> dict[str, keras.Variable]:
        """Path of each variable -> its moving average."""
        pairs = zip(self._trainable_variables, self._model_variables_moving_average, strict=True)
        return {variable.path: average for variable, average in pairs}

    def update_step(self, gradient, variable, learning_rate):
        updates = self._updates[self._get_variable_index(variable)]
        self.assign_add(updates, 1.0)
        batches = ops.cast(self.iterations + 1, "float32")
        share = self._correction(updates) / self._correction(batches)  # Keras will multiply by that of the batches
        super().update_step(gradient, variable, learning_rate * self._rate(variable) * share)

    def _correction(self, count):
        """Of the step for moments that started at zero `count` updates ago (Kingma & Ba 2015, section 2)."""
        return ops.sqrt(1 - ops.power(self.beta_2, count)) / (1 - ops.power(self.beta_1, count))

    def _rate(self, variable) -> float:
        return self._rates[self._get_variable_index(variable)]

    def _apply_weight_decay(self, variables):
        for variable in variables:
            if self._use_weight_decay(variable):
                step = ops.cast(self.learning_rate * self.weight_decay * self._rate(variable), variable.dtype)
                variable.assign(variable - variable * step)

    def _update_model_variables_moving_average(self, trainable_variables):
        # Not the list of the caller: on JAX resting variables have no value within a step.
        for variable in self._now.variables:
            average = self._model_variables_moving_average[self._get_variable_index(variable)]
            average.assign(average * self.ema_momentum + variable * (1 - self.ema_momentum))

    def finalize_variable_values(self, var_list):
        """Nothing: Keras would lay the averages into the model; what is kept is decided by `TrackValidation`."""

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        """As Keras', for the active variables only (JAX)."""
        mapping = [
            *zip(self._now.variables, trainable_variables, strict=True),
            *zip(self.variables, optimizer_variables, strict=True),
        ]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            self.apply(grads, self._now.variables)
        return (
            [scope.get_current_value(v) for v in self._now.variables],
            [scope.get_current_value(v) for v in self.variables],
        )

    def get_config(self):
        return {**super().get_config(), "slow": sorted(self.slow), "slow_rate": self.slow_rate}


def phased(optimizer) -> PhasedAdamW | None:
    """The `PhasedAdamW` that is `optimizer`, or that Keras wrapped to scale the loss; None for another."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return inner if isinstance(inner, PhasedAdamW) else None
