"""What is quantised: the network alone, every layer of it that may be, and none that was spared."""

import re

import keras
import numpy as np
import pytest
from keras import layers

from sentio_tf.contract import SignatureContract
from sentio_tf.errors import ModelError
from sentio_tf.export import error_report, graph, quantize, scopes
from sentio_tf.runtime.flatbuffer import Operator, Signature, Structure, Subgraph, Tensor, structure

from .conftest import SCOPE

LAYERS = ["normalize", "shrink", "stem", "narrow", "ruined", "deep", "last", "pool", "head"]
CONVOLUTIONS = ["stem", "narrow", "ruined", "deep", "last"]
MOVING = ("QUANTIZE", "DEQUANTIZE")


def types(content: bytes, signature: str = "predict") -> dict[str, tuple[set[str], set[str]]]:
    """Types that each layer's weighted operator takes and makes; "" for all operators outside of the network."""
    tables = structure(content)
    part = tables.subgraphs[tables.signatures[signature].subgraph]
    found: dict[str, tuple[set[str], set[str]]] = {}
    for op in part.operators:
        taken = {part.tensors[i].dtype for i in op.inputs if i >= 0}
        made = {part.tensors[i].dtype for i in op.outputs}
        names = scopes.names_of(part, op)
        if op.name not in MOVING:
            name = (scopes.layers_of(names, SCOPE) or [""])[0]
            before = found.get(name, (set(), set()))
            found[name] = before[0] | taken, before[1] | made
        elif "front_end" in names:
            found[""] = found[""][0] | taken, found[""][1] | made
    return found


def integer(content: bytes, signature: str = "predict") -> list[str]:
    """Layers that make INT8."""
    return [name for name, (_, made) in types(content, signature).items() if "int8" in made]


def weighted(content: bytes) -> list[str]:
    """Layers that take INT8, if only as weights."""
    return [name for name, (taken, _) in types(content).items() if "int8" in taken]


def error(small, content: bytes) -> float:
    return error_report.ratio(
        error_report.answers(small.exact, small.compared), error_report.answers(content, small.compared)
    )


def by_converter(small, **options) -> bytes:
    return quantize.quantize(
        small.exact, "int8", engine="converter", representative=small.calibrating, **small.given, **options
    )


@pytest.fixture(scope="module")
def spared(small):
    return small.int8(float_layers=["ruined"])


@pytest.fixture(scope="module")
def converted(small):
    return by_converter(small, float_layers=["ruined"])


def test_the_graph_knows_its_layers(small):
    found = scopes.layers(structure(small.exact), SCOPE)
    assert [name for name in found if name in LAYERS] == LAYERS
    assert set(found) - set(LAYERS) == {f"{a}_{b}" for a in ("stem", "narrow") for b in ("bn", "act")}, "fused ones"
    answers = error_report.answers(small.exact, small.compared)
    assert np.ptp(answers, axis=0).min() > 0.05, "the songs differ"


@pytest.mark.parametrize("signature", ["predict", "network"])
def test_integers_inside_the_network_only(small, spared, signature):
    content = small.int8()
    assert integer(content, signature) == CONVOLUTIONS
    assert integer(spared, signature) == [name for name in CONVOLUTIONS if name != "ruined"]
    for what in (content, spared):
        assert types(what, signature)["head"] == ({"float32", "int8"}, {"float32"}), "weights only"
        taken, made = types(what, signature)[""]
        assert taken | made <= {"float32", "int32"}
    assert "int8" not in set.union(*types(small.int8(), "front_end")[""])


def test_a_float_layer_takes_and_makes_floats(small, spared):
    assert types(spared)["ruined"] == ({"float32"}, {"float32"})
    assert weighted(spared) == ["stem", "narrow", "deep", "last", "head"]
    assert error(small, spared) < 0.12, "measured: 0.061"
    assert error(small, small.int8()) > 10, "measured: 27"


@pytest.mark.parametrize(
    ("patterns", "left"),
    [(["head"], ["head"]), (["stem_bn"], ["stem"]), (["d.*"], ["deep"]), (["s.*", "last"], ["stem", "last"])],
)
def test_float_layers_are_names_patterns_or_what_is_fused(small, patterns, left):
    found = weighted(small.int8(float_layers=patterns))
    assert found == [name for name in (*CONVOLUTIONS, "head") if name not in left]


