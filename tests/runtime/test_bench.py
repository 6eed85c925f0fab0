"""What is measured and when; how fast anything is, no test asks."""

import json

import pytest

from sentio_tf.runtime import bench
from sentio_tf.runtime.child import Child, ended

from . import tiny


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "one.tflite").write_bytes(tiny.with_card(tiny.model()))
    (folder / "two.tflite").write_bytes(tiny.model(network=True))  # no card: can be measured all the same
    (folder / "flex.tflite").write_bytes(tiny.model(custom="FlexErf"))
    (folder / "text.tflite").write_text("hello")
    (folder / "cut.tflite").write_bytes(tiny.model()[:700])
    return folder


@pytest.fixture(scope="module")
def found(files):
    names = ["missing", "one", "two", "flex", "text", "cut"]
    return bench.measure([files / f"{n}.tflite" for n in names], threads=(1, 2), runs=7)


def test_schema(found):
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found) == "schema sentio_tf litert machine runs others busy litert_bytes files".split()  # noqa: SIM905
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["cpu"]
    assert found["busy"] == (found["others"] > bench.BUSY)
    assert found["litert_bytes"] > 2**20
    keys = "threads whole front_end_ms network load_ms first_ms peak_bytes model_bytes others ratio".split()  # noqa: SIM905
    for file in found["files"][1:3]:
        assert [list(r) for r in file["results"]] == [keys] * 2
        assert [r["threads"] for r in file["results"]] == [1, 2]
        for result in file["results"]:
            assert result["whole"]["runs"] == 7, "a turn of 5 and one of 2"
            assert 0 < result["whole"]["median_ms"] <= result["whole"]["p95_ms"]
            assert result["model_bytes"] == result["peak_bytes"] - found["litert_bytes"]


def test_bad_files_do_not_cost_the_others(found, files):
    missing, one, two, flex, text, cut = found["files"]
    for file, message in (
        (missing, "cannot be read (No such file or directory)"),
        (flex, "the model does not run"),
        (text, "expected a TFLite model"),
        (cut, "cut short or damaged"),
    ):
        assert message in file["error"]
        assert file["error"].startswith(str(files))
        assert "\n" not in file["error"]
        assert "results" not in file
    assert one["bytes"] == (files / "one.tflite").stat().st_size
    # The first that can be measured is what the others are compared with.
    assert [r["ratio"] for r in one["results"]] == [1, 1]
    for mine, first in zip(two["results"], one["results"], strict=True):
        assert mine["ratio"] == pytest.approx(mine["whole"]["median_ms"] / first["whole"]["median_ms"], abs=1e-3)


def test_parts_where_the_file_has_the_signature(found):
    _, one, two, *_ = found["files"]
    assert [r["network"] for r in one["results"]] == [None, None]
    assert [r["front_end_ms"] for r in one["results"]] == [None, None]
    for result in two["results"]:
        assert result["network"]["runs"] == 7
        difference = result["whole"]["median_ms"] - result["network"]["median_ms"]
        assert result["front_end_ms"] == pytest.approx(difference, abs=2e-3)


def test_files_take_turns(files, monkeypatch):
    """All load first, and none gets two turns while another waits."""
    said = []

    class Spy(Child):
        def __init__(self, module, arguments):
            super().__init__(module, arguments)
            self.label = tuple(arguments[-1:])
            said.append(("start", *arguments[1:]))

        def ask(self, line):
            said.append((line, id(self)))
            super().ask(line)

    monkeypatch.setattr(bench, "Child", Spy)
    bench.measure([files / "one.tflite", files / "two.tflite"], threads=(1, 2), runs=12)
    starts = [s for s in said if s[0] == "start"]
    assert starts == [("start",), *[("start", "1"), ("start", "2")] * 2], "one that only imports, then the files"
    turns = said[len(starts) :]
    assert [windows for windows, _ in turns] == [5] * 4 + [5] * 4 + [2] * 4
    order = [who for _, who in turns]
    assert order == order[:4] * 3
    assert len(set(order)) == 4


def test_no_process_is_left(files):
    child = Child(bench.__name__, [str(files / "one.tflite"), "1"])
    assert "load" in child.answer(60)
    child.ask(2)
    assert len(child.answer(60)["whole"]) == 2
    child.process.kill()
    child.process.wait()
    child.ask(1)  # nobody listens: `answer` tells
    assert child.answer(60) == {"error": "LiteRT was ended by SIGKILL"}
    child.end()
    assert child.process.stdout.closed


def test_a_child_that_says_nothing_is_stopped(files):
    child = Child(bench.__name__, [str(files / "one.tflite"), "1"])
    child.answer(60)
    assert child.answer(0.2) == {"error": "LiteRT gave no answer in 0.2 s"}
    child.end()


@pytest.mark.parametrize(
    ("code", "said", "text"),
    [
        (-11, ["x"], "LiteRT was ended by SIGSEGV"),
        (-250, [], "LiteRT was ended by signal 250"),
        (1, ["Traceback", "ValueError: no"], "LiteRT ended with exit code 1 (ValueError: no)"),
        (3, [], "LiteRT ended with exit code 3"),
    ],
)
def test_how_a_process_ended(code, said, text):
    assert ended(code, said) == text


def test_other_load_counts_others_only():
    """Spinning in this process is no load of others; what others do meanwhile is not known here."""
    import time

    with bench.other_load() as load:
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
    import os

    assert 0 <= load[0] <= (os.cpu_count() or 1) - 0.3


def test_times():
    assert bench.times([]) is None
    values = [i / 1000 for i in range(1, 101)]
    assert bench.times(values) == {"median_ms": 50.5, "p95_ms": 95.05, "runs": 100}
