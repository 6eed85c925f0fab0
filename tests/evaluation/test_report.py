"""The page of a report: well-formed, self-contained, escaped, and its marks where the songs are."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf.evaluation import charts, report, summary, svg
from sentio_tf.evaluation.predictions import AXES, Predictions
from sentio_tf.evaluation.report import read, worst, write
from sentio_tf.evaluation.report.songs import _shrinkage

NASTY = (
    "<script>alert(1)</script>", '"quoted" & \'single\'', "</style><b>bold", "أغنية حزينة", "😀 👩‍🎤 song", "x" * 300,
    "line\nbreak\x00null", "\udcff lone surrogate", "]]><!--", "&amp;", "\u202etxt.exe", "C:\\Users\\me\\secret\\a.mp3",
)  # fmt: skip
GENRES = ("Rock", "Jazz; Blues", "R&B <soul>", "", "Ambient")


def songs(n: int = 120, *, seed: int = 0, kinds=(("rated", "rating"), ("signs", "sign"))) -> Predictions:
    """Songs of which the model hears arousal well and valence a little, shrunk to the mean."""
    rng = np.random.default_rng(seed)
    reference = np.clip(rng.normal([0.1, 0.0], [0.35, 0.4], (n * len(kinds), 2)), -1, 1)
    noise = rng.normal(0, [0.22, 0.14], reference.shape)
    estimated = np.clip(reference * [0.4, 0.8] + noise, -1, 1)
    label = [kind for _, kind in kinds for _ in range(n)]
    sign = np.array([kind == "sign" for kind in label])
    reference[sign] = np.where(reference[sign] > 0, 1.0, -1.0)
    total = len(label)
    return Predictions(
        track_id=[NASTY[i] if i < len(NASTY) else f"song {i:04}" for i in range(total)],
        corpus=[name for name, _ in kinds for _ in range(n)],
        group=[f"artist:{i // 2}" for i in range(total)],
        fold=[str(i % 5) for i in range(total)],
        label=label,
        genre=[GENRES[i % len(GENRES)] for i in range(total)],
        reference=reference,
        estimated=estimated,
        sd=np.full((total, 2), np.nan),
        raters=np.full(total, np.nan),
    )


def measured(value: float, width: float = 0.08) -> dict[str, float]:
    return {"value": round(value, 4), "low": round(value - width, 4), "high": round(value + width, 4)}


def an_evaluation(predictions: Predictions) -> dict:
    """What `summary.evaluate` gives, in all of its parts; numbers are roughly those of the songs."""
    corpora = {}
    for name, part in predictions.parts().items():
        rated, n = part.label[0] == "rating", len(part)
        entry: dict = {"tracks": n, "groups": len(set(part.group)), "label": part.label[0]}
        for k, axis in enumerate(AXES):
            r, e = part.reference[:, k], part.estimated[:, k]
            right = float(np.mean((r > 0) == (e > 0)))
            entry[axis] = {"accuracy": measured(right), "constant": {"accuracy": 0.52}}
            if not rated:
                entry[axis]["auc"] = measured(0.8)
                continue
            slope, intercept = np.polyfit(e, r, 1) if n > 1 and e.std() > 0 else (None, None)
            order = np.array_split(np.argsort(e), 5)
            entry[axis] |= {
                "ccc": measured(0.75 if k else 0.35), "pearson": measured(0.8), "spearman": measured(0.7),
                "r2": measured(-0.2), "rmse": measured(0.3), "mae": measured(float(np.abs(r - e).mean())),
                "sd_ratio": 0.55, "constant": {"rmse": 0.4, "mae": 0.3, "accuracy": 0.52},
                "ceiling": {"reliability": 0.85, "pearson": 0.92, "ccc": 0.92, "rmse": 0.1},
                "calibration": {
                    "slope": slope, "intercept": intercept, "sd_ratio": 0.55,
                    "bins": [
                        {"estimated": float(e[i].mean()), "reference": float(r[i].mean()), "n": len(i)}
                        for i in order if len(i)
                    ],
                },
            }  # fmt: skip
        quadrant = [worst._quadrant(p) for p in part.reference]
        answered = [worst._quadrant(p) for p in part.estimated]
        entry["quadrant"] = {
            "accuracy": measured(np.mean([a == b for a, b in zip(quadrant, answered, strict=True)])),
            "f1": measured(0.4),
            "confusion": [
                [sum((a, b) == pair for pair in zip(quadrant, answered, strict=True)) for b in write.QUADRANTS]
                for a in write.QUADRANTS
            ],
        }
        both = {axis: {"bias": measured(-0.1), "mae": measured(0.2), "ccc": measured(0.4)} for axis in AXES}
        entry["quadrants"] = {
            q: {"tracks": quadrant.count(q), "groups": quadrant.count(q) // 2, **both, "accuracy": measured(0.6)}
            for q in write.QUADRANTS
        }
        genres = sorted({g.strip() for genre in part.genre for g in genre.split(";") if g.strip()})
        entry["genres"] = {
            g: {"tracks": size, "groups": size // 2, **both} for g in genres if (size := "".join(part.genre).count(g))
        }
        error = np.linalg.norm(part.reference - part.estimated, axis=1)
        # The nasty names first, so that they stand in the table.
        entry["worst"] = [
            {
                "track_id": part.track_id[i], "group": part.group[i], "fold": part.fold[i], "genre": part.genre[i],
                "reference": part.reference[i].tolist(), "estimated": part.estimated[i].tolist(),
                "error": float(error[i]),
            }
            for i in range(min(20, n))
        ]  # fmt: skip
        corpora[name] = entry
    return {
        "name": "a <run>", "scale": "[-1, 1]", "protocol": "out-of-fold, grouped", "split": "b492" * 16, "seed": 3,
        "model": "mobilevit", "warnings": ["signs, valence: <few> groups"], "corpora": corpora,
    }  # fmt: skip


NETWORK = [
    {
        "epoch": str(e), "loss": str(0.7 * 0.9**e), "val_ccc": str(0.5 - 0.004 * (e - 12) ** 2 / 2),
        **{f"val_{c}_{a}": str(0.1 + 0.02 * e * k) for c in ("rated", "my_signs") for k, a in enumerate(AXES, 1)},
    }
    for e in range(20)
]  # fmt: skip
CLASSICAL = [
    {
        "fold": str(fold), "axis": axis, "candidate": str(k),
        "score": str(0.4 - 0.05 * abs(math.log10(c)) + 0.01 * fold),
        "C": str(c), "gamma": gamma, "depth": depth,
    }
    for fold in range(3) for axis in AXES
    for k, (c, gamma, depth) in enumerate(
        (c, g, d) for c in (0.01, 0.1, 1, 10, 100) for g in ("scale", "auto") for d in ("2", "None")
    )
]  # fmt: skip
ABOUT = {
    "command": "sentio-tf fit mobilevit --data deam:/srv/private/deam --out '/home/some one/runs/x' --set epochs=3",
    "commit": "0123456789ab", "version": "0.3", "seconds": 5916.2,
    "environment": {"numpy": "2.0", "python": "3.11"},
    "data": {"corpora": ["deam:/srv/private/deam"], "labels_and_audio": "a" * 64, "split": "b" * 64},
    "config": {"seed": None, "architecture": {"size": "xxs"}, "ema": 0.99, "bad": float("nan"), "on": True, "tags": []},
}  # fmt: skip

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks balance while reading; keeps ids, links, elements with their attributes, and the visible text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice in {tag}: {names}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        (self.scripts if self.open and self.open[-1] in ("script", "style") else self.text).append(data)

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]

    @property
    def words(self) -> str:
        return "\n".join(self.text + self.values("aria-label") + self.values("title"))


def check(html: str) -> Page:
    """What holds for every page."""
    html.encode("utf-8")  # no lone surrogate
    page = Page(html)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for link in page.values("href"):
        assert link.startswith("#"), link
        assert link[1:] in ids, link
    for name in ("aria-labelledby", "data-copy", "for"):
        assert set(page.values(name)) <= set(ids)
    assert not page.values("src")
    assert not re.search(r"https?:|url\(|@import|srcset", html)
    assert not re.search(r"/srv/|/home/|Users\\", html)
    shown = page.words + " ".join(
        value for tag, attributes in page.elements for name, value in attributes.items()
        if value and (tag in ("path", "circle", "line", "rect", "polyline") or name in ("data-v", "style", "x", "y"))
    )  # fmt: skip
    assert not re.search(r"(?<![\w])(nan|none|null|inf|infinity)(?!\w)", shown, re.IGNORECASE)
    for tag, attributes in page.elements:
        if tag == "svg" and "chart" in attributes.get("class", ""):
            assert attributes["role"] == "img"
            assert attributes["aria-label"].strip()
    return page


def page_of(predictions, history=(), about=ABOUT, **changes) -> Page:
    return check(report.render(an_evaluation(predictions) | changes, predictions, history, about))


def marks(chart: str) -> list[list[tuple[float, float]]]:
    """First point of each mark, by group."""
    groups = re.findall(r"<g [^>]*data-marks[^>]*>(.*?)</g>", chart)
    assert groups
    return [[points(d)[0] for d in re.findall(r'd="([^"]+)"', g)] for g in groups]


def points(d: str) -> list[tuple[float, float]]:
    """Absolute points of a path of M and L."""
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", d)]


def sections(page: Page) -> list[str]:
    return [a["id"] for tag, a in page.elements if tag == "section"]


EVERYTHING = [
    "top", "figures", "songs", "calibration", "residuals", "quadrants", "groups", "worst", "training", "made",
]  # fmt: skip


@pytest.mark.parametrize("history", [NETWORK, CLASSICAL], ids=["network", "classical"])
def test_a_whole_page(history):
    page = page_of(songs(), history)
    assert sections(page) == EVERYTHING
    assert "signs, valence: <few> groups" in page.words
    assert "0.75 [0.67, 0.83]" in page.words
    assert "sentio-tf fit mobilevit --data deam:ROOT/deam --out 'ROOT/x' --set epochs=3" in page.words
    assert "1 h 39 min" in page.words


def test_what_the_summary_gives_is_what_the_page_reads():
    predictions = songs(60)
    evaluation = summary.evaluate(predictions, resamples=20)
    page = check(report.render(evaluation, predictions, NETWORK, ABOUT))
    assert sections(page) == EVERYTHING
    for words in ("CCC by genre", "Bias by true quadrant", "right side, by genre", "area under the ROC curve"):
        assert words in page.words
    value = evaluation["corpora"]["rated"]["arousal"]["ccc"]
    assert write.interval((value["value"], (value["low"], value["high"]))) in page.text


def test_names_of_users_are_text():
    predictions = songs()
    html = report.render(an_evaluation(predictions), predictions, NETWORK, ABOUT)
    page = check(html)
    assert html.count("<script") == html.count("</script") == 2  # the data and ours
    assert "<b>" not in html
    for name in ("<script>alert(1)</script>", "أغنية حزينة", "😀 👩‍🎤 song", "x" * 300, "&amp;", "]]><!--"):
        assert name in page.text
    assert r"line\nbreak\x00null" in page.text
    assert r"\u202etxt.exe" in page.text
    assert "R&B <soul>" in page.text
    assert "a.mp3" in page.text  # of a path, the file
    data = json.loads(page.scripts[1])
    assert data["0"]["names"][:2] == list(NASTY[:2])
    assert data["0"]["names"][11] == "a.mp3"


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=60))
def test_any_text_everywhere(text):
    """Names, genres, groups, columns and settings of any characters keep the page whole."""
    predictions = songs(3, kinds=((f"c{text}", "rating"),))
    predictions.track_id[0] = predictions.genre[0] = predictions.group[0] = text
    evaluation = an_evaluation(predictions) | {"name": text, "model": text, "warnings": [text], "protocol": text}
    history = [{"epoch": "0", f"val_{text}_valence": ".5"}, {"epoch": "1", f"val_{text}_valence": ".6"}]
    html = report.render(evaluation, predictions, history, {"command": text, "config": {text: text}})
    html.encode("utf-8")
    page = Page(html)
    assert len([tag for tag, _ in page.elements if tag == "script"]) == 2
    json.loads(page.scripts[1])


@pytest.mark.parametrize("kind", ["rating", "sign"])
@pytest.mark.parametrize("n", [1, 2])
def test_hardly_any_song(kind, n):
    page = page_of(songs(n, kinds=(("tiny", kind),)), NETWORK[:1])
    assert {"songs", "calibration", "worst", "training"} <= set(sections(page))


def test_one_corpus_in_a_sentence():
    one = songs(kinds=(("rated", "rating"),))
    text = " ".join("".join(page_of(one).text).split())
    assert "It hears arousal better than valence: on rated (120 songs) it agrees with listeners’ ratings" in text
    assert "0.75 [0.67, 0.83] for arousal and 0.35 [0.27, 0.43] for valence." in text


def test_no_claim_where_intervals_overlap():
    one = songs(kinds=(("rated", "rating"),))
    evaluation = an_evaluation(one)
    evaluation["corpora"]["rated"]["arousal"]["ccc"] = measured(0.42)
    text = " ".join("".join(check(report.render(evaluation, one, [], {})).text).split())
    assert "better than" not in text
    assert "On rated (120 songs)" in text


def test_a_corpus_with_both_kinds_of_labels():
    predictions = songs(kinds=(("mixed", "rating"), ("mixed", "sign")))
    page = page_of(predictions)
    assert {"mixed (rating)", "mixed (sign)"} <= set(page.text)
    assert [a["data-songs"] for _, a in page.elements if "data-songs" in a].count("1") == 1  # the plane of the signs


def test_nothing_known():
    empty = songs(1).take([])
    page = check(report.render({}, empty, [], {}))
    assert sections(page) == ["top"]
    page = check(report.render({}, songs(), [], {}))
    assert sections(page) == ["top", "songs", "calibration", "residuals"]


def paths_of(tree, prefix=()):
    for key, value in tree.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from paths_of(value, (*prefix, key))


def kind_of(path):
    """The path without names: what holds for one genre, quadrant, axis or metric holds for the next."""
    known = {"corpora", "signs", "genres", "quadrants", "quadrant", "constant", "ceiling", "calibration", "worst"}
    leaf = {"tracks", "groups", "label", "sd_ratio", "slope", "intercept", "bins", "confusion", "value", "low"}
    return tuple(key if len(path) == 1 or key in known | leaf else len(key) > 0 for key in path)


def test_any_key_may_be_missing_or_of_another_kind():
    predictions = songs(3)
    whole = an_evaluation(predictions)
    kinds = {kind_of(path): path for path in paths_of(whole)}
    assert len(kinds) > 30
    changes = ("missing", {}, None, "text", float("nan"), [])
    for k, path in enumerate(kinds.values()):
        for change in (
            changes[k % 6],
            changes[(k + 1) % 6],
            changes[(k + 3) % 6],
        ):  # each change meets half of the keys
            evaluation = json.loads(json.dumps(whole))
            tree = evaluation
            for key in path[:-1]:
                tree = tree[key]
            if change == "missing":
                del tree[path[-1]]
            else:
                tree[path[-1]] = change
            html = report.render(evaluation, predictions, [], {})
            assert not re.search(r">(nan|None|inf)<|\[nan|nan %|=.nan", html), (path, change)


def test_rows_of_history_that_say_nothing():
    predictions = songs(5)
    for history in (
        [{}], [{"epoch": "x"}], [{"epoch": "0", "loss": "nan"}], [{"score": "nan", "C": "1"}],
        [{"fold": "0", "axis": "valence", "score": "0.5", "C": "1"}], [{"epoch": "1"}, {"epoch": "", "val_ccc": "inf"}],
    ):  # fmt: skip
        page = page_of(predictions, history)
        assert "training" not in sections(page)


def test_songs_without_a_finite_place_are_counted():
    predictions = songs(30, kinds=(("rated", "rating"),))
    predictions.estimated[3, 0] = np.nan
    predictions.estimated[4] = [1.7, -2.5]
    page = page_of(predictions)
    assert any("29 of 30 songs are drawn. 1 place outside [−1, 1] drawn at the edge." in t for t in page.text)


def test_the_same_input_gives_the_same_bytes():
    predictions = songs()
    evaluation = an_evaluation(predictions)
    before = json.dumps(evaluation)
    pages = {report.render(evaluation, predictions, NETWORK, ABOUT) for _ in range(2)}
    assert len(pages) == 1
    assert json.dumps(evaluation) == before


def test_two_thousand_songs_are_a_page_and_not_a_burden():
    predictions = songs(2000, kinds=(("rated", "rating"),))
    html = report.render(an_evaluation(predictions), predictions, NETWORK, ABOUT)
    assert len(html.encode()) < 1_000_000


def test_of_very_many_songs_a_part_is_drawn():
    predictions = songs(read.DRAWN + 500, kinds=(("many", "rating"),))
    html = report.render({}, predictions, [], {})
    page = check(html)
    assert any("4,000 of 4,500 songs are drawn." in t for t in page.text)
    data = json.loads(page.scripts[1])["0"]
    assert len(data["names"]) == len(data["points"]) == read.DRAWN
    assert len(set(data["names"])) == read.DRAWN
    assert data["names"][-1] == predictions.track_id[-1]


# Where things are drawn


def corner(x, y):
    """The places of the plane's corners, in units."""
    return 20 + 160 * (x + 1), 20 + 160 * (1 - y)


