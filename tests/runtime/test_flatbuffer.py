"""What a file says of itself: against the schema's own reader, and when it is cut, edited or damaged."""

import hashlib

import numpy as np
import pytest

from sentio_tf.contract import Card
from sentio_tf.errors import ModelError
from sentio_tf.runtime import flatbuffer
from sentio_tf.runtime.predictor import find_model

from . import tiny


@pytest.fixture(scope="module")
def content():
    return find_model("mobilevit-xxs").read_bytes()


@pytest.fixture(scope="module")
def small():
    return tiny.with_card(tiny.model(network=True))


def test_structure_of_the_shipped_model(content):
    from ai_edge_litert.interpreter import Interpreter

    found = flatbuffer.structure(content)
    (signature,) = found.signatures.values()
    said = "predict(waveform float32 [1, 661500]) -> domain_distance float32 [1], valence_arousal float32 [1, 2]"
    assert str(signature) == said
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()  # the delegate comes now
    nodes = interpreter._get_ops_details()
    graph = found.subgraphs[signature.subgraph]
    # Behind the model's own nodes LiteRT lists the delegate's.
    assert [o.name for o in graph.operators] == [n["op_name"] for n in nodes[: len(graph.operators)]]
    assert {n["op_name"] for n in nodes[len(graph.operators) :]} == {"DELEGATE"}
    assert sum(graph.counts().values()) == len(graph.operators)
    assert found.custom() == []
    assert 0.9 * len(content) < found.constants < len(content)
    assert found.minimum_runtime == Card.from_json(flatbuffer.read_metadata(content)).minimum_runtime


def test_two_signatures(small):
    found = flatbuffer.structure(small)
    assert {name: s.subgraph for name, s in found.signatures.items()} == {"predict": 0, "network": 1}
    assert str(found.signatures["network"]) == (
        "network(log_mel float32 [1, 4, 4, 1]) -> valence_arousal float32 [1, 4, 4, 1]"
    )
    assert [g.counts() for g in found.subgraphs] == [
        {"MEAN": 1, "ADD": 1, "CONCATENATION": 1, "TANH": 1},
        {"LOGISTIC": 1},
    ]
    assert found.constants == 4, "the axis of the mean; the card is no constant"


def test_custom_operators_are_named_with_their_tensor():
    found = flatbuffer.structure(tiny.model(custom="FlexErf"))
    assert found.custom() == [("FlexErf", "predict/tiny/tanh")]


def test_another_subgraph_first(small):
    moved = flatbuffer.as_primary(small, 1)
    assert len(moved) == len(small)
    back = flatbuffer.as_primary(moved, 1)
    assert back == small
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=moved)
    assert [n["op_name"] for n in interpreter._get_ops_details()][:1] == ["LOGISTIC"]


def outcome(model: bytes) -> str:
    """`good` or `refused`: anything else comes out as it is."""
    try:
        flatbuffer.structure(model)
        flatbuffer.read_metadata(model)
        flatbuffer.content_sha256(model)
    except ModelError as error:
        return "refused" if str(error) in (flatbuffer.NO_MODEL, flatbuffer.DAMAGED) else str(error)
    return "good"


def test_every_cut_is_refused(small, content):
    cuts = range(0, len(small) - 16, max(1, len(small) // 200))
    assert {outcome(small[:size]) for size in cuts} == {"refused"}
    for size in (*range(len(small) - 16, len(small)), len(content) // 2, len(content) - 40_000):
        cut = small[:size] if size < len(small) else content[:size]
        assert outcome(cut) == "refused" or flatbuffer.content_sha256(cut) != flatbuffer.stated_sha256(small)


def test_damaged_tables_never_do_more_than_refuse(small, rng):
    """Bytes at random, and lengths and offsets of the largest size at every place."""
    outcomes = []
    for _ in range(600):
        damaged = bytearray(small)
        for at in rng.integers(8, len(small), size=rng.integers(1, 5)):
            damaged[at] = rng.integers(256)
        outcomes.append(outcome(bytes(damaged)))
    for at in range(8, len(small) - 4, 4):
        for value in (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\0\0\0\0"):
            outcomes.append(outcome(small[:at] + value + small[at + 4 :]))
    assert 100 < outcomes.count("refused") < len(outcomes)


@pytest.mark.parametrize("text", [b"", b"TFL3", b"hello, this is no model", b"\x08\0\0\0ABCD" + bytes(100)])
def test_no_model(text):
    for read in (flatbuffer.structure, flatbuffer.read_metadata, flatbuffer.content_sha256):
        with pytest.raises(ModelError, match=r"expected a TFLite model"):
            read(text)


def test_hash_covers_every_byte_but_its_own_digits(small, rng):
    stated = flatbuffer.stated_sha256(small)
    at = small.index(stated.encode())
    # A reference in two lines, as a phone would do it.
    zeroed = small[:at] + b"0" * 64 + small[at + 64 :]
    assert stated == hashlib.sha256(zeroed).hexdigest() == flatbuffer.content_sha256(small)
    assert flatbuffer.seal(small) == small
    for place in rng.choice(np.r_[8:at, at + 64 : len(small)], 50, replace=False):
        edited = bytearray(small)
        edited[place] ^= 1
        try:
            assert flatbuffer.content_sha256(bytes(edited)) != stated
        except ModelError:
            pass  # damage to the way to the card is seen before


def test_a_card_of_an_older_export_states_no_hash(content):
    assert flatbuffer.stated_sha256(content) == ""
    assert flatbuffer.content_sha256(content) == hashlib.sha256(content).hexdigest()
    with pytest.raises(ModelError, match=r"expected a card with 64 digits of content_sha256"):
        flatbuffer.seal(content)
    assert flatbuffer.stated_sha256(tiny.model()) == ""


def test_minimum_runtime(small):
    assert flatbuffer.minimum_runtime(small) == "1.5.0"
