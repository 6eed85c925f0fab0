import json

import numpy as np
import pytest

from sentio_tf.errors import DataError
from sentio_tf.evaluation import runs
from sentio_tf.evaluation.predictions import COLUMNS, from_rows


def table(noise, *, n=120, seed=0, corpus="c", label="rating"):
    truth = np.random.default_rng(7).uniform(-0.8, 0.8, (n, 2))
    guess = truth + noise * np.random.default_rng(seed).standard_normal((n, 2))
    if label == "sign":
        truth = np.sign(truth)
    return [
        {"track_id": f"s{i}", "corpus": corpus, "group": f"g{i // 3}", "fold": "0", "label": label,
         "valence": v, "arousal": a, "valence_hat": ve, "arousal_hat": ae}
        for i, ((v, a), (ve, ae)) in enumerate(zip(truth, guess, strict=True))
    ]  # fmt: skip


def run(name, rows, **fields):
    return runs.Run(name, from_rows(rows, name=name), **fields)


def test_better_run_wins_and_equal_runs_do_not():
    good, bad, twin = run("good", table(0.1)), run("bad", table(0.5, seed=1)), run("twin", table(0.1, seed=2))
    verdicts, notes = runs.compare_runs([good, bad, twin], resamples=2000)
    assert not notes
    assert len(verdicts) == 9, "three pairs, two axes and the quadrants"
    found = {(v.a, v.b, v.axis): v for v in verdicts}
    win = found["good", "bad", "valence"].comparison
    assert win.difference == pytest.approx(win.a - win.b)
    assert win.low > 0
    assert win.p_bootstrap <= win.p_holm < 0.05
    assert found["good", "twin", "arousal"].comparison.p_holm > 0.05
    hits = found["good", "bad", "quadrant"].mcnemar
    assert hits.only_a > hits.only_b
    smallest = min(v.comparison.p_bootstrap for v in verdicts)
    assert min(v.comparison.p_holm for v in verdicts) == pytest.approx(min(1, 9 * smallest))


def test_signs_are_compared_by_side():
    verdicts, _ = runs.compare_runs(
        [run("a", table(0.1, label="sign")), run("b", table(0.6, label="sign"))], resamples=500
    )
    assert [v.comparison.metric for v in verdicts] == ["sign_accuracy", "sign_accuracy", "quadrant_accuracy"]


def test_corpora_of_one_run_only_are_left_out_and_said():
    both = run("both", [*table(0.1), *table(0.1, corpus="d")])
    verdicts, notes = runs.compare_runs([both, run("one", table(0.3))], resamples=200)
    assert {v.corpus for v in verdicts} == {"c"}
    assert notes == ["d is in one of both and one only and is left out"]
    with pytest.raises(DataError, match="without one in common"):
        runs.compare_runs([run("a", table(0.1)), run("d", table(0.1, corpus="d"))])


def test_other_tracks_need_leave():
    a, b = run("a", table(0.1)), run("b", table(0.1)[:90])
    with pytest.raises(DataError, match="--common"):
        runs.compare_runs([a, b], resamples=200)
    verdicts, notes = runs.compare_runs([a, b], common=True, resamples=200)
    assert verdicts[0].comparison.n == 90
    assert notes == ["c: 90 tracks that a and b share"]


def test_few_groups_and_other_protocols_are_said():
    few = [{**r, "group": f"g{i % 4}"} for i, r in enumerate(table(0.1))]
    a = run("a", few, metrics={"protocol": "out-of-fold, grouped", "split": "f" * 64})
    b = run("b", few, metrics={"protocol": "official split, train -> test", "split": "e" * 64})
    _, notes = runs.compare_runs([a, b], resamples=200)
    assert "a and b have another protocol: out-of-fold, grouped and official split, train -> test" in notes
    assert f"a and b have another split: {'f' * 12} and {'e' * 12}" in notes
    assert any("4 groups of tracks; rather believe the permutation test" in n for n in notes)


