"""From a run to a `.tflite` that answers as Keras does."""

import csv
import json
import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from sentio_tf import export
from sentio_tf.cli import main
from sentio_tf.errors import ModelError
from sentio_tf.export import graph, parity, quantize, scopes
from sentio_tf.export.settings import Quantization
from sentio_tf.layers.normalize import BandNormalize, ClipZScore
from sentio_tf.models import mobilevit
from sentio_tf.runtime import checks, flatbuffer
from sentio_tf.runtime.engine import Engine
from sentio_tf.runtime.golden import golden_waveform, sha256
from sentio_tf.runtime.stream import Stream
from sentio_tf.training.build import load_model

from ..conftest import tiny
from .test_onnx import DOMAIN, awake


def shallow(**options):
    """A MobileViT with one transformer block a stage, of 2, 4, 3: every conversion takes half the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mobilevit, "DEPTHS", (1, 1, 1))
        return mobilevit.build(height=64, **options)


@pytest.fixture(scope="module")
def run(run, tmp_path_factory):
    """The run of the fixtures with a MobileViT as its model: untrained, shallow, its heads away from zero."""
    path = tmp_path_factory.mktemp("mobilevit") / "run"
    shutil.copytree(run["path"], path)
    normalize = BandNormalize(np.full(128, -30.0), np.full(128, 15.0), name="normalize")
    network = shallow(normalize=normalize, seed=1)
    for name in ("pool_logits", "statistics_logits"):
        kernel = network.get_layer(name).kernel
        kernel.assign(np.random.default_rng(0).standard_normal(kernel.shape) * 0.1)
    network.save(path / "model.keras")
    return {**run, "path": path}


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """The run exported in each quantisation; the first by the command."""
    folder = tmp_path_factory.mktemp("models")
    data = [a for s in run["sources"] for a in ("--data", s)]
    out = folder / "none.tflite"
    real, converted = graph.to_tflite, []

    def once(model):  # all start from the same float graph
        converted[:] = converted or [real(model)]
        return converted[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "to_tflite", once)
        done = CliRunner().invoke(
            main,
            ["export", str(run["path"]), *data, "--quantize", "none", "--cache", str(run["cache"]), "--out", str(out)],
        )
        assert done.exit_code == 0, done.output
        assert "against Keras: max 0.00" in done.output
        cards = {"none": Engine(out).card}
        for kind in ("float16", "dynamic", "int8"):
            said = []
            done = export.export_run(
                run["path"],
                folder / f"{kind}.tflite",
                sources=run["sources"],
                quantization=Quantization(kind, representative=4),
                cache=run["cache"],
                report=said.append,
            )
            cards[kind] = done.card
            assert bool(said) == (kind == "int8"), "four songs are few to measure activations on"
    return folder, cards


def test_predict_takes_what_export_writes(exported, tune):
    folder, _ = exported
    done = CliRunner().invoke(main, ["predict", str(tune), "--model", str(folder / "none.tflite"), "--format", "json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["model"] == "run"


def test_float_export_is_keras(exported):
    _, cards = exported
    assert cards["none"].parity["max"] < 1e-4
    assert 16 <= cards["none"].parity["windows"] < 32, "about half of 32 songs; the others may calibrate"


def test_quantised_exports_stay_close(exported):
    _, cards = exported
    assert cards["float16"].parity["max"] < 2e-3
    for kind in ("dynamic", "int8"):
        assert cards[kind].parity["max"] <= parity.TOLERANCE[kind]


def test_sizes_fall(exported, run):
    """By half and three quarters of the weights, but for small layers; the front end's tables stay as they are."""
    folder, _ = exported
    size = {kind: (folder / f"{kind}.tflite").stat().st_size for kind in quantize.QUANTIZATIONS}
    weights = 4 * load_model(run["path"] / "model.keras").count_params()
    assert size["none"] - size["float16"] > 0.4 * weights
    assert size["none"] - size["dynamic"] > 0.61 * weights
    assert size["none"] - size["int8"] > 0.61 * weights