def test_unknown_layer_gets_the_nearest(small):
    with pytest.raises(ModelError, match=r"received 'ruind', which is none; did you mean ruined\?"):
        small.int8(float_layers=["ruind"])
    with pytest.raises(ModelError, match=r"did you mean"):
        by_converter(small, float_layers=["conv_head"])


@pytest.mark.parametrize("name", ["deep", "head"])
def test_only_layers(small, name):
    assert weighted(small.int8(only_layers=[name])) == [name]
    assert weighted(small.int8(only_layers=[])) == []


def test_a_layer_alone_takes_along_what_is_fused_with_it(small):
    assert weighted(small.int8(only_layers=["stem"])) == ["stem"]


@pytest.mark.parametrize(("kind", "taken"), [("float16", "float16"), ("dynamic", "int8")])
def test_weights_alone(small, kind, taken):
    content = quantize.quantize(small.exact, kind, float_layers=["deep"], **small.given)
    assert integer(content) == []
    part = structure(content).subgraphs[structure(content).signatures["predict"].subgraph]
    touched = {
        (scopes.layers_of(scopes.names_of(part, op), SCOPE) or [""])[0]
        for op in part.operators
        if any(i >= 0 and part.tensors[i].dtype == taken for i in op.inputs)
    }
    if kind == "dynamic":
        assert touched == {"stem", "narrow", "ruined", "last", "head"}
    halves = {t.name for t in part.tensors if t.dtype == "float16"}
    assert bool(halves) == (kind == "float16")
    assert len(content) < len(small.exact)


def test_none_is_the_float_file(small):
    assert quantize.quantize(small.exact, "none", **small.given) is small.exact


def test_converter_takes_every_operator_of_the_network(small, converted):
    """And nothing of the front end, where a power spectrum lies in front of slices."""
    inside = ["shrink", "stem", "narrow", "deep", "last", "pool", "head"]
    for signature in ("predict", "network"):
        assert integer(converted, signature) == inside
        found = types(converted, signature)
        assert found["ruined"] == ({"float32"}, {"float32"})
        assert found["normalize"][1] == {"float32"}
        assert set.union(*found[""]) <= {"float32", "int32"}
    assert set.union(*types(converted, "front_end")[""]) <= {"float32", "int32"}
    assert error(small, converted) < 0.12, "measured: 0.063; with the spectrum in INT8, 2.6"
    all_of_it = by_converter(small)
    assert integer(all_of_it) == sorted([*inside, "ruined"], key=LAYERS.index)


def test_converter_spares_more_than_one_layer(small):
    content = by_converter(small, float_layers=["ruined", "stem", "head"])
    assert integer(content) == ["shrink", "narrow", "deep", "last", "pool"]


@pytest.mark.parametrize("fixture", ["spared", "converted"])
def test_the_signature_of_mels_answers_as_that_of_waveforms(small, fixture, request):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=request.getfixturevalue(fixture), num_threads=1)
    whole, network = (interpreter.get_signature_runner(name) for name in ("predict", "network"))
    for window in small.compared[:3]:
        a = whole(**{SignatureContract.input: window[None]})[SignatureContract.output]
        b = network(log_mel=small.front_end(window)[None])[SignatureContract.output]
        np.testing.assert_allclose(a, b, atol=5e-3)
        assert np.abs(a).max() > 0.1


def test_ranges_measured_once_are_those_measured_again(small):
    again = quantize.quantize(small.exact, "int8", representative=small.calibrating, **small.given)
    assert again == small.int8()
    other = quantize.measure(small.exact, small.calibrating[:1], **small.given)
    assert quantize.quantize(small.exact, "int8", ranges=other, **small.given) != again, "they matter"


def test_ranges_are_the_extremes_of_all_songs(small):
    """No moving average: the loudest song counts, wherever it stands."""
    (name,) = [n for n in small.ranges if re.fullmatch(r"predict_1/small_1/shrink_1/AvgPool", n)]
    each = [quantize.measure(small.exact, [w], **small.given)[name] for w in small.calibrating]
    assert small.ranges[name]["min"].item() == min(r["min"].item() for r in each)
    assert small.ranges[name]["max"].item() == max(r["max"].item() for r in each)
    assert len({r["max"].item() for r in each}) > 1


