import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from sentio_tf.layers.chunks import ChunkMean, Chunks, chunk_starts


def test_chunks_cover_everything_evenly(rng):
    sizes = [(661_500, 59_049), (1292, 159), (1292, 1292), (7, 3), (6, 3), (4, 1)]
    for size, length in [*sizes, *((n, rng.integers(1, n + 1)) for n in rng.integers(1, 400, 300))]:
        starts = chunk_starts(int(size), int(length))
        steps = np.diff(starts)
        assert (starts[0], starts[-1] + length) == (0, size)
        assert (steps <= length).all(), "no gap"
        assert len(steps) == 0 or np.ptp(steps) <= 1, "evenly spread"
        assert (len(starts) - 1) * length < size, "as few as possible"


def test_a_multiple_is_cut_without_overlap():
    assert chunk_starts(12, 4) == [0, 4, 8]
    assert chunk_starts(10, 4) == [0, 3, 6]


@pytest.mark.parametrize(("size", "length"), [(3, 4), (3, 0)])
def test_too_short_a_window(size, length):
    with pytest.raises(ValueError, match=rf"no shorter than a chunk of {length}\. Received: {size}"):
        chunk_starts(size, length)


@pytest.mark.parametrize(
    ("shape", "axis", "expected"),
    [((2, 5, 10, 1), 2, (6, 5, 4, 1)), ((2, 10), 1, (6, 4)), ((2, 10, 3), 1, (6, 4, 3)), ((2, 4), 1, (2, 4))],
)
def test_rows_of_an_item_stay_together(shape, axis, expected, rng):
    x = rng.standard_normal(shape).astype(np.float32)
    layer = Chunks(4, axis)
    y = np.asarray(layer(x))
    assert y.shape == expected == layer.compute_output_shape(shape)
    starts = chunk_starts(shape[axis], 4)
    assert layer.count == len(starts)
    for item in range(2):
        for i, start in enumerate(starts):
            part = np.take(x[item], range(start, start + 4), axis=axis - 1)
            np.testing.assert_array_equal(y[item * len(starts) + i], part)


def test_the_mean_is_of_each_item(rng):
    x = rng.standard_normal((6, 2)).astype(np.float32)
    np.testing.assert_allclose(ChunkMean(3)(x), [x[:3].mean(0), x[3:].mean(0)], atol=1e-6)
    np.testing.assert_array_equal(ChunkMean(1)(x), x)
    assert ChunkMean(3).compute_output_shape((6, 2)) == (2, 2)


def test_the_mean_of_a_mean_of_chunks_is_the_mean(rng):
    """Of chunks that do not overlap."""
    x = rng.standard_normal((2, 12)).astype(np.float32)
    means = np.asarray(Chunks(4, axis=1)(x)).mean(1, keepdims=True)
    np.testing.assert_allclose(ChunkMean(3)(means)[:, 0], x.mean(1), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Chunks(0), r"expected length >= 1 and axis 1 or 2\. Received: 0, 2"),
        (lambda: Chunks(4, axis=3), r"axis 1 or 2\. Received: 4, 3"),
        (lambda: ChunkMean(0), r"expected n >= 1\. Received: 0"),
        (lambda: Chunks(4)(np.zeros((1, 2, 3, 1))), r"a chunk of 4\. Received: 3"),
        (lambda: Chunks(4)(keras.Input((2, None, 1))), r"expected a known size of axis 2\. Received: \(None, 2, None"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def network():
    mel = keras.Input((5, 10, 1))
    x = keras.layers.Flatten()(Chunks(4)(mel))
    return keras.Model(mel, ChunkMean(3)(x))


def test_saved_and_loaded(tmp_path, rng):
    model = network()
    assert model.output_shape == (None, 20)
    model.save(tmp_path / "model.keras")
    x = rng.standard_normal((3, 5, 10, 1)).astype(np.float32)
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(x), model(x))


def test_exports_to_builtins(rng):
    """The converter refuses what needs more than TFLite's own operators."""
    model = network()
    function = tf.function(model, input_signature=[tf.TensorSpec((1, 5, 10, 1))])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    x = rng.standard_normal((1, 5, 10, 1)).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, model(x), atol=1e-6)
