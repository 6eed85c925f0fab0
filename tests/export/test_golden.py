"""Golden files: what the package itself gives, and those in mobile/ are of the model that ships."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from sentio_tf.audio.resample import KaiserSinc, resample
from sentio_tf.cli import main
from sentio_tf.contract import Card
from sentio_tf.export.golden import write_golden
from sentio_tf.runtime.engine import Engine
from sentio_tf.runtime.golden import golden_waveform, sha256
from sentio_tf.runtime.predictor import Predictor, find_model

COMMITTED = Path(__file__).parents[2] / "mobile" / "golden"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("golden")
    said = CliRunner().invoke(main, ["export", "golden", "--out", str(out)])
    assert said.exit_code == 0, said.output
    assert "19 files" in said.output
    return out


def read(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def close(a, b, where=""):
    """The same structure; numbers within what one model gives on two machines."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            close(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            close(x, y, f"{where}[{i}]")
    elif isinstance(a, float):
        assert a == pytest.approx(b, abs=2e-4), where
    else:
        assert a == b, where


@pytest.mark.parametrize("name", ["card", "downmix", "resampler", "windows", "circumplex", "benchmark", "answers"])
def test_the_committed_files_are_those_of_the_model_that_ships(folder, name):
    """`sentio-tf export golden --out mobile/golden` after every change of the model or a rule."""
    mine, theirs = read(folder, name), read(COMMITTED, name)
    if name == "answers":  # encoders differ from version to version; files are judged below
        for found in (mine, theirs):
            found["files"].pop("cases")
    close(mine, theirs)


def test_committed_sounds(folder):
    for file in sorted(folder.glob("*.f32")):
        one, other = (np.fromfile(f, "<f4") for f in (file, COMMITTED / file.name))
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_committed_files_are_answered_as_they_say():
    found = read(COMMITTED, "answers")["files"]
    predictor = Predictor(Engine(find_model(live=True)))
    assert len(found["cases"]) == 4
    for case in found["cases"]:
        song = predictor.predict(COMMITTED / case["file"])
        assert song.valence == pytest.approx(case["valence"], abs=found["tolerance"])
        assert song.arousal == pytest.approx(case["arousal"], abs=found["tolerance"])


def test_all_is_less_than_a_megabyte():
    assert sum(f.stat().st_size for f in COMMITTED.iterdir()) < 1e6


def test_what_they_say_is_what_the_package_does(folder):
    card = Card.from_json((folder / "card.json").read_text())
    answers = read(folder, "answers")
    waveform = golden_waveform(card.audio.samples, card.audio.sample_rate)
    assert answers["waveform"]["sha256"] == sha256(waveform) == card.golden["sha256"]
    assert [answers["waveform"][axis] for axis in ("valence", "arousal")] == pytest.approx(
        card.golden["valence_arousal"], abs=1e-3
    )
    segments = answers["timeline"]["segments"]
    assert [s["start_s"] for s in segments] == [0.0, 15.0, 17.3]
    assert answers["timeline"]["valence"] == pytest.approx(np.mean([s["valence"] for s in segments]))
    stated = read(folder, "resampler")
    kernel = KaiserSinc(*(stated["resampler"][k] for k in ("taps", "beta", "cutoff")))
    for case in stated["cases"]:
        given, expected = (np.fromfile(folder / case[end], "<f4") for end in ("in", "out"))
        np.testing.assert_allclose(resample(given, case["rate_in"], case["rate_out"], kernel), expected, atol=1e-6)
    for case in read(folder, "windows")["cases"]:
        assert case["repeated"] == (case["samples"] < card.audio.samples)
        assert case["windows"][-1][1] == case["samples"] or case["samples"] - case["windows"][-1][1] <= 22_050
    moods = {c[3] for c in read(folder, "circumplex")["cases"]}
    assert len(moods) == 17


def test_the_resampler_of_an_app_gives_the_answer_of_soxr(tmp_path, tune):
    """What a phone does, whole: decode at the file's rate, mean of the channels, our resampler, our windows."""
    import soundfile

    from sentio_tf.audio.windows import windows

    samples, rate = soundfile.read(tune, dtype="float32", always_2d=True)
    engine = Engine(find_model(live=True))
    heard = resample(samples.mean(axis=1), rate, 22_050)
    answers = np.array([engine(w.samples)[:2] for w in windows([heard])])
    song = Predictor(engine).predict(tune)
    np.testing.assert_allclose(answers.mean(axis=0), [song.valence, song.arousal], atol=0.01)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    said = CliRunner().invoke(main, ["export", "golden", "--out", str(tmp_path / "file" / "deep")])
    assert said.exit_code == 1
    assert "choose another --out" in said.output
    with pytest.raises(Exception, match="no such model"):
        write_golden(find_model("nothing"), tmp_path)
