"""Classical models: nested search, run directory, and what goes wrong."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from sentio_tf import config, features
from sentio_tf.config import ClassicalConfig
from sentio_tf.corpora.track import Track
from sentio_tf.errors import ConfigError, DataError, ModelError
from sentio_tf.evaluation import metrics, runs
from sentio_tf.models.classical import build
from sentio_tf.training import apply, classical

SEARCHED = {
    "ridge": {"search": {"alpha": [0.1, 10.0, 1000.0]}},
    "svr": {"search": {"C": [0.3, 3.0]}},
    "xgboost": {"search": {"max_depth": [2, 3], "learning_rate": [0.1, 0.4]}, "trials": 3, "early_stopping": 5},
}


def corpus(root, n=60, *, name="songs", seed=0, label="rating", constant=False):
    """A folder without audio and a table of features from which valence and arousal follow, with noise."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 6))
    v = np.tanh(0.4 * x[:, 0] - 0.3 * x[:, 1] + 0.1 * rng.standard_normal(n))
    a = np.tanh(0.5 * x[:, 2] + 0.1 * rng.standard_normal(n))
    if constant:
        v = np.full(n, 0.25)
    (root / name).mkdir(parents=True)
    rows = []
    for i in range(n):
        row = {"path": f"{i}.wav", "track_id": f"s{i}", "artist": f"{name} {i // 2}"}
        if label == "rating":
            row |= {"valence": v[i], "arousal": a[i]}
        else:
            row["quadrant"] = {(1, 1): "Q1", (-1, 1): "Q2", (-1, -1): "Q3", (1, -1): "Q4"}[
                (int(np.sign(v[i])), int(np.sign(a[i])))
            ]
        rows.append(row)
    with (root / name / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    table = root / f"{name}.csv"
    features.write(table, {"track_id": [f"s{i}" for i in range(n)]}, [f"f{k}" for k in range(6)], x.astype(np.float32))
    return f"folder:{root / name}", table


@pytest.fixture
def songs(tmp_path):
    return corpus(tmp_path)


def settings(table, model="ridge", **values):
    return ClassicalConfig(model=model, features=str(table), **{"folds": 4, "grid": 2, **values})


def fit(config, source, out, **options):
    return classical.fit(config, [source], out, report=lambda _: None, **options)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("model", list(SEARCHED))
def test_run_directory_is_that_of_every_model(songs, tmp_path, model):
    source, table = songs
    results = fit(settings(table, model, inner_folds=3, **SEARCHED[model]), source, tmp_path / "r")
    names = {p.name for p in (tmp_path / "r").iterdir()}
    assert names >= {"config.yaml", "model.skops", "history.csv", "predictions.csv", "metrics.json", "environment.json"}
    found = rows_of(tmp_path / "r" / "predictions.csv")
    assert sorted(r["track_id"] for r in found) == sorted(f"s{i}" for i in range(60))
    fold_of = {}
    for row in found:
        assert fold_of.setdefault(row["group"], row["fold"]) == row["fold"], "an artist is in one fold"
    # The signal is strong: a model that learnt nothing, or the wrong axis, would show.
    for axis in ("valence", "arousal"):
        assert results["corpora"]["folder-songs"][axis]["ccc"]["value"] > 0.6
    history = rows_of(tmp_path / "r" / "history.csv")
    assert {r["fold"] for r in history} == {"0", "1", "2", "3", "final"}
    assert {r["axis"] for r in history} == {"valence", "arousal"}
    environment = json.loads((tmp_path / "r" / "environment.json").read_text())
    best = max((r for r in history if (r["fold"], r["axis"]) == ("0", "valence")), key=lambda r: float(r["score"]))
    key = next(iter(SEARCHED[model]["search"]))
    assert environment["settings"]["0"]["valence"][key] == pytest.approx(float(best[key]))
    resolved = yaml.safe_load((tmp_path / "r" / "config.yaml").read_text())
    assert resolved["split"] == results["split"]
    assert resolved["features"] == table.name, "no folder of this machine"


def test_predictions_are_those_of_scikit_learn_by_hand(songs, tmp_path):
    """Standardised by the training rows, one ridge an axis, judged on the fold."""
    from sklearn.linear_model import Ridge

    source, table = songs
    fit(settings(table, settings={"alpha": 7.0}), source, tmp_path / "r")
    found = {r["track_id"]: r for r in rows_of(tmp_path / "r" / "predictions.csv")}
    names = features.read(table).ids["track_id"]
    x = features.read(table).matrix.astype(float)
    y = np.array([[float(found[n]["valence"]), float(found[n]["arousal"])] for n in names])
    fold = np.array([found[n]["fold"] for n in names])
    train = fold != "1"
    mean, sd = x[train].mean(0), x[train].std(0)
    for k, axis in enumerate(("valence", "arousal")):
        expected = Ridge(alpha=7.0).fit((x[train] - mean) / sd, y[train, k]).predict((x[~train] - mean) / sd)
        given = [float(found[n][f"{axis}_hat"]) for n, f in zip(names, fold, strict=True) if f == "1"]
        np.testing.assert_allclose(given, expected, atol=2e-5)


def test_search_never_sees_the_test_fold(songs, tmp_path, monkeypatch):
    """What the search chooses for a fold does not change when the labels and features of that fold do."""
    source, table = songs
    fit(settings(table, "svr", inner_folds=3, search={"C": [0.01, 0.1, 1.0, 10.0]}), source, tmp_path / "a")
    judged = {r["track_id"] for r in rows_of(tmp_path / "a" / "predictions.csv") if r["fold"] == "0"}
    real = classical.targets

    def garbled(tracks, sign_value):
        y = real(tracks, sign_value)
        return np.where(np.array([[t.track_id in judged] for t in tracks]), -y, y)

    monkeypatch.setattr(classical, "targets", garbled)
    fit(settings(table, "svr", inner_folds=3, search={"C": [0.01, 0.1, 1.0, 10.0]}), source, tmp_path / "b")
    one, other = ([r for r in rows_of(tmp_path / x / "history.csv") if r["fold"] == "0"] for x in ("a", "b"))
    assert one == other
    changed = [r for r in rows_of(tmp_path / "b" / "history.csv") if r["fold"] == "1"]
    assert changed != [r for r in rows_of(tmp_path / "a" / "history.csv") if r["fold"] == "1"], "others do see it"


def test_inner_folds_divide_no_artist(songs, tmp_path):
    own = [Track(f"s{i}", "c", None, f"g{i // 4}", valence=np.cos(i), arousal=np.sin(i)) for i in range(40)]  # type: ignore[arg-type]
    inner = classical.inner_folds(ClassicalConfig(search={"alpha": [1.0]}, inner_folds=5), own)
    for group in {t.group for t in own}:
        assert len({int(f) for f, t in zip(inner, own, strict=True) if t.group == group}) == 1


def test_early_stopping_counts_rounds_inside(songs, tmp_path):
    source, table = songs
    values = {"n_estimators": 150, "learning_rate": 0.3}
    fit(settings(table, "xgboost", settings=values, early_stopping=5, inner_folds=3), source, tmp_path / "r")
    chosen = json.loads((tmp_path / "r" / "environment.json").read_text())["settings"]
    rounds = [chosen[f][axis]["n_estimators"] for f in chosen for axis in chosen[f]]
    assert all(1 <= n < 150 for n in rounds)
    assert (
        classical.load(tmp_path / "r")["valence"][-1].get_booster().num_boosted_rounds()
        == chosen["final"]["valence"]["n_estimators"]
    )


@pytest.mark.parametrize("model", ["ridge", "xgboost"])
def test_joint_models(songs, tmp_path, model):
    source, table = songs
    results = fit(
        settings(table, model, joint=True, settings={"alpha": 1.0} if model == "ridge" else {}), source, tmp_path / "r"
    )
    assert results["corpora"]["folder-songs"]["arousal"]["ccc"]["value"] > 0.6
    assert list(classical.load(tmp_path / "r")) == ["both"]
    x = features.read(table).matrix.astype(float)
    assert classical.predict(classical.load(tmp_path / "r"), x).shape == (60, 2)


def test_same_seed_same_run(songs, tmp_path):
    source, table = songs
    values = {"settings": {"subsample": 0.6, "n_estimators": 20}}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        made = replace(settings(table, "xgboost", **values), seed=seed)
        fit(made, source, tmp_path / name, split=None)
    a, b, c = (rows_of(tmp_path / n / "predictions.csv") for n in "abc")
    assert a == b
    assert a != c


def test_settings_may_differ_by_axis(songs, tmp_path):
    source, table = songs
    fit(settings(table, settings={"valence": {"alpha": 1e6}, "arousal": {"alpha": 1.0}}), source, tmp_path / "r")
    found = rows_of(tmp_path / "r" / "predictions.csv")
    spread = {axis: np.std([float(r[f"{axis}_hat"]) for r in found]) for axis in ("valence", "arousal")}
    assert spread["valence"] < 0.02 < spread["arousal"]


def test_signs_stand_at_their_value(tmp_path):
    source, table = corpus(tmp_path, label="sign")
    results = fit(settings(table, settings={"alpha": 1.0}), source, tmp_path / "r")
    assert results["corpora"]["folder-songs"]["arousal"]["accuracy"]["value"] > 0.85
    tracks = [Track("a", "c", None, "g", valence_sign=1, arousal_sign=-1)]  # type: ignore[arg-type]
    assert classical.targets(tracks, 0.5).tolist() == [[0.5, -0.5]]


def test_interrupted_run_continues(songs, tmp_path, monkeypatch):
    source, table = songs
    results = fit(settings(table), source, tmp_path / "r")
    (tmp_path / "r" / "fold-2" / "done.json").unlink()
    (tmp_path / "r" / "metrics.json").unlink()
    trained, real = [], classical.train_part

    def train(config, data, part, folder, **k):
        trained.append(part.name)
        real(config, data, part, folder, **k)

    monkeypatch.setattr(classical, "train_part", train)
    assert fit(settings(table), source, tmp_path / "r")["corpora"] == results["corpora"]
    assert trained == ["2"]
    with pytest.raises(ConfigError, match="another configuration"):
        fit(settings(table, settings={"alpha": 3.0}), source, tmp_path / "r")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("done.json", ""),
        ("done.json", "{}"),
        ("predictions.csv", ""),
        ("predictions.csv", "\xff"),
        ("history.csv", None),
    ],
)
def test_damaged_parts_are_trained_again(songs, tmp_path, file, content):
    source, table = songs
    results = fit(settings(table), source, tmp_path / "r")
    place = tmp_path / "r" / "fold-1" / file
    place.unlink()
    if content is not None:
        place.write_bytes(content.encode("latin-1"))
    assert fit(settings(table), source, tmp_path / "r") == results
    assert len(runs.open_run(tmp_path / "r").predictions) == 60


