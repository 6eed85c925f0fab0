import keras
import numpy as np
import pytest

from sentio_tf.layers.normalize import BandNormalize, ClipZScore
from sentio_tf.models import mobilevit


def randomize_heads(model, rng):
    """The heads start at zero, where nothing below them matters yet."""
    for name in ("pool_logits", "statistics_logits"):
        if name in [layer.name for layer in model.layers]:
            kernel = model.get_layer(name).kernel
            kernel.assign(rng.standard_normal(kernel.shape) * 0.1)
    return model


@pytest.fixture
def shallow(monkeypatch):
    """One transformer block a stage, of 2, 4, 3: every kind of layer is there, and built in half the time."""
    monkeypatch.setattr(mobilevit, "DEPTHS", (1, 1, 1))


@pytest.mark.usefixtures("shallow")
def test_starts_at_neutral(rng):
    model = mobilevit.build(normalize=normalize(), height=64)
    x = (rng.standard_normal((2, 128, 1292, 1)) * 15 - 30).astype(np.float32)
    assert not model.predict(x, verbose=0).any()


def normalize():
    return BandNormalize(np.full(128, -30.0), np.full(128, 15.0), name="normalize")


@pytest.mark.parametrize("size", mobilevit.SIZES)
def test_parameters_are_the_papers(size):
    """With the paper's 1000-class head on RGB: within 2.5 % of 1.3, 2.3 and 5.6 M."""
    image = keras.Input((256, 256, 3))
    features = mobilevit.backbone(image, size)
    model = keras.Model(image, keras.layers.Dense(1000)(keras.layers.GlobalAveragePooling2D()(features)))
    assert model.count_params() == pytest.approx(mobilevit.SIZES[size].imagenet_parameters, rel=0.025)
    assert features.shape[1:3] == (8, 8)


@pytest.mark.parametrize("height", [64, 128])
def test_contract(height, rng):
    model = randomize_heads(mobilevit.build(normalize=normalize(), height=height), rng)
    assert model.input_shape == (None, 128, 1292, 1)
    assert model.output_shape == (None, 2)
    x = (rng.standard_normal((2, 128, 1292, 1)) * 15 - 30).astype(np.float32)
    y = model.predict(x, verbose=0)
    assert np.abs(y).max() <= 1
    assert np.ptp(y, axis=0).max() > 0, "the input matters"


@pytest.mark.usefixtures("shallow")
def test_calling_the_model_is_inference(rng):
    """keras.layers.Resizing switched the layers after it to training mode (BatchNorm, dropout)."""
    model = randomize_heads(mobilevit.build(normalize=normalize(), height=64), rng)
    x = (rng.standard_normal((3, 128, 1292, 1)) * 15 - 30).astype(np.float32)
    np.testing.assert_allclose(np.asarray(model(x)), model.predict(x, verbose=0), atol=1e-5)
    np.testing.assert_allclose(np.asarray(model(x)), np.asarray(model(x)), atol=0)


@pytest.mark.usefixtures("shallow")
def test_weights_of_short_crops_serve_whole_windows(rng):
    short = randomize_heads(mobilevit.build(normalize=ClipZScore(), frames=517, height=64), rng)
    whole = mobilevit.build(normalize=ClipZScore(), height=64)
    assert short.input_shape[2] == 517
    whole.set_weights(short.get_weights())
    for a, b in zip(short.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    # A sound without any change in time looks the same at every length.
    profile = rng.standard_normal((1, 128, 1, 1)).astype(np.float32) * 10
    a = short.predict(np.tile(profile, (1, 1, 517, 1)), verbose=0)
    b = whole.predict(np.tile(profile, (1, 1, 1292, 1)), verbose=0)
    np.testing.assert_allclose(a, b, atol=0.05)  # padding at the edges weighs more in a short crop


def test_unfold_groups_the_pixels_of_patches_and_fold_undoes_it(rng):
    x = rng.standard_normal((2, 4, 6, 3)).astype(np.float32)
    out = np.asarray(mobilevit.Unfold()(x))
    assert out.shape == (8, 6, 3)
    # Sequence 1 of clip 0: the upper right pixel of every 2x2 patch, patches in reading order.
    np.testing.assert_array_equal(out[1], x[0, 0::2, 1::2].reshape(6, 3))
    np.testing.assert_array_equal(np.asarray(mobilevit.Fold(4, 6)(out)), x)


@pytest.mark.usefixtures("shallow")
def test_every_variable_gets_a_gradient(rng):
    import tensorflow as tf

    model = mobilevit.build(normalize=normalize(), frames=517, height=64, dropout=0, head_dropout=0)
    randomize_heads(model, rng)
    x = (rng.standard_normal((4, 128, 517, 1)) * 15 - 30).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x, training=True) * rng.standard_normal((4, 2)).astype(np.float32))
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, [v.value for v in model.trainable_variables]), strict=True
    ):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path


@pytest.mark.usefixtures("shallow")
def test_augmentation_may_be_left_out(rng):
    """Then a student hears what its teacher hears; by default it is masked and noisy."""
    given = {"normalize": normalize(), "frames": 517, "height": 64}
    x = (rng.standard_normal((2, 128, 517, 1)) * 15 - 30).astype(np.float32)

    def differs(model, layer):
        part = keras.Model(model.input, model.get_layer(layer).output)
        return np.abs(np.asarray(part(x, training=True)) - np.asarray(part(x))).max()

    model = mobilevit.build(**given, gain_db=0, tilt_db=0)
    names = {layer.name for layer in model.layers}
    mask = model.get_layer("specaugment")
    assert (mask.freq_masks, mask.time_masks) == (2, 2)
    assert differs(model, "specaugment") > 0.1
    assert model.get_layer("statistics_noise").stddev == 0.2
    bare = mobilevit.build(**given, gain_db=0, tilt_db=0, masks=0, noise=0)
    assert names - {layer.name for layer in bare.layers} == {"specaugment"}
    assert differs(bare, "pairs") == 0
    assert bare.get_layer("statistics_noise").stddev == 0
    bare.set_weights(model.get_weights())  # of one network


@pytest.mark.usefixtures("shallow")
def test_random_layers_draw_numbers_of_their_own():
    """With one seed, masks would go with levels, and both with the noise."""
    model = mobilevit.build(normalize=normalize(), frames=517, height=64, seed=3)
    named = ("random_equalizer", "specaugment", "statistics_noise", "statistics_drop1", "statistics_drop2", "pool_drop")
    seeds = [model.get_layer(name).seed for name in named]
    assert None not in seeds
    assert len(set(seeds)) == len(seeds)
    again = mobilevit.build(normalize=normalize(), frames=517, height=64, seed=3)
    assert [again.get_layer(name).seed for name in named] == seeds


@pytest.mark.usefixtures("shallow")
def test_saved_and_loaded(tmp_path, rng):
    model = randomize_heads(mobilevit.build(normalize=normalize(), frames=517, height=64, statistics=0), rng)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    x = (rng.standard_normal((1, 128, 517, 1)) * 15 - 30).astype(np.float32)
    np.testing.assert_array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))


@pytest.mark.parametrize(("size", "wanted"), [("xxs", 1_056_100), ("xs", 2_042_388), ("s", 5_051_492)])
def test_parameters_with_the_head_of_emotions(size, wanted):
    """As the docstring says, and results/exports.json of the trained networks."""
    assert mobilevit.build(size=size, normalize=ClipZScore()).count_params() == wanted


@pytest.mark.parametrize("wrong", [{"size": "xl"}, {"width": 100}, {"height": 96}])
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match="expected"):
        mobilevit.build(normalize=normalize(), **wrong)
