"""Networks that feel INT8 while they train; the exported file is what they felt."""

import json

import keras
import numpy as np
import pytest
import yaml

from sentio_tf.config import load
from sentio_tf.errors import ConfigError, ModelError
from sentio_tf.export import graph, quantize
from sentio_tf.layers.fake_quant import FakeQuant
from sentio_tf.layers.normalize import ClipZScore
from sentio_tf.models import MODELS
from sentio_tf.models.weights import transfer
from sentio_tf.training.fit import fit
from sentio_tf.training.quantize_aware import is_aware, plain, quantize_aware

from ..conftest import music
from ..export.conftest import SCOPE, network


@pytest.fixture(scope="module")
def mels():
    hear = graph.front_end(graph.waveform_model(network(), transform="matmul"))
    return np.stack([hear(music(30, seed=i)[:661_500]) for i in range(4)])


def hurt():
    """The small network with weights that INT8 hurts, but leaves alive."""
    model = network()
    kernel = model.get_layer("ruined").kernel.numpy()
    kernel[:, :, 0] /= 30
    model.get_layer("ruined").kernel.assign(kernel)
    return model


@pytest.fixture
def aware(mels):
    model = quantize_aware(hurt())
    model(mels, training=True)
    return model


def test_nothing_changes_before_a_batch_was_seen(mels):
    """But the kernels, which are rounded at once: the one on which 1000 stands has lost the others."""
    before, model = network(), quantize_aware(network())
    kernel = before.get_layer("ruined").kernel.numpy()
    kernel[:, :, 1:] = 0
    before.get_layer("ruined").kernel.assign(kernel)
    found, expected = (m.predict_on_batch(mels) for m in (model, before))
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_where_the_rounding_goes(aware):
    """Behind what an operator fuses, and in front of the first convolution; the head's mean and dense layer stay."""
    points = [layer.name.removesuffix("_int8") for layer in aware.layers if isinstance(layer, FakeQuant)]
    assert points == ["shrink", "stem_act", "narrow_act", "ruined", "deep", "last"]


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("efficientnet_lite", {"resize", "stem_act", "stage1_0_project_bn", "stage2_1_add", "last_act"}),
        # SiLU is no part of a convolution: what goes into it is INT8, too.
        ("mobilevit", {"resize", "stem_bn", "stem_act", "stage1_add", "stage3_vit_concat", "last_bn", "last_act"}),
    ],
)
def test_points_of_the_students(name, points):
    options = {"weights": None} if name == "efficientnet_lite" else {}
    model = MODELS[name](normalize=ClipZScore(name="normalize"), frames=512, height=64, seed=0, **options)
    copy = quantize_aware(model)
    found = {layer.name.removesuffix("_int8") for layer in copy.layers if isinstance(layer, FakeQuant)}
    assert points <= found
    assert not {n for n in found if "pool" in n or "norm" in n or "logits" in n}
    assert model.count_params() == copy.count_params() - 3 * len(found)


def test_a_network_without_convolutions_is_refused():
    x = keras.Input((4,))
    with pytest.raises(ConfigError, match=r"expected a network with convolutions.*--quantize dynamic"):
        quantize_aware(keras.Model(x, keras.layers.Dense(2)(x)))


def test_and_back_again(aware, mels):
    bare, ranges = plain(aware)
    assert not is_aware(bare)
    assert not any("FakeQuant" in type(layer).__name__ for layer in bare.layers)
    np.testing.assert_allclose(bare.predict_on_batch(mels), hurt().predict_on_batch(mels), atol=1e-6)
    assert list(ranges) == ["shrink", "stem", "narrow", "ruined", "deep", "last"]
    assert ranges["narrow"][0] == 0
    assert plain(bare) == (bare, {})


def test_a_file_says_what_training_felt(aware, mels):
    """INT8 with the ranges that were learnt answers as the network with the rounding inside, far nearer than float."""
    bare, ranges = plain(aware)
    model = graph.waveform_model(bare, transform="matmul")
    exact, hear = graph.to_tflite(model), graph.front_end(model)
    given = {"scope": SCOPE, "front_end": hear}
    songs = [music(30, seed=i)[:661_500] for i in range(4)]
    measured = quantize.measure(exact, songs[:1], **given)
    learnt = quantize.learnt_ranges(exact, ranges, scope=SCOPE)
    assert learnt.keys() <= measured.keys()
    assert {k: v["max"].shape for k, v in learnt.items()} == {k: measured[k]["max"].shape for k in learnt}
    content = quantize.quantize(exact, "int8", ranges=measured | learnt, **given)

    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    run = interpreter.get_signature_runner("predict")
    answers = np.concatenate([run(waveform=song[None])["valence_arousal"] for song in songs])
    felt = aware.predict_on_batch(mels)
    off, lost = (np.sqrt(np.mean((x - felt) ** 2)) for x in (answers, bare.predict_on_batch(mels)))
    assert off < 0.1 * lost  # the rest: the dense head is INT8, too, and rounds each window by itself

    (scale,) = {scale_of(content, name) for name in learnt if name.startswith(f"predict_1/{SCOPE}_1/narrow_act")}
    assert scale == pytest.approx(ranges["narrow"][1] / 255, rel=1e-4)


