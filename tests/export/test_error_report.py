"""A layer that INT8 ruins is found, and in float the answer is whole again."""

import json

import numpy as np
import pytest

from sentio_tf.export import error_report
from sentio_tf.export.error_report import LayerError, Report

from .conftest import SCOPE


@pytest.fixture(scope="module")
def full(small):
    return error_report.report(small.exact, small.int8(), small.compared, scope=SCOPE, again=small.int8)


@pytest.fixture(scope="module")
def quick(small):
    """Of two windows."""
    return error_report.report(small.exact, small.int8(), small.compared[:2], scope=SCOPE)


def rows(report: Report) -> dict[str, LayerError]:
    return {x.layer: x for x in report.layers}


def test_the_ruined_layer_is_named_alone(full):
    assert full.full
    assert full.hurting() == ["ruined"]
    assert full.worst(1)[0].layer == "ruined"
    found = rows(full)
    assert found["ruined"].alone > 10, "measured: 27"
    assert found["ruined"].without < 0.12, "measured: 0.061"
    for name in ("stem", "narrow", "deep", "last", "head"):
        assert found[name].alone < 0.17, "measured: at most 0.084"
        assert found[name].without == pytest.approx(full.answer, rel=0.1)


def test_left_in_float_it_repairs_the_answer(small, full):
    repaired = small.int8(float_layers=full.hurting())
    after = error_report.report(small.exact, repaired, small.compared[1:], scope=SCOPE)
    assert after.answer < full.answer / 100
    assert after.hurting() == []
    assert not rows(after)["ruined"].quantised
    assert rows(after)["ruined"].error < 0.05


def test_as_they_run_errors_begin_at_the_ruined_layer(quick):
    assert not quick.full
    found = rows(quick)
    assert list(found) == ["normalize", "shrink", "stem", "narrow", "ruined", "deep", "last", "pool", "head"]
    assert found["normalize"].error < 1e-5
    assert found["shrink"].error < 1e-5, "what lies before the network's first integers is the same"
    for name in ("stem", "narrow"):
        assert 0 < found[name].error < 0.05, "measured: 0.012, 0.006"
    assert found["ruined"].error > 1
    assert set(quick.hurting()) == {"ruined", "deep", "last", "head"}, "and whatever hears it"
    assert [x.layer for x in quick.layers if not x.quantised] == ["normalize", "shrink", "pool"]
    assert {x.alone for x in quick.layers} == {x.without for x in quick.layers} == {None}
    assert found["deep"].operator == "DEPTHWISE_CONV_2D"


def test_both_reports_measure_the_answer_alike(small, quick):
    reference, found = (error_report.answers(m, small.compared[:2]) for m in (small.exact, small.int8()))
    assert quick.answer == pytest.approx(error_report.ratio(reference, found), rel=0.01)


def test_a_file_against_itself(small):
    found = error_report.report(small.exact, small.exact, small.compared[:1], scope=SCOPE)
    assert found.answer == 0
    assert {x.error for x in found.layers} == {0}
    assert found.hurting() == []
    assert not any(x.quantised for x in found.layers)
    assert error_report.quantised_layers(small.exact, SCOPE) == set()


def test_answers_are_those_of_each_window(small):
    found = error_report.answers(small.exact, small.compared)
    assert found.shape == (len(small.compared), 2)
    np.testing.assert_allclose(error_report.answers(small.exact, small.compared[1:2]), found[1:2], atol=1e-6)


def test_json_round_trip(full, tmp_path):
    path = tmp_path / "report.json"
    full.write(path)
    raw = json.loads(path.read_text())
    assert raw["hurting"] == ["ruined"]
    assert raw["measure"] == "rmse / standard deviation"
    assert Report(raw["answer"], tuple(LayerError(**x) for x in raw["layers"]), raw["full"]) == full


def test_lines(full, quick):
    said = full.lines()
    assert said[0] == f"error of the answer: {full.answer:.4f} of its standard deviation"
    assert said[1].split() == ["layer", "operator", "error", "alone", "without"]
    assert said[2].split()[:2] == ["ruined", "CONV_2D"]
    assert said[-1] == "layers that hurt; in float: --float ruined"
    assert len({line.rindex(".") for line in said[2:-1]}) == 1, "numbers stand below each other"
    assert quick.lines()[1].split() == ["layer", "operator", "error"]


def test_hurting_is_whose_absence_halves_the_square():
    made = [LayerError(f"l{w}", "CONV_2D", 0.5, True, alone=0.1, without=w) for w in (0.72, 0.69, 0.9, 0.3)]
    found = Report(1.0, (*made, LayerError("float", "MUL", 0.9, False)), full=True)
    assert found.hurting() == ["l0.3", "l0.69"]
    assert [x.layer for x in found.worst()] == [x.layer for x in made], "the float layer has no share"


def test_unknown_errors_are_no_errors():
    made = (LayerError("a", "ADD", None, True), LayerError("b", "ADD", 0.05, True), LayerError("c", "ADD", 0.2, False))
    found = Report(0.1, made)
    assert [x.layer for x in found.worst()] == ["c", "b"]
    assert found.hurting() == []
    assert len(found.lines()) == 4


def test_ratio_takes_each_axis_by_its_own_spread():
    reference = np.array([[0.0, 0.0], [2.0, 20.0]])
    assert error_report.ratio(reference, reference) == 0
    assert error_report.ratio(reference, reference + np.array([1, 0])) == pytest.approx(0.5**0.5)
    assert error_report.ratio(reference, reference + np.array([0, 10])) == pytest.approx(0.5**0.5)
    assert error_report.ratio(reference, reference + np.array([1, 10])) == pytest.approx(1)
