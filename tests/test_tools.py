"""The generators of tables and of the tune."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_stale_results_are_noticed(tmp_path):
    """The check passes on this tree and fails once a number changes."""
    import shutil

    for name in ("README.md", "docs", "results", "tools"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    check = [sys.executable, "tools/results.py", "--check"]
    assert subprocess.run(check, cwd=tmp_path).returncode == 0
    file = tmp_path / "results" / "mobilevit-xxs.json"
    result = json.loads(file.read_text())
    result["corpora"]["panda4q"]["arousal"]["accuracy"]["value"] = 0.999
    file.write_text(json.dumps(result))
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "README.md is stale" in done.stderr
    assert "docs/results.md is stale" in done.stderr


def published_runs():
    found = [p.parent for p in (ROOT / "results").glob("*/predictions.csv")]
    assert found
    return found


def test_published_numbers_are_those_of_the_published_predictions():
    """results/*.json can be computed again from results/*/predictions.csv."""
    import csv

    from sentio_tf.evaluation.summary import summarize

    for folder in published_runs():
        with (folder / "predictions.csv").open() as file:
            rows = [r for r in csv.DictReader(file) if r["split"] == "test"]
        published = json.loads((ROOT / "results" / f"{folder.name}.json").read_text())["corpora"]
        assert summarize(rows) == published


@pytest.mark.parametrize("file", sorted((ROOT / "results").glob("networks-*.json")), ids=lambda f: f.stem)
def test_differences_of_networks_are_those_of_the_rows(file):
    """What is compared is what the table shows; where the reference is another run, the page says so."""
    result = json.loads(file.read_text())
    rows = {row["system"]: row for row in result["rows"]}
    page = (ROOT / "docs" / "results.md").read_text()
    section = page[page.index(f"`{result['command']}`") :].split("\n## ")[0]
    for c in result["comparisons"]:
        kind = "ccc" if c["metric"] == "ccc" else "accuracy"
        assert c["value_a"] == pytest.approx(rows[c["a"]][c["axis"]][kind]["value"], abs=1e-4)
        assert c["difference"] == pytest.approx(c["value_a"] - c["value_b"], abs=2e-5)
        if c["value_b"] != pytest.approx(rows[result["reference"]][c["axis"]][kind]["value"], abs=5e-4):
            assert f"{c['axis']} {c['value_b']:.3f}" in section


def test_no_group_is_in_two_folds():
    import csv

    for folder in published_runs():
        result = json.loads((ROOT / "results" / f"{folder.name}.json").read_text())
        said = re.search(r"\((\d+) training tracks of divided groups left out\)", result["protocol"])
        folds_of: dict[str, list[str]] = {}
        with (folder / "predictions.csv").open() as file:
            for row in csv.DictReader(file):
                if row["split"] == "test":
                    folds_of.setdefault(row["group"], []).append(row["fold"])
        # Songs of a group that judges another fold's model: none, or as many as the protocol says it left out.
        divided = [folds for folds in folds_of.values() if len(set(folds)) > 1]
        known = sum(len(folds) - folds.count(fold) for folds in divided for fold in set(folds))
        assert known == (int(said[1]) if said else 0)


def baselines():
    found = sorted((ROOT / "results").glob("baselines-*.json"))
    assert found, "no baselines are published"
    return found


@pytest.mark.parametrize("file", baselines(), ids=lambda f: f.stem)
def test_published_baselines_can_be_what_they_say(file):
    """R² <= CCC <= |r| in every row (a column that holds another metric breaks it), and on the committed split."""
    from sentio_tf.corpora import split

    result = json.loads(file.read_text())
    for row in result["rows"]:
        for axis in ("valence", "arousal"):
            values = row[axis]
            if result["label"] == "rating":
                assert values["r2"]["value"] <= values["ccc"]["value"] + 1e-4
                assert values["ccc"]["value"] <= abs(values["pearson"]["value"]) + 1e-4
            assert all(
                v["low"] <= v["value"] <= v["high"] for v in values.values() if isinstance(v, dict) and "low" in v
            )
    made = split.load(ROOT / "results" / "baselines" / f"split-{result['corpus']}.json")
    assert not made.leaks() or "left out" in result["protocol"]
    assert sum(p != (split.UNUSED,) for p in made.parts.values()) >= result["tracks"]


def test_the_bundled_tune_is_the_composed_one(tmp_path, tune):
    """tools/compose_tune.py gives the tune in the package (mp3 encoders may differ in the last bits)."""
    import numpy as np

    from sentio_tf.audio import decode

    path = tmp_path / "tune.mp3"
    subprocess.run([sys.executable, ROOT / "tools" / "compose_tune.py", path], check=True, capture_output=True)
    again, bundled = decode.load(path), decode.load(tune)
    assert len(again) == len(bundled)
    assert np.corrcoef(again, bundled)[0, 1] > 0.999


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module


def test_what_was_not_run_is_named(tool):
    results = tool("results")
    result = {"protocol": "out-of-fold, grouped", "command": "python tools/networks.py ROOT"}
    made = {"vit-frozen": {"seeds": [0, 2], "seconds": 240}}
    said = results.not_run(result, made)[0]
    assert "seeds: `vit-frozen` 1." in said
    assert "a seed is ten fits here and took, where it was run, `vit-frozen` 2 minutes of a core" in said
    for name in set(results.SYSTEMS) - {"vit-frozen"}:
        assert f"`{name}`" in said.split(";")[0]
    complete = {name: {"seeds": list(results.SEEDS), "seconds": 1} for name in results.SYSTEMS}
    assert results.not_run(result, complete) == []


def test_every_other_run_of_the_reference_has_its_mark(tool):
    """However many systems there are."""
    results = tool("results")
    others = sorted(set(results.SYSTEMS) - {"vit-frozen"})
    assert len(others) >= 10
    differs = {"difference": 0.1, "low": 0.0, "high": 0.2, "p_holm": 0.5, "value_a": 0.5}
    metric = {"valence": "ccc", "arousal": "ccc", "quadrant": "accuracy"}
    comparisons = [
        {"a": name, "b": "vit-frozen", "axis": axis, "metric": metric[axis], "value_b": 0.4 - i / 100, **differs}
        for i, name in enumerate(others)
        for axis in metric
    ]
    row = {"system": "vit-frozen", **{axis: {kind: {"value": 0.5}} for axis, kind in metric.items()}}
    page = results.network_verdicts(
        {"comparisons": comparisons, "label": "rating", "rows": [row], "reference": "vit-frozen"}
    )
    for mark, name in zip(("¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹", "¹⁰"), others, strict=False):
        assert any(line.startswith(f"| {results.SYSTEMS[name]}{mark} |") for line in page)
        assert f"{mark} from another run of it, beside this system's: valence 0." in page[-2]


@pytest.mark.parametrize(
    ("config", "size"),
    [
        ({"model": "mobilevit", "architecture": {"size": "xs"}}, ["xs"]),
        ({"model": "mobilevit", "architecture": {}}, ["xxs"]),
        ({"model": "efficientnet_lite", "architecture": {"height": 64}}, ["lite0"]),
        ({"model": "musicnn", "architecture": {"network": "both"}}, ["both"]),
        ({"model": "vit", "architecture": {}}, []),
    ],
    ids=["of the configuration", "the default", "the only one", "a published network", "none"],
)
def test_what_ships_is_named_by_its_size(tool, config, size):
    assert tool("ship").size_of(config) == size


def test_the_command_of_what_ships_is_that_of_its_run(tool):
    command = tool("ship").command
    fitted = {"model": "crnn", "data": ["a", "b"]}
    assert command(fitted, "c.yaml") == "sentio-tf fit crnn --config c.yaml --data a:ROOT/a --data b:ROOT/b"
    assert command({**fitted, "terms": {"soft": 4}}, "c.yaml", "--split s.json") == (
        "sentio-tf distill --teacher RUN --student crnn --config c.yaml --data a:ROOT/a --data b:ROOT/b --split s.json"
    )


def test_what_ships_states_the_hash_of_its_new_card(tool, tmp_path):
    """The name goes into the card after the export had sealed it."""
    from sentio_tf.runtime import checks
    from sentio_tf.runtime.engine import Engine
    from sentio_tf.runtime.flatbuffer import content_sha256, stated_sha256

    from .runtime import tiny

    file = tmp_path / "x.tflite"
    file.write_bytes(tiny.with_card(tiny.model()))
    content = tool("ship").named(file.read_bytes(), Engine(file).card, "other-v1-ccc0.10")
    assert stated_sha256(content) == content_sha256(content) != stated_sha256(file.read_bytes())
    file.write_bytes(content)
    assert Engine(file).card.name == "other-v1-ccc0.10"
    assert {c.state for c in checks.verify(file).checks} == {checks.OK}


def test_what_learnt_from_a_gan_does_not_ship(tool, tmp_path, monkeypatch):
    from types import SimpleNamespace

    ship = tool("ship")
    card = SimpleNamespace(training={"generated": {"generated-made": 8}})
    monkeypatch.setattr(ship, "Engine", lambda path: SimpleNamespace(card=card))
    (tmp_path / "metrics.json").write_text('{"corpora": {"panda4q": {}}}')
    monkeypatch.setattr(sys, "argv", ["ship.py", str(tmp_path), "x.tflite", "--config", "configs/x.yaml"])
    with pytest.raises(SystemExit, match="trained on music that nobody made \\(generated-made\\), which does not ship"):
        ship.main()


def test_students_are_taught_and_trained_alone_alike(tool):
    """What the table says of "alone": but for masks and the teacher's terms nothing differs."""
    import yaml

    from sentio_tf import config as configuration

    distill = tool("distill")
    for name, student in distill.STUDENTS.items():
        taught = configuration.load(ROOT / student.config, kind=configuration.DistillConfig)
        words = list(student.alone)
        base = ROOT / words[words.index("--config") + 1]
        given = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        alone = configuration.load(base, given)
        assert taught.model == alone.model == name
        if student.about == distill.MASKED:
            assert taught.architecture.pop("masks") == 0
            alone.architecture.pop("masks", None)
        for field in configuration.FitConfig.__dataclass_fields__:
            if field not in ("deviation", "folds", "final"):  # both commands set these
                assert getattr(taught, field) == getattr(alone, field), (name, field)
        assert set(yaml.safe_load((ROOT / student.config).read_text())["terms"]) == set(distill.WORDS)
        assert list(student.variants())[:2] == ["alone", "full"]