@pytest.mark.parametrize("kind", quantize.QUANTIZATIONS)
def test_only_the_network_is_quantised(exported, kind):
    folder, _ = exported
    integers, activations = 0, 0
    tables = flatbuffer.structure((folder / f"{kind}.tflite").read_bytes())
    for name, signature in tables.signatures.items():
        part = tables.subgraphs[signature.subgraph]
        outside = 0
        for op in part.operators:
            types = {part.tensors[i].dtype for i in (*op.inputs, *op.outputs) if i >= 0}
            if scopes.layers_of(scopes.names_of(part, op), "mobilevit_xxs"):
                integers += "int8" in types
                activations += any(part.tensors[i].dtype == "int8" for i in op.outputs)
            elif op.name not in ("QUANTIZE", "DEQUANTIZE"):
                outside += 1
                assert types <= {"float32", "int32"}, (name, op)
        assert outside > 20
    assert bool(integers) == (kind in ("dynamic", "int8"))
    assert bool(activations) == (kind == "int8")


@pytest.mark.parametrize("kind", quantize.QUANTIZATIONS)
def test_the_stream_hears_what_predict_hears(exported, kind, make_music):
    """Each signature was quantised by itself; weights and ranges are the same."""
    engine = Engine(exported[0] / f"{kind}.tflite", threads=1)
    sound = make_music(31)[: engine.card.audio.samples + 22_016]
    found = [(s.valence, s.arousal) for s in Stream(engine).push(sound)]
    expected = [engine(sound[i : i + engine.card.audio.samples])[:2] for i in (0, 22_016)]
    np.testing.assert_allclose(found, expected, atol=1e-5 if kind in ("none", "float16") else 2e-2)


@pytest.mark.parametrize("kind", quantize.QUANTIZATIONS)
def test_card_inside(exported, run, kind):
    folder, cards = exported
    engine = Engine(folder / f"{kind}.tflite")
    card = engine.card
    assert card == cards[kind].from_json(cards[kind].to_json())
    assert card.quantization == kind
    assert card.training["corpora"] == ["folder", "folder"]
    assert card.metrics == run["results"]["corpora"]
    assert card.minimum_runtime
    assert card.golden["sha256"] == sha256(golden_waveform())
    valence, arousal, distance = engine(golden_waveform())[:3]
    assert [valence, arousal] == pytest.approx(card.golden["valence_arousal"], abs=2e-3)
    assert distance == pytest.approx(card.golden["domain_distance"], rel=1e-4)
    rmse = run["results"]["corpora"]["folder-rated"]["valence"]["rmse"]["value"]
    assert card.uncertainty["valence_std"] == pytest.approx(rmse, abs=1e-3)


def test_builtins_only_and_three_signatures(exported):
    from ai_edge_litert.interpreter import Interpreter

    folder, _ = exported
    interpreter = Interpreter(str(folder / "none.tflite"))
    answers = ["domain_distance", "valence_arousal"]
    assert interpreter.get_signature_list() == {
        "predict": {"inputs": ["waveform"], "outputs": answers},
        "front_end": {"inputs": ["samples"], "outputs": ["log_mel"]},
        "network": {"inputs": ["log_mel"], "outputs": answers},
    }
    assert not any(o["op_name"].startswith("Flex") for o in interpreter._get_ops_details())


def test_a_wrong_export_is_refused_and_leaves_no_file(run, tmp_path, monkeypatch):
    """The parity check can fail: here the network in the file is not the one of the run."""
    real = graph.to_tflite

    def other(model):
        wrong = awake(tiny(normalize=ClipZScore(), width=8))
        return real(graph.waveform_model(wrong, domain=DOMAIN))

    monkeypatch.setattr(graph, "to_tflite", other)
    out = tmp_path / "wrong.tflite"
    with pytest.raises(ModelError, match="deviation from Keras"):
        export.export_run(run["path"], out, sources=run["sources"], quantization="none", cache=run["cache"])
    assert list(tmp_path.iterdir()) == []


