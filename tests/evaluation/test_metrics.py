import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    roc_auc_score,
)

from sentio_tf.evaluation import metrics
from sentio_tf.runtime import mood

GOLDEN = Path(__file__).parent / "golden"

values = arrays(np.float64, st.integers(2, 40), elements=st.floats(-1, 1, width=32))
pairs = st.integers(2, 40).flatmap(
    lambda n: st.tuples(*[arrays(np.float64, n, elements=st.floats(-1, 1, width=32)) for _ in range(2)])
)
planes = st.integers(1, 40).flatmap(
    lambda n: st.tuples(*[arrays(np.float64, (n, 2), elements=st.sampled_from([-0.5, 0.0, 0.5])) for _ in range(2)])
)
relaxed = settings(deadline=None, max_examples=80)
few = settings(deadline=None, max_examples=30)  # scikit-learn takes milliseconds a call


@relaxed
@given(pairs)
def test_ccc_lies_between_r2_and_r(pair):
    """A CCC column below its R2 column, as in the published recipe, cannot be."""
    reference, estimated = pair
    ccc = metrics.ccc(reference, estimated)
    assert abs(ccc) <= abs(metrics.pearson(reference, estimated)) + 1e-9
    if reference.std() > 1e-6:
        assert ccc >= metrics.r2(reference, estimated) - 1e-9


@few
@given(pairs)
def test_agrees_with_other_implementations(pair):
    a, b = pair
    assert metrics.mae(a, b) == pytest.approx(mean_absolute_error(a, b), abs=1e-12)
    assert metrics.rmse(a, b) == pytest.approx(np.sqrt(mean_squared_error(a, b)), abs=1e-12)
    assert metrics.bias(a, b) == pytest.approx(b.mean() - a.mean(), abs=1e-12)
    np.testing.assert_array_equal(metrics.ranks(a), stats.rankdata(a))
    if len(np.unique(a)) > 1 and len(np.unique(b)) > 1:
        assert metrics.spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
    if len(np.unique(a > 0)) > 1:
        assert metrics.auc(a, b) == pytest.approx(roc_auc_score(a > 0, b), abs=1e-12)
    if a.std() > 1e-4 and b.std() > 1e-4:
        assert metrics.sd_ratio(a, b) == pytest.approx(b.std() / a.std(), rel=1e-9)
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
@given(pairs)
def test_ccc_is_precision_times_accuracy(pair):
    """Lin (1989), equation 3: ccc = r Cb, Cb = 2 / (v + 1/v + u^2) of the ratio of sds and the shift."""
    a, b = pair
    if min(a.std(), b.std()) > 1e-4:
        v, u = metrics.sd_ratio(a, b), metrics.bias(a, b) / np.sqrt(a.std() * b.std())
        assert metrics.ccc(a, b) == pytest.approx(metrics.pearson(a, b) * 2 / (v + 1 / v + u**2), abs=1e-9)


@relaxed
@given(pairs)
def test_squared_error_is_bias_and_spread(pair):
    a, b = pair
    assert metrics.rmse(a, b) ** 2 == pytest.approx(metrics.bias(a, b) ** 2 + (b - a).var(), abs=1e-12)
    assert abs(metrics.bias(a, b)) <= metrics.mae(a, b) + 1e-12
    assert metrics.mae(a, b) <= metrics.rmse(a, b) + 1e-12


@relaxed
@given(pairs)
def test_spearman_sees_order_only(pair):
    a, b = pair
    rho = metrics.spearman(a, b)
    # Through ranks, so that the map is strictly monotone in floats too.
    assert metrics.spearman(metrics.ranks(a) ** 3, np.exp(metrics.ranks(b) / 10)) == pytest.approx(rho, abs=1e-12)
    assert metrics.spearman(a, -b) == pytest.approx(-rho, abs=1e-12)


@relaxed
@given(pairs, st.randoms())
def test_order_of_rows_does_not_matter(pair, random):
    a, b = pair
    order = list(range(len(a)))
    random.shuffle(order)
    # Spread that is rounding of the values may come out otherwise in another order.
    if min(a.std(), b.std()) > 1e-4:
        assert metrics.evaluate(a[order], b[order]) == pytest.approx(metrics.evaluate(a, b), abs=1e-9)
        one, other = (metrics.calibration(a[o], b[o], 4) for o in (slice(None), order))
        assert [x["n"] for x in one["bins"]] == [x["n"] for x in other["bins"]]
        for x, y in zip(one["bins"], other["bins"], strict=True):
            assert x == pytest.approx(y, abs=1e-9)


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


@pytest.mark.parametrize("value", [0.1, 0.7, 1 / 3, -1e6 / 7])
@pytest.mark.parametrize("n", [2, 3, 10, 1001])
def test_constants_have_defined_values(value, n):
    """The mean of a constant in floats may differ from it: that must not pass for spread."""
    constant, moving = np.full(n, value), np.linspace(-1, 1, n)
    for name in ("ccc", "pearson", "spearman"):
        for pair in ((constant, moving), (moving, constant), (constant, constant), (constant, constant + 0.2)):
            assert metrics.AXIS[name](*pair) == 0
    assert metrics.auc(constant, moving) == metrics.auc(moving, constant) == 0.5
    assert metrics.r2(constant, moving) == metrics.sd_ratio(constant, moving) == metrics.sd_ratio(moving, constant) == 0
    assert metrics.r2(moving, constant) == pytest.approx(-(value**2) / moving.var())


