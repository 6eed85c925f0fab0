"""ONNX: the answers of Keras, standard operators, and the card inside."""

import dataclasses
import sys

import keras
import numpy as np
import onnx
import pytest

from sentio_tf.contract import AudioContract, Card, SignatureContract
from sentio_tf.errors import ModelError
from sentio_tf.export import graph
from sentio_tf.export.onnx import OPSET, OnnxRunner, embed, foreign, read_card, to_onnx
from sentio_tf.export.unfold import unfold
from sentio_tf.layers.normalize import BandNormalize
from sentio_tf.models import MODELS, WAVEFORM, vit
from sentio_tf.runtime.golden import golden_waveform

from ..conftest import music, tiny

DOMAIN = (np.linspace(-1, 1, 160), np.linspace(0.5, 2, 160))


def card(model, **changes) -> Card:
    """Of a model, as a file gives it back: a tuple there is a list."""
    names = model.output if isinstance(model.output, dict) else {}
    values = {
        "audio": AudioContract(samples=model.input_shape[1]),
        "signature": SignatureContract(distance=graph.DISTANCE if graph.DISTANCE in names else None),
        **changes,
    }
    made = Card(name="test", version="0.0.0", licence="CC0-1.0", git_commit="unknown")
    return Card.from_json(dataclasses.replace(made, **values).to_json())


def normalize():
    return BandNormalize(np.full(128, -30.0), np.full(128, 15.0), name="normalize")


def awake(network):
    """Heads start at zero, where nothing before them matters."""
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if layer.name in ("head_logits", "pool_logits", "statistics_logits"):
            layer.kernel.assign(rng.standard_normal(layer.kernel.shape) * layer.kernel.shape[0] ** -0.5)
    return network


def check_answers(model, runner) -> None:
    """On the golden waveform and on two kinds of music; the answers must tell them apart."""
    samples = model.input_shape[1]
    found = []
    for waveform in (golden_waveform(samples), music(30, seed=1)[:samples], music(30, seed=2)[:samples]):
        expected = model(waveform[None], training=False)
        if not isinstance(expected, dict):
            expected = {SignatureContract.output: expected}
        valence, arousal, distance = runner(waveform)[:3]
        np.testing.assert_allclose([valence, arousal], expected[SignatureContract.output][0], atol=1e-4)
        if graph.DISTANCE in expected:
            assert distance == pytest.approx(float(expected[graph.DISTANCE][0]), rel=1e-4)
        else:
            assert distance is None
        found.append([valence, arousal])
    assert np.ptp(found, axis=0).max() > 1e-3, "the input matters"


@pytest.fixture(scope="module")
def model():
    network = awake(MODELS["mobilevit"](normalize=normalize(), height=64, seed=1))
    return graph.waveform_model(network, domain=DOMAIN, transform="matmul")


@pytest.fixture(scope="module")
def content(model):
    return to_onnx(model, card(model))


@pytest.fixture(scope="module")
def small():
    """With the FFT of training, and no distance."""
    return graph.waveform_model(tiny(normalize=normalize()))


@pytest.fixture(scope="module")
def small_content(small):
    return to_onnx(small)


def test_answers_are_those_of_keras(model, content):
    check_answers(model, OnnxRunner(content))


def test_the_fft_of_training_converts(small, small_content, tmp_path):
    """TensorFlow's RFFT, which ONNX lacks, and no distance."""
    path = tmp_path / "small.onnx"
    path.write_bytes(embed(small_content, card(small)))
    check_answers(small, OnnxRunner(path, threads=2))


def test_names_shapes_and_operators(content):
    proto = onnx.load_model_from_string(content)
    onnx.checker.check_model(proto, full_check=True)

    def shapes(values):
        return {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}

    assert shapes(proto.graph.input) == {"waveform": [1, 661_500]}
    assert shapes(proto.graph.output) == {"valence_arousal": [1, 2], "domain_distance": [1]}
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", OPSET)]
    assert {node.domain for node in proto.graph.node} == {""}
    assert foreign(proto) == []


def test_card_inside(model, content):
    assert read_card(content) == card(model)
    renamed = card(model, name="renamed")
    again = embed(content, renamed)
    assert read_card(again) == renamed
    assert OnnxRunner(again).card == renamed
    keys = [entry.key for entry in onnx.load_model_from_string(again).metadata_props]
    assert keys == ["sentio.json"], "replaced, not added"


