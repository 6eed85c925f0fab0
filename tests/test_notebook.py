"""docs/colab.ipynb, executed from top to bottom in an empty folder."""

import json
import math
from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "colab.ipynb"
SECONDS = 300  # of one cell; all together take less than a minute on two idle cores


@pytest.fixture(scope="module")
def book():
    return nbformat.read(NOTEBOOK, nbformat.NO_CONVERT)


@pytest.fixture(scope="module")
def executed(book, tmp_path_factory):
    """The notebook with its outputs, and the folder it ran in."""
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("notebook")
    copy = nbformat.from_dict(book)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SENTIO_CACHE", str(folder / "cache"))
        patch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
        client = NotebookClient(
            copy, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
    return copy, folder


def output(cells, name):
    """What a cell printed."""
    cell = next(c for c in cells if c.id == name)
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")


def test_committed_without_outputs(book):
    nbformat.validate(book)
    assert all(not c.outputs and c.execution_count is None for c in book.cells if c.cell_type == "code")
    assert len({c.id for c in book.cells}) == len(book.cells)
    assert book.metadata.kernelspec.name == "python3"


def test_it_says_what_its_scores_are_worth(book):
    first = book.cells[0].source
    assert "synthetic" in first
    assert "nothing about music" in first


def test_every_cell_ran(executed):
    book, _ = executed
    counts = [c.execution_count for c in book.cells if c.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert not [o for c in book.cells if c.cell_type == "code" for o in c.outputs if o.output_type == "error"]
    assert output(book.cells, "install") == "", "what is installed is not installed again"


def test_real_values_came_out(executed):
    book, _ = executed
    summary = json.loads(output(book.cells, "summary"))
    assert summary["songs"] == 16
    assert summary["groups_on_both_sides"] == 0
    assert math.isfinite(summary["val_ccc"])
    assert summary["val_ccc"] > 0.2, "it learns the formula of the labels"
    first, last = summary["loss"]
    assert last < 0.7 * first
    assert all(-1 < value < 1 and abs(value) > 1e-4 for value in summary["tune"])
    assert summary["loaded"] == pytest.approx(summary["tune"], abs=1e-5)
    assert summary["stages_moved"] == [False, False, True, True]


def test_files_are_left_behind(executed):
    book, folder = executed
    rows = (folder / "history.csv").read_text().splitlines()
    assert len(rows) == 1 + json.loads(output(book.cells, "summary"))["epochs"]
    assert "val_synthetic-songs_valence" in rows[0]
    assert (folder / "crnn.keras").stat().st_size > 100_000
    assert list((folder / "logs").rglob("events.out.tfevents.*"))
    assert (folder / "cache" / "log-mel" / "spec.json").is_file()


def test_curves_and_plane_are_shown(executed):
    book, _ = executed
    shown = next(c for c in book.cells if c.id == "curves").outputs
    assert any(len(o.get("data", {}).get("image/png", "")) > 20_000 for o in shown)
