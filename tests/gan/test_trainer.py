import keras
import numpy as np
import pytest

from sentio_tf.config import GanConfig
from sentio_tf.errors import ConfigError
from sentio_tf.gan import augment, fit, networks, objectives, trainer
from sentio_tf.gan.scale import BandScale


def build(*, spectral_norm=True, **options):
    keras.utils.set_random_seed(0)
    scale = BandScale(np.full(128, -30.0), np.full(128, 10.0))
    gan = trainer.GAN(
        networks.generator(),
        networks.discriminator(spectral_norm=spectral_norm),
        scale,
        objectives.hinge(),
        **{"augment": augment.augmenter({}, 0), "steps": 10, **options},
    )
    adam = lambda: keras.optimizers.Adam(2e-4, 0.5, 0.999, global_clipnorm=1.0)
    gan.compile(adam(), adam(), jit_compile=False, run_eagerly=True)
    return gan


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return (-30 + 10 * rng.standard_normal((4, 128, 1292, 1))).astype(np.float32), rng.uniform(-1, 1, (4, 2))


def weights(network):
    return [np.asarray(v) + 0 for v in network.trainable_variables]


def step(gan, batch):
    return {k: float(v) for k, v in gan.train_on_batch(*batch, return_dict=True).items()}


def test_one_step_trains_both_and_logs(batch):
    gan = build(noise=0.1)
    before = weights(gan.generator), weights(gan.discriminator)
    logs = step(gan, batch)
    for old, network in zip(before, (gan.generator, gan.discriminator), strict=True):
        assert any(not np.array_equal(a, b) for a, b in zip(old, weights(network), strict=True))
    assert set(logs) == set(gan.means)
    assert logs["d_accuracy"] == pytest.approx((logs["d_real"] + logs["d_fake"]) / 2)
    assert int(gan.d_optimizer.iterations) == 1
    assert int(gan.g_optimizer.iterations) == 2
    assert int(gan.done) == 1


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_a_winning_discriminator_waits(batch, spectral_norm):
    """All of it: spectral normalisation sets its kernels whenever it is called in training."""
    gan = build(spectral_norm=spectral_norm)
    step(gan, batch)
    gan.running.assign(1.0)
    counts = int(gan.d_optimizer.iterations), int(gan.g_optimizer.iterations)
    before = [np.asarray(v) + 0 for v in gan.discriminator.variables]
    logs = step(gan, batch)
    assert logs["d_waits"] == 1
    for a, b in zip(before, gan.discriminator.variables, strict=True):
        np.testing.assert_array_equal(a, np.asarray(b), err_msg=b.path)
    assert (int(gan.d_optimizer.iterations), int(gan.g_optimizer.iterations)) == (counts[0], counts[1] + 2)


def test_real_and_generated_are_augmented_alike_in_both_updates(batch):
    """What hides everything makes all spectrograms one: the discriminator is at chance, the generator learns nought."""
    gan = build()
    asked = []

    def hide(x, training):
        asked.append((len(x), training))
        return 0 * x + 0.5

    gan.augment = hide
    logs = step(gan, batch)
    assert asked == [(8, True), (4, True), (4, True)]  # both sides at once, then each of the generator's updates
    assert logs["d_loss"] == pytest.approx(1, abs=1e-6)  # of hinge, whatever the answer, if it is one and below 1
    assert logs["d_real"] + logs["d_fake"] == 1
    assert logs["g_gradient"] == 0


