"""Keras twins of `evaluation.metrics`, for `model.compile(metrics=[CCC("valence"), CCC("arousal")])`.

Each merges, batch by batch, the weight, means, sums of squared deviations and co-deviations of what it
has seen (Chan, Golub & LeVeque 1983, doi:10.1080/00031305.1983.10483115), so that its value after an
epoch is that of all rows at once, whatever the batches were; a mean of values per batch is not.

Targets are `(batch, 2)` = [valence, arousal] or `(batch, 3)` = [valence, arousal, rated] as in `losses`,
where rows with rated 0 hold signs and do not count; outputs are `(batch, 2)`.  Rows may have weights.
Under a `tf.distribute` strategy of several replicas Keras would add up their means: use one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import keras
from keras import ops

from .losses import row_weights

AXES = ("valence", "arousal")
# float32 rounds a mean to 6e-8 of itself; a standard deviation below this share of it is rounding.
ROUNDING = 1e-6


class Moments(keras.metrics.Metric, ABC):
    """Moments of targets and outputs over an epoch, per axis; a metric is a function of them.

    Args:
        axis: "valence", "arousal", or None for the mean of both.
        name: default: the metric and the axis, e.g. "ccc_valence", "ccc".
    """

    label = ""

    def __init__(self, axis: str | None = None, name: str | None = None, dtype: str | None = None):
        if axis not in (None, *AXES):
            raise ValueError(f"expected axis valence, arousal or None. Received: {axis!r}")
        super().__init__(name=name or "_".join(part for part in (self.label, axis) if part), dtype=dtype)
        self.axis = axis
        self.columns = list(range(2)) if axis is None else [AXES.index(axis)]

        def add(name, *shape):
            return self.add_weight(shape=(*shape, len(self.columns)), initializer="zeros", name=name)

        self.rows, self.weight = add("rows"), add("weight")
        # Of targets and of outputs: means, and weighted sums of squared deviations from them.
        self.mean, self.m2 = add("mean", 2), add("m2", 2)
        self.co = add("co")  # of the products of both deviations
        # The error has a sum of its own: as a difference of the moments above it would be rounding.
        self.squared_error = add("squared_error")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch; shapes as in `losses.row_weights`."""
        mask = getattr(y_pred, "_keras_mask", None)
        y_true = ops.cast(ops.convert_to_tensor(y_true), self.dtype)
        y_pred = ops.cast(ops.convert_to_tensor(y_pred), self.dtype)
        weight = row_weights(y_true, y_pred, sample_weight, mask)
        # Rows that do not count are 0, so that NaN in them stays out.
        counts = weight > 0
        weight = ops.where(counts, weight, 0.0)
        both = [ops.stack([x[:, c] for c in self.columns], axis=1) for x in (y_true, y_pred)]
        x = ops.where(counts, ops.stack(both), 0.0)  # (2, batch, axes)

        new = ops.sum(weight, axis=0)
        total = self.weight + new
        norm = ops.where(new > 0, new, 1.0)
        mean = ops.sum(weight * x, axis=1, keepdims=True) / norm
        # Once more from there: the sum of a long batch is rounded too much for a batch of constants.
        mean = mean + ops.sum(weight * (x - mean), axis=1, keepdims=True) / norm
        deviation = x - mean
        step = mean[:, 0] - self.mean
        share = new / ops.where(total > 0, total, 1.0)  # of this batch, exactly 1 for the first
        between = self.weight * share
        self.m2.assign_add(ops.sum(weight * ops.square(deviation), axis=1) + between * ops.square(step))
        self.co.assign_add(ops.sum(weight * deviation[0] * deviation[1], axis=0) + between * step[0] * step[1])
        self.mean.assign_add(step * share)
        self.squared_error.assign_add(ops.sum(weight * ops.square(x[1] - x[0]), axis=0))
        self.rows.assign_add(ops.sum(ops.cast(ops.broadcast_to(counts, ops.shape(x[0])), self.dtype), axis=0))
        self.weight.assign(total)

    def result(self):
        """A number: the mean of the axes; 0 before there are two rows, and where the metric is not defined."""
        # JAX takes a variable for an operand, not for an argument of `where`.
        weight = ops.convert_to_tensor(self.weight)
        weight = ops.where(weight > 0, weight, 1.0)

        variance = self.m2 / weight
        variance = ops.where(variance > ops.square(ROUNDING * self.mean), variance, 0.0)
        bias = self.mean[1] - self.mean[0]
        value = self.measure(variance[0], variance[1], self.co / weight, bias, self.squared_error / weight)
        return ops.mean(ops.where(self.rows > 1, value, 0.0))

    @abstractmethod
    def measure(self, var_true, var_pred, covariance, bias, square):
        """The metric per axis, each `(axes,)`; variances are exactly 0 for constants."""

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


def _ratio(numerator, denominator, defined):
    """The quotient, 0 where it is not defined."""
    return ops.where(defined, numerator / ops.where(defined, denominator, 1.0), 0.0)


@keras.saving.register_keras_serializable("sentio_tf")
class CCC(Moments):
    """Concordance correlation coefficient, `evaluation.metrics.ccc`; 0 where one side is constant."""

    label = "ccc"

    def measure(self, var_true, var_pred, covariance, bias, square):
        spread = var_true + var_pred + ops.square(bias)
        return _ratio(2 * covariance, spread, (var_true > 0) & (var_pred > 0))


@keras.saving.register_keras_serializable("sentio_tf")
class Pearson(Moments):
    """Pearson's r, `evaluation.metrics.pearson`; 0 where one side is constant."""

    label = "pearson"

    def measure(self, var_true, var_pred, covariance, bias, square):
        scale = ops.sqrt(var_true) * ops.sqrt(var_pred)
        return _ratio(covariance, scale, (var_true > 0) & (var_pred > 0))


@keras.saving.register_keras_serializable("sentio_tf")
class R2(Moments):
    """Coefficient of determination, `evaluation.metrics.r2`; 0 for a constant reference."""

    label = "r2"

    def measure(self, var_true, var_pred, covariance, bias, square):
        return _ratio(var_true - square, var_true, var_true > 0)


@keras.saving.register_keras_serializable("sentio_tf")
class RMSE(Moments):
    """Root mean squared error, `evaluation.metrics.rmse`; for both axes the mean of the two."""

    label = "rmse"

    def measure(self, var_true, var_pred, covariance, bias, square):
        return ops.sqrt(square)
