from functools import partial

import numpy as np
import pytest

from sentio_tf.models import cnn_transformer

from . import contract
from .contract import mels, normalize, parts

FRAMES = 38  # nine tokens and a rest
small = partial(cnn_transformer.build, size="small")
short = partial(small, chunk_s=0.46)  # 20 frames, five tokens


def test_parameters_are_the_papers():
    """The official network: 50 tags, 513 positions, biases of convolutions but not of queries, keys and values."""
    official = 4_567_732
    model = cnn_transformer.build(normalize=normalize(), frames=FRAMES)
    trainable = sum(v.value.shape.num_elements() for v in model.trainable_variables)
    assert trainable == official - 48 * 257 - (513 - 324) * 256 - 7 * 128 - 2 + 4 * 3 * 256
    assert round(official, -5) == 4_600_000


@pytest.mark.parametrize(("size", "count"), [("published", 4_510_978), ("compact", 1_095_298), ("small", 201_410)])
def test_parameters(size, count):
    assert cnn_transformer.build(size=size, normalize=normalize(), frames=FRAMES).count_params() == count


def test_contract(rng):
    contract.check_answers(small, rng, frames=FRAMES)


def test_everything_random_can_be_turned_off(rng):
    contract.check_quiet(partial(small, dropout=0), rng, frames=FRAMES)


def test_every_variable_gets_a_gradient(rng):
    contract.check_gradients(partial(small, dropout=0), rng, frames=FRAMES)


def test_saved_and_loaded(tmp_path, rng):
    contract.check_saved(short, rng, tmp_path, frames=FRAMES)


def test_mixed_precision(rng):
    contract.check_half(small, rng, frames=FRAMES)


def test_chunks_are_averaged(rng):
    contract.check_chunks(short, rng, frames=FRAMES, length=20)


def test_the_class_token_answers(rng):
    """The first token starts the same for every clip, and is what the head reads."""
    model = small(normalize=normalize(), frames=FRAMES)
    names = ("tokens", "positions", "block1_add2", "class")
    tokens, placed, last, first = parts(model, mels(rng, 2, FRAMES), *names)
    token, table = (np.asarray(model.get_layer(n).weights[0]) for n in ("class_token", "positions"))
    assert len(table) == 324
    np.testing.assert_allclose(placed[:, 0], np.repeat(token[0] + table[:1], 2, axis=0), atol=1e-6)
    np.testing.assert_allclose(placed[:, 1:], tokens + table[1:10], atol=1e-6)
    np.testing.assert_array_equal(first, last[:, 0])


def test_a_token_is_all_bands_of_its_time(rng):
    model = small(normalize=normalize(), frames=FRAMES)
    maps, flat = parts(model, mels(rng, 1, FRAMES), "conv3_pool", "flat")
    assert maps.shape == (1, 16, 9, 32)
    np.testing.assert_array_equal(flat, maps.transpose(0, 2, 1, 3).reshape(1, 9, -1))


def test_residual_blocks_add_their_input(rng):
    """By hand, from what the three branches of the first block and the two of the second give."""
    model = small(normalize=normalize(), frames=FRAMES)
    names = ("conv1_3_bn", "conv1_2_bn", "conv1_act", "conv1_pool", "conv2_2_bn", "conv2_act")
    aside, main, first, pooled, other, second = parts(model, mels(rng, 1, FRAMES), *names)
    np.testing.assert_allclose(first, np.maximum(aside + main, 0), atol=1e-6)
    np.testing.assert_array_equal(pooled, first.reshape(1, 64, 2, 19, 2, 32).max((2, 4)))
    np.testing.assert_allclose(second, np.maximum(pooled + other, 0), atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": "large"}, r"expected size one of published, compact, small\. Received: large"),
        ({"frames": 3}, r"expected 4 frames or more\. Received: 3"),
        ({"frames": 1296}, r"expected at most 324 positions along axis 1\. Received: 325"),
        ({"chunk_s": 31}, r"expected a window no shorter than a chunk of 1335\. Received: 1292"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(ValueError, match=message):
        cnn_transformer.build(normalize=normalize(), **{"size": "small", **wrong})
