import numpy as np
import pytest

from sentio_tf.gan.objectives import OBJECTIVES


@pytest.mark.parametrize(("name", "chance"), [("bce", np.log(2)), ("hinge", 1.0)])
def test_a_discriminator_that_answers_zero_has_the_loss_of_chance(name, chance):
    objective = OBJECTIVES[name]()
    zero = np.zeros((4, 1), np.float32)
    assert float(objective.discriminator(zero, zero)) == pytest.approx(chance, abs=1e-6)


@pytest.mark.parametrize(("name", "best"), [("bce", np.log(0.9 / 0.1)), ("hinge", 1.0)])
def test_certainty_reaches_the_least_and_nothing_goes_below(name, best):
    objective = OBJECTIVES[name]()
    of = lambda real, fake: float(
        objective.discriminator(np.full((2, 1), real, np.float32), np.full((2, 1), fake, np.float32))
    )
    assert of(best, -30.0) == pytest.approx(objective.least, abs=1e-5)
    for real in np.linspace(-5, 5, 21):
        assert of(real, -30.0) >= objective.least - 1e-5


def test_cross_entropy_without_smoothing_can_reach_zero():
    """The published run's loss of 0.0: with smoothing no discriminator has it."""
    assert OBJECTIVES["bce"](1.0).least == 0
    assert OBJECTIVES["bce"](0.9).least == pytest.approx(0.1625, abs=1e-4)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_generator_wants_to_be_called_real(name):
    generator = OBJECTIVES[name]().generator
    losses = [float(generator(np.full((2, 1), logit, np.float32))) for logit in (-3, -1, 0, 1, 3)]
    assert losses == sorted(losses, reverse=True)
