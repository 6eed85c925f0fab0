"""The benchmark of training steps: its processes, its ratios, and that a step trains what its way says."""

import importlib.util
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "tools" / "bench" / "train.py"
SERVING = """
import sys, time
sys.path.insert(0, {folder!r})
from train import serve
kept = b"x" * {size}
serve(lambda naps=iter({naps}): time.sleep(next(naps)), 7)
"""


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_train", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def start(bench):
    workers = []

    def started(text: str):
        workers.append(bench.Worker([sys.executable, "-c", text]))
        return workers[-1]

    yield started
    for worker in workers:
        worker.end()


def serving(*naps: float, size: int = 0) -> str:
    """A worker whose steps last so long: the first two before any turn."""
    return SERVING.format(folder=str(FILE.parent), naps=naps, size=size)


def test_every_network_is_measured(bench):
    from sentio_tf.models import MODELS

    ours = {name for name, build in MODELS.items() if build.__module__.startswith("sentio_tf.")}  # no test's own
    assert set(bench.SECONDS) == ours


def test_examples_are_as_long_as_the_configurations_have_them(bench):
    import yaml

    for name, seconds in bench.SECONDS.items():
        file = FILE.parents[2] / "configs" / f"{name}.yaml"
        assert yaml.safe_load(file.read_text(encoding="utf-8"))["crop_s"] == seconds


def test_every_way_against_torch_is_a_way(bench):
    assert set(bench.AGAINST) <= set(bench.ways("vit"))
    assert set(bench.AGAINST.values()) <= set(bench.TORCH_WAYS)


def test_a_worker_tells_its_fastest_step_and_its_memory(start):
    small, large = start(serving(0.3, 0, 1.0, 0.1)), start(serving(0, 0, 0.1, 1.0, size=200 * 2**20))
    first, _ = small.answer(60), large.answer(60)
    assert first["parameters"] == 7
    assert first["first"] >= 0.3
    small.ask(1)
    large.ask(1)
    one, other = small.answer(60), large.answer(60)
    assert 0.1 <= one["step"] < 1
    assert 0.1 <= other["step"] < 1
    assert other["peak"] - one["peak"] > 150 * 2**20


def test_why_a_worker_failed_is_told_in_one_line(start):
    text = "raise ValueError('expected |one|\\n  and more')"
    assert start(text).answer(60) == {"error": "ValueError: expected /one/"}
    assert start("import sys; sys.exit(3)").answer(60) == {"error": "exit code 3"}


def test_a_worker_that_ended_between_two_turns_is_told(start):
    worker = start(serving(0, 0).replace("serve(", "sys.stdin = []; serve("))
    assert "first" in worker.answer(60)
    worker.process.wait(60)
    worker.ask(1)
    assert worker.answer(60) == {"error": "exit code 0"}


def test_a_worker_that_takes_too_long_is_ended(start):
    worker = start("import time; time.sleep(100)")
    began = time.monotonic()
    assert worker.answer(0.5) == {"error": "no step in 0.5 s"}
    assert time.monotonic() - began < 30
    assert worker.process.wait(30) < 0


def test_own_work_is_no_load_of_others(bench):
    with bench.other_load() as load:
        before = time.process_time()
        while time.process_time() - before < 0.3:
            pass
    assert 0 <= load[0] <= bench.os.cpu_count() + 0.5


def test_turns_are_merged_to_the_fastest(bench):
    found = {"first": 9.0, "parameters": 7}
    for step, peak in ((0.5, 10), (0.2, 20), (0.4, 20)):
        found = bench.merged(found, {"step": step, "peak": peak, "others": step})
    assert found == {"first": 9.0, "parameters": 7, "step": 0.2, "peak": 20, "others": [0.5, 0.2, 0.4]}
    assert bench.merged(found, {"error": "killed"}) == {"error": "killed"}


def test_the_table_has_ratios_within_the_run(bench):
    found = {
        "float32": {"step": 0.5, "peak": 2**30, "first": 3.0},
        "XLA": {"error": "no kernel"},
        "bfloat16": {"step": 0.2, "peak": 2**29, "first": 4.0},
        "PyTorch": {"step": 0.6, "peak": 2**29, "first": 1.0},
    }
    assert bench.table("vit", found, batch=4) == [
        ["vit, 30 s x 4", "float32", "2", "1.00", "1024 MiB", "3.0 s"],
        ["vit, 30 s x 4", "XLA", "fails: no kernel", "", "", ""],
        ["vit, 30 s x 4", "bfloat16", "5", "2.50", "512 MiB", "4.0 s"],
        ["vit, 30 s x 4", "PyTorch", "1.67", "0.83", "512 MiB", "1.0 s"],
    ]
    assert bench.against_torch(found) == ["float32 1.20"]
    text = bench.note(Namespace(threads=2, rounds=3), [0.1, 0.4, 1.9], ["float32 1.20"])
    assert "other processes took meanwhile: 0.4 " in text
    assert "multiple of PyTorch's: float32 1.20. Goal" in text
    assert text.startswith("Measured on a busy machine")
    assert "busy machine" not in bench.note(Namespace(threads=2, rounds=3), [0.1, 0.2, 1.9], [])
    assert "PyTorch" not in bench.note(Namespace(threads=2, rounds=3), [], [])


def test_the_command_that_is_shown_names_what_was_measured_and_no_path(bench):
    python = Path("/somewhere/python")
    options = Namespace(rounds=2, batch=4, threads=2, models=["vit"], ways=["head only"], torch_python=python)
    shown = "--rounds=2 --batch=4 --threads=2 --models vit --ways 'head only' --torch-python PYTHON"
    assert bench.said(options) == shown


@pytest.mark.parametrize("way", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_a_step_trains(bench, way, monkeypatch):
    monkeypatch.setitem(bench.SECONDS, "short_chunk_cnn", 3.7)
    step, parameters = bench.keras_step("short_chunk_cnn", way, batch=2)
    assert parameters > 3e6
    losses = [step() for _ in range(5)]
    assert min(losses[3:]) < losses[0]


@pytest.mark.slow
def test_frozen_blocks_are_left_out_of_the_step(bench):
    """On cached answers a step costs next to nothing, with the head alone less than with everything."""
    found = {}
    for way in ("float32", "head only", "head only, cached answers"):
        step, _ = bench.keras_step("vit", way, batch=2)
        step()
        times = []
        for _ in range(3):
            began = time.perf_counter()
            step()
            times.append(time.perf_counter() - began)
        found[way] = min(times)
    whole, head, cached = found.values()
    assert whole > 1.5 * head > 15 * cached