def scale_of(content: bytes, name: str) -> float:
    """Scale of a tensor as the file holds it."""
    from tensorflow.lite.tools import flatbuffer_utils

    tree = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    (found,) = [t for part in tree.subgraphs for t in part.tensors if t.name.decode() == name]
    return found.quantization.scale[0]


@pytest.mark.slow
def test_every_point_of_a_mobilevit_has_its_tensor(mels):
    """SiLU makes two operators of a layer; equal constants of fresh normalisations share their names."""
    model = quantize_aware(MODELS["mobilevit"](normalize=ClipZScore(name="normalize"), height=64, seed=0))
    model(mels[:1], training=True)
    bare, ranges = plain(model)
    exact = graph.to_tflite(graph.waveform_model(bare, transform="matmul"))
    found = quantize.learnt_ranges(exact, ranges, scope=bare.name)
    for prefix in ("", "predict_1/"):  # the signatures
        for layer, operator in (("stem_conv", "convolution1"), ("stem_act", "mul_1")):
            range_ = found[f"{prefix}{bare.name}_1/{layer}_1/{operator}"]
            assert (range_["min"][0], range_["max"][0]) == pytest.approx(ranges[layer])
    assert len(found) == 2 * len(ranges)


def test_a_range_of_no_layer(aware):
    exact = graph.to_tflite(graph.waveform_model(plain(aware)[0], transform="matmul"))
    with pytest.raises(ModelError, match="expected the graph to keep layer gone"):
        quantize.learnt_ranges(exact, {"gone": (0, 1)}, scope=SCOPE)


def test_rounding_is_learnt(mels):
    """A few steps bring a network whose rounding hurts nearer to what it was meant to answer."""
    teacher = hurt()
    target = teacher.predict_on_batch(mels)
    model = quantize_aware(teacher)
    model(mels, training=True)
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    before = float(np.mean((model.predict_on_batch(mels) - target) ** 2))
    for _ in range(40):
        model.train_on_batch(mels, target)
    after = float(np.mean((model.predict_on_batch(mels) - target) ** 2))
    assert after < 0.3 * before


def test_weights_of_another_architecture():
    rest = keras.Input((4,))
    target = keras.Model(rest, keras.layers.Dense(3, name="dense")(rest))
    source = keras.Model(rest, keras.layers.Dense(2, name="dense")(rest))
    with pytest.raises(ValueError, match=r"weights \[\(4, 3\), \(3,\)\] for layer dense. Received: \[\(4, 2\)"):
        transfer(source, target)


# A run that goes on from another.


def options(run, tmp_path, **changed):
    given = {"cache": run["cache"], "report": lambda _: None, **changed}
    return {"sources": run["sources"], "out": tmp_path / "aware", **given}


def again(run, *sets):
    """The run's configuration with some settings changed."""
    return load(None, [*run["sets"], *sets])


def test_training_goes_on_from_a_run(run, tmp_path):
    """Fold by fold: its answers before a step are those of the run, and the directory says what it came from."""
    config = again(run, "quantize_aware=true", "epochs=1")
    results = fit(config, start=run["path"], **options(run, tmp_path))
    assert results["split"] == json.loads((run["path"] / "metrics.json").read_text())["split"]
    settings = yaml.safe_load((tmp_path / "aware" / "config.yaml").read_text())
    assert len(settings["start"]) == 64
    for part in ("0", "1", "final"):
        old, new = (
            keras.saving.load_model(folder / f"fold-{part}" / "model.keras", compile=False)
            for folder in (run["path"], tmp_path / "aware")
        )
        assert is_aware(new)
        kernels = [m.get_layer("stem").get_weights()[0] for m in (old, new)]
        assert 0 < np.abs(kernels[0] - kernels[1]).max() < 0.1, "further, from where it stood"


def test_rounding_needs_a_start(run, tmp_path):
    with pytest.raises(ConfigError, match=r"quantize_aware: expected a trained network to go on from.*--start"):
        fit(again(run, "quantize_aware=true"), **options(run, tmp_path))


def test_a_start_from_other_songs_is_refused(run, tmp_path):
    """Else the models might have learnt from what judges them here."""
    config = again(run, "folds=3", "epochs=1")
    with pytest.raises(ConfigError, match="--start: expected a run with the same songs in training and test"):
        fit(config, start=run["path"], **options(run, tmp_path))


def test_a_start_of_another_architecture_is_refused(run, tmp_path):
    config = again(run, "architecture.width=3", "epochs=1")
    with pytest.raises(ConfigError, match=r"--start: expected weights .* start from a run of the same model"):
        fit(config, start=run["path"], **options(run, tmp_path))


def test_a_start_that_is_not_finished_is_refused(run, tmp_path):
    import shutil

    shutil.copytree(run["path"], tmp_path / "half")
    (tmp_path / "half" / "fold-1" / "model.keras").unlink()
    with pytest.raises(ConfigError, match=r"expected the model of fold 1 in .*half, received none; fit it to the end"):
        fit(again(run, "epochs=1"), start=tmp_path / "half", **options(run, tmp_path))


def test_settings_that_do_not_go_together():
    with pytest.raises(ConfigError, match="quantize_aware: expected precision float32 and head_alpha 0"):
        load(None, ["quantize_aware=true", "precision=mixed_bfloat16"])
