"""A frozen ViT-S/14 (Dosovitskiy et al. 2020, arXiv:2010.11929; Oquab et al. 2023, DINOv2, arXiv:2304.07193).

The weights of `pretrained.fetch("vit", ...)` are DINOv2's, of which a saliency model fine-tuned the last
blocks: the middle ones tell most about sound.  The network is keras-hub's `ViTBackbone`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import keras
import numpy as np
from keras import layers

from ..contract import MEL, N_FRAMES
from ..errors import ConfigError
from ..layers.image import MelImage
from .weights import assign

IMAGE = 224  # pixels
PATCH = 14  # pixels
GRID = IMAGE // PATCH
LAYERS, HEADS, WIDTH, MLP_WIDTH = 12, 6, 384, 1536
# What ImageNet's pixels in [0, 1] are normalised by, red, green, blue.
MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])
EMBEDDING, ENCODER = "vit_patching_and_embedding", "vit_encoder"  # layers of ViTBackbone
CONFIG: dict[str, Any] = {  # its arguments
    "image_shape": (IMAGE, IMAGE, 3),
    "patch_size": (PATCH, PATCH),
    "num_layers": LAYERS,
    "num_heads": HEADS,
    "hidden_dim": WIDTH,
    "mlp_dim": MLP_WIDTH,
    "layer_norm_epsilon": 1e-6,
}


def hub() -> ModuleType:
    """The package `keras_hub`.  Raises: ConfigError where it is not installed."""
    try:
        import keras_hub.layers
        import keras_hub.models
    except ImportError:
        raise ConfigError(
            "expected keras-hub for this network, received an environment without it; "
            "pip install 'sentio-tf[train,pretrained]'"
        ) from None
    return keras_hub


def backbone(weights: Mapping[str, np.ndarray], *, num_layers: int = LAYERS) -> keras.Model:
    """keras-hub's `ViTBackbone` with these weights: images `(batch, 224, 224, 3)` in [-1, 1] -> `(batch, 257, 384)`.

    The tokens are the class token, then the patches row by row, behind the last normalisation.

    Args:
        weights: of `pretrained.load`.
        num_layers: the first blocks alone, 1 to 12.

    Raises: ConfigError without keras-hub; ValueError for another number of blocks, or weights of another network.
    """
    if not 1 <= num_layers <= LAYERS:
        raise ValueError(f"expected 1 to {LAYERS} blocks. Received: {num_layers}")
    model = hub().models.ViTBackbone(**{**CONFIG, "num_layers": num_layers})
    assign(((v.path.removeprefix(f"{model.name}/"), v) for v in model.weights), weights)
    return model


def build(weights: Mapping[str, np.ndarray], *, blocks: Sequence[int] = (6, 9), frames: int = N_FRAMES) -> keras.Model:
    """Log-mel `(batch, 128, frames, 1)` in dB -> {"block_6_class", "block_6_patches", ...}, each `(batch, 384)`.

    The class token and the mean of the patches behind each of `blocks` (counted from 1), before any last
    normalisation; the mel becomes a picture in `layers.image.MelImage`.

    Raises: as `backbone`; ValueError for no or unknown blocks.
    """
    if not blocks or not all(1 <= block <= LAYERS for block in blocks):
        raise ValueError(f"expected blocks between 1 and {LAYERS}. Received: {list(blocks)}")
    vit = backbone(weights, num_layers=max(blocks))
    mel = keras.Input((MEL.n_mels, frames, 1), name="log_mel")
    x = vit.get_layer(EMBEDDING)(MelImage(IMAGE, name="image")(mel))
    outputs = {}
    for i, block in enumerate(vit.get_layer(ENCODER).encoder_layers, 1):
        x = block(x)
        if i in blocks:
            first = layers.Cropping1D((0, GRID * GRID), name=f"block_{i}_first")(x)
            outputs[f"block_{i}_class"] = layers.Flatten(name=f"block_{i}_class")(first)
            patches = layers.Cropping1D((1, 0), name=f"block_{i}_rest")(x)
            outputs[f"block_{i}_patches"] = layers.GlobalAveragePooling1D(name=f"block_{i}_patches")(patches)
    model = keras.Model(mel, outputs, name="vit_encoder")
    model.trainable = False
    return model


def convert(model: Any) -> dict[str, np.ndarray]:
    """Weights of an ONNX graph of Hugging Face's `Dinov2Model`, by the names that `backbone` looks for.

    LayerScale goes into the layers before it, the normalisation of pixels into the first convolution (its
    pictures are in [-1, 1]), and the positions are resized to 16 x 16 patches.

    Args:
        model: `onnx.ModelProto`.

    Raises: KeyError for a graph without one of its tensors.
    """
    from onnx.numpy_helper import to_array

    tensors = {t.name: t for t in model.graph.initializer}
    # The exporter gave up the names of the matrices: the nodes that use them still have theirs.
    inputs = {node.name: list(node.input) for node in model.graph.node}

    def get(name: str) -> np.ndarray:
        return to_array(tensors[name]).astype(np.float64)

    def matrix(node: str) -> np.ndarray:
        return get(inputs[f"/backbone/{node}/MatMul"][1])

    projection = "backbone.embeddings.patch_embeddings.projection"
    kernel = get(f"{projection}.weight").transpose(2, 3, 1, 0)
    offset = np.einsum("hwco,c->o", kernel, (0.5 - MEAN) / STD)
    places = get(inputs["/backbone/embeddings/Reshape_1"][0])[0]
    side = round(len(places) ** 0.5)
    places = resize_positions(places.reshape(side, side, WIDTH), GRID).reshape(-1, WIDTH)
    found = {
        f"{EMBEDDING}/class_token": get("backbone.embeddings.cls_token"),
        f"{EMBEDDING}/patch_embedding/kernel": kernel * (0.5 / STD)[:, None],
        f"{EMBEDDING}/patch_embedding/bias": get(f"{projection}.bias") + offset,
        f"{EMBEDDING}/position_embedding/embeddings": np.concatenate(
            [get(inputs["/backbone/embeddings/Concat_6"][0])[0], places]
        ),
        f"{ENCODER}/ln/gamma": get("backbone.layernorm.weight"),
        f"{ENCODER}/ln/beta": get("backbone.layernorm.bias"),
    }
    for i in range(LAYERS):
        found |= _convert_block(i, get, matrix)
    return {name: value.astype(np.float32) for name, value in found.items()}


def _convert_block(i: int, get: Callable[[str], np.ndarray], matrix: Callable[[str], np.ndarray]):
    there, node, here = f"backbone.encoder.layer.{i}", f"encoder/layer.{i}", f"{ENCODER}/transformer_block_{i + 1}"
    heads = (HEADS, WIDTH // HEADS)
    scale_1, scale_2 = get(f"{there}.layer_scale1.lambda1"), get(f"{there}.layer_scale2.lambda1")
    found = {
        f"{here}/mha/attention_output/kernel": (matrix(f"{node}/attention/output/dense") * scale_1).reshape(
            *heads, WIDTH
        ),
        f"{here}/mha/attention_output/bias": get(f"{there}.attention.output.dense.bias") * scale_1,
        f"{here}/mlp/dense_1/kernel": matrix(f"{node}/mlp/fc1"),
        f"{here}/mlp/dense_1/bias": get(f"{there}.mlp.fc1.bias"),
        f"{here}/mlp/dense_2/kernel": matrix(f"{node}/mlp/fc2") * scale_2,
        f"{here}/mlp/dense_2/bias": get(f"{there}.mlp.fc2.bias") * scale_2,
    }
    for part in ("query", "key", "value"):
        found[f"{here}/mha/{part}/kernel"] = matrix(f"{node}/attention/attention/{part}").reshape(WIDTH, *heads)
        found[f"{here}/mha/{part}/bias"] = get(f"{there}.attention.attention.{part}.bias").reshape(heads)
    for n in (1, 2):
        found[f"{here}/ln_{n}/gamma"] = get(f"{there}.norm{n}.weight")
        found[f"{here}/ln_{n}/beta"] = get(f"{there}.norm{n}.bias")
    return found


def resize_positions(grid: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Bicubic resize of `(rows, columns, width)` to `size` (a number: as many rows as columns).

    As PyTorch does it: a = -.75, no antialiasing.
    """
    height, width = (size, size) if isinstance(size, int) else size
    rows, columns = _bicubic(grid.shape[0], height), _bicubic(grid.shape[1], width)
    return np.einsum("ai,bj,ijc->abc", rows, columns, grid, optimize=True)


def _bicubic(old: int, new: int, a: float = -0.75) -> np.ndarray:
    """Weights `(new, old)` of cubic convolution (Keys 1981), half-pixel centres, borders repeated."""
    weights = np.zeros((new, old))
    for i in range(new):
        place = (i + 0.5) * old / new - 0.5
        first = int(np.floor(place)) - 1
        for j in range(first, first + 4):
            d = abs(place - j)
            near = ((a + 2) * d - (a + 3)) * d * d + 1
            far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
            weights[i, min(max(j, 0), old - 1)] += near if d <= 1 else far
    return weights