def test_twins_have_the_same_ranges(small):
    """What `predict` measured serves `network`: each tensor with the one of the same name in the other."""
    twins = quantize._twins(structure(small.exact), SCOPE)
    makes = {a: b for a, b in twins.items() if scopes.layers_of(a, SCOPE)}
    assert len(makes) >= len(CONVOLUTIONS)
    for one, other in makes.items():
        assert scopes.layers_of(one, SCOPE) == scopes.layers_of(other, SCOPE)
    for one, other in twins.items():
        if one in small.ranges:
            assert small.ranges[one] == small.ranges[other]
    assert quantize._twins(structure(small.exact), "other") == {}


def test_a_file_of_one_signature_has_no_twins():
    assert quantize._twins(Structure({}, (), 0, ""), SCOPE) == {}


@pytest.mark.parametrize("engine", quantize.ENGINES)
def test_representative_music_is_asked_for(small, engine):
    ranges = small.ranges if engine == "converter" else None
    with pytest.raises(ModelError, match="int8 needs representative music"):
        quantize.quantize(small.exact, "int8", engine=engine, ranges=ranges, **small.given)


def test_a_front_end_is_asked_for(small):
    for engine in quantize.ENGINES:
        with pytest.raises(ModelError, match="signature network: expected a front end"):
            quantize.quantize(small.exact, "int8", engine=engine, scope=SCOPE, representative=small.calibrating)


@pytest.mark.parametrize("kind", ["none", "float16", "dynamic"])
def test_converter_is_for_int8(kind):
    with pytest.raises(ModelError, match=f"engine converter: expected int8, received {kind}"):
        quantize.quantize(b"", kind, scope=SCOPE, engine="converter")


def test_unknown_engine():
    with pytest.raises(ModelError, match="expected engine one of ai-edge, converter, received 'tpu'"):
        quantize.quantize(b"", "int8", scope=SCOPE, engine="tpu")


def test_converter_refuses_loops(small):
    """It would end the process."""
    inputs = keras.Input((661_500,))
    x = layers.Reshape((4, -1))(layers.AveragePooling1D(6615)(layers.Reshape((661_500, 1))(inputs)))
    network = keras.Model(inputs, layers.Dense(2)(layers.GRU(2, name="memory")(x)), name=SCOPE)
    content = graph.to_tflite(graph.hearing_model(network, 661_500))
    with pytest.raises(ModelError, match="cannot quantise recurrent networks; use engine ai-edge"):
        quantize.quantize(content, "int8", engine="converter", scope=SCOPE, representative=small.calibrating)


def test_a_token_joined_to_a_convolution_stays_float():
    """ai-edge-quantizer cannot give a constant, as the ViT's class token, the range of what it is joined with."""
    tensors = [
        Tensor(name, shape, "float32")
        for name, shape in (
            ("x", (1, 4, 4, 1)),
            ("predict/net_1/w", (2, 1, 1, 1)),
            ("predict/net_1/patches_1/convolution", (1, 4, 4, 2)),
            ("predict/net_1/tokens_1/Reshape", (1, 16, 2)),
            ("predict/net_1/token_1/constant", (1, 1, 2)),
            ("predict/net_1/join_1/concat", (1, 17, 2)),
            ("predict/net_1/twice_1/concat", (1, 32, 2)),
            ("predict/net_1/add_1/Add", (1, 17, 2)),
        )
    ]
    operators = [
        Operator("CONV_2D", False, (0, 1, -1), (2,)),
        Operator("RESHAPE", False, (2,), (3,)),
        Operator("CONCATENATION", False, (4, 3), (5,)),
        Operator("CONCATENATION", False, (3, 3), (6,)),
        Operator("ADD", False, (5, 5), (7,)),
    ]
    part = Subgraph(tuple(tensors), tuple(operators))
    graph = Structure({"predict": Signature("predict", 0, {"waveform": tensors[0]}, {})}, (part,), 0, "")
    found = [name for name, _ in quantize.integer_operators(graph, "net", "^$")]
    assert found == ["CONV_2D", "RESHAPE", "CONCATENATION"], "the second, which takes nothing but INT8"
