import numpy as np
import pytest

from sentio_tf.evaluation import bootstrap
from sentio_tf.evaluation.summary import lines, summarize


def test_interval_of_a_mean_is_the_textbooks(rng):
    x = rng.standard_normal(400)
    low, high = bootstrap.interval(lambda i: x[i].mean(), [str(i) for i in range(400)])
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.12)
    assert low < x.mean() < high


def test_rows_of_one_group_do_not_count_twice(rng):
    """Ten copies of every value: clustered, the interval stays as wide as without the copies."""
    x = rng.standard_normal(100)
    names = [str(i) for i in range(100)]
    single = bootstrap.interval(lambda i: x[i].mean(), names)
    copies, owners = np.repeat(x, 10), np.repeat(names, 10)
    clustered = bootstrap.interval(lambda i: copies[i].mean(), owners)
    naive = bootstrap.interval(lambda i: copies[i].mean(), [str(i) for i in range(1000)])
    assert np.diff(clustered) == pytest.approx(np.diff(single), rel=0.05)
    assert np.diff(naive) < 0.5 * np.diff(clustered)


def test_coverage(rng):
    """About 95 of 100 intervals hold the true mean 0 (clusters of 3, strongly alike)."""
    hits = 0
    for trial in range(100):
        cluster = np.repeat(rng.standard_normal(40), 3) + 0.1 * rng.standard_normal(120)
        low, high = bootstrap.interval(
            lambda i, c=cluster: c[i].mean(), np.repeat(np.arange(40), 3), resamples=300, seed=trial
        )
        hits += low <= 0 <= high
    assert 85 <= hits <= 100


def test_same_seed_same_interval(rng):
    x = rng.standard_normal(30)
    one, other = (bootstrap.interval(lambda i: x[i].mean(), range(30)) for _ in range(2))
    assert one == other


def test_one_group_has_no_interval():
    with pytest.raises(ValueError, match="two groups"):
        bootstrap.interval(lambda i: 0.0, ["a", "a"])


def row(i, corpus, label, group, reference, estimated):
    return {
        "track_id": str(i), "corpus": corpus, "label": label, "group": group, "valence": reference[0],
        "arousal": reference[1], "valence_hat": estimated[0], "arousal_hat": estimated[1],
    }  # fmt: skip


def test_summary_per_corpus(rng):
    rows = []
    for i in range(40):
        v = rng.uniform(-1, 1, 2)
        rows.append(row(i, "rated", "rating", f"g{i % 10}", v, 0.5 * v))
        s = np.sign(v)
        rows.append(row(i, "signs", "sign", f"g{i % 10}", s, (s[0] * 0.3, 0.2)))
    out = summarize(rows, resamples=100)
    assert out["rated"]["valence"]["pearson"]["value"] == pytest.approx(1)
    assert out["rated"]["valence"]["sd_ratio"] == pytest.approx(0.5)
    assert out["rated"]["valence"]["ccc"]["low"] <= out["rated"]["valence"]["ccc"]["value"]
    assert out["signs"]["valence"]["accuracy"]["value"] == 1
    assert out["signs"]["quadrant"]["accuracy"]["value"] == out["signs"]["arousal"]["accuracy"]["value"]
    assert out["rated"]["groups"] == 10
    text = "\n".join(lines(out))
    assert "rated" in text
    assert "signs" in text