def test_the_final_model_is_not_judged_by_what_it_was_trained_on(songs, tmp_path):
    """Of a holdout split only the test part is in predictions.csv, but the final model knows all."""
    from sentio_tf import corpora
    from sentio_tf.corpora import split

    source, table = songs
    split.make(corpora.read_labels(source), "holdout", grid=2).save(tmp_path / "s.json")
    results = fit(settings(table, folds=0), source, tmp_path / "r", split=tmp_path / "s.json")
    assert results["protocol"] == "holdout split, train and validation -> test"
    assert results["corpora"]["folder-songs"]["tracks"] < 20
    with pytest.raises(DataError, match="received none; evaluate the run itself"):
        apply.apply(tmp_path / "r", [source], features=str(table), report=lambda _: None)
    (tmp_path / "r" / "trained.csv").unlink()
    with pytest.raises(ModelError, match="fit it again"):
        apply.apply(tmp_path / "r", [source], features=str(table), report=lambda _: None)


def test_recordings_are_seen_whatever_the_artist_is_called(tmp_path):
    with (tmp_path / "trained.csv").open("w") as file:
        file.write("key,group,together,recording\ndeam/5,artist:the foo band,artist:the foo band,emomusic/5\n")
    twin = Track("5", "emomusic", None, "artist:foo band", valence=0.0, arousal=0.0, recording="emomusic/5")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="received none"):
        apply.unseen(tmp_path, [twin], lambda _: None)


