"""`export` as a user meets it."""

import json
from functools import partial

import pytest
from click.testing import CliRunner

from sentio_tf.cli import main
from sentio_tf.export import error_report, graph, representative
from sentio_tf.runtime.engine import Engine
from sentio_tf.runtime.golden import golden_waveform


def call(*arguments):
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


def of(run, *more, out):
    """Export the run of the fixtures, with its own data."""
    data = [a for s in run["sources"] for a in ("--data", s)]
    return call(run["path"], *data, "--cache", run["cache"], "--out", out, *more)


def said(done) -> list[str]:
    """Lines on stderr, without the quantiser's bars: `quiet` holds these back where stderr is a file descriptor."""
    return [line for line in done.stderr.splitlines() if line.strip() and "it/s]" not in line]


@pytest.fixture(scope="module", autouse=True)
def once():
    """All exports here start from one float file, which TensorFlow takes seconds to make, and compare few songs."""
    real, converted = graph.to_tflite, {}

    def to_tflite(model):
        key = b"".join(w.numpy().tobytes() for w in model.weights)
        if key not in converted:
            converted[key] = real(model)
        return converted[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "to_tflite", to_tflite)
        patch.setattr(representative, "draw", partial(representative.draw, comparison=4))
        yield


@pytest.fixture(scope="module")
def convolution(run):
    """Name of the network's only convolution: Keras counts those that it gave no name."""
    from sentio_tf.training.build import load_model

    (layer,) = [x for x in load_model(run["path"] / "model.keras").layers if type(x).__name__ == "Conv2D"]
    return layer.name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--quantize", "int4"], "'int4' is not one of 'none', 'float16', 'dynamic', 'int8'"),
        (["--to", "coreml"], "'coreml' is not one of 'tflite', 'onnx', 'savedmodel'"),
        (["--engine", "tpu"], "'tpu' is not one of 'ai-edge', 'converter'"),
        (["--to", "onnx", "--quantize", "int8"], "--quantize int8: onnx is exported in float"),
        (["--to", "savedmodel", "--quantize", "dynamic"], "--quantize dynamic: savedmodel is exported in float"),
        (["--full"], "--full goes with --report"),
        (["--report", "r.json", "--quantize", "float16"], "expected --quantize dynamic or int8, received float16"),
        (["--report", "r.json", "--to", "onnx"], "expected --quantize dynamic or int8, received none"),
        (["--report", "."], "is a directory"),
        (["--representative", "1"], "1 is not in the range x>=2"),
        (["--engine", "converter"], "--engine converter: expected --quantize int8, received dynamic"),
        (["--float", "stem", "--quantize", "none"], "--float: expected a --quantize that quantises, received none"),
        (["--float", "stem", "--to", "onnx"], "--float: expected a --quantize that quantises, received none"),
    ],
)
def test_usage_errors(tmp_path, options, words):
    out = tmp_path / "m.tflite"
    done = call(tmp_path, "--data", "folder:x", "--out", out, *options)
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.split())
    assert not out.exists()


def test_out_is_of_its_kind(tmp_path):
    (tmp_path / "file").write_text("")
    done = call(tmp_path, "--data", "folder:x", "--out", tmp_path)
    assert done.exit_code == 2
    assert "--out: expected a file, received" in done.stderr
    done = call(tmp_path, "--data", "folder:x", "--to", "savedmodel", "--out", tmp_path / "file")
    assert done.exit_code == 2
    assert "--out: expected a folder, received" in done.stderr


@pytest.mark.parametrize("missing", ["--data", "--out"])
def test_what_must_be_given(tmp_path, missing):
    given = {"--data": "folder:x", "--out": str(tmp_path / "m")}
    done = call(tmp_path, *(a for k, v in given.items() if k != missing for a in (k, v)))
    assert done.exit_code == 2
    assert f"Missing option '{missing}'" in done.stderr


