import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sentio_tf.models import musicnn, pretrained

GOLDEN = Path(__file__).parent / "golden" / "musicnn.json"


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
    model = musicnn.build(musicnn.convert(pretrained.read_bundle(index, data), network), network)
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
    model = musicnn.build(musicnn.convert(random_checkpoint(0), "msd"))
    x = rng.random((2, 187, 96)).astype(np.float32)
    np.testing.assert_allclose(model(x, training=True)["logits"], model(x)["logits"], atol=1e-6)


def test_another_network_is_refused():
    with pytest.raises(ValueError, match=r"expected network one of msd, mtt\. Received: vgg"):
        musicnn.build({}, "vgg")


def test_weights_that_do_not_fit_are_refused():
    weights = musicnn.convert(random_checkpoint(0), "msd")
    with pytest.raises(ValueError, match=r"mtt/input_bn/gamma of shape \(1,\)\. Received: no such weights"):
        musicnn.build(weights, "mtt")
    weights["msd/logits/bias"] = np.zeros(49, np.float32)
    with pytest.raises(ValueError, match=r"msd/logits/bias of shape \(50,\)\. Received: \(49,\)"):
        musicnn.build(weights, "msd")


@pytest.mark.network
def test_published_weights_give_the_published_graphs_logits(tmp_path):
    """Golden: TensorFlow 2.21 ran the wheel's own `.meta` graphs with their checkpoints on the same patch."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    weights = pretrained.load(pretrained.fetch("musicnn", tmp_path))
    x = (golden["scale"] * np.random.default_rng(golden["seed"]).random((1, 187, 96))).astype(np.float32)
    for network in musicnn.NETWORKS:
        found = musicnn.build(weights, network).predict_on_batch(x)["logits"][0]
        np.testing.assert_allclose(found, golden["logits"][network], atol=5e-6, rtol=0)
        assert len(set(weights[f"{network}/tags"])) == 50
    assert {"happy", "sad", "party", "Mellow"} <= set(weights["msd/tags"])