@pytest.mark.parametrize(
    "wrong",
    ["settings.alpha=-1", "settings.alpha=abc", "settings.alpha=.nan", "settings.solver=foo", "search.alpha=[1,-2]",
     "model=svr settings.kernel=precomputed", "model=svr settings.gamma=foo", "model=xgboost settings.max_depth=foo",
     "model=xgboost settings.objective=foo", "model=xgboost settings.n_estimators=0",
     "model=xgboost settings.early_stopping_rounds=5", "model=xgboost settings.callbacks=[1]"],
)  # fmt: skip
def test_wrong_settings_are_refused_before_the_work(songs, tmp_path, monkeypatch, wrong):
    source, table = songs
    monkeypatch.setattr(classical, "vectors", lambda *a, **k: pytest.fail("worked first"))
    made = config.load(None, [f"features={table}", *wrong.split()], ClassicalConfig)
    with pytest.raises(ConfigError, match=r"^(settings|search): ") as caught:
        fit(made, source, tmp_path / "r")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["valence", "Arousal", "mean_valence", "valence_mean", "quadrant", "secret"])
def test_labels_are_no_features(songs, tmp_path, name):
    source, table = songs
    read = features.read(table)
    with (tmp_path / "songs" / "labels.csv").open() as file:
        truth = np.array([[float(r["valence"])] for r in csv.DictReader(file)])
    column = truth if name == "secret" else np.zeros_like(truth)
    features.write(table, read.ids, [*read.names, name], np.concatenate([read.matrix, column], 1).astype(np.float32))
    with pytest.raises(DataError, match=f"column '{name}' that holds labels"):
        fit(settings(table), source, tmp_path / "r")


