"""Comparisons of systems, against closed forms, scipy and simulated songs of artists."""

import itertools
import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sentio_tf.evaluation import bootstrap, compare, metrics

ARTISTS, SONGS = 30, 6
GROUPS = np.repeat(np.arange(ARTISTS), SONGS)


def songs(rng, *, better=0.0, artists=ARTISTS):
    """Truth and two systems; what a system gets wrong is alike within an artist."""
    groups = np.repeat(np.arange(artists), SONGS)
    truth = (0.3 * rng.standard_normal(artists))[groups] + 0.3 * rng.standard_normal(len(groups))

    def system(noise):
        return truth + noise * (rng.standard_normal(artists)[groups] + 0.5 * rng.standard_normal(len(groups)))

    return truth, system(0.3 - better), system(0.3)


# -- the bootstrap, in the long run -----------------------------------------------------------------


def test_intervals_hold_the_true_difference_and_those_over_rows_do_not():
    """95 % intervals of 200 simulated comparisons, true difference 0; one standard error is 1.5 %."""
    rng = np.random.default_rng(1)
    held = {"groups": 0, "rows": 0}
    for trial in range(200):
        truth, a, b = songs(rng)
        for name, owners in (("groups", GROUPS), ("rows", np.arange(len(truth)))):
            found = bootstrap.metric_paired("ccc", truth, a, b, owners, resamples=300, seed=trial)
            held[name] += found.low <= 0 <= found.high
    assert 0.90 <= held["groups"] / 200 <= 0.985
    assert held["rows"] / 200 < 0.75


def test_intervals_of_one_system_hold_its_true_ccc():
    """The CCC in the long run is a ratio of moments: 2 var(t) / (2 var(t) + var(error))."""
    rng = np.random.default_rng(2)
    variance, error = 0.3**2 + 0.3**2, 0.3**2 * 1.25
    expected = 2 * variance / (2 * variance + error)
    held = 0
    for trial in range(300):
        truth, a, _ = songs(rng, artists=60)
        low, high = bootstrap.metric_interval(
            "ccc", truth, a, np.repeat(np.arange(60), SONGS), resamples=400, seed=trial
        )
        held += low <= expected <= high
    assert 0.89 <= held / 300 <= 0.98


def test_size_of_the_tests():
    """Where the systems are alike, about 5 of 100 comparisons come out below .05."""
    rng = np.random.default_rng(3)
    below = {"bootstrap": 0, "permutation": 0, "over rows": 0}
    for trial in range(250):
        truth, a, b = songs(rng)
        below["bootstrap"] += bootstrap.metric_paired("ccc", truth, a, b, GROUPS, resamples=300, seed=trial).p < 0.05
        below["permutation"] += compare.permutation(truth, a, b, GROUPS, rounds=300, seed=trial) < 0.05
        below["over rows"] += compare.permutation(truth, a, b, np.arange(len(truth)), rounds=300, seed=trial) < 0.05
    assert 0.02 <= below["bootstrap"] / 250 <= 0.09
    assert 0.02 <= below["permutation"] / 250 <= 0.08
    assert below["over rows"] / 250 > 0.2


def test_power():
    """A system with half of the other's error is found in most comparisons."""
    rng = np.random.default_rng(4)
    found = [
        compare.difference(truth, a, b, GROUPS, resamples=400, seed=trial)
        for trial, (truth, a, b) in enumerate(songs(rng, better=0.15) for _ in range(60))
    ]
    assert np.mean([c.p_bootstrap < 0.05 for c in found]) > 0.8
    assert np.mean([c.p_permutation < 0.05 for c in found]) > 0.8
    assert np.mean([c.difference > 0 for c in found]) > 0.9


# -- difference -------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["ccc", "rmse", "sign_accuracy"])
def test_difference_is_of_the_metric(rng, metric):
    truth, a, b = songs(rng)
    found = compare.difference(truth, a, b, GROUPS, metric, resamples=200)
    of = metrics.AXIS[metric]
    assert (found.a, found.b) == pytest.approx((of(truth, a), of(truth, b)))
    assert found.difference == pytest.approx(found.a - found.b)
    assert found.low <= found.difference <= found.high
    assert (found.metric, found.n, found.groups, found.p_holm) == (metric, 180, 30, None)
    json.dumps(asdict(found))