def test_the_plane_is_upright():
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1], [0, 0]], float)
    chart = charts.plane(corners, -corners, label="x", songs=0)
    wedges = [points(d) for d in re.findall(r'd="([^"]+)z"', chart)]
    _, tips = marks(chart)
    for reference, wedge, tip in zip(corners, wedges, tips, strict=True):
        first, point, last = wedge
        np.testing.assert_allclose(np.mean([first, last], axis=0), corner(*reference), atol=0.11)
        assert point == tip == corner(*-reference)
    tints = re.findall(r'<rect x="(\S+)" y="(\S+)" width="160" height="160" style="fill:var\(--(q\d)\)"', chart)
    assert {q: (float(x), float(y)) for x, y, q in tints} == {
        "q1": (180, 20), "q2": (20, 20), "q3": (20, 180), "q4": (180, 180),
    }  # fmt: skip


def test_means_of_songs_that_are_rated_alike():
    rng = np.random.default_rng(0)
    reference = np.concatenate([rng.uniform(0.51, 0.74, (8, 2)), rng.uniform(-0.24, -0.01, (7, 2)), [[1.0, 1.0]]])
    estimated = reference / 2
    chart = charts.plane(reference, estimated, label="x", songs=0)
    (mean,) = re.findall(r'd="([^"]+)z"', chart.partition('class="means"')[2])  # seven songs and one are no cell
    first, point, last = points(mean)
    np.testing.assert_allclose(np.mean([first, last], axis=0), corner(*reference[:8].mean(axis=0)), atol=0.11)
    np.testing.assert_allclose(point, corner(*estimated[:8].mean(axis=0)), atol=0.051)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-3, 3)] * 4), min_size=1, max_size=20))
