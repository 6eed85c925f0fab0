"""The adversarial step: one update of the discriminator, then some of the generator."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from ..contract import AXES
from ..errors import ConfigError
from ..models.common import seed_of
from .networks import LATENT
from .objectives import Objective
from .scale import BandScale

# The running accuracy of the discriminator above which it waits, and below which the generator waits for it: well
# inside the bounds at which a run is given up (`watch.Guard`).
WAIT_ABOVE, HURRY_BELOW = 0.85, 0.6
MEMORY = 0.9  # decay a step of the running accuracy


class GAN(keras.Model):
    """Generator, its running average, and discriminator, to be fitted to `(log-mel [dB], condition)` batches.

    `model.fit` logs: `d_loss`, `g_loss`, `d_accuracy` (share of real and generated spectrograms on the right side of
    0), `d_real` and `d_fake` (each alone), `d_gradient` and `g_gradient` (global norms before clipping), `d_waits` and
    `g_waits` (shares of the steps in which one of them was held).  Needs TensorFlow: the step holds gradient tapes.

    Args:
        generator, discriminator: a pair of `networks`.
        scale: of the training part; spectrograms come in dB.
        objective: see `objectives`.
        augment: what both sides go through, see `augment.augmenter`; None: nothing.
        generator_updates: of the generator for one of the discriminator.
        noise: sd of Gaussian noise on both sides at the start; it falls to 0 over `steps` (arXiv:1610.04490).
        steps: of the whole training.
        ema: decay of the average of the generator's weights, which `averaged` holds.
        adapt: whether the stronger side waits while the running accuracy is out of bounds.
        seed: of latents and noise.

    Raises: ConfigError on another backend of Keras.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        scale: BandScale,
        objective: Objective,
        *,
        augment: keras.Sequential | None = None,
        generator_updates: int = 2,
        noise: float = 0.0,
        steps: int = 1,
        ema: float = 0.995,
        adapt: bool = True,
        seed: int = 0,
    ):
        if keras.backend.backend() != "tensorflow":
            raise ConfigError(
                f"gan: expected Keras on TensorFlow, received {keras.backend.backend()}; set KERAS_BACKEND=tensorflow"
            )
        super().__init__(name="gan")
        self.generator, self.discriminator, self.scale, self.objective = generator, discriminator, scale, objective
        self.averaged = keras.models.clone_model(generator)
        self.averaged.set_weights(generator.get_weights())
        self.averaged.trainable = False
        self.augment, self.generator_updates, self.noise = augment, generator_updates, noise
        self.steps, self.ema, self.adapt = steps, ema, adapt
        self.latents = keras.random.SeedGenerator(seed_of(seed, "latents"))
        self.noises = keras.random.SeedGenerator(seed_of(seed, "noise"))
        state = lambda value, name: self.add_weight(
            shape=(), initializer=keras.initializers.Constant(value), trainable=False, name=name
        )
        self.done = state(0.0, "steps_done")
        self.running = state((WAIT_ABOVE + HURRY_BELOW) / 2, "running_accuracy")
        names = ("d_loss", "g_loss", "d_accuracy", "d_real", "d_fake", "d_gradient", "g_gradient", "d_waits", "g_waits")
        self.means = {name: keras.metrics.Mean(name=name) for name in names}
        self.built = True

    def compile(self, d_optimizer: keras.optimizers.Optimizer, g_optimizer: keras.optimizers.Optimizer, **options):
        """Both optimizers are built at once, so that a checkpoint can be laid into them before the first step."""
        super().compile(**options)
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer
        d_optimizer.build(self.discriminator.trainable_variables)
        g_optimizer.build(self.generator.trainable_variables)

    @property
    def metrics(self):
        return list(self.means.values())

    def state(self) -> list[keras.Variable]:
        """Everything that a step changes: networks, their average, random states, counters, both optimizers."""
        random = [self.latents.state, self.noises.state, *(self.augment.variables if self.augment else [])]
        own = [
            *self.generator.variables,
            *self.averaged.variables,
            *self.discriminator.variables,
            *random,
            self.done,
            self.running,
            *self.d_optimizer.variables,
            *self.g_optimizer.variables,
        ]
        return list({v.path + str(id(v)): v for v in own}.values())

    def train_step(self, data):
        import tensorflow as tf

        mel, condition, _ = keras.utils.unpack_x_y_sample_weight(data)
        condition = ops.convert_to_tensor(condition, dtype="float32")
        real = self.scale.scaled(mel)
        seen = self._judged
        before = [tf.identity(v.value) for v in self.discriminator.variables]

        fake = self.generator([self._latent(condition), condition], training=True)
        with tf.GradientTape() as tape:
            logits = self.discriminator(
                [seen(tf.concat([real, fake], axis=0)), tf.concat([condition, condition], axis=0)], training=True
            )
            of_real, of_fake = tf.split(logits, 2)
            d_loss = self.objective.discriminator(of_real, of_fake)
        right = [ops.mean(ops.cast(side, "float32")) for side in (of_real > 0, of_fake < 0)]
        accuracy = (right[0] + right[1]) / 2
        self.running.assign(MEMORY * self.running + (1 - MEMORY) * accuracy)
        d_waits = tf.logical_and(self.adapt, self.running > WAIT_ABOVE)
        g_waits = tf.logical_and(self.adapt, self.running < HURRY_BELOW)
        d_norm = self._update(tape, d_loss, self.discriminator, self.d_optimizer, waits=d_waits)
        for variable, old in zip(self.discriminator.variables, before, strict=True):
            # Spectral normalisation sets its kernels whenever it is called in training: who waits keeps his.
            variable.assign(tf.where(d_waits, old, variable.value))

        for _ in range(self.generator_updates):
            with tf.GradientTape() as tape:
                fake = self.generator([self._latent(condition), condition], training=True)
                g_loss = self.objective.generator(self.discriminator([seen(fake), condition], training=False))
            g_norm = self._update(tape, g_loss, self.generator, self.g_optimizer, waits=g_waits)
        self._average()
        self.done.assign_add(1.0)

        values = (d_loss, g_loss, accuracy, *right, d_norm, g_norm, ops.cast(d_waits, "float32"))
        for mean, value in zip(self.means.values(), (*values, ops.cast(g_waits, "float32")), strict=True):
            mean.update_state(value)
        return {name: mean.result() for name, mean in self.means.items()}

    def sample(self, conditions: np.ndarray, *, seed: int, batch: int = 16) -> np.ndarray:
        """Log-mels [dB] of the averaged generator, float32 `(n, 128, 1292, 1)`; see `spectrograms`."""
        made = spectrograms(self.averaged, conditions, seed=seed, batch=batch)
        return np.asarray(self.scale(made), np.float32)

    def _latent(self, condition):
        return keras.random.normal((ops.shape(condition)[0], LATENT), seed=self.latents)

    def _judged(self, x):
        """What the discriminator gets of spectrograms in [-1, 1]: augmented, and with this step's noise."""
        if self.augment is not None:
            x = self.augment(x, training=True)
        if self.noise:
            sd = self.noise * ops.maximum(1 - self.done / self.steps, 0.0)
            x = x + sd * keras.random.normal(ops.shape(x), seed=self.noises)
        return x

    def _update(self, tape, loss, network, optimizer, *, waits):
        """One clipped update unless it waits; the norm of the gradients before."""
        import tensorflow as tf

        variables = network.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])

        def apply():
            optimizer.apply(gradients, variables)
            return True

        tf.cond(waits, lambda: False, apply)
        return tf.linalg.global_norm(gradients)

    def _average(self) -> None:
        # A short memory at first, or the average would be of random weights for long.
        decay = ops.minimum(self.ema, (1 + self.done) / (10 + self.done))
        for average, value in zip(self.averaged.variables, self.generator.variables, strict=True):
            average.assign(decay * average + (1 - decay) * value)


def spectrograms(generator: keras.Model, conditions: np.ndarray, *, seed: int, batch: int = 16) -> np.ndarray:
    """What a generator answers to `conditions` `(n, 2)` and latents of `seed`, `(n, 128, 1292, 1)`.

    The first n of more are the same, whatever the batch.
    """
    latent = np.random.default_rng(seed).standard_normal((len(conditions), LATENT)).astype(np.float32)
    asked = np.asarray(conditions, np.float32).reshape(-1, len(AXES))
    if not len(asked):
        return np.zeros((0, *generator.output_shape[1:]), np.float32)
    return np.concatenate(
        [
            np.asarray(generator([latent[i : i + batch], asked[i : i + batch]], training=False))
            for i in range(0, len(asked), batch)
        ]
    )
