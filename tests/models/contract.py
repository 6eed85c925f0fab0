"""What every network on the log-mel promises, checked alike."""

from __future__ import annotations

from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from sentio_tf.layers.chunks import chunk_starts
from sentio_tf.layers.normalize import BandNormalize

QUIET = {"gain_db": 0, "tilt_db": 0, "masks": 0, "head_dropout": 0}  # nothing random but the blocks' dropout


def normalize():
    return BandNormalize(np.full(128, -30.0), np.full(128, 15.0), name="normalize")


def mels(rng, batch: int, frames: int) -> np.ndarray:
    return (rng.standard_normal((batch, 128, frames, 1)) * 15 - 30).astype(np.float32)


def awake(model, rng):
    """The last layer starts at zero, where nothing before it matters yet."""
    kernel = model.get_layer("head_logits").kernel
    kernel.assign(rng.standard_normal(kernel.shape) * kernel.shape[0] ** -0.5)
    return model


def parts(model, x, *names: str) -> list[np.ndarray]:
    """Outputs of the layers `names`."""
    found = keras.Model(model.input, {name: model.get_layer(name).output for name in names})(x)
    return [np.asarray(found[name]) for name in names]


@contextmanager
def precision(policy: str):
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def check_answers(build, rng, *, frames: int) -> None:
    """Names, shapes and range; neutral at first, then the input matters; inference is the same each time."""
    model = build(normalize=normalize(), frames=frames, seed=1)
    x = mels(rng, 3, frames)
    assert not np.any(model(x)), "starts at neutral"
    awake(model, rng)
    assert model.input_shape == (None, 128, frames, 1)
    assert model.output_shape == (None, 2)
    assert model.input.name == "log_mel"
    assert model.output_names == ["valence_arousal"]
    y = np.asarray(model(x))
    assert y.dtype == np.float32
    assert np.abs(y).max() <= 1
    assert np.ptp(y, axis=0).max() > 0, "the input matters"
    np.testing.assert_array_equal(y, model(x))
    np.testing.assert_allclose(model(x[1:2]), y[1:2], atol=1e-5, err_msg="the others in the batch do not matter")
    noisy = np.asarray(model(x, training=True))
    assert np.isfinite(noisy).all()
    assert np.abs(noisy - y).max() > 1e-3, "training is not inference"


def check_quiet(build, rng, *, frames: int) -> None:
    """With everything random off, training gives the same answer twice."""
    model = awake(build(normalize=normalize(), frames=frames, **QUIET), rng)
    x = mels(rng, 2, frames)
    # atol: batch normalisation sums in whatever order.
    np.testing.assert_allclose(model(x, training=True), model(x, training=True), atol=1e-6)


def check_gradients(build, rng, *, frames: int, zero: tuple[str, ...] = ()) -> None:
    """Every variable learns, and none twice."""
    model = awake(build(normalize=normalize(), frames=frames, **QUIET), rng)
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(mels(rng, 3, frames), training=True) * rng.standard_normal((3, 2)).astype("f"))
    for variable, gradient in zip(variables, tape.gradient(loss, [v.value for v in variables]), strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient) or variable.path.endswith(zero), variable.path


def check_saved(build, rng, folder, *, frames: int) -> None:
    model = awake(build(normalize=normalize(), frames=frames), rng)
    model.save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras")
    x = mels(rng, 2, frames)
    np.testing.assert_array_equal(model(x), loaded(x))


def check_half(build, rng, *, frames: int) -> None:
    """bfloat16 inside, float32 outside, and no far answer."""
    keras.utils.set_random_seed(0)  # else the weights depend on the tests before
    full = awake(build(normalize=normalize(), frames=frames), rng)
    with precision("mixed_bfloat16"):
        half = build(normalize=normalize(), frames=frames)
    half.set_weights(full.get_weights())
    x = mels(rng, 2, frames)
    np.testing.assert_allclose(half(x), full(x), atol=0.05)
    for training in (False, True):
        y = np.asarray(half(x, training=training))
        assert y.dtype == np.float32
        assert np.isfinite(y).all()
    assert [v.dtype for v in half.trainable_variables] == ["float32"] * len(full.trainable_variables)


def check_chunks(build, rng, *, frames: int, length: int) -> None:
    """The answer to a window is the mean of the answers to its chunks, by the same weights."""
    whole = awake(build(normalize=normalize(), frames=frames), rng)
    chunk = build(normalize=normalize(), frames=length)
    chunk.set_weights(whole.get_weights())
    x = mels(rng, 2, frames)
    starts = chunk_starts(frames, length)
    assert len(starts) > 1
    answers = np.stack([chunk(x[:, :, start : start + length]) for start in starts])
    assert np.ptp(answers, axis=0).max() > 1e-3, "the chunks differ"
    np.testing.assert_allclose(whole(x), answers.mean(0), atol=1e-5)