def test_wedges_end_at_the_answers(values):
    """Also beyond the scale, where the edge stands for them, and where rating and answer are one."""
    table = np.array(values)
    chart = charts.plane(table[:, :2], table[:, 2:], label="x", songs=0)
    wedges = [points(d)[1] for d in re.findall(r'd="([^"]+)z"', chart.partition('class="means"')[0])]
    expected = [corner(*np.clip(e, -1, 1)) for e in table[:, 2:]]
    np.testing.assert_allclose(wedges, expected, atol=0.051)
    np.testing.assert_allclose(marks(chart)[1], expected, atol=0.051)


def test_signs_are_drawn_at_the_answer():
    reference = np.array([[1, 1], [1, 1], [-1, -1]], float)
    estimated = np.array([[0.5, 0.5], [-0.5, 0.5], [-0.25, 0.0]])
    chart = charts.plane_of_signs(reference, estimated, label="x", songs=0)
    (places,) = marks(chart)
    assert places == [corner(*e) for e in estimated]
    assert [("miss" in m) for m in re.findall(r"<path [^>]*d=[^>]*>", chart.partition("data-marks")[2])] == [0, 1, 0]


def test_calibration():
    estimated, reference = np.array([-1.0, 0.0, 0.5]), np.array([1.0, 0.0, -1.0])
    chart = charts.calibration(
        estimated, reference, axis="valence", label="x", songs=0, line=(0.5, 0.25),
        bins=[{"estimated": 0.5, "reference": -0.5, "n": 3}],
    )  # fmt: skip
    frame = svg.Frame(46, 8, 306, 306, (-1, 1), (-1, 1))
    (dots,) = marks(chart)
    assert dots == [(46, 8), (199, 161), (275.5, 314)]
    (line,) = re.findall(r'class="line" points="([^"]+)"', chart)
    ends = np.array(line.split(), float).reshape(2, 2)
    np.testing.assert_allclose(ends[:, 0], frame.px([-1, 0.5]), atol=0.05)
    np.testing.assert_allclose(ends[:, 1], frame.py([-0.25, 0.5]), atol=0.05)
    assert '<circle class="bin" cx="275.5" cy="237.5"' in chart


