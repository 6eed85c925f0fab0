"""Losses on `(batch, 2)` = [valence, arousal] for corpora that are rated and corpora that know signs only.

Targets are `(batch, 3)` = [valence, arousal, rated]: with rated 1 the first two are ratings in
[-1, 1], with rated 0 they are signs: -1 or +1, or between them where mixup blended two.  With rated -1
the row is unlabelled, and the first two are a number that it shares with another place of its song.
"""

from __future__ import annotations

import keras
from keras import ops

# A logistic unit of the sign loss: an output of .25 on the right side is called right with p = .73.
SIGN_SCALE = 0.25


def row_weights(y_true, y_pred, sample_weight=None, mask=None):
    """How much each row counts, `(batch, 1)`: rated (1 where targets do not say, 0 unlabelled) x weight x mask.

    Args: targets `(batch, 2)` or `(batch, 3)`, outputs `(batch, 2)`, weight and mask a number, `(batch,)`,
    `(batch, 1)` or None.  Raises: ValueError for other shapes of targets and outputs.
    """
    if len(y_true.shape) != 2 or y_true.shape[1] not in (2, 3) or len(y_pred.shape) != 2 or y_pred.shape[1] != 2:
        raise ValueError(
            "expected targets (batch, 2) or (batch, 3) and outputs (batch, 2). "
            f"Received: {tuple(y_true.shape)} and {tuple(y_pred.shape)}"
        )
    weight = ops.ones_like(y_pred[:, :1]) if y_true.shape[1] == 2 else ops.maximum(y_true[:, 2:], 0)
    for factor in (sample_weight, mask):
        if factor is not None:
            factor = ops.cast(factor, weight.dtype)
            weight = weight * (factor if len(factor.shape) == 0 else ops.reshape(factor, (-1, 1)))
    return weight


def ccc_loss(reference, estimated, weight):
    """1 - CCC per axis over the rows with weight 1, `(2,)`; 0 where fewer than two rows count.

    Args: reference and estimated `(batch, 2)`, weight `(batch, 1)`.
    """
    count = ops.sum(weight)
    norm = ops.maximum(count, 1.0)
    mean_r = ops.sum(weight * reference, axis=0) / norm
    mean_e = ops.sum(weight * estimated, axis=0) / norm
    dev_r, dev_e = reference - mean_r, estimated - mean_e
    covariance = ops.sum(weight * dev_r * dev_e, axis=0) / norm
    spread = ops.sum(weight * (ops.square(dev_r) + ops.square(dev_e)), axis=0) / norm
    ccc = 2 * covariance / (spread + ops.square(mean_r - mean_e) + 1e-6)
    return ops.where(count > 1.5, 1 - ccc, 0.0)


def pair_loss(ids, estimated, unlabelled):
    """Mean squared difference of the answers to unlabelled rows of one id, over pairs and axes; 0 without a pair.

    The Pi-model of Laine & Aila 2017, arXiv:1610.02242, section 2.1, with two places of a song in place of two
    augmentations of an image.

    Args: ids `(batch, 1)`, estimated `(batch, 2)`, unlabelled `(batch, 1)`, 1 or 0.
    """
    both = unlabelled * ops.transpose(unlabelled)
    same = both * ops.cast(ops.equal(ids, ops.transpose(ids)), estimated.dtype)
    apart = ops.mean(ops.square(estimated[:, None] - estimated[None]), axis=-1)
    # Every row is a pair with itself, at no distance; those do not count.
    return ops.sum(same * apart) / ops.maximum(ops.sum(same) - ops.sum(unlabelled), 1.0)


def soft_loss(target, teacher, spread, answers, *, floor: float, bounded: float | None = None):
    """How far answers are from the teachers', in mean squares, each weighted by how sure these are of it.

    Gaussian: -log N(answer; teacher, spread^2 + floor^2) but for constants and a factor of 2 floor^2, so that with one
    teacher, whose spread is 0, it is the mean squared error.  (A temperature would only scale that: what softens a
    softmax does nothing to a regression.)  With `bounded`, a rated answer counts only where it is not better than the
    teacher's by that margin (Chen et al. 2017, "Learning Efficient Object Detection Models with Knowledge
    Distillation", equation 7): a teacher is no reason to leave the truth.

    Args:
        target: `(batch, 3)`, see `losses`.
        teacher, spread, answers: `(batch, 2)`; spread is the standard deviation over teachers.
        floor: standard deviation of a teacher alone.
        bounded: margin in mean squares; None: never bounded.
    """
    error = ops.square(answers - teacher)
    weight = floor**2 / (ops.square(spread) + floor**2)
    if bounded is not None:
        rated = target[:, 2:] > 0.5
        own = ops.square(answers - target[:, :2])
        better = ops.logical_and(rated, own + bounded <= ops.square(teacher - target[:, :2]))
        weight = ops.where(better, 0.0, weight)
    return ops.mean(weight * error)


