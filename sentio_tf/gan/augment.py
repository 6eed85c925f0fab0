"""What real and generated spectrograms go through before the discriminator sees them (DiffAugment, arXiv:2006.10738).

A discriminator with a few hundred songs learns them by heart.  Where both sides are shifted, made louder and masked
at random, and gradients flow through it, it cannot, and the generator does not learn to make masks.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
from keras import ops

from ..errors import ConfigError
from ..layers.specaugment import RandomEqualizer, SpecAugment
from ..models.common import seed_of

# Largest shift in time as a share of the window; largest change of level, in units of [-1, 1]; masks over bands and as
# many over time, and the widest as a share of them.
DEFAULTS = {"shift": 0.25, "level": 0.1, "masks": 1, "mask_share": 0.15}


@keras.saving.register_keras_serializable("sentio_tf")
class RandomShift(keras.layers.Layer):
    """Each spectrogram `(batch, bands, frames, 1)` turned in time by up to `share` of its frames, either way.

    What leaves at one end comes in at the other, so that nothing is lost and gradients reach every frame.
    """

    def __init__(self, share: float, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.share, self.seed = share, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, x, training=False):
        if not training:
            return x
        frames, reach = x.shape[2], round(self.share * x.shape[2])
        turn = keras.random.randint((ops.shape(x)[0], 1), -reach, reach + 1, seed=self.generator)
        place = ops.mod(ops.expand_dims(ops.arange(frames), 0) + turn, frames)
        return ops.take_along_axis(x, place[:, None, :, None], axis=2)

    def get_config(self):
        return {**super().get_config(), "share": self.share, "seed": self.seed}


def augmenter(options: Mapping[str, float] | None, seed: int) -> keras.Sequential | None:
    """Layers that do it, to be called with training=True; None for no augmentation.

    Args:
        options: names and amounts of `DEFAULTS`, whose values hold for what is not named; None: nothing is done.

    Raises: ConfigError for another name or an amount out of its range.
    """
    if options is None:
        return None
    if strange := sorted(set(options) - set(DEFAULTS)):
        raise ConfigError(f"diffaug: expected {', '.join(DEFAULTS)}, received {strange[0]!r}; correct it")
    chosen = DEFAULTS | dict(options)
    for name, high in {"shift": 0.5, "level": 1, "masks": 8, "mask_share": 0.5}.items():
        if not isinstance(chosen[name], (int, float)) or not 0 <= chosen[name] <= high:
            raise ConfigError(f"diffaug: expected {name} from 0 to {high}, received {chosen[name]!r}; correct it")
    if chosen["masks"] != int(chosen["masks"]):
        raise ConfigError(f"diffaug: expected a whole number of masks, received {chosen['masks']!r}; round it")
    share, masks, level = chosen["mask_share"], int(chosen["masks"]), chosen["level"]
    return keras.Sequential(
        [
            RandomShift(chosen["shift"], seed=seed_of(seed, "shift"), name="shift"),
            RandomEqualizer(level, level, seed=seed_of(seed, "level"), name="level"),
            SpecAugment(masks, share, masks, share, seed=seed_of(seed, "diffaug"), name="masks"),
        ],
        name="diffaug",
    )
