"""Model files: shipped, foreign, broken, of another time."""

import dataclasses

import numpy as np
import pytest

from sentio_tf.contract import METADATA_NAME, Card
from sentio_tf.errors import ModelError
from sentio_tf.export.card import embed
from sentio_tf.runtime.engine import Engine, read_metadata
from sentio_tf.runtime.golden import golden_waveform, sha256
from sentio_tf.runtime.predictor import find_model, shipped


@pytest.fixture(scope="module")
def content():
    return find_model("mobilevit-xxs").read_bytes()


@pytest.fixture(scope="module")
def engine():
    return Engine(find_model("mobilevit-xxs"), threads=1)


def test_golden_output_of_every_shipped_model():
    for entry in shipped()["models"]:
        engine = Engine(find_model(entry["name"]), threads=1)
        golden, audio = engine.card.golden, engine.card.audio
        waveform = golden_waveform(audio.samples, audio.sample_rate)
        assert golden["sha256"] == sha256(waveform)
        valence, arousal, distance = engine(waveform)[:3]
        assert [valence, arousal] == pytest.approx(golden["valence_arousal"], abs=2e-3)
        assert distance == pytest.approx(golden["domain_distance"], rel=1e-3)


def test_registry_is_true():
    import hashlib

    registry = shipped()
    assert {registry["default"], registry["live"]} <= {e["name"] for e in registry["models"]}
    for entry in registry["models"]:
        path = find_model(entry["name"])
        assert path.stat().st_size == entry["bytes"] < 8e6
        assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]
        card = Engine(path, threads=1).card
        assert (card.name, card.licence, card.quantization) == (entry["name"], entry["licence"], entry["quantization"])
        assert card.licence == "CC BY-NC-SA 4.0"
        assert set(card.metrics) == {"panda4q", "musifeast17", "vgmidi", "emopia"}


@pytest.mark.parametrize("name", [e["name"] for e in shipped()["models"]])
def test_builtins_only(name):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=find_model(name).read_bytes())
    names = {o["op_name"] for o in interpreter._get_ops_details()}
    assert "RFFT2D" in names, "the front end is inside"
    assert not any("Flex" in n or "CUSTOM" in n for n in names)
    assert list(interpreter.get_signature_list()) == ["predict"]


def test_same_window_same_answer(engine, rng):
    x = (0.1 * rng.standard_normal(661_500)).astype(np.float32)
    first = engine(x)
    engine(np.zeros(661_500, np.float32) + 0.01)
    assert engine(x) == first


def test_metadata_equals_the_flatbuffers_library(content):
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for entry in model.metadata:
        assert read_metadata(content, entry.name.decode()) == bytes(model.buffers[entry.buffer].data)
    assert read_metadata(content, "nothing") is None


def test_weights_are_aligned(content):
    """XNNPACK reads weights in place: the schema asks for 16 bytes."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    for i in range(model.BuffersLength()):
        buffer = model.Buffers(i)
        if buffer.DataLength():
            assert buffer._tab.Vector(buffer._tab.Offset(4)) % 16 == 0


def test_card_can_be_replaced(content, tmp_path):
    card = Card.from_json(read_metadata(content))
    other = dataclasses.replace(card, name="renamed ü")
    once = embed(content, other)
    again = embed(once, dataclasses.replace(card, name="again"))
    path = tmp_path / "m.tflite"
    path.write_bytes(again)
    assert Engine(path, threads=1).card.name == "again"
    assert abs(len(again) - len(once)) < 64
    assert len(once) <= len(content) + 256, "the card is no longer than before, but for fields it did not have"


def damaged(kind, content):
    card = Card.from_json(read_metadata(content))
    return {
        "text": b"hello",
        "empty": b"",
        "foreign flatbuffer": b"\x08\x00\x00\x00ABCD" + bytes(100),
        "cut": content[: len(content) // 2],
        "cut at the end": content[:-40_000],
        "zeroed": content[:8] + bytes(2000) + content[2008:],
        "card removed": content.replace(METADATA_NAME.encode(), b"sentio.gone"),
        "newer card": embed(content, dataclasses.replace(card, schema="sentio/2")),
        "no json": content.replace(b'"schema": "sentio/1"', b'"schema"; "sentio/1"'),
        "other signature": embed(
            content, dataclasses.replace(card, signature=dataclasses.replace(card.signature, input="sound"))
        ),
        "other name": embed(
            content, dataclasses.replace(card, signature=dataclasses.replace(card.signature, name="serve"))
        ),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", "expected a TFLite model"),
        ("empty", "expected a TFLite model"),
        ("foreign flatbuffer", "expected a TFLite model"),
        ("cut", "cut short or damaged|does not load"),
        ("cut at the end", "cut short or damaged|does not load"),
        ("zeroed", "cut short or damaged|without|does not load"),
        ("card removed", "received one without"),
        ("newer card", "sentio/2.*update sentio-tf"),
        ("no json", "does not parse"),
        ("other signature", "expected predict"),
        ("other name", "does not load"),
    ],
)
def test_broken_models_give_one_line(content, tmp_path, kind, message):
    path = tmp_path / "model.tflite"
    path.write_bytes(damaged(kind, content))
    with pytest.raises(ModelError, match=message) as caught:
        Engine(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_model_of_somebody_else(tmp_path):
    """A .tflite without our card is refused with the way out."""
    tf = pytest.importorskip("tensorflow")

    @tf.function(input_signature=[tf.TensorSpec((1, 4))])
    def double(x):
        return 2 * x

    converter = tf.lite.TFLiteConverter.from_concrete_functions([double.get_concrete_function()])
    path = tmp_path / "foreign.tflite"
    path.write_bytes(converter.convert())
    with pytest.raises(ModelError, match="received one without; export it"):
        Engine(path)


def test_a_model_is_found_without_its_version():
    for entry in shipped()["models"]:
        short, _, version = entry["name"].rpartition("-v")
        assert version.startswith("1-ccc")
        assert find_model(short) == find_model(entry["name"])
    assert find_model(live=True) == find_model(shipped()["live"])
    assert find_model("mobilevit-xxs", live=False) == find_model("mobilevit-xxs", live=True)


@pytest.mark.parametrize("name", ["nowhere.tflite", "no-such-model", "mobilevit"])
def test_unknown_model_lists_what_ships(name):
    with pytest.raises(ModelError, match=shipped()["default"]):
        find_model(name)


def test_any_cut_of_a_model_is_survived(content):
    """Reading metadata from a cut file raises ModelError or finds nothing, and nothing else."""
    for size in [*range(0, 400, 7), *range(1000, len(content), len(content) // 40)]:
        try:
            read_metadata(content[:size])
        except ModelError:
            pass
