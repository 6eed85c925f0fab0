import keras
import numpy as np
import pytest

from sentio_tf.layers.transformer import SelfAttention


def test_equals_keras_multi_head_attention(rng):
    """The same weights in Keras' own layer give the same answer."""
    dim, heads, tokens = 24, 4, 11
    x = rng.standard_normal((3, tokens, dim)).astype(np.float32)
    ours = SelfAttention(heads)
    ours(x)
    for v in ours.trainable_variables:
        v.assign(rng.standard_normal(v.shape) * 0.3)
    theirs = keras.layers.MultiHeadAttention(heads, dim // heads)
    theirs(x, x)
    kernel, bias = (np.asarray(w) for w in ours.qkv.get_weights())
    out_kernel, out_bias = (np.asarray(w) for w in ours.out.get_weights())
    weights = []
    for part in range(3):  # query, key, value
        columns = slice(part * dim, (part + 1) * dim)
        weights += [kernel[:, columns].reshape(dim, heads, -1), bias[columns].reshape(heads, -1)]
    theirs.set_weights([*weights, out_kernel.reshape(heads, -1, dim), out_bias])
    np.testing.assert_allclose(np.asarray(ours(x)), np.asarray(theirs(x, x)), atol=1e-5)


def test_order_of_tokens_does_not_matter(rng):
    x = rng.standard_normal((1, 9, 8)).astype(np.float32)
    layer = SelfAttention(2)
    order = rng.permutation(9)
    np.testing.assert_allclose(np.asarray(layer(x))[:, order], np.asarray(layer(x[:, order])), atol=1e-6)


def test_heads_must_divide(rng):
    with pytest.raises(ValueError, match="dim=10"):
        SelfAttention(4)(rng.standard_normal((1, 3, 10)))
