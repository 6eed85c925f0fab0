"""The standard deviation of an answer in every export, and of a song in what a user sees."""

import dataclasses
import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from sentio_tf.cli import main
from sentio_tf.contract import SignatureContract, StreamContract, WindowContract
from sentio_tf.export import export_run, graph, recheck
from sentio_tf.export.card import embed
from sentio_tf.export.onnx import OnnxRunner, to_onnx
from sentio_tf.export.quantize import quantize
from sentio_tf.export.savedmodel import SavedModelRunner, write
from sentio_tf.layers.chunks import ChunkMean, Chunks
from sentio_tf.runtime.engine import Engine
from sentio_tf.runtime.flatbuffer import structure
from sentio_tf.runtime.predictor import Predictor
from sentio_tf.training.deviation import Deviation
from sentio_tf.training.deviation import write as write_deviation

from ..conftest import music, tiny
from .test_onnx import DOMAIN, awake, card, normalize


def learnt(width, seed=0):
    rng = np.random.default_rng(seed)
    return Deviation(rng.normal(size=(width, 2)), np.array([-1.0, -1.5]), np.array([-4.0, -4]), np.array([0.5, 0.5]))


def told(model, **changes):
    signature = SignatureContract(
        distance=graph.DISTANCE if graph.DISTANCE in model.output else None, deviation=graph.DEVIATION
    )
    return card(model, signature=signature, **changes)


@pytest.fixture(scope="module")
def model():
    return graph.waveform_model(
        awake(tiny(normalize=normalize(), width=8)), domain=DOMAIN, deviation=learnt(8), transform="matmul"
    )


SONGS = [music(30, seed=s)[:661_500] for s in (1, 2, 3)]


def check(model, runner, *, atol=1e-4, rtol=2e-3):
    found = []
    for waveform in (song[: model.input_shape[1]] for song in SONGS):
        expected = model.predict_on_batch(waveform[None])
        answer = runner(waveform)
        np.testing.assert_allclose(answer[:2], expected[SignatureContract.output][0], atol=atol)
        np.testing.assert_allclose(answer.std, expected[graph.DEVIATION][0], rtol=rtol)
        found.append(answer.std)
    assert np.ptp(found, axis=0).min() > 1e-3, "songs differ"


@pytest.mark.parametrize("kind", ["none", "dynamic", "int8"])
def test_tflite(model, tmp_path, kind):
    """Windows and stream; the deviation itself is never quantised."""
    content = graph.to_tflite(model)
    content = quantize(content, kind, scope="tiny", representative=SONGS, front_end=graph.front_end(model))
    path = tmp_path / "model.tflite"
    path.write_bytes(embed(content, dataclasses.replace(told(model), stream=StreamContract())))
    engine = Engine(path)
    # What it is computed from may be quantised, it may not.
    check(model, engine, **({} if kind == "none" else {"atol": 2e-2, "rtol": 0.1}))
    (scaled,) = (
        tensor for name, tensor in structure(content).signatures["predict"].outputs.items() if name == graph.DEVIATION
    )
    assert scaled.dtype == "float32"
    stages = engine.stages()
    mel = graph.front_end(model)(SONGS[0])[..., 0]
    np.testing.assert_allclose(stages.network(mel).std, engine(SONGS[0]).std, rtol=1e-2)


def test_onnx(model):
    check(model, OnnxRunner(to_onnx(model, told(model))))


def test_savedmodel(model, tmp_path):
    write(model, tmp_path / "saved", told(model))
    check(model, SavedModelRunner(tmp_path / "saved"))


def test_a_network_that_hears_sound_in_chunks(tmp_path):
    """One deviation a window: its logarithm is the mean of those of the chunks."""
    x = keras.Input((48_000,))
    chunks = Chunks(16_000, axis=1, name="chunks")
    y = keras.layers.Dense(3, activation="relu", name="first")(keras.ops.reshape(chunks(x), (-1, 16_000)))
    y = keras.layers.Dense(2, activation="tanh", name="head")(y)
    network = keras.Model(x, ChunkMean(chunks.count, name="valence_arousal")(y), name="chunky")
    model = graph.hearing_model(network, 48_000, deviation=learnt(3))
    features = keras.Model(network.input, network.get_layer("first").output)
    sound = SONGS[0][:48_000]
    log = np.asarray(features(sound[None])) @ learnt(3).kernel + learnt(3).bias
    expected = np.exp(log.mean(axis=0))
    np.testing.assert_allclose(model.predict_on_batch(sound[None])[graph.DEVIATION][0], expected, rtol=1e-4)
    path = tmp_path / "model.tflite"
    path.write_bytes(embed(graph.to_tflite(model), told(model, front_end={}, windows=WindowContract(hop_s=1.0))))
    np.testing.assert_allclose(Engine(path)(sound).std, expected, rtol=1e-3)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    shutil.copytree(run["path"], folder / "run")
    write_deviation(folder / "run", learnt(4))
    made = export_run(
        folder / "run", folder / "model.tflite", sources=run["sources"], quantization="none", cache=run["cache"]
    )
    return folder / "model.tflite", made.card


def test_the_card_says_that_and_how(exported):
    card = exported[1]
    assert card.signature.deviation == "valence_arousal_std"
    assert card.parity["std_max"] < 1e-3
    assert len(card.golden["valence_arousal_std"]) == 2
    assert card.uncertainty["valence_std"] > 0
    assert "learnt" in card.uncertainty


def test_of_a_song_it_is_the_geometric_mean_of_its_windows(exported, tune):
    from sentio_tf.audio import decode
    from sentio_tf.audio.windows import windows

    engine = Engine(exported[0])
    found = Predictor(engine).predict(tune, hop_s=7)
    cuts = windows(decode.blocks(tune), size=661_500, hop_s=7, sample_rate=22_050)
    stds = np.array([engine(w.samples).std for w in cuts])
    assert len(stds) > 1
    np.testing.assert_allclose([found.valence_std, found.arousal_std], np.exp(np.log(stds).mean(axis=0)), rtol=1e-6)


def test_a_user_sees_it_and_checks_pass(exported, tune):
    answer = Predictor(Engine(exported[0])).predict(tune)
    said = CliRunner().invoke(main, ["predict", str(tune), "--model", str(exported[0])])
    assert said.exit_code == 0, said.output
    assert f"± {answer.valence_std:.2f}" in said.output
    assert f"± {answer.arousal_std:.2f}" in said.output
    checked = CliRunner().invoke(main, ["verify", str(exported[0])])
    assert checked.exit_code == 0, checked.output


def test_a_fold_has_its_own_and_is_compared_with_it(run, tmp_path):
    shutil.copytree(run["path"], tmp_path / "run")
    for name in ("model.keras", "domain.npz"):  # as with final=false
        (tmp_path / "run" / name).unlink()
    write_deviation(tmp_path / "run" / "fold-0", learnt(4, seed=1))
    out = tmp_path / "fold.tflite"
    made = export_run(
        tmp_path / "run", out, sources=run["sources"], quantization="none", fold="0", cache=run["cache"]
    ).card
    assert made.signature.deviation
    found = recheck.measure(out, tmp_path / "run", sources=run["sources"], cache=run["cache"])
    assert found["std_max"] < 1e-3


def test_a_model_without_it_says_its_error_on_all_songs(run, tmp_path, tune):
    card = export_run(
        run["path"], tmp_path / "model.tflite", sources=run["sources"], quantization="none", cache=run["cache"]
    ).card
    assert card.signature.deviation is None
    found = Predictor(Engine(tmp_path / "model.tflite")).predict(tune)
    assert found.valence_std == card.uncertainty["valence_std"]