def test_tables_and_the_same_seed_twice_are_no_seeds():
    config = {"model": "svr", "seed": 0}
    tables = [run("predictions", table(0.2, seed=s)) for s in range(2)]
    assert len(runs.by_experiment(tables)) == 2
    twice = [run("a", table(0.2), config=config) for _ in range(2)]
    assert [len(g) for g in runs.by_experiment(twice)] == [1, 1]
    folds = [run(f"{s}", table(0.2), config={**config, "seed": s, "split": f"hash{s}"}) for s in range(2)]
    assert [len(g) for g in runs.by_experiment(folds)] == [2], "folds drawn with the seed belong to it"


def test_seeds_with_other_corpora_are_averaged_where_they_meet():
    one = runs.evaluation(run("a", [*table(0.2), *table(0.2, corpus="d")]), resamples=20)
    other = runs.evaluation(run("b", table(0.3, seed=1)), resamples=20)
    found = runs.over_seeds([one, other])
    assert found["c"]["valence"]["ccc"]["n"] == 2
    assert found["d"]["valence"]["ccc"] == {"mean": one["corpora"]["d"]["valence"]["ccc"]["value"], "sd": None, "n": 1}


def test_names_tell_runs_apart(tmp_path):
    paths = [tmp_path / "s0" / "ridge", tmp_path / "s1" / "ridge", tmp_path / "s1" / "ridge"]
    found = runs.distinct([run("ridge", table(0.2)) for _ in paths], paths)
    names = [r.name for r in found]
    assert len(set(names)) == 3
    assert names[0].endswith("s0/ridge")


def test_constant_predictions_are_said():
    flat = [{**r, "valence_hat": 0.2} for r in table(0.1)]
    verdicts, notes = runs.compare_runs([run("a", table(0.1)), run("flat", flat)], resamples=200)
    assert verdicts[0].comparison.b == 0
    assert any("c, valence, flat: estimates are constant" in n for n in notes)


def test_one_group_cannot_be_compared():
    rows = [{**r, "group": "g"} for r in table(0.1)]
    verdicts, notes = runs.compare_runs([run("a", rows), run("b", rows)], resamples=200)
    assert not verdicts
    assert notes == ["c: one group of tracks cannot be resampled and is left out"]


def test_as_dict_is_json():
    verdicts, _ = runs.compare_runs([run("a", table(0.1)), run("b", table(0.3))], resamples=200)
    values = json.loads(json.dumps([runs.as_dict(v) for v in verdicts]))
    assert values[0]["difference"] == pytest.approx(values[0]["value_a"] - values[0]["value_b"], abs=2e-5)
    assert set(values[2]["mcnemar"]) == {"only_a", "only_b", "p"}


def test_seeds_of_one_experiment_are_averaged():
    config = {"model": "xgboost", "folds": 5}
    several = [run(f"r{s}", table(0.2, seed=s), config={**config, "seed": s}) for s in range(3)]
    other = run("other", table(0.2, seed=9), config={"model": "svr", "folds": 5, "seed": 0})
    assert runs.by_experiment([several[0], other, *several[1:]]) == [several, [other]]
    evaluations = [runs.evaluation(r, resamples=20) for r in several]
    values = [e["corpora"]["c"]["valence"]["ccc"]["value"] for e in evaluations]
    found = runs.over_seeds(evaluations)["c"]["valence"]["ccc"]
    assert found == {
        "mean": pytest.approx(np.mean(values), abs=1e-4),
        "sd": pytest.approx(np.std(values, ddof=1), abs=1e-4),
        "n": 3,
    }


def test_tables_without_a_run_are_runs_of_their_own(tmp_path):
    import csv

    for name in ("a", "b"):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(table(0.2))
    opened = [runs.open_run(tmp_path / f"{name}.csv") for name in ("a", "b")]
    assert [r.name for r in opened] == ["a", "b"]
    assert len(runs.by_experiment(opened)) == 2
    assert runs.evaluation(opened[0], resamples=20)["protocol"] == ""
