"""`sentio-tf distill` and `fit --start`, as they are called."""

import json

import pytest
from click.testing import CliRunner

from sentio_tf.cli import main
from sentio_tf.training import taps


def call(run, *words, sets=()):
    given = [word for s in (*run["sets"][1:], *sets) for word in ("--set", s)]
    data = [word for source in run["sources"] for word in ("--data", source)]
    return CliRunner().invoke(main, [*words, *data, "--cache", str(run["cache"]), *given])


def test_distill_says_what_was_kept(run, tmp_path, monkeypatch):
    monkeypatch.setitem(taps.TAPS, "tiny", taps._convolutions)
    words = ["distill", "--student", "tiny", "--teacher", str(run["path"]), "--alone", str(run["path"])]
    found = call(run, *words, "--out", str(tmp_path / "r"), sets=["epochs=1", "final=false"])
    assert found.exit_code == 0, found.output
    assert "valence: student" in found.output
    assert "against the student alone" in found.output
    results = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert set(results["retention"]) == {"songs", "groups", "valence", "arousal"}
    assert results["teachers"] == ["run"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["distill", "--student", "tiny", "--teacher", "nowhere"], "expected a finished run, received nowhere"),
        (["fit", "tiny", "--start", "nowhere"], "expected the configuration of a run|cannot be read"),
    ],
)
def test_a_run_that_is_not_there_is_one_line(run, tmp_path, words, message):
    import re

    found = call(run, *words, "--out", str(tmp_path / "r"))
    assert found.exit_code == 1
    lines = [line for line in found.output.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert re.search(message, lines[0])
    assert "Traceback" not in found.output


def test_start_is_for_networks():
    found = CliRunner().invoke(main, ["fit", "ridge", "--start", "x", "--data", "folder:y"])
    assert found.exit_code == 2
    assert "--start is for networks" in found.output