def test_no_card(small_content):
    with pytest.raises(ModelError, match=r"expected a model with a card \(metadata entry sentio.json\)"):
        read_card(small_content)
    with pytest.raises(ModelError, match=r"^model: expected a model with a card"):
        OnnxRunner(small_content)


def test_the_card_of_another_model(small, small_content):
    with pytest.raises(ModelError, match="expected the card of a model of 661500 samples -> valence_arousal, received"):
        to_onnx(small, card(small, signature=SignatureContract(distance=graph.DISTANCE)))
    other = card(small, signature=SignatureContract(input="sound"))
    with pytest.raises(ModelError, match=r"expected sound \[1, 661500\] -> valence_arousal, received waveform"):
        OnnxRunner(embed(small_content, other))


def test_another_window(small, small_content):
    runner = OnnxRunner(embed(small_content, card(small)))
    with pytest.raises(ModelError, match=r"expected a window \(661500,\), received \(100,\)"):
        runner(np.zeros(100, np.float32))


def test_an_operator_that_onnx_lacks_is_named():
    import tensorflow as tf

    class Foreign(keras.layers.Layer):
        def call(self, x):
            return tf.raw_ops.Betainc(a=tf.ones_like(x), b=tf.ones_like(x), x=tf.sigmoid(x))

    inputs = keras.Input((1000,))
    model = keras.Model(inputs, Foreign(name="strange")(keras.layers.Dense(2)(inputs)))
    with pytest.raises(ModelError, match=r"received Betainc in functional_\w*/strange_1/Betainc; build that layer"):
        to_onnx(model)


def test_another_domain_is_foreign():
    make = onnx.helper.make_node
    inner = onnx.helper.make_graph([make("FusedGelu", ["x"], ["y"], "gelu", domain="com.microsoft")], "body", [], [])
    loop = make("Loop", ["n", "c"], ["z"], "loop", body=inner)
    proto = onnx.helper.make_model(onnx.helper.make_graph([loop, make("Tanh", ["z"], ["t"], "tanh")], "g", [], []))
    assert foreign(proto) == [("com.microsoft.FusedGelu", "gelu")]


def test_a_model_of_another_contract():
    inputs = keras.Input((64, 100, 1))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    with pytest.raises(ModelError, match=r"expected a model \(None, samples\) -> valence_arousal"):
        to_onnx(model)


def test_broken_files(small, small_content, tmp_path):
    text = tmp_path / "model.onnx"
    text.write_text("this is no model\n" * 100)
    cut = embed(small_content, card(small))[: len(small_content) // 2]
    for source in (text, b"", cut):
        with pytest.raises(ModelError, match="the model does not load"):
            OnnxRunner(source)
    for source in (text.read_bytes(), b"", cut):
        with pytest.raises(ModelError, match="expected an ONNX model, received"):
            read_card(source)
    with pytest.raises(ModelError, match="cannot be read"):
        OnnxRunner(tmp_path / "none.onnx")


@pytest.mark.parametrize("missing", ["tf2onnx", "onnx", "onnxruntime"])
def test_without_the_extra(small, small_content, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)  # an import of it fails
    with pytest.raises(ModelError, match=rf"ONNX needs {missing}; install it with: pip install 'sentio-tf\[onnx\]'"):
        OnnxRunner(small_content) if missing == "onnxruntime" else to_onnx(small)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(MODELS) - {"mobilevit"}))
def test_every_network(name):
    if name in WAVEFORM:
        network = MODELS[name](**({"weights": None} if name == "musicnn" else {}))
        model = graph.hearing_model(unfold(awake(network)), network.input_shape[1])  # as `export_run` does
    else:
        given = {"vit": {"backbone": vit.CONFIG, "weights": None}}.get(name, {"seed": 1})
        if name == "efficientnet_lite":
            given = {"weights": None}
        network = awake(MODELS[name](normalize=normalize(), **given))
        model = graph.waveform_model(network, domain=DOMAIN, transform="matmul")
    check_answers(model, OnnxRunner(to_onnx(model, card(model))))
