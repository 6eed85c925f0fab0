from functools import partial

import numpy as np
import pytest

from sentio_tf.models import ast

from . import contract
from .contract import awake, mels, normalize, parts

FRAMES = 70  # four patches and a rest
tiny = partial(ast.build, size="tiny")
short = partial(tiny, chunk_s=0.75)  # 32 frames, two patches


@pytest.mark.parametrize(("size", "count"), [("small", 10_780_802), ("tiny", 1_846_466)])
def test_parameters(size, count):
    assert ast.build(size=size, normalize=normalize(), frames=FRAMES).count_params() == count
    row = ast.SIZES[size]
    block = 12 * row.width**2 + 13 * row.width  # two norms, attention and MLP with their biases
    rest = (16 * 16 + 1 + 8 + 80 + 2) * row.width + 2 * (row.width + 1)
    assert row.depth * block + rest == count


def test_contract(rng):
    contract.check_answers(tiny, rng, frames=FRAMES)


def test_everything_random_can_be_turned_off(rng):
    contract.check_quiet(partial(tiny, dropout=0), rng, frames=FRAMES)
    model = awake(tiny(normalize=normalize(), frames=FRAMES, dropout=0, **contract.QUIET), rng)
    x = mels(rng, 2, FRAMES)
    np.testing.assert_allclose(model(x, training=True), model(x), atol=1e-6)  # no batch normalisation


def test_every_variable_gets_a_gradient(rng):
    contract.check_gradients(partial(tiny, dropout=0), rng, frames=FRAMES)


def test_saved_and_loaded(tmp_path, rng):
    contract.check_saved(short, rng, tmp_path, frames=FRAMES)


def test_mixed_precision(rng):
    contract.check_half(tiny, rng, frames=FRAMES)


def test_chunks_are_averaged(rng):
    contract.check_chunks(short, rng, frames=FRAMES, length=32)


def test_patches_and_positions(rng):
    """Tokens by hand: rows of patches, each with the positions of its row and its column."""
    model = tiny(normalize=normalize(), frames=FRAMES)
    kernel, bias = model.get_layer("patches").get_weights()
    rows, columns = (np.asarray(v) for v in model.get_layer("positions").weights)
    assert (len(rows), len(columns)) == (8, 80)
    x = mels(rng, 2, FRAMES)
    cut = ((x[:, :, :64] + 30) / 15).reshape(2, 8, 16, 4, 16)
    expected = np.einsum("nibjf,bfw->nijw", cut, kernel[:, :, 0]) + bias + rows[:, None] + columns[:4]
    (tokens,) = parts(model, x, "tokens")
    np.testing.assert_allclose(tokens, expected.reshape(2, 32, -1), atol=1e-4)


def test_short_crops_use_the_first_positions(rng):
    """One set of weights at two lengths: the patches that both hear become the same tokens."""
    models = [tiny(normalize=normalize(), frames=frames) for frames in (32, FRAMES)]
    models[1].set_weights(models[0].get_weights())
    x = mels(rng, 1, FRAMES)
    (few,), (many,) = (parts(m, x[:, :, : m.input_shape[2]], "positions") for m in models)
    np.testing.assert_allclose(few, many[:, :, :2], atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": "large"}, r"expected size one of small, tiny\. Received: large"),
        ({"frames": 15}, r"expected 16 frames or more\. Received: 15"),
        ({"frames": 1310}, r"expected at most 80 positions along axis 2\. Received: 81"),
        ({"chunk_s": 0.3}, r"expected 16 frames or more\. Received: 13"),
        ({"chunk_s": 31}, r"expected a window no shorter than a chunk of 1335\. Received: 1292"),
        ({"chunk_s": 0}, r"expected length >= 1"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(ValueError, match=message):
        ast.build(normalize=normalize(), **{"size": "tiny", **wrong})
