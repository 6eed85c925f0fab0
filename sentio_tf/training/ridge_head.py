"""A linear head that starts as the ridge solution on frozen features: the first half of LP-FT.

Kumar et al. 2022 (arXiv:2202.10054): fine-tuning from a random head distorts pretrained features before the
head has learnt anything; from a fitted head it does not.
"""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np
from numpy.typing import ArrayLike

from ..errors import SentioError
from ..evaluation import metrics
from .callbacks import SIGN_VALUE

# Beyond it the slope of arctanh is above 10: a single extreme rating would outweigh the others.
LARGEST = 0.95
# Features with a smaller share of the largest standard deviation are rounding, as those of dead units.
DEAD = 1e-4


def initialise(model: keras.Model, x_batches: Iterable[np.ndarray], targets: ArrayLike, *, alpha: float) -> float:
    """Fit the last Dense layer of `model` by ridge regression; returns R² on these examples, the mean of both axes.

    A network that cuts its windows into chunks is fitted on chunks, each with the target of its window; R² is of
    the chunks then.  Augmentation and dropout are off, as in use.

    Args:
        x_batches: inputs of the model.
        targets: `(n, 2)` = [valence, arousal] in [-1, 1], or `(n, 3)` as in `losses`: signs count as half the
            scale, unlabelled rows not at all.  Read behind the inputs: a list may grow while they are drawn.
        alpha: penalty, on standardised features as of `models.classical`.

    Raises: SentioError for features that are not finite, or no labelled example; ValueError as `linear_head`, and
        if inputs and targets are not of one length.
    """
    part = features(model)
    rows = [np.asarray(part.predict_on_batch(x), np.float32) for x in x_batches]
    x = np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)
    targets = np.asarray(targets, np.float64)
    if not len(targets) or len(x) % len(targets) or len(x) < len(targets):
        raise ValueError(f"expected as many inputs as targets. Received: {len(x)} and {len(targets)}")
    targets = np.repeat(targets, len(x) // len(targets), axis=0)
    if targets.shape[1] == 3:
        labelled = targets[:, 2] >= 0
        x, targets = x[labelled], targets[labelled]
        targets = targets[:, :2] * np.where(targets[:, 2:] == 1, 1.0, SIGN_VALUE)
    if len(x) < 2:
        raise SentioError(f"head_alpha: expected two labelled examples or more, received {len(x)}; set it to 0")
    if not np.isfinite(x).all():
        raise SentioError(
            "head_alpha: expected finite features, received NaN or infinity; check the pretrained weights"
        )
    linear_head(model, x, targets, alpha=alpha)
    dense = last_dense(model)
    kernel, bias = (np.asarray(v, np.float64) for v in dense.get_weights())
    z = x @ kernel + bias
    answers = np.tanh(z) if _squashes(model, dense) else z
    return float(np.mean([metrics.r2(targets[:, axis], answers[:, axis]) for axis in (0, 1)]))


def linear_head(model: keras.Model, features: np.ndarray, targets: np.ndarray, *, alpha: float) -> None:
    """Lay the ridge solution from `features` `(n, d)` to `targets` `(n, 2)` into the last Dense layer of `model`.

    Features that never change, but for rounding, get no weight; others are standardised for the fit and the scales
    folded into kernel and bias, so that `alpha` means the same for every network.  Where a tanh follows, what is
    fitted is arctanh(target), clipped at +-.95: then the answer of a perfect fit is the target.  (A fit of the targets
    themselves would come out of the tanh shrunk.)

    Raises: ValueError for a model whose last Dense layer has not two outputs, or other shapes.
    """
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    dense = last_dense(model)
    width = dense.kernel.shape[0]
    if features.ndim != 2 or features.shape[1] != width or targets.shape != (len(features), 2):
        raise ValueError(
            f"expected features (n, {width}) and targets (n, 2). Received: {features.shape} and {targets.shape}"
        )
    if not alpha > 0:
        raise ValueError(f"expected alpha > 0. Received: {alpha}")
    if _squashes(model, dense):
        targets = np.arctanh(np.clip(targets, -LARGEST, LARGEST))
    x = features.astype(np.float64)  # a small penalty on many features is lost in single precision
    scaler = StandardScaler().fit(x)
    # Standardised, what a dead unit leaves is noise, and its weight so large that single precision adds more of it.
    sd = np.sqrt(scaler.var_)
    alive = sd > DEAD * sd.max()
    ridge = Ridge(alpha=alpha).fit(scaler.transform(x)[:, alive], targets)
    kernel = np.zeros((width, 2))
    kernel[alive] = (ridge.coef_ / sd[alive]).T
    dense.set_weights([kernel, ridge.intercept_ - scaler.mean_ @ kernel])


def features(model: keras.Model) -> keras.Model:
    """The part of `model` up to the input of its last Dense layer, `(rows, d)`; a row is an example, or a chunk of it.

    Raises: ValueError as `last_dense`.
    """
    dense = last_dense(model)
    # The input in this graph: where a network was cut, its layers have another one besides (`frozen.divide`).
    nodes = (node for level in model._nodes_by_depth.values() for node in level)
    before = next(node.input_tensors[0] for node in nodes if node.operation is dense)
    return keras.Model(model.input, before, name=f"{model.name}_features")


def last_dense(model: keras.Model) -> keras.layers.Dense:
    """Raises: ValueError if `model` has no Dense layer, or its last does not make 2 outputs of `(rows, d)`."""
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    if not found or found[-1].units != 2 or len(found[-1].input.shape) != 2 or not found[-1].use_bias:
        received = f"{found[-1].name} {found[-1].input.shape} -> {found[-1].units}" if found else "none"
        raise ValueError(f"expected a last Dense layer from (rows, features) to 2 outputs. Received: {received}")
    return found[-1]


def _squashes(model: keras.Model, dense: keras.layers.Dense) -> bool:
    """Whether a tanh stands in the layer or behind it."""
    behind = model.layers[model.layers.index(dense) :]
    return any(getattr(layer, "activation", None) is keras.activations.tanh for layer in behind)
