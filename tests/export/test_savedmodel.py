"""SavedModel: the answers of Keras one window at a time and in batches, and the card beside the graph."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from sentio_tf.contract import SignatureContract
from sentio_tf.errors import ModelError
from sentio_tf.export import graph
from sentio_tf.export.savedmodel import CARD, GRAPH, SavedModelRunner, embed, read_card, write
from sentio_tf.models import MODELS
from sentio_tf.runtime.golden import golden_waveform

from ..conftest import music, tiny
from .test_onnx import DOMAIN, awake, card, check_answers, normalize


@pytest.fixture(scope="module")
def model():
    """A miniature: TensorFlow takes ten seconds to write a MobileViT, see `test_networks`."""
    return graph.waveform_model(tiny(normalize=normalize(), width=8), domain=DOMAIN)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "deep" / "model"
    write(model, path, card(model))
    return path


@pytest.fixture(scope="module")
def runner(folder):
    return SavedModelRunner(folder)


def test_answers_are_those_of_keras(model, runner):
    check_answers(model, runner)


def test_signatures(runner):
    """TensorFlow Serving asks for `serving_default` unless told otherwise."""
    found = runner.signatures
    assert sorted(found) == ["batch", "predict", "serving_default"]
    for name, batch in (("predict", 1), ("serving_default", 1), ("batch", None)):
        given = found[name].structured_input_signature[1]
        assert {k: v.shape.as_list() for k, v in given.items()} == {"waveform": [batch, 661_500]}
        answers = {k: v.shape.as_list() for k, v in found[name].structured_outputs.items()}
        assert answers == {"valence_arousal": [batch, 2], "domain_distance": [batch]}


def test_a_batch_is_its_windows(runner):
    windows = np.stack([golden_waveform(), music(30, seed=1)])
    answers = runner.signatures["batch"](waveform=windows)
    alone = np.array([runner(w)[:3] for w in windows])
    np.testing.assert_allclose(answers["valence_arousal"], alone[:, :2], atol=1e-5)
    np.testing.assert_allclose(answers["domain_distance"], alone[:, 2], rtol=1e-5)


@pytest.mark.slow
def test_it_needs_nothing_of_ours(folder, runner):
    """As on a server: another process, TensorFlow alone."""
    code = (
        "import sys, numpy, tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "silence = numpy.zeros((1, 661500), numpy.float32)\n"
        "print(model.signatures['predict'](waveform=silence)['valence_arousal'].numpy().tolist())\n"
        "assert not [name for name in sys.modules if name.startswith('sentio_tf')]\n"
    )
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, env=environment, cwd=folder
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = np.array(json.loads(done.stdout.splitlines()[-1]))
    np.testing.assert_allclose(found[0], runner(np.zeros(661_500, np.float32))[:2], atol=1e-5)


def test_card_beside_the_graph(model, folder, runner):
    assert (folder / "assets.extra" / "sentio.json").is_file()
    assert read_card(folder) == card(model) == runner.card
    embed(folder, card(model, name="renamed"))
    assert read_card(folder).name == "renamed"
    embed(folder, card(model))
    assert read_card(folder) == card(model)


def test_weights_are_there_once(model, folder):
    size = sum(file.stat().st_size for file in (folder / "variables").iterdir())
    assert size < 1.5 * 4 * model.count_params() + 20_000


def test_a_model_of_ours_is_replaced_and_nothing_is_left_over(tmp_path):
    for width in (4, 8):
        network = graph.waveform_model(tiny(normalize=normalize(), width=width))
        write(network, tmp_path / "model", card(network, name=f"width {width}"))
    assert read_card(tmp_path / "model").name == "width 8"
    check_answers(network, SavedModelRunner(tmp_path / "model"))
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("kind", ["file", "link", "others", "foreign"])
def test_what_is_not_ours_is_not_overwritten(model, tmp_path, kind):
    folder = tmp_path / "model"
    if kind == "file":
        folder.write_text("mine")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        (folder / ("thesis.txt" if kind == "others" else GRAPH)).write_text("mine")
    with pytest.raises(ModelError, match="choose another --out"):
        write(model, folder, card(model))
    kept = {"file": folder, "link": folder, "others": folder / "thesis.txt", "foreign": folder / GRAPH}[kind]
    assert kept.is_symlink() or kept.read_text() == "mine"
    assert not [p for p in tmp_path.iterdir() if "part" in p.name]


def test_folders_that_are_no_model_of_ours(model, folder, tmp_path):
    with pytest.raises(ModelError, match=r"expected a SavedModel, a folder with saved_model\.pb"):
        SavedModelRunner(tmp_path)
    with pytest.raises(ModelError, match="expected a SavedModel, a folder with"):
        read_card(tmp_path / "none")
    (tmp_path / GRAPH).write_bytes(b"")
    with pytest.raises(ModelError, match="expected a SavedModel with a card"):
        read_card(tmp_path)
    (tmp_path / CARD).parent.mkdir()
    (tmp_path / CARD).write_text("{")
    with pytest.raises(ModelError, match="expected a card in JSON"):
        read_card(tmp_path)
    (tmp_path / CARD).write_text(card(model).to_json())
    (tmp_path / GRAPH).write_bytes((folder / GRAPH).read_bytes()[:1000])
    with pytest.raises(ModelError, match="the model does not load"):
        SavedModelRunner(tmp_path)


def test_the_card_of_another_model(model, folder, tmp_path):
    with pytest.raises(ModelError, match="give the model's own card"):
        write(model, tmp_path / "model", card(model, signature=SignatureContract()))
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilevit", "crnn", "ast"])
def test_networks(name, tmp_path):
    network = awake(MODELS[name](normalize=normalize(), seed=1))
    model = graph.waveform_model(network, domain=DOMAIN, transform="matmul")
    write(model, tmp_path / "model", card(model))
    check_answers(model, SavedModelRunner(tmp_path / "model"))
