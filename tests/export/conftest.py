"""A small convolutional network in a float `.tflite`, one of whose layers INT8 ruins on purpose."""

from types import SimpleNamespace

import numpy as np
import pytest

from ..conftest import music

SCOPE = "small"


def network():
    """Convolutions, ReLU6, pooling, a dense head.

    `narrow` gives a channel that is always zero, on which every weight of `ruined` is 1000 times the others: in INT8
    the others are zero, and only float weights of `ruined` bring them back.
    """
    import keras
    from keras import layers

    from sentio_tf.layers.normalize import BandNormalize

    keras.utils.set_random_seed(3)
    mel = keras.Input((128, 1292, 1), name="log_mel")
    x = BandNormalize(np.full(128, -30.0), np.full(128, 15.0), name="normalize")(mel)
    x = layers.AveragePooling2D((8, 8), name="shrink")(x)
    for name, width in (("stem", 8), ("narrow", 8)):
        x = layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False, name=name)(x)
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        x = layers.ReLU(6.0, name=f"{name}_act")(x)
    x = layers.Conv2D(8, 1, activation="relu6", name="ruined")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu6", name="deep")(x)
    x = layers.Conv2D(8, 1, activation="relu6", name="last")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(mel, layers.Dense(2, activation="tanh", name="head")(x), name=SCOPE)

    rng = np.random.default_rng(0)
    for name in ("stem_bn", "narrow_bn"):
        norm = model.get_layer(name)
        norm.beta.assign(rng.uniform(0.2, 0.8, norm.beta.shape))
        norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape))
    beta = model.get_layer("narrow_bn").beta.numpy()
    beta[0] = -100
    model.get_layer("narrow_bn").beta.assign(beta)
    kernel = model.get_layer("ruined").kernel.numpy()
    kernel[:, :, 0] = 1000 * np.abs(kernel).max()
    model.get_layer("ruined").kernel.assign(kernel)
    head = model.get_layer("head")
    kernel = rng.standard_normal(head.kernel.shape)
    head.kernel.assign(8 * (kernel - kernel.mean(axis=0)))  # answers that differ from song to song
    return model


@pytest.fixture(scope="session")
def small():
    """A float file, what was measured of it, and songs that this did not hear; `int8(...)` quantises it."""
    from sentio_tf.export import graph, quantize

    model = graph.waveform_model(network(), transform="matmul")
    loud = (1, 0.02, 0.2, 0.5, 0.04, 1)
    windows = [gain * music(30, seed=i)[:661_500] for i, gain in enumerate(loud)]
    exact, front_end = graph.to_tflite(model), graph.front_end(model)
    given = {"scope": SCOPE, "front_end": front_end}
    ranges = quantize.measure(exact, windows[:3], **given)
    made: dict[str, bytes] = {}

    def int8(**options) -> bytes:
        if str(options) not in made:
            made[str(options)] = quantize.quantize(exact, "int8", ranges=ranges, **given, **options)
        return made[str(options)]

    return SimpleNamespace(
        exact=exact,
        front_end=front_end,
        calibrating=windows[:3],
        compared=windows[3:],
        given=given,
        ranges=ranges,
        int8=int8,
    )