@settings(max_examples=60, deadline=None)
@given(st.floats(-50, 50), st.floats(-3, 3))
def test_a_steep_line_stays_a_line(slope, intercept):
    """Cut at the frame, not bent: its drawn ends lie on it."""
    estimated = np.array([-0.9, 0.8])
    chart = charts.calibration(
        estimated, estimated, axis="valence", label="x", songs=0, line=(slope, intercept), bins=[]
    )  # fmt: skip
    found = re.findall(r'class="line" points="([^"]+)"', chart)
    if not found:  # no part of it is in the frame
        values = slope * np.linspace(-0.9, 0.8, 1001) + intercept
        assert (np.abs(values) > 0.999).all()
        return
    ends = np.array(found[0].split(), float).reshape(2, 2)
    x, y = (ends[:, 0] - 46) / 153 - 1, 1 - (ends[:, 1] - 8) / 153
    np.testing.assert_allclose(slope * x + intercept, y, atol=0.002 + 0.001 * abs(slope))


def test_residuals_and_their_histogram():
    reference, difference = np.array([-1.0, -1.0, 1.0]), np.array([0.5, 0.3, -0.5])
    chart = charts.residuals(reference, difference, axis="arousal", label="x", songs=0)
    (dots,) = marks(chart)
    assert dots == [(46, 8), (46, 46), (352, 198)]
    assert "2 songs: 0.40 on average" in chart
    chart = charts.histogram(np.array([0.0, 0.04, -0.04, 0.31]), axis="arousal", label="x", title="t")
    assert re.findall(r"<title>(.*?)</title>", chart) == [
        "3 songs from −0.05 to 0.05", "1 songs from 0.25 to 0.35",
    ]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=50))
