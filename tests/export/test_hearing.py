"""Networks that take sound themselves, as files: the distance from the training music is of the mel that they make."""

from pathlib import Path

import keras
import numpy as np
import pytest

from sentio_tf.audio.musicnn_mel import SPEC, decibels, musicnn_mel
from sentio_tf.contract import AudioContract, Card, SignatureContract, WindowContract
from sentio_tf.corpora.track import Track
from sentio_tf.errors import ModelError
from sentio_tf.export import _domain, _read_domain, export_run, graph, parity, quantize, representative
from sentio_tf.export.card import embed
from sentio_tf.layers.domain import lag_of
from sentio_tf.layers.musicnn_mel import MusicnnMel
from sentio_tf.models import FLOAT_LAYERS, MODELS
from sentio_tf.runtime.engine import Answer, Engine
from sentio_tf.training.deviation import Deviation
from sentio_tf.training.domain import Domain, features

SAMPLES = 48_000


@pytest.fixture(scope="module")
def network():
    """musicnn's front end, and hardly anything behind it."""
    sound = keras.Input((SAMPLES,), name="waveform")
    x = MusicnnMel(name="musicnn_mel")(sound)
    x = keras.layers.GlobalAveragePooling1D(name="mean")(x)
    x = keras.layers.Dense(3, activation="relu", name="first")(x)
    return keras.Model(sound, keras.layers.Dense(2, activation="tanh", name="valence_arousal")(x), name="hears")


@pytest.fixture(scope="module")
def domain():
    rng = np.random.default_rng(1)
    return Domain(rng.standard_normal(120).astype("f"), rng.uniform(0.5, 2, 120).astype("f"))


@pytest.fixture(scope="module")
def sound():
    rng = np.random.default_rng(2)
    return (0.2 * np.sin(np.arange(SAMPLES) / 7) + 0.05 * rng.standard_normal(SAMPLES)).astype("f")


@pytest.fixture(scope="module")
def expected(domain, sound):
    own = features(decibels(musicnn_mel(sound))[:, :, None], lag_of(SPEC))
    return domain.distance(own)


@pytest.mark.parametrize("with_deviation", [False, True])
def test_the_distance_is_of_the_networks_own_mel(network, domain, sound, expected, with_deviation):
    learnt = (
        Deviation(np.zeros((3, 2), "f"), np.full(2, -1, "f"), np.full(2, -9, "f"), np.zeros(2, "f"))
        if with_deviation
        else None
    )
    model = graph.hearing_model(network, SAMPLES, domain=(domain.mean, domain.std), deviation=learnt)
    found = model.predict_on_batch(sound[None])
    assert set(found) == {"valence_arousal", graph.DISTANCE, *([graph.DEVIATION] if with_deviation else [])}
    np.testing.assert_allclose(found[graph.DISTANCE], [expected], rtol=1e-3)
    np.testing.assert_allclose(found["valence_arousal"], network.predict_on_batch(sound[None]), atol=1e-6)
    if with_deviation:
        np.testing.assert_allclose(found[graph.DEVIATION], np.exp([[-1, -1]]), rtol=1e-5)


@pytest.mark.parametrize("kind", ["none", "float16", "dynamic", "int8"])
def test_in_a_file(network, domain, sound, expected, tmp_path, kind):
    """Mel and distance are float in all of them: the threshold is of float features."""
    model = graph.hearing_model(network, SAMPLES, domain=(domain.mean, domain.std))
    card = Card(
        name="hears",
        version="0",
        licence="CC0-1.0",
        git_commit="",
        audio=AudioContract(sample_rate=16_000, samples=SAMPLES),
        windows=WindowContract(hop_s=1.0),
        signature=SignatureContract(distance=graph.DISTANCE),
        front_end={},
    )
    path = tmp_path / "hears.tflite"
    content = quantize.quantize(graph.to_tflite(model), kind, scope=network.name, representative=[sound])
    path.write_bytes(embed(content, card))
    answer = Engine(path)(sound)
    assert answer.distance == pytest.approx(expected, rel=1e-3)
    limit = parity.TOLERANCE[kind]
    np.testing.assert_allclose(answer[:2], network.predict_on_batch(sound[None])[0], atol=limit)


def test_a_file_with_another_distance_is_noticed(network, domain, sound):
    model = graph.hearing_model(network, SAMPLES, domain=(domain.mean, domain.std))
    songs = [sound, np.roll(sound, 999)]
    found = [{name: v[0] for name, v in model.predict_on_batch(x[None]).items()} for x in songs]
    answers = [Answer(*map(float, f["valence_arousal"]), distance=1.1 * float(f[graph.DISTANCE])) for f in found]
    tracks = [Track(str(i), "x", Path(), f"g{i}", valence=0.1 * i, arousal=-0.1 * i) for i in range(2)]
    drawn = representative.Windows(tracks, ["a", "b"], songs)
    said = parity.compare(model, lambda _, given=iter(answers): next(given), drawn)
    assert said["distance_max"] == pytest.approx(0.1, abs=1e-4)
    assert "distance from the training music: max 10.00 %" in parity.lines(said)


def test_without_a_mel_there_is_no_distance(domain):
    sound = keras.Input((SAMPLES,))
    plain = keras.Model(sound, keras.layers.Dense(2)(sound), name="plain")
    with pytest.raises(ModelError, match="expected a network that makes a mel itself, received plain"):
        graph.hearing_model(plain, SAMPLES, domain=(domain.mean, domain.std))


@pytest.mark.parametrize(
    ("model", "bands", "there"),
    [("mobilevit", 128, True), ("musicnn", 96, True), ("musicnn", 128, False), ("sample_cnn", 128, False)],
)
def test_a_domain_of_another_mel_is_none(tmp_path, model, bands, there):
    """Runs of musicnn of before have that of the log-mel; it would be a distance of anything."""
    own = np.ones(5 * bands // 4, "f")
    Domain(own, own).save(tmp_path / "domain.npz", threshold=2.0, quantile=0.99, out_of_fold=True)
    assert bool(_read_domain(tmp_path, {"model": model})) is there
    assert _domain(tmp_path, {"model": model}).get("threshold") == (2.0 if there else None)
    assert _read_domain(tmp_path / "none", {"model": model}) == {}


@pytest.mark.parametrize("model", FLOAT_LAYERS)
def test_layers_that_stay_float_are_there(model):
    names = [layer.name for layer in MODELS[model](weights=None, samples=SAMPLES).layers]
    assert set(FLOAT_LAYERS[model]) <= set(names)


def test_they_stay_float_in_an_export(run, tmp_path, monkeypatch):
    monkeypatch.setitem(FLOAT_LAYERS, "tiny", ("none_such",))
    with pytest.raises(ModelError, match="expected float layers of the network, received 'none_such'"):
        export_run(run["path"], tmp_path / "m.tflite", sources=run["sources"], cache=run["cache"])
