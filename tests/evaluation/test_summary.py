"""`evaluate`: what stands beside the metrics."""

import numpy as np
import pytest

from sentio_tf.evaluation import metrics
from sentio_tf.evaluation.predictions import from_rows
from sentio_tf.evaluation.summary import evaluate, summarize, worst


def table(n=80, *, noise=0.2, label="rating", seed=0, **changes):
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        truth = rng.uniform(-0.8, 0.8, 2)
        guess = 0.5 * truth + 0.1 + noise * rng.standard_normal(2)
        if label == "sign":
            truth = np.sign(truth)
        row = {"track_id": f"s{i}", "corpus": "c", "group": f"g{i // 2}", "fold": str(i % 4), "label": label}
        row |= {"valence": truth[0], "arousal": truth[1], "valence_hat": guess[0], "arousal_hat": guess[1]}
        row |= {"genre": "Rock; Soul" if i % 4 == 0 else "Rock", "valence_sd": 0.5, "arousal_sd": 0.5, "raters": 25}
        rows.append(row | changes)
    return rows


def test_constant_is_the_mean_of_the_other_folds():
    found = from_rows(table())
    values = summarize(found, resamples=50)["c"]
    reference, fold = found.reference[:, 0], np.array(found.fold)
    constant = np.array([reference[fold != f].mean() for f in fold])
    assert values["valence"]["constant"]["rmse"] == pytest.approx(metrics.rmse(reference, constant), abs=1e-4)
    assert values["valence"]["constant"]["rmse"] > values["valence"]["rmse_constant"]


def test_constant_of_a_single_part_is_its_own_mean():
    found = from_rows(table(fold="0"))
    values = summarize(found, resamples=50)["c"]["valence"]
    assert values["constant"]["rmse"] == pytest.approx(values["rmse_constant"], abs=1e-4)


def test_ceiling_is_that_of_the_raters():
    values = summarize(table(), resamples=50)["c"]["valence"]
    reference = np.array([r["valence"] for r in table()])
    reliability = 1 - 0.5**2 / 25 / reference.var()
    assert values["ceiling"]["reliability"] == pytest.approx(reliability, abs=0.005)
    assert values["ceiling"]["pearson"] == pytest.approx(np.sqrt(reliability), abs=0.005)
    assert summarize(table(valence_sd="", raters=""), resamples=50)["c"]["valence"]["ceiling"] is None


def test_calibration_sees_shrinking():
    values = evaluate(from_rows(table(600, noise=0.01)), resamples=50)["corpora"]["c"]["valence"]["calibration"]
    assert values["slope"] == pytest.approx(2, abs=0.02)
    assert values["intercept"] == pytest.approx(-0.2, abs=0.02)
    assert sum(b["n"] for b in values["bins"]) == 600


def test_parts_by_quadrant_and_genre():
    rows = table()
    values = evaluate(from_rows(rows), resamples=50)["corpora"]["c"]
    counts = {q: v["tracks"] for q, v in values["quadrants"].items()}
    assert counts["Q1"] == sum(r["valence"] > 0 and r["arousal"] > 0 for r in rows)
    assert sum(counts.values()) == 80
    assert {g: v["tracks"] for g, v in values["genres"].items()} == {"Rock": 80, "Soul": 20}
    first = [r for r in rows if r["valence"] > 0 and r["arousal"] > 0]
    bias = np.mean([r["valence_hat"] - r["valence"] for r in first])
    assert values["quadrants"]["Q1"]["valence"]["bias"]["value"] == pytest.approx(bias, abs=1e-4)
    assert np.array(values["quadrant"]["confusion"]).sum() == 80
    assert "ccc" not in values["quadrants"]["Q1"]["valence"], "within a part that the truth chose it misleads"
    assert "ccc" in values["genres"]["Rock"]["valence"]


def test_constant_quadrant_is_the_most_frequent_of_the_other_folds():
    rows = [{**r, "valence": 0.5, "arousal": 0.5} for r in table(12)]
    for row in rows[:4]:
        row["valence"] = -0.5  # folds 0 to 3, one each
    for row in (r for r in rows if r["fold"] == "1"):
        row["arousal"] = -0.5
    found = summarize(rows, resamples=20)["c"]["quadrant"]["constant"]
    truth = {r["track_id"]: (r["valence"] > 0, r["arousal"] > 0) for r in rows}
    hits = 0
    for row in rows:
        others = [truth[r["track_id"]] for r in rows if r["fold"] != row["fold"]]
        hits += truth[row["track_id"]] == max(set(others), key=others.count)
    assert found == pytest.approx(hits / 12, abs=1e-4)


def test_worst_errors_have_names_and_order():
    rows = table(noise=0)
    rows[7] |= {"valence": -0.8, "arousal": -0.8, "valence_hat": 0.9, "arousal_hat": 0.9}
    found = worst(from_rows(rows), 3)
    assert found[0]["track_id"] == "s7"
    assert found[0]["error"] == pytest.approx(np.hypot(1.7, 1.7), abs=1e-3)
    assert [w["error"] for w in found] == sorted((w["error"] for w in found), reverse=True)


def test_worst_of_signs_are_on_the_wrong_side_only():
    rows = table(20, label="sign", noise=0)
    for row in rows:
        row["valence_hat"], row["arousal_hat"] = 0.5 * row["valence"], 0.5 * row["arousal"]
    rows[3]["valence_hat"] = -0.7 * rows[3]["valence"]
    found = worst(from_rows(rows))
    assert [(w["track_id"], w["error"]) for w in found] == [("s3", pytest.approx(0.7))]


def test_constant_targets_and_predictions_have_an_answer_and_a_warning():
    found = evaluate(from_rows(table(valence=0.3, arousal_hat=0.1)), resamples=50)
    valence, arousal = (found["corpora"]["c"][axis] for axis in ("valence", "arousal"))
    assert valence["ccc"]["value"] == valence["pearson"]["value"] == arousal["ccc"]["value"] == 0
    assert valence["sd_ratio"] is None
    assert arousal["calibration"]["slope"] is None
    assert any("c, valence: reference is constant" in w for w in found["warnings"])
    assert any("c, arousal: estimates are constant" in w for w in found["warnings"])


def test_one_song_and_few_groups():
    one = evaluate(from_rows(table(1)))
    assert one["corpora"]["c"]["valence"] == {}
    assert any("fewer than two rows" in w for w in one["warnings"])
    few = evaluate(from_rows(table(8)), resamples=50)
    assert any("4 groups of tracks; intervals from fewer" in w for w in few["warnings"])
    same = evaluate(from_rows(table(8, group="g")), resamples=50)
    assert "low" not in same["corpora"]["c"]["valence"]["ccc"]


def test_auc_counts_pairs():
    rng = np.random.default_rng(1)
    reference, estimated = np.sign(rng.standard_normal(40)), rng.integers(0, 6, 40) / 5
    pairs = [(a > b) + 0.5 * (a == b) for a in estimated[reference > 0] for b in estimated[reference <= 0]]
    assert metrics.auc(reference, estimated) == pytest.approx(np.mean(pairs))
    assert metrics.auc(np.ones(4), np.arange(4)) == 0.5
    from sklearn.metrics import roc_auc_score

    assert metrics.auc(reference, estimated) == pytest.approx(roc_auc_score(reference > 0, estimated))