def test_other_features_are_another_run(songs, tmp_path):
    source, table = songs
    fit(settings(table), source, tmp_path / "r")
    read = features.read(table)
    features.write(table, read.ids, read.names, read.matrix + 1)
    with pytest.raises(ConfigError, match="other data"):
        fit(settings(table), source, tmp_path / "r")


def test_constant_targets_have_an_answer_and_a_warning(tmp_path):
    source, table = corpus(tmp_path, constant=True)
    for model in SEARCHED:
        said = []
        made = settings(table, model, inner_folds=3, **SEARCHED[model])
        results = classical.fit(made, [source], tmp_path / model, report=said.append)
        value = results["corpora"]["folder-songs"]["valence"]
        assert value["ccc"]["value"] == 0
        assert value["rmse"]["value"] < 0.01
        assert any("warning: valence is the same in all training tracks" in line for line in said)
        assert np.isfinite([float(r["valence_hat"]) for r in rows_of(tmp_path / model / "predictions.csv")]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folds": 40}, "expected 40 groups or more, received 30"),
        ({"folds": 0}, "expected 2 or more, or a --split"),
        ({"folds": 4, "inner_folds": 29, "search": {"alpha": [1.0]}}, "received 22; lower inner_folds"),
        ({"settings": {"depth": 3}}, "expected parameters of ridge, received 'depth'; known are alpha"),
        ({"features": "mfcc"}, "features: expected recipe.*received 'mfcc'"),
    ],
)
def test_what_cannot_be_is_one_line(songs, tmp_path, change, message):
    source, table = songs
    made = replace(settings(table), **change)
    with pytest.raises((DataError, ConfigError), match=message):
        fit(made, source, tmp_path / "r")


def test_one_song(tmp_path):
    source, table = corpus(tmp_path, 1)
    with pytest.raises(DataError, match=r"received 1 \(1 tracks\)"):
        fit(settings(table), source, tmp_path / "r")


def test_features_of_other_tracks(songs, tmp_path):
    source, table = songs
    read = features.read(table)
    features.write(table, {"track_id": [f"x{i}" for i in range(60)]}, read.names, read.matrix)
    with pytest.raises(DataError, match="received a table of others"):
        fit(settings(table), source, tmp_path / "r")
    features.write(table, {"track_id": [f"s{i}" for i in range(50)]}, read.names, read.matrix[:50])
    with pytest.raises(DataError, match=r"has no features of it \(10 such tracks\).*--skip-missing"):
        fit(settings(table), source, tmp_path / "r")
    results = fit(settings(table), source, tmp_path / "r", skip_missing=True)
    assert results["corpora"]["folder-songs"]["tracks"] == 50


def test_settings_of_the_recipe_are_what_build_gives():
    assert build("ridge", {})[-1].alpha == 100
    assert (build("svr", {})[-1].C, build("svr", {})[-1].gamma) == (1, "auto")
    assert build("xgboost", {}, seed=3)[-1].get_params()["random_state"] == 3