def test_every_song_is_in_one_bar(values):
    chart = charts.histogram(np.array(values), axis="valence", label="x", title="t")
    assert sum(int(n) for n in re.findall(r"<title>(\d+) songs", chart)) == len(values)


def test_bars_of_signs_are_mirrored():
    chart = charts.mirrored(np.array([0.55, 0.55, 1.0]), np.array([-0.55]), axis="valence", label="x")
    bars = re.findall(r'class="(bar[ low]*)" x="(\S+)" y="(\S+)" width="\S+" height="(\S+)"', chart)
    assert [b[0] for b in bars] == ["bar", "bar", "bar low"]
    zero = 8 + 110
    assert all(float(y) + float(h) == pytest.approx(zero, abs=0.11) for kind, _, y, h in bars if kind == "bar")
    assert all(float(y) == pytest.approx(zero, abs=0.11) for kind, _, y, _ in bars if kind == "bar low")


def test_whiskers_are_in_percent():
    chart = charts.whisker(0, 1, axis="arousal", value=0.63, bounds=(0.5, 0.7), constant=0.0, ceiling=0.9)
    assert '<circle class="dot" cx="63%"' in chart
    assert '<line class="bound" x1="50%" x2="70%"' in chart
    assert '<line class="constant" x1="0%"' in chart
    assert '<line class="reach" x1="0%" x2="90%"' in chart
    assert '<svg x="90%"' in chart