def test_difference_of_quadrants(rng):
    truth, a, b = rng.uniform(-1, 1, (3, 40, 2))
    found = compare.difference(truth, a, b, np.arange(40) // 2, "quadrant_accuracy", resamples=200)
    assert found.a == pytest.approx(metrics.quadrant_accuracy(truth, a))
    assert found.b == pytest.approx(metrics.quadrant_accuracy(truth, b))


def test_equal_systems_do_not_differ(rng):
    truth, a, _ = songs(rng)
    found = compare.difference(truth, a, a, GROUPS, resamples=200)
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert (found.p_bootstrap, found.p_permutation) == (1, 1)


def test_the_same_seed_gives_the_same(rng):
    truth, a, b = songs(rng)
    one, same, other = (compare.difference(truth, a, b, GROUPS, resamples=300, seed=s) for s in (7, 7, 8))
    assert one == same
    assert one != other


# -- permutation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["ccc", "pearson", "r2", "rmse", "mae", "sign_accuracy"])
def test_permutation_is_the_enumeration(rng, metric):
    """All 2^6 exchanges, row by row with the metric itself."""
    groups = np.array([0, 0, 1, 1, 1, 2, 3, 3, 4, 5, 5, 5])
    truth, a, b = rng.uniform(-1, 1, (3, 12))
    a = 0.5 * (a + truth)
    of = metrics.AXIS[metric]
    found = abs(of(truth, a) - of(truth, b))
    as_large = 0
    for exchange in itertools.product([False, True], repeat=6):
        turned = np.array(exchange)[groups]
        one, other = np.where(turned, b, a), np.where(turned, a, b)
        as_large += abs(of(truth, one) - of(truth, other)) >= found - 1e-9
    assert compare.permutation(truth, a, b, groups, metric, rounds=64) == as_large / 64
    random = compare.permutation(truth, a, b, groups, metric, rounds=63 * 40)
    assert random == pytest.approx(as_large / 64)  # still enumerated: 64 <= rounds


def test_random_rounds_come_near_the_enumeration(rng):
    truth, a, b = songs(rng, artists=12)
    groups = np.repeat(np.arange(12), SONGS)
    exact = compare.permutation(truth, a, b, groups, rounds=4096)
    random = compare.permutation(truth, a, b, groups, rounds=4095)
    assert random != exact
    assert random == pytest.approx(exact, abs=0.03)


def test_permutation_of_mae_is_scipys(rng):
    """A mean of differences under exchange is a mean with random signs, as scipy permutes it."""
    truth, a, b = rng.uniform(-1, 1, (3, 10))
    of = stats.permutation_test(
        (np.abs(a - truth), np.abs(b - truth)),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
    )
    assert compare.permutation(truth, a, b, range(10), "mae") == pytest.approx(of.pvalue)


def test_a_perfect_system_and_constants_are_compared(rng):
    """Rounding of exchanged sums below 0 gives no NaN."""
    truth = rng.uniform(-1, 1, 40)
    for metric in ("ccc", "pearson", "r2", "rmse", "mae"):
        for a, b in ((truth, np.full(40, 0.1)), (np.full(40, 0.1), np.full(40, 0.3)), (truth, truth + 1e-9)):
            assert 0 < compare.permutation(truth, a, b, np.arange(40) // 2, metric, rounds=200) <= 1
            assert 0 < compare.permutation(truth, a, b, np.arange(40) // 8, metric, rounds=200) <= 1
    assert compare.permutation(truth, truth, -truth, np.zeros(40)) == 1  # one group: nothing can be told


def test_permutation_refuses(rng):
    truth, a, b = songs(rng)
    with pytest.raises(ValueError, match=r"metric among"):
        compare.permutation(truth, a, b, GROUPS, "spearman")
    with pytest.raises(ValueError, match=r"rounds >= 1"):
        compare.permutation(truth, a, b, GROUPS, rounds=0)


# -- several tests ----------------------------------------------------------------------------------


def test_holm_by_hand():
    """Of .01, .04, .03: 3 x .01, then 2 x .03, then what is larger of that and .04."""
    np.testing.assert_allclose(compare.holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(compare.holm([0.5, 0.9]), [1, 1])
    assert len(compare.holm([])) == 0
    for wrong in ([0.1, np.nan], [1.1], [-0.1]):
        with pytest.raises(ValueError, match=r"expected p values"):
            compare.holm(wrong)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.999))
def test_holm_rejects_as_stepping_down_does(p, level):
    """Adjusted p <= level exactly where the smallest p are tested against level / m, level / (m - 1), ..."""
    adjusted = compare.holm(p)
    assert (adjusted >= np.array(p)).all()
    assert (adjusted <= 1).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    assert (adjusted <= np.minimum(1, len(p) * np.array(p))).all()  # never worse than Bonferroni
    for i, place in enumerate(order):
        if (len(p) - i) * p[place] > level:
            assert (adjusted[order[i:]] > level).all()
            break
        assert adjusted[place] <= level


def test_adjust_fills_in_holm(rng):
    truth, a, b = songs(rng, better=0.1)
    found = compare.adjust([compare.difference(truth, a, b, GROUPS, m, resamples=200) for m in ("ccc", "rmse")])
    expected = compare.holm([c.p_bootstrap for c in found])
    assert [c.p_holm for c in found] == expected.tolist()


def test_seeds():
    mean, sd, n = compare.seeds([0.5, 0.6, 0.7])
    assert (mean, sd, n) == (pytest.approx(0.6), pytest.approx(0.1), 3)
    assert compare.seeds([0.5]) == (0.5, None, 1)
    for wrong in ([], [0.5, np.nan]):
        with pytest.raises(ValueError, match=r"one or more finite values"):
            compare.seeds(wrong)


# -- hits -------------------------------------------------------------------------------------------


def hits(both, only_a, only_b, neither):
    a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
    return a, b


def test_mcnemar_by_hand():
    """One against five: 2 (1 + 6) / 2^6; rows where both or neither are right do not matter."""
    for both, neither in ((0, 0), (10, 3)):
        assert compare.mcnemar(*hits(both, 1, 5, neither)) == (1, 5, pytest.approx(14 / 64))
    assert compare.mcnemar(*hits(4, 0, 0, 4)).p == 1
    assert compare.mcnemar(*hits(4, 3, 3, 4)).p == 1
    assert compare.mcnemar([], []) == (0, 0, 1)
    for wrong in (([1, 0], [1]), ([0.5], [1.0]), ([np.nan], [1.0])):
        with pytest.raises(ValueError, match=r"of hits, true or false"):
            compare.mcnemar(*wrong)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 5))
