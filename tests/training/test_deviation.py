"""The standard deviation of an answer: learnt where errors differ, calibrated, kept with the run."""

import csv
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from sentio_tf import config as configuration
from sentio_tf.corpora.track import Track
from sentio_tf.layers.chunks import ChunkMean
from sentio_tf.training import deviation
from sentio_tf.training import fit as training
from sentio_tf.training.build import load_model

SONGS, FEATURES = 600, 12


@pytest.fixture(scope="module")
def uneven():
    """Features, the sd that they tell, and errors of it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(SONGS, FEATURES))
    log = np.stack([-1.5 + 0.4 * x[:, 0], -1 - 0.3 * x[:, 1] + 0.2 * x[:, 2]], axis=1)
    return x, np.exp(log), rng.normal(size=(SONGS, 2)) * np.exp(log)


def test_the_spread_that_errors_have_is_found(uneven):
    x, sd, errors = uneven
    found = deviation.fit(x, errors**2, np.arange(SONGS))
    log = x @ found.kernel + found.bias
    for axis in (0, 1):
        assert np.corrcoef(log[:, axis], np.log(sd[:, axis]))[0, 1] > 0.9
        assert np.exp(log[:, axis].mean()) == pytest.approx(sd[:, axis].mean(), rel=0.15)


def test_of_errors_that_do_not_differ_it_is_one_for_all(uneven):
    x = uneven[0]
    errors = 0.3 * np.random.default_rng(1).normal(size=(SONGS, 2))
    found = deviation.fit(x, errors**2, np.arange(SONGS))
    sd = np.exp(x @ found.kernel + found.bias)
    np.testing.assert_allclose(sd, 0.3, rtol=0.25)


def test_features_of_dead_units_get_no_weight(uneven):
    x, _, errors = uneven
    dead = 1e-7 * np.random.default_rng(2).normal(size=(SONGS, 3))
    found = deviation.fit(np.concatenate([x, dead], axis=1), errors**2, np.arange(SONGS))
    assert not found.kernel[FEATURES:].any()
    assert found.kernel[:FEATURES].any()


def test_calibration_makes_errors_as_large_as_said(uneven):
    """Whatever scale and slope come in, within bounds: the root mean square of error / sd becomes 1."""
    _, sd, errors = uneven
    for scale, slope in ((0.3, 1.0), (4.0, 0.8)):
        log = slope * np.log(sd) + np.log(scale)
        factor, offset = deviation.calibrate(log, errors)
        np.testing.assert_allclose(factor, 1 / slope, rtol=0.15)
        z = errors / np.exp(factor * log + offset)
        np.testing.assert_allclose(np.sqrt(np.mean(z**2, axis=0)), 1, atol=1e-3)


def test_what_tells_nothing_is_one_standard_deviation_for_all(uneven):
    errors = uneven[2]
    log = np.random.default_rng(3).normal(size=errors.shape) * 2
    factor, offset = deviation.calibrate(-np.abs(log), np.abs(log) * errors.std() + errors * 0)  # surer where worse
    assert (factor < 0.05).all()
    factor, offset = deviation.calibrate(log, 0.2 * np.random.default_rng(4).normal(size=errors.shape))
    assert (factor < 0.05).all()
    np.testing.assert_allclose(np.exp(offset), 0.2, rtol=0.1)


def test_stretching_moves_the_ends_too():
    found = deviation.Deviation(np.eye(2), np.zeros(2), np.array([-1.0, -1]), np.array([1.0, 1]))
    x = np.array([[-5, 0.5], [9, -0.25]], np.float32)
    plain = np.asarray(found.layer(logarithm=True)(x))
    np.testing.assert_allclose(plain, [[-1, 0.5], [1, -0.25]], atol=1e-6)
    factor, offset = np.array([0.5, 2]), np.array([0.1, -1])
    moved = found.stretched(factor, offset)
    np.testing.assert_allclose(np.asarray(moved.layer(logarithm=True)(x)), plain * factor + offset, atol=1e-6)
    np.testing.assert_allclose(np.asarray(moved.layer()(x)), np.exp(plain * factor + offset), rtol=1e-5)


def test_quality_of_gaussian_errors(uneven):
    _, sd, errors = uneven
    found = deviation.quality(errors, sd)
    for axis in ("valence", "arousal"):
        assert found[axis]["z"] == pytest.approx(1, abs=0.1)
        assert found[axis]["within"][0] == pytest.approx(0.683, abs=0.05)
        assert found[axis]["within"][1] == pytest.approx(0.954, abs=0.03)
        assert found[axis]["spearman"] > 0.15
    assert deviation.quality(errors, np.ones_like(errors))["valence"]["spearman"] is None


def test_noise_of_ratings():
    def track(sd, raters):
        return Track(
            "1", "c", Path("a"), "g", valence=0.1, arousal=0.2, valence_sd=sd, arousal_sd=2 * sd, raters=raters
        )

    with_raters, without = track(0.4, 16), track(0.4, None)
    np.testing.assert_allclose(deviation.noise_of([with_raters, without]), [[0.01, 0.04], [0, 0]])


def test_chunks_of_a_window_give_one(rng):
    """The mean of the logarithms of its chunks."""
    x = keras.Input((4, 3))
    flat = keras.layers.Reshape((3,))(keras.ops.reshape(x, (-1, 1, 3)))
    y = keras.layers.Dense(2, activation="tanh", name="head")(flat)
    network = keras.Model(x, ChunkMean(4, name="valence_arousal")(y))
    found = deviation.Deviation(rng.normal(size=(3, 2)), np.zeros(2), np.full(2, -50.0), np.full(2, 50.0))
    windows = rng.normal(size=(5, 4, 3)).astype(np.float32)
    both = np.asarray(deviation.answers_and_log(network, found).predict_on_batch(windows))
    np.testing.assert_allclose(both[:, :2], network.predict_on_batch(windows), atol=1e-6)
    np.testing.assert_allclose(both[:, 2:], (windows @ found.kernel).mean(axis=1), atol=1e-5)


@pytest.fixture(scope="module")
def learnt(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("deviation") / "run"
    said: list[str] = []
    before, deviation.FEWEST = deviation.FEWEST, 2
    settings = configuration.load(None, [*run["sets"], "deviation=true"])
    results = training.fit(settings, run["sources"], out, cache=run["cache"], report=said.append)
    deviation.FEWEST = before
    return {"path": out, "results": results, "said": said}


def test_the_answers_of_a_run_are_those_without(learnt, run):
    for part in ("fold-0", "fold-1", "fold-final"):
        one, other = (load_model(p / part / "model.keras").get_weights() for p in (learnt["path"], run["path"]))
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_every_rated_song_has_one_that_its_own_fold_learnt(learnt, run):
    with (learnt["path"] / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {r["fold"]: deviation.Deviation.load(learnt["path"] / f"fold-{r['fold']}" / deviation.FILE) for r in rows}
    assert None not in found.values()
    for row in rows:
        own = found[row["fold"]]
        for axis, name in enumerate(("valence", "arousal")):
            assert own.low[axis] - 1e-4 <= np.log(float(row[f"{name}_std"])) <= own.high[axis] + 1e-4
    rated = [r for r in rows if r["label"] == "rating" and r["split"] == "test"]
    stated = learnt["results"]["deviation"]
    assert stated["songs"] == len(rated)
    z = [(float(r["valence"]) - float(r["valence_hat"])) / float(r["valence_std"]) for r in rated]
    assert stated["valence"]["z"] == pytest.approx(np.sqrt(np.mean(np.square(z))), abs=2e-3)
    assert json.loads((learnt["path"] / "metrics.json").read_text())["deviation"] == stated
    assert (learnt["path"] / deviation.FILE).read_bytes() == (
        learnt["path"] / "fold-final" / deviation.FILE
    ).read_bytes()


def test_a_deviation_of_an_earlier_training_does_not_stay(learnt):
    folder = learnt["path"] / "fold-0"
    before = deviation.Deviation.load(folder / deviation.FILE)
    deviation.write(folder, None)
    assert not (folder / deviation.FILE).exists()
    deviation.write(folder, before)


def test_songs_that_calibrated_it_do_not_judge_it():
    row = {"label": "rating", "valence": 0.2, "arousal": 0.1, "valence_hat": 0.1, "arousal_hat": 0.3}
    row |= {"valence_std": 0.1, "arousal_std": 0.1}
    tested, held = {**row, "split": "test"}, {**row, "split": "validation"}
    assert deviation.of_rows([tested, tested, held])["songs"] == 2
    assert deviation.of_rows([held, held, tested]) == {}
    assert deviation.of_rows([{**tested, "valence_std": ""}, tested, tested])["songs"] == 2


def test_other_corpora_are_answered_with_it(learnt, mini, tmp_path, monkeypatch, run):
    """`evaluate RUN --data` writes the same columns."""
    from sentio_tf.training import apply

    monkeypatch.setattr(apply, "unseen", lambda run, tracks, report: list(tracks))
    out = tmp_path / "predictions.csv"
    apply.apply(learnt["path"], run["sources"], cache=run["cache"], out=out, report=lambda _: None)
    with out.open(newline="") as file:
        found = [float(row["valence_std"]) for row in csv.DictReader(file)]
    own = deviation.Deviation.load(learnt["path"] / deviation.FILE)
    assert np.ptp(found) >= 0
    assert np.exp(own.low[0]) - 1e-4 <= min(found) <= max(found) <= np.exp(own.high[0]) + 1e-4


def test_too_few_rated_songs(run, tmp_path):
    said: list[str] = []
    settings = configuration.load(None, [*run["sets"], "deviation=true", "final=false", "epochs=1"])
    results = training.fit(settings, run["sources"], tmp_path / "run", cache=run["cache"], report=said.append)
    assert any("no standard deviation is learnt: expected 12 rated songs" in line for line in said)
    assert "deviation" not in results
    with (tmp_path / "run" / "predictions.csv").open(newline="") as file:
        assert {row["valence_std"] for row in csv.DictReader(file)} == {""}
