import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from sentio_tf.audio import decode
from sentio_tf.audio.musicnn_mel import musicnn_mel, patches
from sentio_tf.errors import ModelError
from sentio_tf.models import musicnn, pretrained

from .contract import awake, precision

GOLDEN = Path(__file__).parent / "golden" / "musicnn.json"
PATCH = 186 * 256  # samples of one patch


def shapes():
    """Variables of the published checkpoints."""
    found = {}
    front = [((7, 38), 204), ((7, 67), 204), ((128, 1), 51), ((64, 1), 51), ((32, 1), 51)]
    for i, (kernel, filters) in enumerate([*front, ((7, 561), 64), ((7, 64), 64), ((7, 64), 64)]):
        scope = f"conv2d_{i}" if i else "conv2d"
        found |= {f"{scope}/kernel": (*kernel, 1, filters), f"{scope}/bias": (filters,)}
    for i, width in enumerate([1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200]):
        scope = f"batch_normalization_{i}" if i else "batch_normalization"
        found |= {f"{scope}/{part}": (width,) for part in ("gamma", "beta", "moving_mean", "moving_variance")}
    found |= {"dense/kernel": (1506, 200), "dense/bias": (200,), "dense_1/kernel": (200, 50), "dense_1/bias": (50,)}
    return found


def random_checkpoint(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    found = {}
    for name, shape in shapes().items():
        if name.endswith("kernel"):
            value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))
        elif name.endswith(("gamma", "variance")):
            value = rng.random(shape) + 0.5
        else:
            value = rng.standard_normal(shape) * 0.2
        found[name] = value.astype(np.float32)
    return found


