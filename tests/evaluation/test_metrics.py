import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from sentio_tf.evaluation import metrics

values = arrays(np.float64, st.integers(2, 40), elements=st.floats(-1, 1, width=32))
pairs = st.integers(2, 40).flatmap(
    lambda n: st.tuples(*[arrays(np.float64, n, elements=st.floats(-1, 1, width=32)) for _ in range(2)])
)
relaxed = settings(deadline=None, max_examples=300)


@relaxed
@given(pairs)
def test_ccc_lies_between_r2_and_r(pair):
    """A CCC column below its R2 column, as in the published recipe, cannot be."""
    reference, estimated = pair
    ccc = metrics.ccc(reference, estimated)
    assert abs(ccc) <= abs(metrics.pearson(reference, estimated)) + 1e-9
    if reference.std() > 1e-6:
        assert ccc >= metrics.r2(reference, estimated) - 1e-9


@relaxed
@given(pairs)
def test_agrees_with_other_implementations(pair):
    a, b = pair
    assert metrics.mae(a, b) == pytest.approx(mean_absolute_error(a, b), abs=1e-12)
    assert metrics.rmse(a, b) == pytest.approx(np.sqrt(mean_squared_error(a, b)), abs=1e-12)
    if a.std() > 1e-4 and b.std() > 1e-4:
        assert metrics.r2(a, b) == pytest.approx(r2_score(a, b), rel=1e-9, abs=1e-9)
        assert metrics.pearson(a, b) == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-6)


@relaxed
@given(pairs, st.floats(0.1, 10), st.floats(-3, 3))
def test_invariances(pair, scale, shift):
    a, b = pair
    assert metrics.ccc(a, b) == pytest.approx(metrics.ccc(b, a), abs=1e-9)
    if min(a.std(), b.std()) > 1e-3:
        assert metrics.ccc(a * scale + shift, b * scale + shift) == pytest.approx(metrics.ccc(a, b), abs=1e-6)
        assert metrics.pearson(a, b * scale + shift) == pytest.approx(metrics.pearson(a, b), abs=1e-6)


@relaxed
@given(values)
def test_perfect_and_opposite(a):
    if a.std() > 1e-3:
        assert metrics.ccc(a, a) == pytest.approx(1)
        assert metrics.r2(a, a) == pytest.approx(1)
        centred = a - a.mean()
        assert metrics.ccc(centred, -centred) == pytest.approx(-1)


def test_closed_form():
    """Lin (1989): cov 1/4 of both variances 1 and a shift of 1 gives 2 * .25 / (2 + 1)."""
    a = np.array([1.0, 1.0, -1.0, -1.0])
    b = np.array([1.0, -1.0, 1.0, -1.0]) * np.sqrt(1 - 0.25**2) + 0.25 * a
    assert metrics.ccc(a, b + 1) == pytest.approx(2 * 0.25 / 3)


@pytest.mark.parametrize("name", metrics.REGRESSION)
def test_constants_give_numbers(name):
    for a, b in ((np.ones(3), np.arange(3.0)), (np.arange(3.0), np.ones(3)), (np.ones(3), np.ones(3))):
        assert np.isfinite(metrics.REGRESSION[name](a, b))


@pytest.mark.parametrize("name", [*metrics.REGRESSION, "sign_accuracy"])
@pytest.mark.parametrize(
    ("a", "b"), [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([[1.0, 2.0]], [[1.0, 2.0]]), ([1.0, np.nan], [1.0, 2.0])]
)
def test_wrong_input_is_refused(name, a, b):
    with pytest.raises(ValueError, match="expected"):
        getattr(metrics, name)(np.array(a), np.array(b))


def test_quadrants():
    reference = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    estimated = np.array([[0.1, 0.2], [0.3, 0.1], [-0.2, -0.1], [0.1, 0.4]])
    assert metrics.quadrant_accuracy(reference, estimated) == 0.5
    assert metrics.sign_accuracy(reference[:, 0], estimated[:, 0]) == 0.75