def attention_loss(taught, shown):
    """Squared distance of two maps of L2 norm 1, mean over the batch, 0 to 2 (arXiv:1612.03928, equation 2)."""
    return ops.mean(ops.sum(ops.square(taught - shown), axis=(1, 2)))


@keras.saving.register_keras_serializable("sentio_tf")
class EmotionLoss(keras.losses.Loss):
    """CCC and squared error on rated rows, logistic loss on the sign of the others.

    L = share * [(1 - ccc) + mse_weight * mse] + (1 - share) * logistic + consistency * pairs, where share is
    the rated part of the labelled rows and each term is a mean over the two axes.  With z = y / SIGN_SCALE and
    p = (1 + sign) / 2, logistic = p softplus(-z) + (1 - p) softplus(z), which is softplus(-sign * z) for whole
    signs and the cross-entropy of a blend otherwise.  Unlabelled rows enter `pair_loss` only; one whose partner
    is in another batch counts nothing.

    Args:
        mse_weight: weight of the squared error, which keeps small batches of rated rows stable.
        consistency: weight of `pair_loss`; 0: unlabelled rows do not count.
    """

    def __init__(self, mse_weight: float = 1.0, consistency: float = 0.0, name: str = "emotion_loss", **kwargs):
        super().__init__(name=name, reduction=None, **kwargs)
        self.mse_weight = mse_weight
        self.consistency = consistency

    def call(self, y_true, y_pred):
        kind = y_true[:, 2:]
        unlabelled = ops.cast(kind < 0, y_pred.dtype)
        rated = ops.maximum(kind, 0)
        signed = 1 - unlabelled - rated
        target = ops.where(kind < 0, 0.0, y_true[:, :2])  # numbers of songs stay out of the sums
        error = ops.square(target - y_pred)
        mse = ops.sum(rated * error) / ops.maximum(2 * ops.sum(rated), 1.0)
        z = y_pred / SIGN_SCALE
        logistic = ops.softplus(-z) + (1 - target) / 2 * z
        sign = ops.sum(signed * logistic) / ops.maximum(2 * ops.sum(signed), 1.0)
        share = ops.sum(rated) / ops.maximum(ops.sum(1 - unlabelled), 1.0)
        rating = ops.mean(ccc_loss(target, y_pred, rated)) + self.mse_weight * mse
        loss = share * rating + (1 - share) * sign
        if self.consistency:
            loss = loss + self.consistency * pair_loss(y_true[:, :1], y_pred, unlabelled)
        return loss

    def get_config(self):
        return {"name": self.name, "mse_weight": self.mse_weight, "consistency": self.consistency}


@keras.saving.register_keras_serializable("sentio_tf")
class CCCLoss(keras.losses.Loss):
    """1 - CCC, the mean of both axes, over the rows of a batch: for notebooks whose data are all rated.

    Targets `(batch, 2)`, or `(batch, 3)`, where rows with rated 0 or -1 do not count.  CCC belongs to a batch, not
    to a row: weights and masks enter its moments, and a batch where fewer than two rows count gives 0.  It
    is about 1 for any constant output, so batches should be large enough to spread (16 and more).
    """

    def __init__(self, name: str = "ccc_loss", **kwargs):
        super().__init__(name=name, reduction=None, **kwargs)

    def __call__(self, y_true, y_pred, sample_weight=None):
        mask = getattr(y_pred, "_keras_mask", None)
        y_true = ops.convert_to_tensor(y_true, dtype=self.dtype)
        y_pred = ops.convert_to_tensor(y_pred, dtype=self.dtype)
        weight = row_weights(y_true, y_pred, sample_weight, mask)
        # CCC does not know the unit of weights, `ccc_loss` counts them: let them sum to the rows.
        rows, total = ops.sum(ops.cast(weight > 0, self.dtype)), ops.sum(weight)
        weight = weight * rows / ops.where(total > 0, total, 1.0)
        # What does not count is 0, so that numbers of unlabelled songs are not rounded into the moments.
        target = ops.where(weight > 0, y_true[:, :2], 0.0)
        return ops.mean(ccc_loss(target, y_pred, weight))

    def get_config(self):
        return {"name": self.name}
