"""What discriminator and generator minimise, from the logits `(batch, 1)` of real and generated spectrograms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import ops


@dataclass(frozen=True)
class Objective:
    """A pair of losses.

    Attributes:
        discriminator: (real, fake) -> its loss.
        generator: fake -> its loss.
        least: the discriminator's loss where it tells every spectrogram with certainty: what no run may reach.
    """

    discriminator: Callable[[Any, Any], Any]
    generator: Callable[[Any], Any]
    least: float


def bce(smoothing: float = 0.9) -> Objective:
    """Cross-entropy, the discriminator's target of real music `smoothing` instead of 1 (arXiv:1606.03498, section 3.4).

    The generator takes the form that does not saturate: it wants its own called real.  Mean of both halves.
    """

    def discriminator(real, fake):
        of_real = ops.mean(ops.softplus(-real) + (1 - smoothing) * real)
        return (of_real + ops.mean(ops.softplus(fake))) / 2

    entropy = -sum(p * math.log(p) for p in (smoothing, 1 - smoothing) if p > 0)
    return Objective(discriminator, lambda fake: ops.mean(ops.softplus(-fake)), entropy / 2)


def hinge() -> Objective:
    """Logits beyond 1 on the right side count nothing more (arXiv:1705.02894).  Mean of both halves."""

    def discriminator(real, fake):
        return (ops.mean(ops.relu(1 - real)) + ops.mean(ops.relu(1 + fake))) / 2

    return Objective(discriminator, lambda fake: -ops.mean(fake), 0.0)


OBJECTIVES: dict[str, Callable[..., Objective]] = {"bce": bce, "hinge": hinge}
