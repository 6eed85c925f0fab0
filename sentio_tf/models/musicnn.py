"""musicnn (Pons & Serra 2019, arXiv:1909.06654; Pons et al. 2018, arXiv:1711.02520): music taggers, here frozen.

Two networks of one shape: "msd" (Million Song Dataset: happy, sad, party, mellow ...) and "mtt"
(MagnaTagATune: slow, loud, soft ...), 50 tags each.  Their weights come with `pretrained.fetch("musicnn", ...)`.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers

from ..audio.musicnn_mel import PATCH_FRAMES, SPEC
from .weights import assign

NETWORKS = ("msd", "mtt")
TIMBRAL = {"timbral_74": 38, "timbral_77": 67}  # layer -> height of its filters, .4 and .7 of 96 bands
TEMPORAL = {"temporal_128": 128, "temporal_64": 64, "temporal_32": 32}  # layer -> length [frames]
TIMBRAL_FILTERS, TEMPORAL_FILTERS, MIDEND_FILTERS = 204, 51, 64
UNITS, TAGS = 200, 50
INPUT = (PATCH_FRAMES, SPEC.n_mels)
FEATURES = len(TIMBRAL) * TIMBRAL_FILTERS + len(TEMPORAL) * TEMPORAL_FILTERS + 3 * MIDEND_FILTERS  # 753

# Layer -> its convolution and batch normalisation (or dense layer) in the published checkpoints.
SCOPES = {
    "input_bn": "batch_normalization",
    **{name: f"conv2d_{i}" if i else "conv2d" for i, name in enumerate([*TIMBRAL, *TEMPORAL])},
    **{f"{name}_bn": f"batch_normalization_{i}" for i, name in enumerate([*TIMBRAL, *TEMPORAL], 1)},
    **{f"midend_{i}": f"conv2d_{i + 4}" for i in (1, 2, 3)},
    **{f"midend_{i}_bn": f"batch_normalization_{i + 5}" for i in (1, 2, 3)},
    "pooled_bn": "batch_normalization_9",
    "penultimate": "dense",
    "penultimate_bn": "batch_normalization_10",
    "logits": "dense_1",
}


def build(weights: Mapping[str, np.ndarray], network: str = "msd") -> keras.Model:
    """Patches `(batch, 187, 96)` of `audio.musicnn_mel` -> {"logits": `(batch, 50)`, "pooled": `(batch, 1506)`}.

    `pooled` is the maximum over time of front end (561) and mid-end (3 x 64), then their mean; a sigmoid of
    `logits` gives the probabilities of the tags `weights["<network>/tags"]`.

    Args:
        weights: of `pretrained.load`.
        network: "msd" or "mtt".

    Raises: ValueError for another network, or weights that are not of it.
    """
    if network not in NETWORKS:
        raise ValueError(f"expected network one of {', '.join(NETWORKS)}. Received: {network}")
    patch = keras.Input(INPUT, name="patch")
    x = layers.Reshape((*INPUT, 1), name="image")(patch)
    x = _normalize(x, "input_bn")
    padded = layers.ZeroPadding2D(((3, 3), (0, 0)), name="timbral_pad")(x)
    parts = [
        _front(padded, TIMBRAL_FILTERS, (7, height), padding="valid", name=name) for name, height in TIMBRAL.items()
    ]
    parts += [_front(x, TEMPORAL_FILTERS, (length, 1), padding="same", name=name) for name, length in TEMPORAL.items()]
    parts = [layers.Concatenate(name="front")(parts)]
    for i in (1, 2, 3):
        y = layers.Conv1D(MIDEND_FILTERS, 7, padding="same", activation="relu", name=f"midend_{i}")(parts[-1])
        y = _normalize(y, f"midend_{i}_bn")
        parts.append(y if i == 1 else layers.Add(name=f"midend_{i}_add")([y, parts[-1]]))
    x = layers.Concatenate(name="features")(parts)
    maximum, mean = layers.GlobalMaxPooling1D(name="maximum")(x), layers.GlobalAveragePooling1D(name="mean")(x)
    pooled = layers.Concatenate(name="pooled")([maximum, mean])
    x = _normalize(pooled, "pooled_bn")
    x = layers.Dense(UNITS, activation="relu", name="penultimate")(x)
    x = _normalize(x, "penultimate_bn")
    logits = layers.Dense(TAGS, name="logits")(x)
    model = keras.Model(patch, {"logits": logits, "pooled": pooled}, name=f"musicnn_{network}")
    model.trainable = False
    assign(((f"{network}/{layer.name}/{v.name}", v) for layer in model.layers for v in layer.weights), weights)
    return model


def convert(checkpoint: Mapping[str, np.ndarray], network: str) -> dict[str, np.ndarray]:
    """Variables of a published checkpoint by the names that `build` looks for.

    Raises: KeyError for a checkpoint without one of them.
    """
    parts = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
    found = {
        f"{network}/{layer}/{part}": checkpoint[f"{scope}/{part}"]
        for layer, scope in SCOPES.items()
        for part in (parts[2:] if layer.endswith("_bn") else parts[:2])
    }
    for i in (1, 2, 3):  # (7, width, 1, filters) to a convolution over time alone
        name = f"{network}/midend_{i}/kernel"
        found[name] = found[name][:, :, 0]
    # There, maximum and mean of a feature lie side by side; here, all maxima come before all means.
    order = np.arange(len(found[f"{network}/penultimate/kernel"])).reshape(-1, 2).T.ravel()
    for name in [f"{network}/penultimate/kernel", *(f"{network}/pooled_bn/{part}" for part in parts[2:])]:
        found[name] = found[name][order]
    return found


def _front(x, filters: int, kernel: tuple[int, int], *, padding: str, name: str):
    """Convolution, normalisation, maximum over all bands: `(batch, frames, bands, 1)` -> `(batch, frames, filters)`."""
    x = layers.Conv2D(filters, kernel, padding=padding, activation="relu", name=name)(x)
    x = _normalize(x, f"{name}_bn")
    x = layers.MaxPooling2D((1, x.shape[2]), name=f"{name}_max")(x)
    return layers.Reshape((PATCH_FRAMES, filters), name=f"{name}_out")(x)


def _normalize(x, name: str):
    return layers.BatchNormalization(epsilon=1e-3, name=name)(x)
