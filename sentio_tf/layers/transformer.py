"""Pre-norm transformer encoder block on sequences, built from layers that export to TFLite builtins."""

from __future__ import annotations

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("sentio_tf")
class SelfAttention(layers.Layer):
    """Multi-head scaled dot-product self-attention (Vaswani et al. 2017, arXiv:1706.03762, eq. 1).

    Input and output `(batch, tokens, dim)`.  One fused projection gives q, k and v; every product is
    a plain 4-D matmul, which TFLite runs as BATCH_MATMUL.

    Args:
        heads: number of heads; must divide `dim`.
        dropout: rate on the attention weights.
    """

    def __init__(self, heads: int, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.dropout = dropout

    def build(self, shape):
        dim = shape[-1]
        if dim % self.heads:
            raise ValueError(f"expected dim divisible by heads={self.heads}. Received: dim={dim}")
        self.qkv = layers.Dense(3 * dim, name="qkv", dtype=self.dtype_policy)
        self.qkv.build(shape)
        self.out = layers.Dense(dim, name="out", dtype=self.dtype_policy)
        self.out.build(shape)
        self.drop = layers.Dropout(self.dropout, dtype=self.dtype_policy)
        super().build(shape)

    def call(self, x, training=False):
        tokens, dim = x.shape[1], x.shape[2]
        size = dim // self.heads
        qkv = ops.reshape(self.qkv(x), (-1, tokens, 3 * self.heads, size))
        q, k, v = ops.split(ops.transpose(qkv, (0, 2, 1, 3)), 3, axis=1)
        weights = ops.softmax(ops.matmul(q * size**-0.5, ops.transpose(k, (0, 1, 3, 2))), axis=-1)
        mixed = ops.matmul(self.drop(weights, training=training), v)
        return self.out(ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, tokens, dim)))

    def get_config(self):
        return {**super().get_config(), "heads": self.heads, "dropout": self.dropout}


def encoder_block(x, *, heads: int, mlp_dim: int, activation: str, dropout: float, name: str):
    """x + attention(norm(x)), then x + mlp(norm(x)); `(batch, tokens, dim)` in and out."""
    dim = x.shape[-1]
    y = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm1")(x)
    y = SelfAttention(heads, dropout, name=f"{name}_attention")(y)
    x = layers.Add(name=f"{name}_add1")([x, layers.Dropout(dropout, name=f"{name}_drop1")(y)])
    y = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm2")(x)
    y = layers.Dense(mlp_dim, activation=activation, name=f"{name}_mlp1")(y)
    y = layers.Dropout(dropout, name=f"{name}_drop2")(y)
    y = layers.Dense(dim, name=f"{name}_mlp2")(y)
    return layers.Add(name=f"{name}_add2")([x, layers.Dropout(dropout, name=f"{name}_drop3")(y)])