def test_a_generator_ahead_waits(batch):
    gan = build()
    gan.running.assign(0.0)
    before = weights(gan.generator)
    assert step(gan, batch)["g_waits"] == 1
    assert int(gan.d_optimizer.iterations) == 1
    for a, b in zip(before, weights(gan.generator), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_traced_step_is_an_eager_one(batch):
    """What users train is a graph; the other tests take the step apart eagerly."""
    found = []
    for eager in (True, False):
        gan = build(noise=0.1)
        gan.compile(gan.d_optimizer, gan.g_optimizer, jit_compile=False, run_eagerly=eager)
        networks = (gan.generator, gan.discriminator)
        before = [np.concatenate([w.ravel() for w in weights(network)]) for network in networks]
        step(gan, batch)
        found.append(
            [np.concatenate([w.ravel() for w in weights(n)]) - b for n, b in zip(networks, before, strict=True)]
        )
    for a, b in zip(*found, strict=True):
        # Adam's first steps are the sign of a gradient: where that is all but 0, as of a bias before a normalisation,
        # rounding decides.
        assert np.linalg.norm(a - b) < 0.3 * np.linalg.norm(a)


def test_without_adapting_nobody_waits(batch):
    gan = build(adapt=False)
    gan.running.assign(1.0)
    assert step(gan, batch)["d_waits"] == 0
    assert int(gan.d_optimizer.iterations) == 1


def test_the_average_follows_with_its_decay(batch):
    gan = build(ema=0.9)
    gan.done.assign(1000.0)  # the short memory of the start is over
    old = [np.asarray(v) + 0 for v in gan.averaged.variables]
    step(gan, batch)
    for a, b, v in zip(old, gan.averaged.variables, gan.generator.variables, strict=True):
        np.testing.assert_allclose(np.asarray(b), 0.9 * a + 0.1 * np.asarray(v), atol=1e-6)


def test_instance_noise_falls_to_nothing(batch):
    gan = build(noise=0.5, augment=None)
    x = np.zeros((2, 128, 1292, 1), np.float32)
    spread = []
    for done in (0.0, 5.0, 10.0, 20.0):
        gan.done.assign(done)
        spread.append(float(np.asarray(gan._judged(x)).std()))
    assert spread == pytest.approx([0.5, 0.25, 0.0, 0.0], abs=0.01)


def test_gradients_are_clipped_to_the_norm(batch):
    """What is applied, with an optimizer whose step is the gradient: the norm that is logged is that before."""
    gan = build(generator_updates=1, spectral_norm=False)
    plain = lambda: keras.optimizers.SGD(1.0, global_clipnorm=1e-3)
    gan.compile(plain(), plain(), jit_compile=False, run_eagerly=True)
    before = [weights(network) for network in (gan.discriminator, gan.generator)]
    logs = step(gan, batch)
    after = [weights(network) for network in (gan.discriminator, gan.generator)]
    for name, old, new in zip(("d_gradient", "g_gradient"), before, after, strict=True):
        moved = np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(old, new, strict=True)))
        assert logs[name] > 0.01
        assert moved == pytest.approx(1e-3, rel=0.02)


def test_the_configuration_clips_both(batch):
    """Adam cares for the size of a gradient only where it is next to nothing."""
    config = GanConfig(batch_size=4, clip_norm=1e-12, spectral_norm=False)
    scale = BandScale(np.full(128, -30.0), np.full(128, 10.0))
    gan = fit.build(config, scale, fit.objective_of(config), steps=10, diffaug=None)
    before = [weights(network) for network in (gan.discriminator, gan.generator)]
    step(gan, batch)
    for old, network in zip(before, (gan.discriminator, gan.generator), strict=True):
        moved = max(np.abs(a - b).max() for a, b in zip(old, weights(network), strict=True))
        assert moved < 0.05 * config.learning_rate


def test_samples_are_in_db_and_do_not_depend_on_how_many(batch):
    gan = build()
    conditions = np.asarray(batch[1])
    made = gan.sample(conditions, seed=1, batch=3)
    assert made.shape == (4, 128, 1292, 1)
    assert np.abs(made + 30).max() <= 30 + 1e-4  # mean -30, three sd of 10
    np.testing.assert_allclose(gan.sample(conditions[:2], seed=1, batch=2), made[:2], atol=1e-4)
    assert gan.sample(conditions[:0], seed=1).shape == (0, 128, 1292, 1)


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ConfigError, match="Keras on TensorFlow, received jax"):
        build()