def test_curves_mark_the_best_epoch():
    page = page_of(songs(5), NETWORK)
    assert any("best epoch by validation, 12, which" in t for t in page.text)
    assert "my_signs" in page.text  # named at the end of its line
    chart = charts.curves({"a": ([0, 10], [0.0, 1.0])}, label="x", kind="", x_title="", y_title="", best=[5])
    assert f'class="best" d="M{50 + 151} 8' in chart


def test_folds_have_their_own_best_epoch():
    rows = [
        {"fold": f, "epoch": str(e), "val_ccc": str(-((e - peak) ** 2))}
        for f, peak in (("0", 3), ("1", 7))
        for e in range(10)
    ]
    assert any("Means of 2 folds. The dotted line is the best epoch by validation, 3 and 7" in t
               for t in page_of(songs(5), rows).text)  # fmt: skip


def test_scores_over_hyperparameters():
    page = page_of(songs(5), CLASSICAL)
    assert {f"{axis}: {name}" for axis in AXES for name in ("C", "gamma", "depth")} <= set(page.text)
    assert {"scale", "auto", "not set", "0.01", "100"} <= set(page.text)
    wide = charts.scores([0.01, 1, 100], [0.1, 0.2, 0.3], label="x", kind="", title="", y_title="")
    first, middle, last = (float(x) for x, _ in points(" ".join(re.findall(r'd="(M[^"]+)h0"', wide))))
    assert middle == pytest.approx((first + last) / 2, abs=0.11)  # a logarithmic axis
    narrow = charts.scores([1, 2, 10], [0.1, 0.2, 0.3], label="x", kind="", title="", y_title="")
    first, middle, last = (float(x) for x, _ in points(" ".join(re.findall(r'd="(M[^"]+)h0"', narrow))))
    assert (middle - first) / (last - first) == pytest.approx(1 / 9, abs=0.01)


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 10))
def test_ticks_are_few_round_and_inside(low, width, count):
    high = low + width
    found = svg.ticks(low, high, count)
    if not high > low:
        assert found == [low]
        return
    slack = 1e-6 * max(abs(low), abs(high), width)
    assert all(low - slack <= t <= high + slack for t in found)
    assert len(found) <= 2 * count + 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.126, "0.13"), (-0.126, "−0.13"), (-0.001, "0.00"), (0.0, "0.00"), (-10.0, "−10.00")],
)
def test_signed(value, text):
    assert svg.signed(value) == text


