from functools import partial

import numpy as np
import pytest

from sentio_tf.models import short_chunk_cnn

from . import contract
from .contract import mels, normalize, parts

FRAMES = 200  # two chunks that overlap
small = partial(short_chunk_cnn.build, size="small", chunk_s=3)  # 129 frames
# Of the official network with 50 tags; ours has no biases before a batch normalisation, none before the first
# convolution, and two answers.
OFFICIAL = {False: (3_687_348, 1792), True: (12_104_244, 3 * 1792)}


@pytest.mark.parametrize("residual", [False, True])
def test_parameters_are_the_papers(residual):
    published, biases = OFFICIAL[residual]
    assert round(published, -5) == (12_100_000 if residual else 3_700_000)
    model = short_chunk_cnn.build(residual=residual, normalize=normalize(), frames=159)
    trainable = sum(v.value.shape.num_elements() for v in model.trainable_variables)
    assert trainable == published - biases - 512 - 2 - 48 * 513
    assert model.count_params() == (12_085_506 if residual else 3_665_026)


@pytest.mark.parametrize(("residual", "count"), [(False, 231_202), (True, 760_386)])
def test_parameters_of_the_small_one(residual, count):
    assert small(normalize=normalize(), residual=residual, frames=FRAMES).count_params() == count


def test_a_window_of_30_s_is_nine_chunks_of_the_papers_length():
    model = short_chunk_cnn.build(size="small", normalize=normalize())
    chunks = model.get_layer("chunks")
    assert (chunks.length, chunks.count) == (159, 9)
    assert chunks.length * 512 / 22_050 == pytest.approx(59_049 / 16_000, abs=0.5 * 512 / 22_050)


def test_seven_poolings_leave_one_place(rng):
    for residual, places in ((False, (1, 1)), (True, (1, 2))):
        model = short_chunk_cnn.build(size="small", residual=residual, normalize=normalize(), frames=159)
        assert model.get_layer("pool").input.shape[1:3] == places
    before, after = parts(model, mels(rng, 1, 159), "block7_act", "pool")
    np.testing.assert_array_equal(after, before.max((1, 2)))


@pytest.mark.parametrize("residual", [False, True])
def test_contract(residual, rng):
    contract.check_answers(partial(small, residual=residual), rng, frames=FRAMES)


def test_everything_random_can_be_turned_off(rng):
    contract.check_quiet(small, rng, frames=FRAMES)


@pytest.mark.parametrize("residual", [False, True])
def test_every_variable_gets_a_gradient(residual, rng):
    contract.check_gradients(partial(small, residual=residual), rng, frames=FRAMES)


def test_saved_and_loaded(tmp_path, rng):
    contract.check_saved(partial(small, residual=True), rng, tmp_path, frames=FRAMES)


def test_mixed_precision(rng):
    contract.check_half(partial(small, residual=True), rng, frames=FRAMES)


@pytest.mark.parametrize("residual", [False, True])
def test_chunks_are_averaged(residual, rng):
    contract.check_chunks(partial(small, residual=residual), rng, frames=FRAMES, length=129)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": "large"}, r"expected size one of published, small\. Received: large"),
        ({"frames": 150}, r"expected a window no shorter than a chunk of 159\. Received: 150"),
        ({"chunk_s": 2.9}, r"expected chunks of 128 frames \(3 s\) or more\. Received: 125 \(2.9 s\)"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(ValueError, match=message):
        short_chunk_cnn.build(normalize=normalize(), **wrong)
