"""`verify` and `benchmark` as a user meets them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sentio_tf.cli import main
from sentio_tf.runtime.predictor import shipped

from ..runtime import tiny

SHIPPED = shipped()["live"]


def command(*arguments):
    program = Path(sys.executable).with_name("sentio-tf")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def call(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "good [b]model[b].tflite"
    path.write_bytes(tiny.with_card(tiny.model()))
    return path


@pytest.mark.parametrize("model", [*(e["name"] for e in shipped()["models"]), "mobilevit-xxs"])
def test_verify_what_ships(model):
    done = command("verify", model)
    assert done.returncode == 0, done.stdout
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[-1] == "all checks passed"
    assert any("XNNPACK takes" in line and "RFFT2D 1" in line for line in lines)
    assert all(len(line) for line in lines)


def test_verify_json(good):
    done = call("verify", good, "--format", "json")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert list(report) == ["path", "size", "constants", "checks", "operators", "delegation", "ok"]
    assert report["ok"] is True
    assert {c["name"]: c["state"] for c in report["checks"]} == {
        **dict.fromkeys(
            (
                "file",
                "card",
                "content",
                "builtins",
                "signature",
                "loads",
                "minimum runtime",
                "golden output",
                "extremes",
                "repeatable",
            ),
            "ok",
        ),
        "parity": "skipped",
    }


def test_verify_fails_with_code_1(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny.model())
    done = call("verify", path)
    assert done.exit_code == 1
    assert "card             failed   no card" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 of 11 checks failed"
    path.write_bytes(b"text")
    assert json.loads(call("verify", path, "--format", "json").stdout)["ok"] is False


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.tflite"], 1, "error: nowhere.tflite: the model cannot be read"),
        (["."], 1, "error: .: expected a .tflite file, received a folder"),
        ([], 2, "Missing argument"),
        ([SHIPPED, "--run", "r"], 2, "--run and --data go together"),
        ([SHIPPED, "--data", "folder:x"], 2, "--run and --data go together"),
        ([SHIPPED, "--format", "xml"], 2, "Invalid value"),
    ],
)
def test_verify_usage(arguments, code, message):
    done = call("verify", *arguments)
    assert done.exit_code == code
    assert message in done.stderr


def test_neither_needs_tensorflow(good):
    for arguments in (["verify", str(good)], ["benchmark", str(good), "--runs", "1", "--threads", "1"]):
        code = (
            "import sys\nfrom sentio_tf.cli import main\n"
            f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code\n"
            "heavy = {'tensorflow', 'keras', 'matplotlib', 'av', 'librosa', 'scipy'} & set(sys.modules)\n"
            "assert not heavy, heavy"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_benchmark(good, tmp_path):
    out = tmp_path / "b.json"
    done = call("benchmark", tmp_path / "missing.tflite", good, "--runs", 2, "--threads", "1", "--out", out)
    assert done.exit_code == 1, "one file is missing"
    assert "missing.tflite: the model cannot be read" in done.stderr
    assert "good [b]model[b].tflite" in done.stdout
    assert "2 windows each" in done.stdout
    values = json.loads(out.read_text())
    assert [("error" in f) for f in values["files"]] == [True, False]
    again = call("benchmark", good, "--runs", 2, "--threads", "2,1,2", "--format", "json")
    assert again.exit_code == 0
    (file,) = json.loads(again.stdout)["files"]
    assert [r["threads"] for r in file["results"]] == [2, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "0"], "expected numbers from 1 to 64"),
        (["--threads", "one"], "expected numbers from 1 to 64"),
        (["--threads", ""], "expected numbers from 1 to 64"),
        (["--runs", "0"], "0 is not in the range"),
        (["--out", "no/such/folder/b.json"], "expected a file in a folder that is there"),
    ],
)
def test_benchmark_usage(arguments, message):
    done = call("benchmark", SHIPPED.rpartition("-v")[0], *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