def test_degenerate_says_what_is_wrong():
    moving = np.linspace(-1, 1, 5)
    assert metrics.degenerate(moving, moving**2) == []
    (said,) = metrics.degenerate(moving, np.full(5, 0.1))
    assert said.startswith("estimates are constant (0.1)")
    (said,) = metrics.degenerate(np.full(5, -0.3), moving)
    assert said.startswith("reference is constant (-0.3)")
    assert len(metrics.degenerate(np.ones(3), np.ones(3))) == 2
    for n in (0, 1):
        (said,) = metrics.degenerate(np.ones(n), np.ones(n))
        assert said.startswith(f"fewer than two rows ({n})")
    plane = np.stack([moving, np.zeros(5)], axis=1)
    said = metrics.degenerate(plane, plane)
    assert [s.partition(" is ")[0].partition(" are ")[0] for s in said] == ["arousal: reference", "arousal: estimates"]
    with pytest.raises(ValueError, match=r"expected two arrays"):
        metrics.degenerate(moving, moving[1:])


@pytest.mark.parametrize("name", [*metrics.AXIS, "auc", "calibration", "evaluate"])
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
    np.testing.assert_array_equal(metrics.confusion(reference, estimated)[1], [1, 0, 0, 0])


def test_the_first_wrong_row_is_named():
    a, b = np.zeros((6, 2)), np.zeros((6, 2))
    b[3:, 1] = np.nan
    a[5] = np.inf
    with pytest.raises(ValueError, match=r"Received: nan in row 3 of estimated"):
        metrics.ccc(np.zeros(6), b[:, 1])
    for refuses in (metrics.quadrant_accuracy, metrics.evaluate, metrics.degenerate):
        with pytest.raises(ValueError, match=r"in row 5 of reference"):
            refuses(a, b)
    with pytest.raises(ValueError, match=r"n >= 1"):
        metrics.quadrant_accuracy(np.zeros((0, 2)), np.zeros((0, 2)))


@few
@given(planes)
def test_quadrants_agree_with_scikit_learn_and_the_predictor(pair):
    names = [[mood.quadrant(v, a) for v, a in rows] for rows in pair]
    assert [metrics.QUADRANTS[i] for i in metrics.quadrant_index(pair[0])] == names[0]
    expected = confusion_matrix(*names, labels=list(metrics.QUADRANTS))
    np.testing.assert_array_equal(metrics.confusion(*pair), expected)
    assert metrics.quadrant_f1(*pair) == pytest.approx(f1_score(*names, average="macro"))
    assert metrics.quadrant_accuracy(*pair) == pytest.approx(np.trace(expected) / len(names[0]))


def test_evaluate_on_the_plane_is_evaluate_on_its_axes(rng):
    reference, estimated = rng.uniform(-1, 1, (2, 30, 2))
    found = metrics.evaluate(reference, estimated)
    assert found["valence"] == metrics.evaluate(reference[:, 0], estimated[:, 0])
    assert found["arousal"] == metrics.evaluate(reference[:, 1], estimated[:, 1])
    assert found["quadrant"]["f1"] == metrics.quadrant_f1(reference, estimated)
    json.dumps(found)


@relaxed
@given(pairs, st.integers(1, 12))
def test_calibration_is_a_regression_in_bins(pair, bins):
    a, b = pair
    found = metrics.calibration(a, b, bins)
    if b.std() > 1e-3:
        line = stats.linregress(b, a)
        assert found["slope"] == pytest.approx(line.slope, abs=1e-6)
        assert found["intercept"] == pytest.approx(line.intercept, abs=1e-6)
    counts = [x["n"] for x in found["bins"]]
    assert sum(counts) == len(a)
    assert len(counts) <= bins
    assert np.dot(counts, [x["reference"] for x in found["bins"]]) == pytest.approx(a.sum(), abs=1e-9)
    assert (np.diff([x["estimated"] for x in found["bins"]]) > -1e-12).all()
    if len(np.unique(b)) == len(b):
        assert max(counts) - min(counts) <= 1


def test_calibration_of_shrunk_and_of_constant_estimates(rng):
    truth = rng.uniform(-1, 1, 100)
    shrunk = metrics.calibration(truth, 0.5 * truth + 0.1)
    assert shrunk["slope"] == pytest.approx(2)
    assert shrunk["intercept"] == pytest.approx(-0.2)
    assert shrunk["sd_ratio"] == pytest.approx(0.5)
    assert [x["n"] for x in shrunk["bins"]] == [10] * 10
    constant = metrics.calibration(truth, np.full(100, 0.1))
    assert constant["slope"] is None
    assert constant["intercept"] is None
    (only,) = constant["bins"]
    assert only == pytest.approx({"estimated": 0.1, "reference": truth.mean(), "n": 100})
    with pytest.raises(ValueError, match=r"bins >= 1"):
        metrics.calibration(truth, truth, 0)


def close(found, expected):
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            close(found[name], expected[name])
    else:
        # Exact values, rounded once; 1e-15 where what is left of a sum is nothing.
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-15)


def test_golden_values():
    """Every triple in golden/, which tools/golden_metrics.py computes in fractions."""
    files = sorted(GOLDEN.glob("*.json"))
    assert files, "no golden files: run tools/golden_metrics.py"
    for file in files:
        triple = json.loads(file.read_text(encoding="utf-8"))
        close(metrics.evaluate(triple["reference"], triple["estimated"]), triple["expected"])


def test_golden_files_are_those_of_the_generator(tmp_path):
    path = Path(__file__).parents[2] / "tools" / "golden_metrics.py"
    spec = importlib.util.spec_from_file_location("golden_metrics", path)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    generator.main(tmp_path)
    written, kept = ({f.name: f.read_text(encoding="utf-8") for f in p.glob("*.json")} for p in (tmp_path, GOLDEN))
    assert written == kept
