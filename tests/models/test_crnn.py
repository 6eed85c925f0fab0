from functools import partial

import numpy as np
import pytest

from sentio_tf.models import crnn

from . import contract
from .contract import awake, mels, normalize, parts

FRAMES = 60  # seven steps and a rest
small = partial(crnn.build, size="small")


@pytest.mark.parametrize(("size", "count"), [("recipe", 1_192_002), ("small", 163_794)])
def test_parameters(size, count):
    assert crnn.build(size=size, normalize=normalize(), frames=FRAMES).count_params() == count
    (a, b, c), (first, second) = crnn.SIZES[size].channels, crnn.SIZES[size].units
    convolutions = 9 * (a + a * b + b * c) + 4 * (a + b + c)
    recurrent = 8 * first * (2 * c + first + 1) + 8 * second * (2 * first + second + 1)
    assert convolutions + recurrent + 2 * (2 * second + 1) == count


def test_contract(rng):
    contract.check_answers(small, rng, frames=FRAMES)


def test_everything_random_can_be_turned_off(rng):
    contract.check_quiet(partial(small, dropout=0), rng, frames=FRAMES)


def test_every_variable_gets_a_gradient(rng):
    contract.check_gradients(partial(small, dropout=0), rng, frames=FRAMES)


def test_saved_and_loaded(tmp_path, rng):
    contract.check_saved(small, rng, tmp_path, frames=FRAMES)


def test_mixed_precision(rng):
    contract.check_half(small, rng, frames=FRAMES)


def test_steps_are_columns_of_the_map(rng):
    """What the recurrence reads at a step is all bands and channels of that time, nothing else."""
    model = small(normalize=normalize(), frames=FRAMES)
    maps, steps = parts(model, mels(rng, 2, FRAMES), "block3_drop", "steps")
    assert maps.shape == (2, 2, 7, 64)
    for t in range(7):
        np.testing.assert_array_equal(steps[:, t], maps[:, :, t].reshape(2, -1))


def test_the_same_weights_at_two_lengths(rng):
    """Steps that both hear whole are equal; what comes later changes the answer."""
    short, long = (small(normalize=normalize(), frames=frames) for frames in (FRAMES, 2 * FRAMES))
    awake(short, rng)
    long.set_weights(short.get_weights())
    x = mels(rng, 1, 2 * FRAMES)
    few = parts(short, x[:, :, :FRAMES], "steps", "valence_arousal")
    many = parts(long, x, "steps", "valence_arousal")
    assert many[0].shape[1] == 15
    np.testing.assert_allclose(few[0][:, :6], many[0][:, :6], atol=1e-5)  # the last one has padding beside it
    assert np.abs(few[1] - many[1]).max() > 1e-4


def test_order_matters(rng):
    model = awake(small(normalize=normalize(), frames=FRAMES), rng)
    x = mels(rng, 1, FRAMES)
    assert np.abs(np.subtract(model(x), model(x[:, :, ::-1]))).max() > 1e-4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": "large"}, r"expected size one of recipe, small\. Received: large"),
        ({"frames": 7}, r"expected 8 frames or more\. Received: 7"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(ValueError, match=message):
        crnn.build(normalize=normalize(), **wrong)
