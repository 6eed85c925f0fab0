import keras
import numpy as np
import pytest
from keras import layers

from sentio_tf.errors import ConfigError
from sentio_tf.layers.chunks import ChunkMean, Chunks
from sentio_tf.layers.transformer import SelfAttention
from sentio_tf.training import memory
from sentio_tf.training.memory import activation_bytes, available_bytes, check_memory


def dense(*widths, size=10):
    x = y = keras.Input((size,))
    for width in widths:
        y = layers.Dense(width)(y)
    return keras.Model(x, y, name="dense")


def test_outputs_of_all_layers_are_counted():
    """Input 10, then 20 and 2 numbers of four bytes, for each of 7 examples."""
    assert activation_bytes(dense(20, 2), 7) == 4 * 7 * (10 + 20 + 2)


def test_chunks_are_counted_as_they_are_laid_out():
    x = keras.Input((10,))
    y = layers.Dense(3)(Chunks(4, axis=1)(x))
    model = keras.Model(x, ChunkMean(3)(y))
    # What comes before the first layer that trains passes by: of it the largest counts, 3 chunks of 4.
    assert activation_bytes(model, 2) == 4 * 2 * (3 * 4 + 3 * 3 + 3)


def test_layers_within_layers_are_counted():
    x = keras.Input((5, 8))
    model = keras.Model(x, SelfAttention(2)(x))
    # qkv, weights of two heads behind dropout, out, and out again as the layer's own; the input passes by.
    assert activation_bytes(model, 3) == 4 * 3 * (5 * 8 + 5 * 24 + 2 * 5 * 5 + 5 * 8 + 5 * 8)


def test_frozen_layers_keep_nothing():
    model = dense(1000, 20, 2)
    model.layers[1].trainable = False
    assert activation_bytes(model, 1) == 4 * (1000 + 20 + 2)
    model.trainable = False
    assert activation_bytes(model, 1) == 4 * 1000


def test_half_precision_is_half():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = dense(100, 50)
    finally:
        keras.config.set_dtype_policy("float32")
    assert activation_bytes(model, 1) == 4 * 10 + 2 * 150


def test_counting_leaves_the_model_as_it_was(rng):
    x = keras.Input((6,))
    model = keras.Model(x, layers.Dropout(0.5)(layers.BatchNormalization()(layers.Dense(4)(x))))
    data = rng.standard_normal((3, 6)).astype(np.float32)
    before, weights = model(data), model.get_weights()
    assert activation_bytes(model, 8) == 8 * activation_bytes(model, 1)
    np.testing.assert_array_equal(model(data), before)
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not any("call" in vars(layer) for layer in model.layers)


def test_what_fits_is_silent_and_what_does_not_is_named():
    model = dense(100, 2)  # 1302 weights; 112 numbers an example
    weights, each = 4 * 4 * 1302, 4 * 112
    check_memory(model, 50, available=weights + 50 * each)
    with pytest.raises(
        ConfigError,
        match=r"^batch_size: expected a batch that fits into memory; 51 of dense needs about 0\.0 GB of 0\.0 GB; "
        r"lower batch_size to 20 \(accumulate 3 keeps the effective batch\), or crop_s$",
    ):
        check_memory(model, 51, available=weights + 20 * each)
    with pytest.raises(ConfigError, match=r"; lower crop_s, or choose a smaller size of the model$"):
        check_memory(model, 51, available=weights - 1)


def test_a_suggested_batch_fits():
    model = dense(100, 2)
    with pytest.raises(ConfigError, match=r"batch_size to 31 ") as error:
        check_memory(model, 1000, available=4 * 4 * 1302 + 4 * 112 * 31 + 5)
    assert "\n" not in str(error.value)
    check_memory(model, 31, available=4 * 4 * 1302 + 4 * 112 * 31 + 5)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A Linux without GPU and without a container's limit."""
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0"])
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "LIMIT", tmp_path / "memory.max")
    (tmp_path / "meminfo").write_text("MemTotal:       32 kB\nMemAvailable:       16 kB\nHugePages_Total: 0\n")
    return tmp_path


def test_what_is_left(machine, monkeypatch):
    assert available_bytes() == 16 * 1024
    (machine / "memory.max").write_text("max\n")
    assert available_bytes() == 16 * 1024
    (machine / "memory.max").write_text("1000\n")
    assert available_bytes() == 1000
    with pytest.raises(ConfigError, match=r"needs about"):
        check_memory(dense(100, 2), 50)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cuda:0"])
    assert available_bytes() is None, "a GPU has memory of its own"


@pytest.mark.parametrize("text", ["", "MemTotal: 32 kB\n", "MemAvailable: much\n", None])
def test_where_it_is_not_known_nothing_is_checked(machine, text):
    (machine / "meminfo").unlink() if text is None else (machine / "meminfo").write_text(text)
    assert available_bytes() is None
    check_memory(dense(100, 2), 10**9)
