import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from sentio_tf.export import graph
from sentio_tf.export.unfold import WIDEST, UnfoldedConv2D, unfold, unfolds
from sentio_tf.models import musicnn


def network(width: int = 20, height: int = 7, bands: int = 40, **how) -> keras.Model:
    x = keras.Input((24, bands, 1))
    y = layers.Conv2D(6, (height, width), **{"padding": "valid", "activation": "relu", **how}, name="tall")(x)
    return keras.Model(x, layers.Conv2D(2, 1, name="small")(y), name="trunk")


def drawn(model: keras.Model, rng) -> keras.Model:
    model.set_weights([rng.normal(size=w.shape).astype("float32") for w in model.get_weights()])
    return model


@pytest.mark.parametrize(("width", "height", "bands"), [(20, 7, 40), (17, 1, 17), (67, 7, 96)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_the_sum_is_the_same(width, height, bands, use_bias, rng):
    model = drawn(network(width, height, bands, use_bias=use_bias), rng)
    own = unfold(model)
    x = rng.normal(size=(3, *model.input_shape[1:])).astype("float32")
    np.testing.assert_allclose(own(x), model(x), rtol=1e-5, atol=1e-4)
    assert [w.path for w in own.weights] == [w.path for w in model.weights]
    assert (own.name, [y.name for y in own.layers[1:]]) == (model.name, ["tall", "small"])


def test_of_musicnn_the_two_tall_layers_of_each_network(rng):
    model = musicnn.build(weights=None, network="both", samples=musicnn.SPEC.samples(musicnn.PATCH_FRAMES))
    own = unfold(model)
    assert [y.name for y in own.layers if isinstance(y, UnfoldedConv2D)] == [
        f"{n}_{y}" for n in musicnn.NETWORKS for y in musicnn.TIMBRAL
    ]
    x = rng.normal(scale=0.1, size=(2, *model.input_shape[1:])).astype("float32")
    np.testing.assert_allclose(own(x), model(x), atol=1e-5)


@pytest.mark.parametrize("how", [{"strides": 2}, {"dilation_rate": 2}, {"padding": "same"}, {"width": WIDEST}])
def test_others_stay_as_they_are(how):
    model = network(**how)
    assert unfold(model) is model
    assert not any(map(unfolds, model.layers))


def test_a_layer_that_it_cannot_compute_is_refused():
    with pytest.raises(ValueError, match="one channel without strides"):
        UnfoldedConv2D(3, (3, 20), strides=2).build((None, 24, 40, 1))


def test_in_a_file_the_bands_are_channels(rng):
    """And it answers as Keras; the filter lies there folded, as one constant."""
    sound = keras.Input((24 * 40,), name="waveform")
    image = layers.Reshape((24, 40, 1))(sound)
    inner = network(20, 7, 40)
    plain = keras.Model(sound, layers.Dense(2)(layers.GlobalAveragePooling2D()(inner(image))), name="whole")
    drawn(plain, rng)
    flat = keras.Model(sound, plain.layers[-1](layers.GlobalAveragePooling2D()(unfold(inner)(image))), name="whole")
    content = graph.to_tflite(graph.hearing_model(flat, 24 * 40))
    found = Interpreter(model_content=content, num_threads=1)
    run = found.get_signature_runner("predict")
    x = rng.normal(size=(1, 24 * 40)).astype("float32")
    np.testing.assert_allclose(run(waveform=x)["valence_arousal"], plain(x), rtol=1e-4, atol=1e-4)
    shapes = [tuple(t["shape"]) for t in found.get_tensor_details()]
    assert (6, 7, 1, 20) in shapes
    assert (6, 7, 20, 1) not in shapes
