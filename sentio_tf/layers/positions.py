"""Learnable positions and the class token of transformers."""

from __future__ import annotations

import keras
from keras import ops

SPREAD = 0.02  # sd of the first values, as in ViT (Dosovitskiy et al. 2020, arXiv:2010.11929)


@keras.saving.register_keras_serializable("sentio_tf")
class Positions(keras.layers.Layer):
    """Adds a learnable table `(length, dim)` along one axis of `(batch, ..., dim)`.

    A shorter input uses the first rows, so that the same weights serve every size up to `length`.

    Args:
        length: of the table, the largest size of the axis.
        axis: that has positions, counted with the batch: 1 of a sequence, 1 or 2 of a grid.

    Raises: ValueError for an input larger than the table.
    """

    def __init__(self, length: int, axis: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.length, self.axis = length, axis

    def build(self, shape):
        if shape[self.axis] is None or shape[self.axis] > self.length:
            raise ValueError(
                f"expected at most {self.length} positions along axis {self.axis}. Received: {shape[self.axis]}"
            )
        normal = keras.initializers.TruncatedNormal(stddev=SPREAD)
        self.table = self.add_weight(shape=(self.length, shape[-1]), initializer=normal, name="table")
        super().build(shape)

    def call(self, x):
        between = (1,) * (len(x.shape) - 2 - self.axis)
        table = ops.convert_to_tensor(self.table)[: x.shape[self.axis]]
        return x + ops.reshape(table, (x.shape[self.axis], *between, x.shape[-1]))

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "length": self.length, "axis": self.axis}


@keras.saving.register_keras_serializable("sentio_tf")
class GridPositions(keras.layers.Layer):
    """Separable positions of a grid `(batch, height, width, dim)`: a table of rows plus a table of columns, added.

    Args:
        rows, columns: lengths of the tables; a smaller grid uses the first of each.

    Raises: ValueError for a grid larger than the tables.
    """

    def __init__(self, rows: int, columns: int, **kwargs):
        super().__init__(**kwargs)
        self.rows, self.columns = rows, columns

    def build(self, shape):
        self.of_rows = Positions(self.rows, 1, name="rows", dtype=self.dtype_policy)
        self.of_rows.build(shape)
        self.of_columns = Positions(self.columns, 2, name="columns", dtype=self.dtype_policy)
        self.of_columns.build(shape)
        super().build(shape)

    def call(self, x):
        return self.of_columns(self.of_rows(x))

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "rows": self.rows, "columns": self.columns}


@keras.saving.register_keras_serializable("sentio_tf")
class ClassToken(keras.layers.Layer):
    """`(batch, tokens, dim)` -> `(batch, 1 + tokens, dim)`: a learnable token before all others."""

    def build(self, shape):
        normal = keras.initializers.TruncatedNormal(stddev=SPREAD)
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer=normal, name="token")
        super().build(shape)

    def call(self, x):
        # Added to zeros of the batch's size: no broadcast to a size that is not known.
        return ops.concatenate([ops.zeros_like(x[:, :1]) + self.token, x], axis=1)

    def compute_output_shape(self, shape):
        return (shape[0], shape[1] + 1, shape[2])