def reference(v: dict[str, np.ndarray], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits and pooled features `(batch, 753, 2)` = maximum, mean, step by step as the papers draw the network."""

    def normalized(x, i):
        scope = f"batch_normalization_{i}" if i else "batch_normalization"
        mean, variance = v[f"{scope}/moving_mean"], v[f"{scope}/moving_variance"]
        return tf.nn.batch_normalization(x, mean, variance, v[f"{scope}/beta"], v[f"{scope}/gamma"], 1e-3)

    def convolved(x, i, padding):
        scope = f"conv2d_{i}" if i else "conv2d"
        return tf.nn.relu(tf.nn.conv2d(x, v[f"{scope}/kernel"], 1, padding) + v[f"{scope}/bias"])

    def in_time(x):
        return tf.pad(x, [[0, 0], [3, 3], [0, 0], [0, 0]])

    x = normalized(x[..., None], 0)
    front = [tf.reduce_max(normalized(convolved(in_time(x), i, "VALID"), i + 1), 2) for i in (0, 1)]
    front += [tf.reduce_max(normalized(convolved(x, i, "SAME"), i + 1), 2) for i in (2, 3, 4)]
    parts = [tf.concat(front, 2)[..., None]]
    for i in (5, 6, 7):
        y = tf.transpose(normalized(convolved(in_time(parts[-1]), i, "VALID"), i + 1), [0, 1, 3, 2])
        parts.append(y if i == 5 else y + parts[-1])
    x = tf.concat(parts, 2)
    pooled = tf.concat([tf.reduce_max(x, 1), tf.reduce_mean(x, 1)], 2)
    x = normalized(tf.reshape(pooled, (len(pooled), -1)), 9)
    x = normalized(tf.nn.relu(x @ v["dense/kernel"] + v["dense/bias"]), 10)
    return (x @ v["dense_1/kernel"] + v["dense_1/bias"]).numpy(), pooled.numpy()


def save_checkpoint(folder: Path, values: dict[str, np.ndarray]) -> None:
    """As TensorFlow writes it, with the nameless prefix of the published ones."""
    folder.mkdir(parents=True)
    names = sorted(values)
    tf.raw_ops.SaveV2(
        prefix=f"{folder}/",
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(values[n]) for n in names],
    )


@pytest.mark.parametrize("network", musicnn.NETWORKS)
def test_it_is_the_papers_network(network, tmp_path, rng):
    """Checkpoint -> arrays -> Keras against plain convolutions, with weights of which none is neutral."""
    values = random_checkpoint(len(network))
    save_checkpoint(
        tmp_path / "model", {**values, "conv2d/kernel/Adam": np.float32([1, 2]), "beta1_power": np.float32(3)}
    )
    index, data = ((tmp_path / "model" / name).read_bytes() for name in (".index", ".data-00000-of-00001"))
    model = musicnn.tagger(musicnn.convert(pretrained.read_bundle(index, data), network), network)
    x = (3 * rng.random((2, 187, 96))).astype(np.float32)
    found = model.predict_on_batch(x)
    logits, pooled = reference(values, x)
    assert np.abs(logits).max() > 1
    np.testing.assert_allclose(found["logits"], logits, atol=5e-6 * np.abs(logits).max(), rtol=0)
    np.testing.assert_allclose(
        found["pooled"], pooled.transpose(0, 2, 1).reshape(2, -1), atol=5e-6 * np.abs(pooled).max(), rtol=0
    )
    assert model.count_params() == sum(v.size for v in values.values())
    assert model.trainable_weights == []
    assert found["pooled"].shape[1] == 2 * musicnn.FEATURES


def test_frozen_means_inference(rng):
    """Batch normalisation keeps its statistics, also where a training step calls the network."""
    model = musicnn.tagger(musicnn.convert(random_checkpoint(0), "msd"))
    x = rng.random((2, 187, 96)).astype(np.float32)
    np.testing.assert_allclose(model(x, training=True)["logits"], model(x)["logits"], atol=1e-6)


def test_another_tagger_is_refused():
    with pytest.raises(ValueError, match=r"expected network one of msd, mtt\. Received: vgg"):
        musicnn.tagger({}, "vgg")


def test_weights_that_do_not_fit_are_refused():
    weights = musicnn.convert(random_checkpoint(0), "msd")
    with pytest.raises(ValueError, match=r"mtt/input_bn/gamma of shape \(1,\)\. Received: no such weights"):
        musicnn.tagger(weights, "mtt")
    weights["msd/logits/bias"] = np.zeros(49, np.float32)
    with pytest.raises(ValueError, match=r"msd/logits/bias of shape \(50,\)\. Received: \(49,\)"):
        musicnn.tagger(weights, "msd")


@pytest.fixture(scope="module")
def checkpoints():
    """Weights of both networks, of which none is neutral."""
    return musicnn.convert(random_checkpoint(3), "msd") | musicnn.convert(random_checkpoint(4), "mtt")


@pytest.fixture(scope="module")
def single(checkpoints):
    """For one patch; the head answers."""
    return answering(musicnn.build(weights=checkpoints, samples=PATCH))


def answering(model):
    """The head starts at zero, where nothing below it matters yet; 1506 features need small weights."""
    kernel = awake(model, np.random.default_rng(1)).get_layer("head_logits").kernel
    kernel.assign(kernel * 0.05)
    return model


def output_of(model, name):
    return keras.Model(model.input, model.get_layer(name).output)


def listen(tune, samples):
    return decode.load(tune, duration_s=31, sample_rate=16_000)[None, :samples]


def check_parity(weights, network, y):
    """What the trunk pools, and the head hears, equals the tagger's on the numpy front end."""
    model, tagger = (
        musicnn.build(weights=weights, network=network, samples=y.shape[1]),
        musicnn.tagger(weights, network),
    )
    x = patches(musicnn_mel(y[0]))
    for here, there in ((f"{network}_pooled", "pooled"), (f"{network}_pooled_bn", "pooled_bn")):
        found, expected = output_of(model, here).predict_on_batch(y), output_of(tagger, there).predict_on_batch(x)
        assert found.shape == expected.shape == (len(x), 1506)
        # Single precision: what is pooled reaches 125, and is normalised by the layer behind.
        np.testing.assert_allclose(
            found, expected, atol=1e-4 if there == "pooled_bn" else 5e-6 * expected.max(), rtol=0
        )


def test_the_head_hears_what_the_tagger_pools(checkpoints, tune):
    """Windows of 10 patches and a rest that is not heard: front end, cutting and trunk together."""
    check_parity(checkpoints, "mtt", listen(tune, 10 * 187 * 256 + 9000))


@pytest.mark.network
def test_published_weights_hear_what_the_tagger_pools(tmp_path, tune):
    weights = musicnn.source("pypi", tmp_path)["weights"]
    for network in musicnn.NETWORKS:
        check_parity(weights, network, listen(tune, musicnn.WINDOW_SAMPLES))


@pytest.mark.parametrize(("seconds", "count"), [(30, 10), (3, 1), (3.9, 1), (4.1, 2), (12, 4)])
def test_patches_of_a_window(seconds, count):
    """As many as `audio.musicnn_mel.patches` cuts."""
    model = musicnn.build(weights=None, samples=round(seconds * 16_000))
    assert model.get_layer("patch_mean").n == count
    assert len(patches(np.zeros((1 + round(seconds * 16_000) // 256, 96)))) == count


def test_the_same_weights_serve_every_length(single, checkpoints, tune):
    """The head hears the mean of what its patches give alone."""
    samples = 3 * 187 * 256
    whole = musicnn.build(weights=None, samples=samples)
    whole.set_weights(single.get_weights())
    y = listen(tune, samples)
    mel = output_of(whole, "chunks").predict_on_batch(y)
    assert len(mel) == 3
    inner = keras.Model(single.get_layer("image").output, single.get_layer("msd_pooled_bn").output)
    mean = inner.predict_on_batch(mel[..., None]).mean(axis=0)
    kernel, bias = single.get_layer("head_logits").get_weights()
    np.testing.assert_allclose(whole.predict_on_batch(y)[0], np.tanh(mean @ kernel + bias), atol=1e-4)


def test_contract(single, tune):
    assert single.input_shape == (None, PATCH)
    assert [layer.name for layer in (single.layers[0], single.layers[-1])] == ["waveform", "valence_arousal"]
    y = single.predict_on_batch(np.concatenate([listen(tune, PATCH), np.zeros((1, PATCH), np.float32)]))
    assert y.shape == (2, 2)
    assert np.abs(y).max() <= 1
    assert np.ptp(y, axis=0).max() > 1e-3, "the input matters"


def test_starts_at_neutral(checkpoints, tune):
    assert not musicnn.build(weights=checkpoints, samples=PATCH).predict_on_batch(listen(tune, PATCH)).any()


@pytest.mark.parametrize(("network", "count"), [("msd", 482_843), ("mtt", 482_843), ("both", 965_684)])
def test_parameters(network, count):
    """The published trunk (all but its dense layers) and a linear head."""
    model = musicnn.build(weights=None, network=network, samples=PATCH)
    assert model.count_params() == count
    published = sum(int(np.prod(shape)) for name, shape in shapes().items() if not name.startswith("dense"))
    trunks = (published - 4 * 200) * (2 if network == "both" else 1)
    assert count == trunks + model.get_layer("head_logits").count_params()


def test_both_networks_side_by_side(checkpoints, tune):
    y = listen(tune, PATCH)
    found = output_of(musicnn.build(weights=checkpoints, network="both", samples=PATCH), "pooled").predict_on_batch(y)
    for i, network in enumerate(musicnn.NETWORKS):
        alone = musicnn.build(weights=checkpoints, network=network, samples=PATCH)
        expected = output_of(alone, f"{network}_pooled_bn").predict_on_batch(y)
        np.testing.assert_allclose(found[:, 1506 * i : 1506 * (i + 1)], expected, atol=1e-5)


@pytest.mark.parametrize("network", ["mtt", "both"])
def test_stages_hold_all_but_the_head(network):
    model = musicnn.build(weights=None, network=network, head_units=(8,), samples=PATCH)
    stages = musicnn.stages(model)
    own = [layer for stage in stages for layer in stage]
    assert len(own) == len({id(layer) for layer in own})
    rest = {layer.name for layer in model.layers if layer.weights and layer not in own}
    assert rest == {"head_dense1", "head_logits"}
    names = [[layer.name.partition("_")[2] for layer in stage if layer.name.startswith("mtt_")] for stage in stages]
    assert names[0][0] == "input_bn"
    assert len(names[0]) == 11
    assert names[1:] == [
        ["midend_1", "midend_1_bn"],
        ["midend_2", "midend_2_bn"],
        ["midend_3", "midend_3_bn", "pooled_bn"],
    ]
    assert stages[-1][-1].name == "patch_mean"
    for layer in own:
        layer.trainable = False
    assert {v.path.partition("/")[0] for v in model.trainable_variables} == rest


def test_frozen_stages_are_as_in_use(checkpoints, tune):
    """Without augmentation, a training step hears what use hears: normalisation keeps its statistics."""
    model = answering(musicnn.build(weights=checkpoints, samples=PATCH, dropout=0))
    y = np.repeat(listen(tune, PATCH), 2, axis=0)
    assert not np.allclose(model(y, training=True), model(y), atol=1e-3)
    for stage in musicnn.stages(model):
        for layer in stage:
            layer.trainable = False
    np.testing.assert_allclose(model(y, training=True), model(y), atol=1e-5)


@pytest.mark.parametrize("network", ["msd", "both"])
def test_what_rests_can_be_cut_off_with_one_row_a_window(network):
    model = musicnn.build(weights=None, network=network, samples=2 * 187 * 256)
    between = musicnn.stages(model)[-1][-1].output
    front, head = keras.Model(model.input, between), keras.Model(between, model.output)
    assert front.predict_on_batch(np.zeros((3, 2 * 187 * 256))).shape == (3, *head.input_shape[1:])
    assert {layer.name for layer in head.layers if layer.weights} == {"head_logits"}


def test_augmentation_is_for_training_only(checkpoints, tune):
    model = answering(musicnn.build(weights=checkpoints, samples=PATCH, level_db=6, masks=1, seed=2))
    y = listen(tune, PATCH)
    np.testing.assert_array_equal(model(y), model(y))
    for name in ("random_gain", "specaugment"):
        part = output_of(model, name)
        np.testing.assert_array_equal(part(y), part(y))
        assert not np.allclose(part(y, training=True), part(y))
    assert "specaugment" not in [layer.name for layer in musicnn.build(weights=None, samples=PATCH).layers]


def test_saved_and_loaded(single, tmp_path, tune):
    single.save(tmp_path / "m.keras")
    y = listen(tune, PATCH)
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(single.predict_on_batch(y), loaded.predict_on_batch(y))


def test_mixed_precision(single, checkpoints, tune):
    with precision("mixed_bfloat16"):
        half = answering(musicnn.build(weights=checkpoints, samples=PATCH))
    y = listen(tune, PATCH)
    found = half(y)
    assert found.dtype == "float32"
    assert half.get_layer("msd_midend_1").compute_dtype == "bfloat16"
    assert {half.get_layer(n).compute_dtype for n in ("random_gain", "musicnn_mel", "chunks", "image")} == {"float32"}
    np.testing.assert_allclose(found, single(y), atol=0.1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"network": "vgg"}, r"expected network one of msd, mtt, both\. Received: vgg"),
        ({"samples": PATCH - 1}, r"expected 47616 samples \(3 s\) or more\. Received: 47615"),
        ({"weights": {}}, r"expected msd/input_bn/gamma of shape \(1,\)\. Received: no such weights"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(ValueError, match=message):
        musicnn.build(**{"weights": None, **wrong})


def test_sources(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(pretrained, "fetch", lambda name, root, *, report: asked.append((name, root, report)) or "file")
    monkeypatch.setattr(pretrained, "load", lambda file: {"from": file})
    assert musicnn.source("random", tmp_path) == {"weights": None}
    assert asked == []
    assert musicnn.source("pypi", tmp_path, report=print) == {"weights": {"from": "file"}}
    assert asked == [("musicnn", tmp_path, print)]
    with pytest.raises(ModelError, match=r"weights: expected pypi or random for musicnn, received 'msd'"):
        musicnn.source("msd", tmp_path)


@pytest.mark.network
def test_published_weights_give_the_published_graphs_logits(tmp_path):
    """Golden: TensorFlow 2.21 ran the wheel's own `.meta` graphs with their checkpoints on the same patch."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    weights = pretrained.load(pretrained.fetch("musicnn", tmp_path))
    x = (golden["scale"] * np.random.default_rng(golden["seed"]).random((1, 187, 96))).astype(np.float32)
    for network in musicnn.NETWORKS:
        found = musicnn.tagger(weights, network).predict_on_batch(x)["logits"][0]
        np.testing.assert_allclose(found, golden["logits"][network], atol=5e-6, rtol=0)
        assert len(set(weights[f"{network}/tags"])) == 50
    assert {"happy", "sad", "party", "Mellow"} <= set(weights["msd/tags"])
