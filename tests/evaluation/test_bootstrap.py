"""Paired differences, and the fast path from sums of groups."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sentio_tf.evaluation import bootstrap, metrics

FUNCTIONS = {**metrics.AXIS, "quadrant_accuracy": metrics.quadrant_accuracy}


def data(rng, metric, n=60, groups=12):
    """Reference, two systems and groups of unequal sizes."""
    shape = (n, 2) if metric == "quadrant_accuracy" else n
    reference = rng.uniform(-1, 1, shape)
    a = 0.7 * reference + 0.3 * rng.standard_normal(shape)
    b = 0.5 * reference + 0.3 * rng.standard_normal(shape) + 0.1
    names = [f"artist{g}" for g in np.minimum(rng.geometric(0.2, n), groups)]
    return reference, a, b, names


def test_interval_draws_as_it_did_for_what_is_published():
    """The rows of the first resamples, as a hash: another order of draws would change published intervals."""
    seen = []

    def statistic(rows):
        seen.append(rows)
        return float(len(rows))

    groups = ["b", "a", "c", "a", "b", "d", "a"]
    low, high = bootstrap.interval(statistic, groups, resamples=50, seed=3)
    rng = np.random.default_rng(3)
    rows = {0: [1, 3, 6], 1: [0, 4], 2: [2], 3: [5]}
    for drawn in seen:
        expected = [row for g in rng.integers(4, size=4) for row in rows[int(g)]]
        np.testing.assert_array_equal(drawn, expected)
    text = ",".join(str(row) for drawn in seen for row in drawn)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "6a5d02e80428d2f9"
    lengths = sorted(len(drawn) for drawn in seen)
    assert (low, high) == tuple(np.quantile(lengths, [0.025, 0.975]))


@pytest.mark.parametrize("cells", [7, 30_000])
@pytest.mark.parametrize("metric", bootstrap.FROM_SUMS)
def test_fast_is_slow(rng, metric, cells, monkeypatch):
    monkeypatch.setattr(bootstrap, "CELLS", cells)  # one resample at a time, or all at once
    reference, a, b, groups = data(rng, metric)
    f, how = FUNCTIONS[metric], {"resamples": 300, "seed": 5, "level": 0.9}
    slow = bootstrap.interval(lambda i: f(reference[i], a[i]), groups, **how)
    assert bootstrap.metric_interval(metric, reference, a, groups, **how) == pytest.approx(slow, abs=1e-12)

    slow = bootstrap.paired(lambda i: f(reference[i], a[i]) - f(reference[i], b[i]), groups, **how)
    fast = bootstrap.metric_paired(metric, reference, a, b, groups, **how)
    assert fast.difference == pytest.approx(slow.difference, abs=1e-12)
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), abs=1e-12)
    assert fast.p == slow.p


coarse = st.integers(4, 25).flatmap(
    lambda n: st.tuples(
        *[arrays(np.float64, n, elements=st.sampled_from([0.1, 0.3, -0.7])) for _ in range(2)],
        st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(lambda g: len(set(g)) > 1),
    )
)


@settings(deadline=None, max_examples=60)
@given(coarse, st.sampled_from(["ccc", "pearson", "r2", "rmse", "mae"]))
def test_fast_is_slow_where_resamples_are_constant(drawn, metric):
    """Few values in few groups: many resamples hold one value only, and 0 is what is defined then."""
    reference, estimated, groups = drawn
    f = metrics.AXIS[metric]
    slow = bootstrap.interval(lambda i: f(reference[i], estimated[i]), groups, resamples=40)
    assert bootstrap.metric_interval(metric, reference, estimated, groups, resamples=40) == pytest.approx(
        slow, abs=1e-9
    )


def test_far_from_zero(rng):
    """Sums of squares of values near 1000 would lose what tells them apart."""
    reference, a, _, groups = data(rng, "ccc")
    near = bootstrap.metric_interval("ccc", reference, a, groups, resamples=100)
    far = bootstrap.metric_interval("ccc", 1000 + reference, 1000 + a, groups, resamples=100)
    assert far == pytest.approx(near, abs=1e-9)


def test_p_is_the_level_at_which_the_interval_touches_zero(rng):
    for shift in (0.1, 0.2, 0.3):
        x = rng.standard_normal(60) + shift
        p = bootstrap.paired(lambda i, x=x: x[i].mean(), range(60), resamples=1999).p
        assert p > 0.001
        wider, narrower = (
            bootstrap.paired(lambda i, x=x: x[i].mean(), range(60), resamples=1999, level=1 - p * f).low
            for f in (0.9, 1.15)
        )
        assert wider < 0 < narrower


def test_p_of_a_mean_is_near_that_of_the_t_test(rng):
    from scipy.stats import ttest_1samp

    x = rng.standard_normal(200) + 0.14
    found = bootstrap.paired(lambda i: x[i].mean(), range(200), resamples=4000)
    assert found.p == pytest.approx(ttest_1samp(x, 0).pvalue, abs=0.012)
    assert found.difference == pytest.approx(x.mean())


def test_p_has_ends():
    """Never 0, and 1 where nothing differs."""
    always = bootstrap.paired(lambda i: 1.0, range(5), resamples=99)
    assert always.p == pytest.approx(2 / 100)
    never = bootstrap.paired(lambda i: 0.0, range(5), resamples=99)
    assert (never.difference, never.low, never.high, never.p) == (0, 0, 0, 1)


def test_exchanging_the_systems_turns_the_sign(rng):
    reference, a, b, groups = data(rng, "ccc")
    one = bootstrap.metric_paired("ccc", reference, a, b, groups, resamples=200)
    other = bootstrap.metric_paired("ccc", reference, b, a, groups, resamples=200)
    assert one.difference == pytest.approx(-other.difference)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p == other.p


def test_wrong_input_is_refused(rng):
    reference, a, b, groups = data(rng, "ccc")
    with pytest.raises(ValueError, match=r"two groups or more. Received: 1"):
        bootstrap.metric_interval("ccc", reference, a, ["a"] * 60)
    with pytest.raises(ValueError, match=r"metric among ccc, .*Received: 'nope'"):
        bootstrap.metric_interval("nope", reference, a, groups)
    with pytest.raises(ValueError, match=r"a group for each of 60 rows. Received: 59"):
        bootstrap.metric_interval("ccc", reference, a, groups[1:])
    with pytest.raises(ValueError, match=r"resamples >= 1"):
        bootstrap.metric_paired("ccc", reference, a, b, groups, resamples=0)
    a[7] = np.nan
    with pytest.raises(ValueError, match=r"nan in row 7 of estimated"):
        bootstrap.metric_paired("ccc", reference, a, b, groups)
