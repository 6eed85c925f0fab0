"""Names of tensors -> layers, and what a converter's error says."""

import pytest

from sentio_tf.errors import ModelError
from sentio_tf.export import scopes
from sentio_tf.runtime.flatbuffer import Operator, Structure, Subgraph, Tensor

FUSED = "predict_1/net_1/act_1/Relu6;predict_1/net_1/bn_1/add_1;predict_1/net_1/stem_1/convolution;"


def graph(*names: str) -> Subgraph:
    """One operator a name."""
    tensors = tuple(Tensor(name, (1,), "float32") for name in names)
    return Subgraph(tensors, tuple(Operator("CONV_2D", False, (), (i,)) for i in range(len(names))))


def test_names_of_joins_all_outputs():
    part = graph("a/b", "c;d")
    assert scopes.names_of(part, Operator("SPLIT", False, (-1,), (0, 1))) == "a/b;c;d;"
    assert scopes.names_of(part, Operator("ASSIGN", False, (0,), ())) == ""


@pytest.mark.parametrize(
    ("names", "layers"),
    [
        (FUSED, ["stem", "act", "bn"]),
        ("net/stem/convolution;", ["stem"]),
        ("net_12/stem_1/depthwise3;", ["stem"]),
        ("predict_1/net_1/block_2_conv_1/add;", ["block_2_conv"]),
        ("predict_1/net_1/head_1/MatMul1;", ["head"]),
        ("predict_1/net_1/a_1/add;predict_1/net_1/head_1/Tensordot/MatMul;", ["head", "a"]),
        ("predict_1/front_end_1/stem_1/convolution;", []),
        ("predict_1/internet_1/stem_1/convolution;", []),  # a scope is a whole name
        ("predict_1/network_1/stem_1/convolution;", []),
        ("predict_1/net_1;", []),
        ("arith.constant70;", []),
        ("", []),
    ],
)
def test_layers_of(names, layers):
    """The layer with the weights first; the number of the call is no part of a name."""
    assert scopes.layers_of(names, "net") == layers


def test_layers_in_the_order_in_which_they_run_once_each():
    found = Structure(
        {}, (graph("net_1/b_1/add", "x/y"), graph("p/net_1/a_1/mul", "p/net_1/b_1/add", "p/net_1/c_1/add")), 0, ""
    )
    assert scopes.layers(found, "net") == ["b", "a", "c"]
    assert scopes.layers(found, "other") == []


@pytest.mark.parametrize(
    ("patterns", "names", "fits"),
    [
        (None, FUSED, True),
        (None, "predict_1/front_end_1/x;", False),
        (None, "predict_1/internet_1/x/y;", False),
        (["stem"], FUSED, True),
        (["ste"], FUSED, False),
        (["tem"], FUSED, False),
        (["x", "bn"], FUSED, True),
        (["b."], FUSED, True),
        (["stem"], "predict_1/net_1/stem_2_1/convolution;", False),
        (["stem"], "predict_1/front_end_1/stem_1/convolution;", False),
    ],
)
def test_within(patterns, names, fits):
    import re

    assert bool(re.search(scopes.within("net", patterns), names)) == fits


def test_a_scope_is_no_regular_expression():
    assert scopes.layers_of("predict/n.t/stem/add;", "n.t") == ["stem"]
    assert scopes.layers_of("predict/net/stem/add;", "n.t") == []


KNOWN = ["stem_conv", "block1_expand", "block1_project", "head_logits"]


def test_chosen_takes_names_and_patterns():
    for patterns in ([], ["stem_conv"], ["block1_.*", "head_logits"]):
        assert scopes.chosen(KNOWN, patterns) == patterns


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("stem_cnv", r"received 'stem_cnv', which is none; did you mean stem_conv\?"),
        ("head", r"did you mean head_logits\?"),  # not a whole name
        ("block1_projet", r"did you mean block1_project\?"),
        ("zzz", r"the graph has stem_conv, block1_expand"),
        ("block1_(", r"expected a name or a regular expression"),
    ],
)
def test_chosen_names_the_nearest(pattern, words):
    with pytest.raises(ModelError, match=words):
        scopes.chosen(KNOWN, ["stem_conv", pattern])


def line(op: str, path: str) -> str:
    return (
        f'<unknown>:0: error: loc(callsite(callsite(fused["{op}:", "{path}@__inference_predict_1"] at fused'
        f'["PartitionedCall:", "PartitionedCall@x"]) at "y")): \'tf.{op}\' op is neither a custom op nor a flex op\n'
    )


def test_missing_operators_and_their_layers():
    text = (
        line("Erf", "predict_1/net_1/stem_act_1/Erf")
        + line("Erf", "predict_1/net_1/stem_act_1/Erf")
        + line("Betainc", "predict_1/front_end_1/Betainc")
        + line("Erf", "predict_1/net_1/block_2_1/mlp/Erf")
    )
    found = scopes.missing(text)
    assert found == [("Erf", "stem_act"), ("Betainc", "front_end"), ("Erf", "block_2")]


def test_another_error_names_no_operator():
    assert scopes.missing("error: 'tf.Erf' op is neither a custom op nor a flex op") == []
    assert scopes.missing("") == []