# Words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fit --data deam:/srv/shared/deam --out /tmp/x/", "fit --data deam:ROOT/deam --out ROOT/x"),
        ("'/home/my user/x' \"/a b/c d\"", "'ROOT/x' \"ROOT/c d\""),
        ("--out=~/runs/z C:\\Users\\me\\y", "--out=ROOT/z ROOT/y"),
        ("deam:/data file:///home/a/b ['/a/b', '/c']", "deam:ROOT/data ROOT/b ['ROOT/b', 'ROOT/c']"),
        ("see https://a.b/c, a/b/c, AC/DC, 3 / 4, n/a", "see https://a.b/c, a/b/c, AC/DC, 3 / 4, n/a"),
    ],
)
def test_paths_of_this_machine_are_not_told(text, expected):
    assert write.portable(text) == expected


@pytest.mark.parametrize(
    ("ratio", "slope", "words"),
    [
        (0.5, 1.6, ["shrunk to the mean", "too timid", "slope 1.60", "0.160 apart"]),
        (1.0, 1.0, ["as wide as the ratings", "right in size"]),
        (1.5, 0.4, ["wider than they should", "larger than those between ratings"]),
        (None, -0.3, ["Higher answers go with lower ratings"]),
    ],
)
def test_shrinkage_in_words(ratio, slope, words):
    text = _shrinkage(ratio, slope)
    assert all(word in text for word in words)


def test_small_groups_are_called_small():
    predictions = songs(kinds=(("rated", "rating"),))
    evaluation = an_evaluation(predictions)
    entry = {axis: {"ccc": measured(0.4)} for axis in AXES}
    evaluation["corpora"]["rated"]["genres"] = {
        "few": {"tracks": 19, "groups": 19, **entry}, "many": {"tracks": 80, "groups": 40, **entry},
        "alike": {"tracks": 50, "groups": 9, **entry},
    }  # fmt: skip
    html = report.render(evaluation, predictions, [], {})
    part = html[html.index("CCC by genre") : html.index("Mean absolute error by true") + 10**6]
    rows = re.findall(r'<tr( class="small-n")?><th scope="row"><bdi>(few|many|alike)<', part)
    assert rows == [("", "many"), (' class="small-n"', "alike"), (' class="small-n"', "few")]
