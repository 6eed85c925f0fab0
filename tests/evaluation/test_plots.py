"""What is drawn is what was predicted."""

import numpy as np
import pytest

from sentio_tf.contract import Card, Prediction, Segment
from sentio_tf.errors import SentioError
from sentio_tf.evaluation import plots

CARD = Card(name="m", version="1", licence="x", git_commit="")


@pytest.fixture
def song(tune):
    timeline = tuple(Segment(15.0 * i, 15.0 * i + 30, v, a) for i, (v, a) in enumerate([(0.2, -0.4), (0.5, 0.3)]))
    return Prediction(
        path=str(tune), model="m", valence=0.35, arousal=-0.05, valence_std=0.2, arousal_std=0.3, quadrant="Q4",
        mood="pleasant", duration_s=47.3, windows=2, in_domain=True, timeline=timeline,
    )  # fmt: skip


def texts(figure):
    import matplotlib.text

    return {t.get_text() for t in figure.findobj(matplotlib.text.Text)}


def test_one_song(song):
    figure = plots.songs([song], CARD)
    circle, wave, line = figure.axes
    (points,) = [c for c in circle.collections if len(c.get_offsets()) == 2]
    np.testing.assert_allclose(points.get_offsets(), [[0.2, -0.4], [0.5, 0.3]])
    mean = [ln for ln in circle.lines if len(ln.get_xdata()) == 1]
    assert {(float(ln.get_xdata()[0]), float(ln.get_ydata()[0])) for ln in mean} == {(0.35, -0.05)}
    drawn = {ln.get_label(): ln for ln in line.lines}
    np.testing.assert_allclose(drawn["arousal"].get_ydata(), [-0.4, -0.4, 0.3, 0.3])
    np.testing.assert_allclose(drawn["valence"].get_xdata(), [0, 15, 30, 45])
    assert line.get_xlim() == pytest.approx((0, 47.3))
    # The waveform is the file's: soft at first, loud in its second half.
    vertices = wave.collections[0].get_paths()[0].vertices

    def loudest(begin, end):
        return np.abs(vertices[(vertices[:, 0] > begin) & (vertices[:, 0] < end), 1]).max()

    assert loudest(30, 45) > 2 * loudest(5, 20)
    assert {"start", "end", "energetic", "unpleasant", "tense"} <= texts(figure)
    assert any("pleasant" in t and "+0.35" in t for t in texts(figure))


def test_several_songs_are_numbered(song):
    figure = plots.songs([song] * 3, CARD)
    assert {"1", "2", "3"} <= texts(figure)
    assert any("3  two_moods" in t for t in texts(figure))


def test_a_song_of_one_window(song):
    from dataclasses import replace

    figure = plots.songs([replace(song, timeline=song.timeline[:1])], CARD)
    assert "start" not in texts(figure)


@pytest.mark.parametrize("name", ["$x_1$", "a_b^c", "歌 🎵", "x" * 300])
def test_names_cannot_break_the_picture(song, name, tmp_path):
    from dataclasses import replace

    figure = plots.songs([replace(song, path=f"/nowhere/{name}.mp3")], CARD)
    plots.save(figure, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_unwritable(song, tmp_path):
    with pytest.raises(SentioError, match="cannot be written"):
        plots.save(plots.songs([song], CARD), tmp_path / "no" / "p.png")