def test_other_data_than_the_runs(run, tmp_path):
    with pytest.raises(ModelError, match="expected the run's corpora"):
        export.export_run(run["path"], tmp_path / "m.tflite", sources=run["sources"][:1], cache=run["cache"])


def test_a_network_that_hears_sound_is_asked_for_sound(run, tmp_path):
    """The run says musicnn, which hears 16 kHz; the network in it takes mels."""
    shutil.copytree(run["path"], tmp_path / "r")
    file = tmp_path / "r" / "config.yaml"
    file.write_text(file.read_text().replace("model: tiny", "model: musicnn"))
    with pytest.raises(ModelError, match=r"expected a network \(None, 480000\) -> \(None, 2\), received"):
        export.export_run(tmp_path / "r", tmp_path / "m.tflite", sources=run["sources"], cache=run["cache"])


def test_unfinished_run(tmp_path):
    with pytest.raises(ModelError, match="finish it with sentio-tf fit"):
        export.export_run(tmp_path, tmp_path / "m.tflite", sources=["panda4q:x"])


def test_quantize_checks_its_arguments():
    with pytest.raises(ModelError, match="expected quantization one of"):
        quantize.quantize(b"", "nonsense", scope="x")
    with pytest.raises(ModelError, match="needs representative music"):
        quantize.quantize(b"", "int8", scope="x")


def test_network_of_another_contract():
    inputs = keras.Input((64, 100, 1))
    network = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    with pytest.raises(ModelError, match="expected a network"):
        graph.waveform_model(network)


def test_operator_beyond_the_builtins_is_named():
    """cumulative maximum by sorting needs an operator that TFLite's builtins lack."""
    import tensorflow as tf

    @keras.saving.register_keras_serializable("test")
    class Foreign(keras.layers.Layer):
        def call(self, x):
            return tf.raw_ops.Betainc(a=tf.ones_like(x), b=tf.ones_like(x), x=tf.sigmoid(x))

    inputs = keras.Input((128, 1292, 1))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    network = keras.Model(inputs, Foreign()(keras.layers.Dense(2)(x)))
    with pytest.raises(ModelError, match="Betainc"):
        graph.to_tflite(graph.waveform_model(network))


def test_golden_waveform_is_fixed():
    waveform = golden_waveform()
    assert sha256(waveform) == "a91f46ca87ae0f66b26f660cec3a0a26d1a4e7ea3d4b413f98150b28b230ad2d"
    assert np.abs(waveform).max() < 1
    assert np.abs(waveform).max() > 0.2


@pytest.mark.parametrize("kind", quantize.QUANTIZATIONS)
def test_verify_takes_what_export_writes(exported, kind):
    folder, _ = exported
    report = checks.verify(folder / f"{kind}.tflite")
    assert report.good, [c for c in report.checks if c.state == checks.FAILED]
    assert {c.name: c.state for c in report.checks}["content"] == checks.OK


def test_weights_are_in_the_file_once(exported, run):
    """Three signatures, one set of constants; beside them a front end of tables."""
    folder, _ = exported
    weights = 4 * load_model(run["path"] / "model.keras").count_params()
    assert flatbuffer.structure((folder / "none.tflite").read_bytes()).constants < weights + 1.2e6


def test_a_fold_is_compared_on_its_own_songs(run, tmp_path):
    """The model of a fold knows none of the fold's songs, and says so."""
    shutil.copytree(run["path"], tmp_path / "r")
    out = tmp_path / "f.tflite"
    done = export.export_run(
        tmp_path / "r", out, sources=run["sources"], quantization="none", fold="0", cache=run["cache"]
    )
    with (run["path"] / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["fold"] == "0"]
    assert done.card.parity["fold"] == "0"
    assert done.card.parity["windows"] >= len(rows)
    with pytest.raises(ModelError, match=r"expected fold 7, received folds 0, 1, final; choose --fold"):
        export.export_run(tmp_path / "r", out, sources=run["sources"], fold="7", cache=run["cache"])


def test_card_json_of_the_run(exported, run):
    raw = json.loads((run["path"] / "card.json").read_text())
    assert raw["schema"] == "sentio/1"
