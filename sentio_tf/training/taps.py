"""What a teacher shows of its inside, and where a student is asked for the same: maps over bands and time.

A tap is a tensor `(batch, bands, time, channels)` of a network.  Networks differ in all four, so teacher and student
are brought to one grid, on which the student's channels are projected to the teacher's (features), or both are reduced
to how strongly each place of the grid is active (attention).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from ..errors import ConfigError
from ..layers.chunks import ChunkMean
from ..models.vit import ViTPart, patch_grid

FINER = 4  # attention is read where time is so many times finer than at the end

Taps = dict[str, Any]  # "features", "attention" -> Keras tensor (batch, bands, time, channels)


def taps(name: str, network: keras.Model) -> Taps:
    """Both taps of a network of `models.MODELS`.  Raises: ConfigError for a network that has none."""
    check_tapped(name)
    return TAPS[name](network)


def check_tapped(name: str) -> None:
    """Raises: ConfigError for the name of a network without taps."""
    if name not in TAPS:
        raise ConfigError(
            f"features, attention: expected networks with taps ({', '.join(TAPS)}), received {name}; set "
            "terms.features and terms.attention to 0, its answers alone are taught then"
        )


def check_trained(name: str, below: Mapping[str, keras.Model]) -> None:
    """Raises: ConfigError where nothing of a network trains below the tap of a term.

    Args:
        below: term -> the part of the network `name` up to its tap, with trainable what ever trains.
    """
    for term, part in below.items():
        if not part.trainable_variables:
            raise ConfigError(
                f"terms.{term}: expected layers that train below the tap of {name}, received stages that never do by "
                f"unfreeze, so that nothing can learn from it; set terms.{term}=0, or let more stages train"
            )


def _convolutions(network: keras.Model) -> Taps:
    """The last map, and the last one whose time is `FINER` times as fine; of networks that end with a mean over it."""
    maps = [layer.output for layer in network.layers if _is_map(layer)]
    last = network.get_layer("pool").input
    finer = [x for x in maps if x.shape[2] >= FINER * last.shape[2] and x.shape[-1] > 1]
    return {"features": last, "attention": (finer or [last])[-1]}


def _is_map(layer: keras.layers.Layer) -> bool:
    shape = getattr(layer.output, "shape", ())
    return len(shape) == 4 and None not in shape[1:]


def _musicnn(network: keras.Model) -> Taps:
    """What is pooled, mean over the patches, and the frames of front and mid-end of the first of its networks."""
    mean = next(layer for layer in network.layers if isinstance(layer, ChunkMean))
    frames = next(layer.output for layer in network.layers if layer.name.endswith("_features"))
    return {
        "features": ops.reshape(mean.output, (-1, 1, 1, mean.output.shape[-1])),
        "attention": ops.reshape(frames, (-1, 1, mean.n * frames.shape[1], frames.shape[-1])),
    }


def _vit(network: keras.Model) -> Taps:
    """The patches behind the middle block, without the class token: the last blocks know pictures, not sound."""
    parts = [layer for layer in network.layers if isinstance(layer, ViTPart)]
    embedding = parts[0].arguments
    rows, columns = patch_grid(embedding["image_size"], embedding["patch_size"])
    tokens = parts[len(parts) // 2].output
    first = tokens.shape[1] - rows * columns
    grid = ops.reshape(tokens[:, first:], (-1, rows, columns, tokens.shape[-1]))
    return {"features": grid, "attention": grid}


TAPS: dict[str, Callable[[keras.Model], Taps]] = {
    "efficientnet_lite": _convolutions,
    "mobilevit": _convolutions,
    "musicnn": _musicnn,
    "vit": _vit,
}


def common(teacher, student) -> tuple[int, int]:
    """The finest grid `(bands, time)` that both taps have."""
    return min(teacher.shape[1], student.shape[1]), min(teacher.shape[2], student.shape[2])
