import numpy as np
import pytest

from sentio_tf.errors import ConfigError
from sentio_tf.gan import conditions

GOALS = np.array([[0.1, 0.2, 1], [0.3, -0.4, 1], [-0.2, 0.5, 1], [1, -1, 0], [-1, 1, 0]], np.float32)


def test_a_sign_stands_for_a_value_of_its_side():
    found = conditions.conditions(GOALS, 0.5)
    np.testing.assert_allclose(found[:2], GOALS[:2, :2])
    np.testing.assert_allclose(found[3:], [[0.5, -0.5], [-0.5, 0.5]])


def test_density_keeps_signs_and_moves_ratings(rng):
    drawn = conditions.draw(GOALS, 4000, rng=rng)
    assert drawn.shape == (4000, 3)
    signs = drawn[drawn[:, 2] == 0]
    assert len(signs) == pytest.approx(1600, rel=0.1)
    assert {tuple(s) for s in signs[:, :2]} == {(1.0, -1.0), (-1.0, 1.0)}
    rated = drawn[drawn[:, 2] == 1, :2]
    assert np.abs(rated).max() <= 1
    # A kernel density estimate widens the ratings' variance by the square of its bandwidth.
    own = GOALS[:3, :2]
    wanted = own.var(axis=0) + conditions.bandwidth(own) ** 2
    np.testing.assert_allclose(rated.var(axis=0), wanted, rtol=0.1)
    np.testing.assert_allclose(rated.mean(axis=0), own.mean(axis=0), atol=0.03)


def test_what_leaves_the_plane_is_reflected():
    edge = np.array([[0.99, -0.99, 1], [0.9, -0.8, 1]] * 20, np.float32)
    drawn = conditions.draw(edge, 2000, rng=np.random.default_rng(5))
    assert np.abs(drawn[:, :2]).max() <= 1
    again = np.random.default_rng(5)
    free = edge[again.integers(len(edge), size=2000), :2] + again.standard_normal((2000, 2)) * conditions.bandwidth(
        edge[:, :2]
    )
    left = np.abs(free) > 1
    assert left.mean() > 0.1
    np.testing.assert_allclose(drawn[:, :2][left], (np.sign(free) * 2 - free)[left], atol=1e-6)
    np.testing.assert_allclose(drawn[:, :2][~left], free[~left], atol=1e-6)


def test_uniform_fills_the_plane_and_asks_for_what_there_is_not(rng):
    drawn = conditions.draw(GOALS, 4000, way="uniform", rng=rng)
    assert (drawn[:, 2] == 1).all()
    np.testing.assert_allclose(drawn[:, :2].mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(drawn[:, :2].std(axis=0), 1 / np.sqrt(3), atol=0.02)
    narrow = np.column_stack([rng.normal(0, 0.1, (200, 2)), np.ones(200)]).astype(np.float32)
    near = conditions.outside(conditions.draw(narrow, 500, rng=rng), narrow, 0.5)
    far = conditions.outside(conditions.draw(narrow, 500, way="uniform", rng=rng), narrow, 0.5)
    assert far > 0.8 > 0.4 > near


def test_another_way():
    with pytest.raises(ConfigError, match="density or uniform, received 'grid'"):
        conditions.draw(GOALS, 1, way="grid", rng=np.random.default_rng(0))
