"""`evaluate`, `compare` and `report` as a user meets them."""

import csv
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from sentio_tf.cli import main


def sentio(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def table(path, noise, *, n=60, seed=0, **changes):
    truth = np.random.default_rng(7).uniform(-0.8, 0.8, (n, 2))
    guess = truth + noise * np.random.default_rng(seed).standard_normal((n, 2))
    rows = [
        {"track_id": f"song [{i}]", "corpus": "c", "group": f"g{i // 2}", "fold": "0", "label": "rating",
         "valence": v, "arousal": a, "valence_hat": ve, "arousal_hat": ae, "genre": ["Jazz", "Rock"][i % 2]} | changes
        for i, ((v, a), (ve, ae)) in enumerate(zip(truth, guess, strict=True))
    ]  # fmt: skip
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_evaluate_prints_what_the_json_holds(tmp_path):
    file = table(tmp_path / "a.csv", 0.2)
    plain = sentio("evaluate", file, "--by", "genre", "--worst", 2, "--resamples", 200)
    assert plain.exit_code == 0, plain.output
    values = json.loads(sentio("evaluate", file, "--format", "json", "--resamples", 200).stdout)[0]["corpora"]["c"]
    ccc = values["valence"]["ccc"]
    assert f"{ccc['value']:.3f} [{ccc['low']:.2f}, {ccc['high']:.2f}]" in plain.stdout
    assert re.search(r"of the mean of these songs +0\.\d{3} +0\.\d{3}", plain.stdout)
    assert re.search(r"Jazz +30 +30", plain.stdout)
    assert values["worst"][0]["track_id"] in plain.stdout, "a name with brackets is no markup"


def test_evaluate_of_signs(tmp_path):
    rows = table(tmp_path / "a.csv", 0.2, label="sign", valence=1, arousal=-1)
    found = sentio("evaluate", rows, "--resamples", 100)
    assert found.exit_code == 0
    assert "right side of 0" in found.stdout
    assert "area under ROC" in found.stdout


def test_evaluate_of_a_run_with_seeds(run, tmp_path):
    import shutil

    found = sentio("evaluate", run["path"], "--resamples", 100)
    assert found.exit_code == 0, found.output
    assert "out-of-fold, grouped" in found.stdout
    copy = tmp_path / "again"
    shutil.copytree(run["path"], copy)
    for name, old, new in (("config.yaml", "seed: 0", "seed: 1"), ("metrics.json", '"seed": 0', '"seed": 1')):
        text = (copy / name).read_text()
        assert old in text
        (copy / name).write_text(text.replace(old, new))
    found = sentio("evaluate", run["path"], copy, "--resamples", 100)
    assert "2 seeds (0, 1)" in found.stdout


def test_half_written_runs_and_bad_tables_are_one_line(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "config.yaml").write_text("model: svr\n")
    for command in (["evaluate"], ["report"]):
        found = sentio(*command, tmp_path / "r")
        assert found.exit_code == 1
        assert found.stderr.startswith("error: ")
        assert "half written" in found.stderr
        assert found.stderr.count("\n") == 1
    bad = table(tmp_path / "nan.csv", 0.2, valence_hat="nan")
    found = sentio("evaluate", bad)
    assert (found.exit_code, found.stderr.count("\n")) == (1, 1)
    assert "finite number as valence_hat" in found.stderr


def test_one_song_and_constants(tmp_path):
    found = sentio("evaluate", table(tmp_path / "one.csv", 0.2, n=1))
    assert found.exit_code == 0, found.output
    assert "one song: no metric is defined" in found.stdout
    found = sentio("evaluate", table(tmp_path / "flat.csv", 0.2, valence_hat=0.1), "--resamples", 100)
    assert found.exit_code == 0
    assert "warning: c, valence: estimates are constant" in found.stderr
    assert "nan" not in found.stdout.lower()


def test_compare_says_which_is_better(tmp_path):
    good, bad = table(tmp_path / "good.csv", 0.1), table(tmp_path / "bad.csv", 0.6, seed=1)
    found = sentio("compare", good, bad, "--resamples", 1000)
    assert found.exit_code == 0, found.output
    line = next(x for x in found.stdout.splitlines() if "valence" in x)
    assert re.search(r"\+0\.\d{3} \[\+0\.\d\d, \+0\.\d\d\]", line)
    values = json.loads(sentio("compare", good, bad, "--format", "json", "--resamples", 1000).stdout)
    assert [v["axis"] for v in values] == ["valence", "arousal", "quadrant"]
    assert values[0]["p_holm"] < 0.05
    several = sentio("compare", good, bad, good, "--resamples", 200)
    assert several.stdout.count("A = good") == 2
    assert several.stdout.count("B = good (2)") == 2


@pytest.mark.parametrize("columns", [60, 80])
def test_narrow_terminals_keep_the_names(tmp_path, columns):
    """On a real terminal: no column's name and no song's quadrant is cut away."""
    import os
    import pty
    import subprocess
    import sys

    a, b = table(tmp_path / "a.csv", 0.1), table(tmp_path / "b.csv", 0.3, seed=1)
    for arguments, words in (
        (["compare", a, b], ("valence ccc", "quadrant right", "p Holm", "p perm.")),
        (["evaluate", a, "--by", "quadrant", "--by", "genre"], ("Pearson r", "Q1", "Jazz")),
    ):
        main_end, child_end = pty.openpty()
        done = subprocess.Popen(
            [sys.executable, "-m", "sentio_tf", *map(str, arguments), "--resamples", "100"],
            stdout=child_end, stderr=subprocess.DEVNULL, env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm"},
        )  # fmt: skip
        os.close(child_end)
        text = b""
        while True:
            try:
                part = os.read(main_end, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            text += part
        assert done.wait() == 0
        os.close(main_end)
        for word in words:
            assert word in text.decode(), f"{word!r} is missing at {columns} columns"


def test_compare_refuses_what_is_no_comparison(tmp_path):
    a, b = table(tmp_path / "a.csv", 0.1), table(tmp_path / "b.csv", 0.1, n=40)
    assert sentio("compare", a).exit_code == 2
    found = sentio("compare", a, b)
    assert found.exit_code == 1
    assert "--common" in found.stderr
    rows = [
        {**r, "valence": float(r["valence"]) / 2, "arousal": float(r["arousal"]) / 2} for r in csv.DictReader(a.open())
    ]
    with (tmp_path / "half.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    found = sentio("compare", a, tmp_path / "half.csv")
    assert found.exit_code == 1
    assert "two scales" in found.stderr


def test_report_is_written_beside_the_run(run, tmp_path):
    found = sentio("report", run["path"], "--resamples", 100)
    assert found.exit_code == 0, found.output
    page = (run["path"] / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "folder-rated" in page
    assert str(run["path"]) not in page, "no folder of this machine"
    found = sentio("report", table(tmp_path / "a.csv", 0.2), "--out", tmp_path / "x.html", "--resamples", 100)
    assert found.exit_code == 0, found.output
    assert (tmp_path / "x.html").stat().st_size > 10_000
    found = sentio("report", run["path"], "--out", tmp_path / "none" / "x.html", "--resamples", 100)
    assert found.exit_code == 1
    assert "cannot be written" in found.stderr


@pytest.mark.parametrize("model", ["ridge", "svr", "xgboost"])
def test_fit_of_classical_models(mini, run, tmp_path, model):
    """The command walks from audio to the run directory; the network's options are refused by name."""
    source = f"folder:{mini / 'rated'}"
    out = tmp_path / "r"
    line = ["fit", model, "--data", source, "--features", "bands", "--cache", run["cache"], "--out", out]
    found = sentio(*line, "--set", "folds=3", "--set", "grid=2")
    assert found.exit_code == 0, found.output
    assert "16 songs" in found.stdout
    # Arousal is loudness there, which the bands show; sixteen songs are enough for that.
    values = json.loads((out / "metrics.json").read_text())["corpora"]["folder-rated"]
    assert values["arousal"]["pearson"]["value"] > 0.5
    assert sentio("evaluate", out, "--resamples", 100).exit_code == 0
    other = sentio("evaluate", out, "--data", f"folder:{mini / 'signs'}", "--cache", run["cache"], "--resamples", 100)
    assert other.exit_code == 1, "the same artists: nothing unseen is left"
    assert "not trained on" in other.stderr
    assert sentio(*line, "--only", "0").exit_code == 2


def test_configurations_of_another_model_are_refused(tmp_path):
    (tmp_path / "m.yaml").write_text("model: svr\nsettings: {C: 1}\n")
    found = sentio("fit", "ridge", "--config", tmp_path / "m.yaml", "--data", "folder:x")
    assert found.exit_code == 1
    assert "expected a configuration of ridge, received one of svr" in found.stderr
    found = sentio("fit", "forest", "--data", f"folder:{tmp_path}", "--out", tmp_path / "r")
    assert "ridge, svr, xgboost, received 'forest'" in found.stderr
    found = sentio("fit", "ridge", "--data", "folder:x", "--set", "alpha=3")
    assert "goes into settings: settings.alpha" in found.stderr


def test_composed_music_is_no_result(tmp_path):
    found = sentio("evaluate", table(tmp_path / "a.csv", 0.2, corpus="synthetic-songs"), "--resamples", 100)
    assert "composed by a program and rated by nobody" in found.stderr


def test_features_belong_to_classical_models():
    found = sentio("fit", "mobilevit", "--data", "folder:x", "--features", "recipe")
    assert found.exit_code == 2
    assert "--features is for ridge, svr, xgboost" in found.output
    found = sentio("fit", "ridge", "--data", "folder:x", "--set", "epochs=3")
    assert found.exit_code == 1
    assert "unknown key 'epochs'" in found.output


def test_a_network_is_judged_on_another_corpus(run, mini, tmp_path):
    import shutil

    other = tmp_path / "other"
    shutil.copytree(mini / "rated", other)
    text = (other / "labels.csv").read_text()
    (other / "labels.csv").write_text(
        text.replace("artist", "band").replace("path,valence,arousal,band", "path,valence,arousal,artist")
    )
    out = tmp_path / "p.csv"
    line = [
        "evaluate",
        run["path"],
        "--data",
        f"folder:{other}",
        "--cache",
        run["cache"],
        "--out",
        out,
        "--resamples",
        100,
    ]
    found = sentio(*line)
    assert found.exit_code == 0, found.output
    assert "final model on other corpora" in found.stdout
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == 16
    assert {r["corpus"] for r in rows} == {"folder-other"}


def test_the_base_install_is_enough_to_judge(tmp_path):
    """No SciPy, no scikit-learn, no TensorFlow: what reads predictions.csv needs numpy and the command line."""
    import subprocess
    import sys

    a, b = table(tmp_path / "a.csv", 0.1), table(tmp_path / "b.csv", 0.3, seed=1)
    code = """
import sys
for name in ("scipy", "sklearn", "tensorflow", "keras", "pyarrow", "librosa", "skops", "xgboost", "matplotlib"):
    sys.modules[name] = None
from sentio_tf.cli import main
main(ARGS, standalone_mode=False)
"""
    for arguments in (["evaluate", a], ["compare", a, b], ["report", a, "--out", tmp_path / "a.html"]):
        words = [*map(str, arguments), "--resamples", "100"]
        done = subprocess.run([sys.executable, "-c", code.replace("ARGS", repr(words))], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout
