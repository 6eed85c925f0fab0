"""Ceilings from rater spread, against simulated raters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf.evaluation import metrics
from sentio_tf.evaluation.reliability import ceilings, reliability, spearman_brown


def raters(rng, songs, n, noise, spread=0.4):
    """True scores, and means and sds of ratings around them; `n` raters a song, one number or one a song."""
    true = spread * rng.standard_normal(songs)
    counts = np.broadcast_to(n, songs)
    ratings = [t + noise * rng.standard_normal(k) for t, k in zip(true, counts, strict=True)]
    return true, np.array([r.mean() for r in ratings]), np.array([r.std(ddof=1) for r in ratings])


def test_closed_form():
    """Error 1 / 4 in a variance of means of 1: 3/4 is true."""
    means = np.repeat([-1.0, 1.0], 10) * np.sqrt(19 / 20)
    found = reliability(means, np.ones(20), 4)
    assert found == (pytest.approx(0.75), False, 20, pytest.approx(0.25), pytest.approx(1))
    assert ceilings(means, np.ones(20), 4) == {
        "reliability": pytest.approx(0.75),
        "pearson": pytest.approx(np.sqrt(0.75)),
        "r2": pytest.approx(0.75),
        "ccc": pytest.approx(1.5 / 1.75),
        "rmse": pytest.approx(0.5),
        "clipped": False,
        "songs": 20,
    }


@pytest.mark.parametrize(("n", "noise"), [(10, 0.5), (5, 1.0), (30, 0.3)])
def test_a_model_that_knows_the_true_scores_reaches_them(rng, n, noise):
    true, means, sds = raters(rng, 4000, n, noise)
    found = ceilings(means, sds, n)
    assert found["reliability"] == pytest.approx(0.4**2 / (0.4**2 + noise**2 / n), abs=0.02)
    for name in ("pearson", "r2", "ccc", "rmse"):
        assert metrics.AXIS[name](means, true) == pytest.approx(found[name], abs=0.02)


def test_the_highest_ccc_belongs_to_stretched_scores(rng):
    """As the docstring says: to the spread of the means stretched, ccc is sqrt(rel), and the rmse grows."""
    true, means, sds = raters(rng, 4000, 5, 1.0)
    found = ceilings(means, sds, 5)
    stretched = true / np.sqrt(found["reliability"])
    assert metrics.ccc(means, stretched) == pytest.approx(found["pearson"], abs=0.02)
    assert metrics.ccc(means, stretched) > found["ccc"] + 0.02
    assert metrics.rmse(means, stretched) > found["rmse"]


def test_every_song_has_its_own_raters(rng):
    n = rng.integers(3, 20, 3000)
    true, means, sds = raters(rng, 3000, n, 0.8)
    found = ceilings(means, sds, n)
    assert metrics.r2(means, true) == pytest.approx(found["r2"], abs=0.03)
    assert metrics.rmse(means, true) == pytest.approx(found["rmse"], abs=0.01)


def test_split_halves_agree(rng):
    """The correlation of two halves of the raters, stepped up by Spearman-Brown, is the reliability of all."""
    ratings = 0.4 * rng.standard_normal((3000, 1)) + 0.8 * rng.standard_normal((3000, 12))
    halves = np.corrcoef(ratings[:, ::2].mean(axis=1), ratings[:, 1::2].mean(axis=1))[0, 1]
    found = reliability(ratings.mean(axis=1), ratings.std(axis=1, ddof=1), 12)
    assert spearman_brown(halves, 2) == pytest.approx(found.value, abs=0.02)


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0.1, 20))
def test_spearman_brown_steps_up_and_down(value, times):
    stepped = spearman_brown(value, times)
    assert 0 <= stepped <= 1 + 1e-12
    assert spearman_brown(min(stepped, 1), 1 / times) == pytest.approx(value, abs=1e-9)


def test_one_rater_is_the_share_of_true_variance(rng):
    _, means, sds = raters(rng, 4000, 10, 0.8)
    found = reliability(means, sds, 10)
    assert spearman_brown(found.value, 1 / 10) == pytest.approx(0.4**2 / (0.4**2 + 0.8**2), abs=0.02)


def test_missing_rows_are_left_out(rng):
    _, means, sds = raters(rng, 50, 6, 0.5)
    n = np.full(50, 6.0)
    whole = ceilings(means[10:], sds[10:], n[10:])
    means[:3], sds[3:6], n[6:8], n[8:10] = np.nan, np.nan, np.nan, 1
    assert ceilings(means, sds, n) == whole
    assert whole["songs"] == 40
    listed = [None if np.isnan(x) else x for x in sds]
    assert ceilings(means, listed, n) == whole
    assert ceilings(means, sds, None) is None
    assert ceilings(means[:19], sds[:19], n[:19]) is None
    assert ceilings(means[:20], sds[:20], n[:20])["songs"] == 10
    assert ceilings([], [], []) is None


@pytest.mark.parametrize("means", [np.full(20, 0.1), 0.01 * np.arange(20)])
def test_more_error_than_spread_is_clipped(means):
    found = ceilings(means, np.ones(20), 4)
    assert found["clipped"]
    assert found["reliability"] == found["pearson"] == found["ccc"] == 0
    assert found["rmse"] == pytest.approx(means.std(ddof=1))


def test_raters_who_agree_leave_nothing_open(rng):
    means = rng.uniform(-1, 1, 20)
    found = ceilings(means, np.zeros(20), 5)
    assert found["reliability"] == found["ccc"] == 1
    assert found["rmse"] == 0


def test_wrong_input_is_refused():
    twenty = np.linspace(-1, 1, 20)
    with pytest.raises(ValueError, match=r"means and sds \(songs,\)"):
        reliability(twenty, np.ones(19), 3)
    with pytest.raises(ValueError, match=r"sds >= 0"):
        reliability(twenty, -np.ones(20), 3)
    with pytest.raises(ValueError, match=r"finite"):
        reliability(twenty, np.full(20, np.inf), 3)
    for wrong in ((1.1, 2), (0.5, 0), (np.nan, 2)):
        with pytest.raises(ValueError, match=r"a reliability in \[0, 1\]"):
            spearman_brown(*wrong)