@pytest.fixture(scope="module")
def int8(run, convolution, tmp_path_factory):
    """An INT8 export with a full report and its only convolution left alone."""
    folder = tmp_path_factory.mktemp("int8")
    done = of(
        run, "--quantize", "int8", "--representative", 4, "--float", convolution, "--report", folder / "r.json",
        "--full", "--name", "a name", "--licence", "CC0-1.0", out=folder / "new" / "m.tflite",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return done, folder


def test_int8_with_a_report(int8, convolution):
    done, folder = int8
    lines = done.stdout.splitlines()
    assert lines[0].startswith(str(folder / "new" / "m.tflite"))
    assert lines[0].endswith(" MB, int8")
    assert [x.split(":")[1].split()[0] for x in lines[1:5]] == ["max", "valence", "arousal", "distance"]
    assert lines[5].startswith("error of the answer: ")
    assert lines[6].split() == ["layer", "operator", "error", "alone", "without"]
    assert said(done) == ["int8: only 4 representative songs, better 16 or more; its ranges may be too narrow"]
    raw = json.loads((folder / "r.json").read_text())
    assert raw["full"]
    found = {x["layer"]: x for x in raw["layers"]}
    assert not found[convolution]["quantised"]
    assert found[convolution]["alone"] is None
    (dense,) = [x for x in found.values() if x["operator"] == "FULLY_CONNECTED"]
    assert dense["quantised"]
    assert dense["alone"] == pytest.approx(raw["answer"], rel=0.01), "the only quantised layer is all of the error"
    assert dense["without"] < 1e-6


def test_the_file_of_int8(int8, convolution):
    engine = Engine(int8[1] / "new" / "m.tflite")
    card = engine.card
    assert (card.name, card.licence, card.quantization) == ("a name", "CC0-1.0", "int8")
    assert card.parity["representative"] == 4
    assert engine(golden_waveform())[:2] == pytest.approx(card.golden["valence_arousal"], abs=1e-4)
    assert len(error_report.quantised_layers(engine.path.read_bytes(), "tiny")) == 1
    assert [f.name for f in engine.path.parent.iterdir()] == ["m.tflite"], "nothing half written is left"


@pytest.mark.slow
def test_converter_takes_the_convolution(run, convolution, tmp_path):
    out = tmp_path / "m.tflite"
    done = of(run, "--quantize", "int8", "--engine", "converter", "--representative", 4, out=out)
    assert done.exit_code == 0, done.output
    assert convolution in error_report.quantised_layers(out.read_bytes(), "tiny")


def test_unknown_layer_is_one_line(run, convolution, tmp_path):
    done = of(run, "--float", f"{convolution}x", out=tmp_path / "m.tflite")
    assert done.exit_code == 1
    (line,) = said(done)
    assert line.endswith(f"did you mean {convolution}?")
    assert list(tmp_path.iterdir()) == []


def test_unknown_fold_is_one_line(run, tmp_path):
    done = of(run, "--fold", "9", out=tmp_path / "m.tflite")
    assert done.exit_code == 1
    (line,) = said(done)
    assert "expected fold 9, received folds 0, 1, final; choose --fold" in line


def test_report_that_cannot_be_written_is_one_line(run, tmp_path):
    """A folder that is not there is said before anything is made; what the disk refuses later costs no model."""
    out, report = tmp_path / "m.tflite", tmp_path / "nowhere" / "r.json"
    done = of(run, "--report", report, out=out)
    assert done.exit_code == 2
    assert "--report: expected a file in a folder that is there" in done.stderr
    assert not out.exists()
    done = of(run, "--report", "/dev/full", out=out)
    assert done.exit_code == 1
    (line,) = said(done)
    assert line == "error: /dev/full: cannot be written (No space left on device); choose another --report"
    assert "layer " in done.stdout, "it is still said"
    assert Engine(out).card.quantization == "dynamic"


def test_to_onnx(run, tmp_path):
    from sentio_tf.export.onnx import OnnxRunner

    out = tmp_path / "m.onnx"
    done = of(run, "--to", "onnx", out=out)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0].endswith(" MB, none")
    assert "against Keras: max 0.000" in done.stdout
    runner = OnnxRunner(out)
    assert runner.card.quantization == "none"
    assert list(runner(golden_waveform())[:2]) == pytest.approx(runner.card.golden["valence_arousal"], abs=1e-4)


def test_to_savedmodel(run, tmp_path):
    from sentio_tf.export.savedmodel import SavedModelRunner

    out = tmp_path / "m"
    done = of(run, "--to", "savedmodel", out=out)
    assert done.exit_code == 0, done.output
    assert "against Keras: max 0.000" in done.stdout
    assert SavedModelRunner(out).card.quantization == "none"
    assert not done.stdout.startswith(f"{out}: 0.00 MB"), "the size of all its files"