def test_mcnemar_clustered_of_single_rows_is_mcnemar(only_a, only_b, rest):
    a, b = hits(rest, only_a, only_b, rest)
    one, other = compare.mcnemar(a, b), compare.mcnemar_clustered(a, b, range(len(a)))
    assert other == (one.only_a, one.only_b, pytest.approx(one.p, rel=1e-9))
    assert one.p == pytest.approx(min(1, 2 * stats.binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)))


def test_mcnemar_clustered_is_the_permutation_of_accuracy(rng):
    """The same exchanges, enumerated: a plane of signs makes hits of estimates."""
    groups = rng.integers(0, 9, 40)
    truth = np.ones(40)
    a, b = np.where(rng.random((2, 40)) < [[0.7], [0.4]], 1.0, -1.0)
    found = compare.mcnemar_clustered(a > 0, b > 0, groups)
    assert found.p == pytest.approx(compare.permutation(truth, a, b, groups, "sign_accuracy"))
    assert found[:2] == compare.mcnemar(a > 0, b > 0)[:2]
    with pytest.raises(ValueError, match=r"a group for each of 40 rows"):
        compare.mcnemar_clustered(a > 0, b > 0, groups[1:])


def test_size_of_mcnemar_on_artists():
    """Hits alike within an artist: over rows far too many differences, over artists at most 5 %."""
    rng = np.random.default_rng(5)
    below = {"rows": 0, "groups": 0}
    for _ in range(400):
        a, b = (np.repeat(rng.random(ARTISTS) < 0.5, SONGS) ^ (rng.random(len(GROUPS)) < 0.1) for _ in range(2))
        below["rows"] += compare.mcnemar(a, b).p < 0.05
        below["groups"] += compare.mcnemar_clustered(a, b, GROUPS).p < 0.05
    assert below["groups"] / 400 <= 0.08
    assert below["rows"] / 400 > 0.2