def test_configs_of_the_repository_load():
    from pathlib import Path

    folder = Path(__file__).parents[2] / "configs"
    for model in config.CLASSICAL:
        plain, searched = (
            config.load(folder / f"{model}{suffix}.yaml", kind=ClassicalConfig) for suffix in ("", "-search")
        )
        assert (plain.model, plain.search) == (model, {})
        assert searched.search
        for axis in ("valence", "arousal"):
            chosen = {**plain.settings, **plain.settings.get(axis, {})}
            build(model, {k: v for k, v in chosen.items() if k not in ("valence", "arousal")})


@pytest.mark.parametrize(
    "wrong",
    [
        "model=forest",
        "joint=true",
        "trials=3",
        "search={C: 3}",
        "early_stopping=3",
        "settings={valence: 3}",
        "criterion=mse",
    ],
)
def test_wrong_configurations(wrong):
    with pytest.raises(ConfigError, match="out of range"):
        config.load(None, ["model=svr", wrong], ClassicalConfig)
    with pytest.raises(ConfigError, match="did you mean trials"):
        config.load(None, ["trails=3"], ClassicalConfig)


def test_optuna_ranges(songs, tmp_path):
    tried = []

    def judge(own):
        tried.append(own)
        return float(own["a"])

    classical._optuna(
        ClassicalConfig(search={"a": [1, 5], "b": [0.001, 1.0], "c": [1.0, 2.0], "d": ["x", "y"]}, trials=20), judge
    )
    assert len(tried) == 20
    assert {type(t["a"]) for t in tried} == {int}
    assert all(0.001 <= t["b"] <= 1 and 1 <= t["c"] <= 2 and t["d"] in "xy" for t in tried)
    assert np.median([t["b"] for t in tried]) < 0.3, "a range of three decades is searched by its logarithm"


def test_score_counts_corpora_alike():
    own = [Track(f"{i}", c, None, f"g{i}", valence=0.0, arousal=0.0) for i, c in enumerate("a" * 10 + "b" * 100)]  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    y = rng.standard_normal((110, 1))
    estimated = np.where(np.arange(110)[:, None] < 10, y, 0)
    assert classical.score("ccc", own, y, estimated) == pytest.approx(0.5)
    rmse = -metrics.rmse(y[10:, 0], estimated[10:, 0]) / 2
    assert classical.score("rmse", own, y, estimated) == pytest.approx(rmse)


def test_a_saved_model_runs_no_code(songs, tmp_path):
    import pickle

    source, table = songs
    fit(settings(table), source, tmp_path / "r")
    (tmp_path / "r" / "model.skops").write_bytes(pickle.dumps({"valence": 1}))
    with pytest.raises(ModelError, match="expected a model of sentio-tf fit"):
        classical.load(tmp_path / "r")
    with pytest.raises(ModelError, match="received none"):
        classical.load(tmp_path)


def test_final_model_is_judged_on_another_corpus_without_shared_artists(tmp_path):
    source, table = corpus(tmp_path)
    fit(settings(table, settings={"alpha": 1.0}), source, tmp_path / "r")
    other, rows = corpus(tmp_path, 40, name="others", seed=5)
    labels = (
        (tmp_path / "others" / "labels.csv")
        .read_text()
        .replace("others 3\r", "songs 3\r")
        .replace(",others 3,", ",songs 3,")
    )
    (tmp_path / "others" / "labels.csv").write_text(labels)
    said = []
    found = apply.apply(tmp_path / "r", [other], features=str(rows), out=tmp_path / "p.csv", report=said.append)
    assert len(found) == 38
    assert any("2 of 40 tracks, whose artist or recording" in line for line in said)
    assert metrics.ccc(found.reference[:, 1], found.estimated[:, 1]) > 0.6
    assert len(runs.open_run(tmp_path / "p.csv").predictions) == 38
    with pytest.raises(DataError, match="evaluate the run itself"):
        apply.apply(tmp_path / "r", [source], features=str(table), report=said.append)
    read = features.read(rows)
    features.write(rows, read.ids, [f"other_{n}" for n in read.names], read.matrix)
    with pytest.raises(DataError, match=r"the 6 features the model was trained on \(songs.csv\), received 6 others"):
        apply.apply(tmp_path / "r", [other], features=str(rows), report=said.append)
