"""The picture of a run's curves: what is drawn where, on made-up histories."""

import csv
import json
import math

import numpy as np
import pytest

from sentio_tf.errors import ConfigError
from sentio_tf.training import curves

EPOCHS, STOPPED = 6, 3
COLORS = {curves.VALENCE: "valence", curves.AROUSAL: "arousal", curves.INK: "final", curves.FAINT: "fold"}


def history(count, *, offset=0.0):
    return [
        {
            "epoch": i,
            "loss": 1.0 - 0.1 * i,
            "val_ccc": 0.1 * i + offset,
            "val_a_valence": 0.1 * i,
            "val_a_arousal": 0.2 * i + offset,
            "val_b_valence": 0.3,
            "val_b_arousal": 0.1,
        }
        for i in range(count)
    ]


def part(out, name, rows, *, best, score):
    folder = out / f"fold-{name}"
    folder.mkdir(parents=True)
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "done.json").write_text(json.dumps({"best_epoch": best, "val_ccc": score}))


@pytest.fixture
def made_up(tmp_path):
    """A fold that stopped early, and a final model that nothing made better than its start."""
    out = tmp_path / "first"
    part(out, "0", history(STOPPED), best=2, score=0.1)
    part(out, "final", history(EPOCHS, offset=-0.4), best=0, score=0.35)
    return out


@pytest.fixture
def drawn(monkeypatch):
    """Figures instead of files."""
    from matplotlib.figure import Figure

    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: figures.append(figure))
    return figures


def lines(axes):
    return {COLORS[line.get_color()]: line.get_xydata() for line in axes.lines}


def test_a_picture_comes_out(made_up):
    from matplotlib.image import imread

    path = curves.draw_curves(made_up, ["0", "final"])
    assert path == made_up / "curves.png"
    pixels = imread(path)
    assert pixels.shape[1] > 1000
    assert 0.01 < (pixels[:, :, :3].min(axis=2) < 0.9).mean() < 0.3, "there is ink, on white"
    assert path.stat().st_size < 120_000


def test_every_part_has_its_line(made_up, drawn):
    curves.draw_curves(made_up, ["0", "final"])
    left, right = drawn[0].axes
    loss, score = lines(left), lines(right)
    np.testing.assert_allclose(loss["fold"], [(1, 1.0), (2, 0.9), (3, 0.8)])
    np.testing.assert_allclose(loss["final"], [(i + 1, 1 - 0.1 * i) for i in range(EPOCHS)])
    np.testing.assert_allclose(score["fold"], [(1, 0.0), (2, 0.1), (3, 0.2)], atol=1e-12)
    np.testing.assert_allclose(score["final"][-1], (6, 0.1), atol=1e-12)
    assert len(score["valence"]) == len(score["arousal"]) == STOPPED
    assert [text.get_text() for text in drawn[0].legends[0].texts] == [
        "valence, mean of all parts",
        "arousal, mean of all parts",
        "folds",
        "final model",
    ]


def test_dots_are_the_weights_that_were_kept(made_up, drawn):
    """Also where no epoch was better than the start, which no history has."""
    curves.draw_curves(made_up, ["0", "final"])
    dots = [tuple(place) for dots in drawn[0].axes[1].collections for place in dots.get_offsets()]
    assert dots == [(2, 0.1), (0, 0.35)]
    assert drawn[0].axes[1].get_xlim()[0] < 0


def test_a_run_without_folds_and_one_epoch_shows_a_mark(tmp_path, drawn):
    part(tmp_path, "final", history(1), best=1, score=0.0)
    curves.draw_curves(tmp_path, ["final"])
    for axes in drawn[0].axes:
        assert axes.lines
        assert all(line.get_marker() == "o" for line in axes.lines)
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]
    assert "valence" in [text.get_text() for text in drawn[0].legends[0].texts], "of one part there is no mean"


def test_folds_alone_are_no_final_model(made_up, drawn):
    (made_up / "fold-final").rename(made_up / "fold-1")
    curves.draw_curves(made_up, ["0", "1"])
    assert [line.get_color() for line in drawn[0].axes[0].lines] == [curves.FAINT, curves.FAINT]
    labels = [text.get_text() for text in drawn[0].legends[0].texts]
    assert labels.count("folds") == 1
    assert "final model" not in labels


def test_means_by_hand():
    first, second = history(2), history(3, offset=-0.4)
    # a and b of both parts: (0, .3, 0, .3) / 4, then (.1, .3, .1, .3) / 4; the third epoch has one part only.
    assert curves.mean_by_epoch([first, second], "_valence") == pytest.approx({1: 0.15, 2: 0.2})
    # (0, .1, -.4, .1) / 4, then (.2, .1, -.2, .1) / 4
    assert curves.mean_by_epoch([first, second], "_arousal") == pytest.approx({1: -0.05, 2: 0.05})
    assert curves.mean_by_epoch([first, []], "_valence") == pytest.approx({1: 0.15, 2: 0.2}), "a part without a history"
    assert curves.mean_by_epoch([], "_valence") == {}


def test_means_leave_out_what_is_not_finite():
    rows = history(2)
    rows[1] |= {"val_a_valence": math.nan, "val_b_valence": math.nan}
    assert curves.mean_by_epoch([rows], "_valence") == pytest.approx({1: 0.15})
    rows[1]["val_b_valence"] = 0.5
    assert curves.mean_by_epoch([rows], "_valence")[2] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "content",
    [
        b"epoch,loss\n0,high\n",
        b"epoch,loss\n0,1,2,3\n",
        b"loss\n1.0\n",
        b"epoch,loss\nnan,1.0\n",
        b"\xff\xfe\x00\x01",
        b"epoch,loss\n0,\0\n",
        b"",
    ],
)
def test_what_does_not_read_is_an_empty_history(tmp_path, content):
    (tmp_path / "history.csv").write_bytes(content)
    assert curves.read(tmp_path / "history.csv") == []


def test_empty_cells_are_left_out(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,loss,val_ccc\n0,1.5,\n1,nan,0.25\n")
    first, second = curves.read(tmp_path / "history.csv")
    assert first == {"epoch": 0, "loss": 1.5}
    assert math.isnan(second["loss"])
    assert second["val_ccc"] == 0.25


@pytest.mark.parametrize("content", ["[]", "{}", "null", '{"best_epoch": null, "val_ccc": 1}', "half {"])
def test_what_was_kept_may_be_unknown(tmp_path, content):
    (tmp_path / "done.json").write_text(content)
    assert curves.kept_weights(tmp_path / "done.json") is None
    assert curves.kept_weights(tmp_path / "none.json") is None


def test_a_run_without_any_history_is_drawn_empty(made_up, drawn):
    for file in made_up.glob("fold-*/*"):
        file.write_text("x")
    curves.draw_curves(made_up, ["0", "final"])
    assert all(len(line.get_xdata()) == 0 for axes in drawn[0].axes for line in axes.lines)


def test_a_picture_that_cannot_be_written(made_up):
    (made_up / "curves.png").mkdir()
    with pytest.raises(ConfigError, match=r"curves.png: cannot be written .*choose another --out"):
        curves.draw_curves(made_up, ["0", "final"])
