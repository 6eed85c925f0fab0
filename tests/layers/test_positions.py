import keras
import numpy as np
import pytest

from sentio_tf.layers.positions import ClassToken, GridPositions, Positions


def test_positions_are_added_along_their_axis(rng):
    x = rng.standard_normal((2, 3, 4, 5)).astype(np.float32)
    for axis, places in ((1, (slice(None, 3), None)), (2, (None, slice(None, 4)))):
        layer = Positions(6, axis)
        y = np.asarray(layer(x))
        table = np.asarray(layer.table)
        assert table.shape == (6, 5)
        np.testing.assert_allclose(y, x + table[places], atol=1e-6)


def test_a_grid_has_rows_and_columns(rng):
    layer = GridPositions(4, 7)
    x = rng.standard_normal((2, 3, 5, 6)).astype(np.float32)
    y = np.asarray(layer(x))
    rows, columns = (np.asarray(v) for v in layer.weights)
    np.testing.assert_allclose(y, x + rows[:3, None] + columns[:5], atol=1e-6)
    assert layer.count_params() == (4 + 7) * 6


def test_small_and_different_at_first():
    layer = Positions(200)
    layer.build((None, 200, 64))
    table = np.asarray(layer.table)
    assert 0.01 < table.std() < 0.03
    assert len(np.unique(table)) > 0.9 * table.size


def test_the_class_token_is_the_same_for_all(rng):
    layer = ClassToken()
    x = rng.standard_normal((3, 4, 5)).astype(np.float32)
    y = np.asarray(layer(x))
    assert y.shape == (3, 5, 5) == layer.compute_output_shape(x.shape)
    np.testing.assert_array_equal(y[:, 1:], x)
    np.testing.assert_array_equal(y[:, :1], np.repeat(layer.token, 3, axis=0))


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Positions(4), (1, 5, 2), r"expected at most 4 positions along axis 1\. Received: 5"),
        (GridPositions(4, 4), (1, 4, 5, 2), r"expected at most 4 positions along axis 2\. Received: 5"),
        (Positions(4), (None, None, 2), r"axis 1\. Received: None"),
    ],
)
def test_more_places_than_positions(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer(keras.Input(shape[1:]))


def test_saved_and_loaded(tmp_path, rng):
    grid = keras.Input((3, 5, 6))
    x = keras.layers.Reshape((15, 6))(GridPositions(4, 7)(grid))
    model = keras.Model(grid, Positions(20)(ClassToken()(x)))
    assert model.output_shape == (None, 16, 6)
    model.save(tmp_path / "model.keras")
    values = rng.standard_normal((2, 3, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(values), model(values))


def test_half_precision_adds_in_half_precision(rng):
    layer = GridPositions(4, 7, dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(layer(np.zeros((1, 4, 7, 2), "f")).dtype) == "bfloat16"
    assert [v.dtype for v in layer.weights] == ["float32", "float32"]
