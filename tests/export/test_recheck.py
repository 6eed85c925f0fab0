"""Parity of an exported file measured again, from the file and the run alone."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from sentio_tf import export
from sentio_tf.cli import main
from sentio_tf.evaluation import metrics
from sentio_tf.export import parity, recheck
from sentio_tf.runtime import checks


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "model.tflite"
    export.export_run(run["path"], out, sources=run["sources"], quantization="none", cache=run["cache"])
    return out


def call(exported, run, *more, path=None):
    data = [a for s in run["sources"] for a in ("--data", s)]
    cache = ["--cache", run["cache"]]
    arguments = ["verify", exported, "--run", path or run["path"], *(more or (*data, *cache)), "--format", "json"]
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    return done, {c["name"]: c for c in json.loads(done.stdout)["checks"]}


def test_the_file_is_its_runs(exported, run):
    done, found = call(exported, run)
    assert found["parity"]["state"] == "ok", found
    for words in ("max 0.000", "limit 0.001", "valence: CCC with Keras 1.0000, CCC lost", "arousal: CCC with"):
        assert words in found["parity"]["detail"]
    # The signature of a file may have grown since its export was written; everything else must hold.
    assert [n for n, c in found.items() if c["state"] == "failed"] == []
    assert done.exit_code == 0


def test_another_runs_network_is_found_out(exported, run, tmp_path):
    """The check can fail: the network of the run has other weights than the file's."""
    import shutil

    from sentio_tf.training.build import load_model

    path = tmp_path / "run"
    shutil.copytree(run["path"], path)
    network = load_model(path / "model.keras")
    network.layers[-1].bias.assign([0.8, -0.8])
    network.save(path / "model.keras")
    done, found = call(exported, run, path=path)
    assert done.exit_code == 1
    assert [n for n, c in found.items() if c["state"] == "failed"] == ["parity"]


@pytest.mark.parametrize("data", ["folder:nowhere", "panda4q:."])
def test_other_data_than_the_runs(exported, run, data):
    done, found = call(exported, run, "--data", data)
    assert done.exit_code == 1
    assert found["parity"]["state"] == "failed"
    assert "\n" not in found["parity"]["detail"]
    assert found["golden output"]["state"] == "ok", "the other checks are not lost"


def test_run_that_is_not_there(exported, run, tmp_path):
    done, found = call(exported, run, path=tmp_path)
    assert done.exit_code == 1
    assert "finish it with sentio-tf fit" in found["parity"]["detail"]


def test_without_a_model_that_loads_nothing_is_read(run):
    bad = checks.Report("x", 0, checks=(checks.Check("card", "failed", "none"), checks.Check("loads", "ok", "")))
    assert recheck.check(bad, run["path"], sources=run["sources"]).state == checks.SKIPPED


def songs(count, *, rated=True):
    rng = np.random.default_rng(0)
    labels = rng.uniform(-1, 1, (count, 2))
    return [
        SimpleNamespace(
            rated=rated,
            valence=v if rated else None,
            arousal=a if rated else None,
            valence_sign=int(np.sign(v)),
            arousal_sign=int(np.sign(a)),
            group=f"artist{i // 3}",
        )
        for i, (v, a) in enumerate(labels)
    ]


def test_deviation_against_the_metrics(rng):
    tracks = songs(60)
    label = np.array([[t.valence, t.arousal] for t in tracks])
    keras = label + 0.2 * rng.standard_normal(label.shape)
    file = keras + 0.1 * rng.standard_normal(label.shape)
    found = parity.deviation(keras, file, tracks, [t.group for t in tracks])
    assert found["windows"] == 60
    assert found["max"] == pytest.approx(np.abs(keras - file).max(), abs=1e-6)
    assert found["mean"] == pytest.approx(np.abs(keras - file).mean(), abs=1e-6)
    for i, axis in enumerate(("valence", "arousal")):
        assert found["ccc_with_keras"][axis] == pytest.approx(metrics.ccc(keras[:, i], file[:, i]), abs=1e-4)
        lost = metrics.ccc(label[:, i], keras[:, i]) - metrics.ccc(label[:, i], file[:, i])
        assert found["ccc_lost"][axis] == pytest.approx(lost, abs=1e-4)
        low, high = found["ccc_lost_interval"][axis]
        assert low < lost < high


def test_deviation_of_signs_and_of_one_artist(rng):
    tracks = songs(12, rated=False)
    answers = rng.uniform(-1, 1, (12, 2))
    found = parity.deviation(answers, answers, tracks, [t.group for t in tracks])
    assert found["rated"] == 0
    assert found["ccc_lost"]["valence"] == 0
    assert found["ccc_lost_interval"]["valence"] == [0, 0]
    assert parity.deviation(answers, answers, tracks, ["one"] * 12)["ccc_lost_interval"]["arousal"] is None
