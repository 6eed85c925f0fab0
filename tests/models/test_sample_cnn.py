import keras
import numpy as np
import pytest

from sentio_tf.contract import WINDOW_SAMPLES
from sentio_tf.layers.chunks import chunk_starts
from sentio_tf.models import sample_cnn
from sentio_tf.models.sample_cnn import CHUNK

from .contract import awake, precision


def answering(model):
    return awake(model, np.random.default_rng(1))


@pytest.fixture(scope="module")
def single():
    """For one chunk."""
    keras.utils.set_random_seed(0)
    return answering(sample_cnn.build(size="small", samples=CHUNK))


@pytest.mark.parametrize(("size", "count"), [("published", 1_851_138), ("small", 118_722)])
def test_parameters(size, count):
    model = sample_cnn.build(size=size, samples=CHUNK)
    assert model.count_params() == count
    assert model.get_layer("last_conv").output.shape[1] == 1, "nine times a third of 3^9 frames"


def test_convolutions_are_the_papers():
    """The paper counts them without batch normalisation, with a head of 50 tags: 1.9 M."""
    model = sample_cnn.build(samples=CHUNK)
    counts = [layer.count_params() for layer in model.layers if layer.name.endswith("_conv")]
    assert counts == [512, 49_280, 49_280, 98_560, *[196_864] * 5, 393_728, 262_656]
    assert sum(counts) + 512 * 50 + 50 == 1_863_986


def test_contract(make_music):
    model = answering(sample_cnn.build(size="small"))
    assert model.input_shape == (None, WINDOW_SAMPLES) == (None, 661_500)
    assert [layer.name for layer in (model.layers[0], model.layers[-1])] == ["waveform", "valence_arousal"]
    assert model.get_layer("valence_arousal").n == 12
    y = model.predict_on_batch(np.stack([make_music(30), make_music(30, seed=1)]))
    assert y.shape == (2, 2)
    assert np.abs(y).max() <= 1
    assert np.ptp(y, axis=0).max() > 1e-4, "the input matters"


def test_a_window_is_the_mean_of_its_chunks(single, make_music):
    samples = 2 * CHUNK + 5000
    whole = sample_cnn.build(size="small", samples=samples)
    whole.set_weights(single.get_weights())
    y = np.stack([make_music(6, seed=i)[:samples] for i in range(2)])
    starts = chunk_starts(samples, CHUNK)
    assert len(starts) == 3
    alone = [single.predict_on_batch(y[:, start : start + CHUNK]) for start in starts]
    assert np.ptp(alone, axis=0).max() > 1e-5, "chunks differ"
    np.testing.assert_allclose(whole.predict_on_batch(y), np.mean(alone, axis=0), atol=1e-6)


def test_starts_at_neutral(make_music):
    assert not sample_cnn.build(size="small", samples=CHUNK).predict_on_batch(make_music(3)[None, :CHUNK]).any()


def test_augmentation_is_for_training_only(single, make_music):
    y = make_music(3)[None, :CHUNK]
    np.testing.assert_array_equal(single(y), single(y))
    gain = keras.Model(single.input, single.get_layer("random_gain").output)
    np.testing.assert_array_equal(gain(y), y)
    assert not np.allclose(gain(y, training=True), y)
    off = sample_cnn.build(size="small", samples=CHUNK, gain_db=0, polarity=False)
    np.testing.assert_array_equal(keras.Model(off.input, off.get_layer("random_gain").output)(y, training=True), y)


def test_without_augmentation_training_repeats_itself(make_music):
    """All that is random can be switched off, so that backends can be compared."""
    model = answering(sample_cnn.build(size="small", samples=CHUNK, gain_db=0, polarity=False, dropout=0))
    y = np.stack([make_music(3, seed=i)[:CHUNK] for i in range(2)])
    first = np.asarray(model(y, training=True))
    np.testing.assert_allclose(model(y, training=True), first, atol=1e-5)
    assert not np.allclose(first, model(y), atol=1e-4), "batch statistics"


def test_every_variable_gets_a_gradient(single, make_music):
    import tensorflow as tf

    y = np.stack([make_music(3, seed=i)[:CHUNK] for i in range(3)])
    weights = np.random.default_rng(2).standard_normal((3, 2)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(single(y, training=True) * weights)
    variables = single.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, [v.value for v in variables]), strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
        if variable.name in ("kernel", "gamma"):
            assert np.abs(gradient).max() > 0, variable.path


def test_saved_and_loaded(single, tmp_path, make_music):
    single.save(tmp_path / "m.keras")
    y = make_music(3)[None, :CHUNK]
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(single.predict_on_batch(y), loaded.predict_on_batch(y))


def test_mixed_precision(single, make_music):
    with precision("mixed_bfloat16"):
        half = sample_cnn.build(size="small", samples=CHUNK)
    half.set_weights(single.get_weights())
    y = make_music(3)[None, :CHUNK]
    assert half(y).dtype == "float32"
    assert half.get_layer("block1_conv").compute_dtype == "bfloat16"
    np.testing.assert_allclose(half(y), single(y), atol=0.05)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": "large"}, r"expected size one of published, small\. Received: large"),
        ({"samples": CHUNK - 1}, r"expected a window no shorter than a chunk of 59049\. Received: 59048"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(ValueError, match=message):
        sample_cnn.build(**wrong)
