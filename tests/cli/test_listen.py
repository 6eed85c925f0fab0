"""`listen` as a user meets it."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import sentio_tf
from sentio_tf.audio import decode
from sentio_tf.cli import main

RATE = 22_050
KEYS = ["start_s", "end_s", "valence", "arousal", "quadrant", "mood"]
PROGRAM = Path(sys.executable).with_name("sentio-tf")


def call(*arguments, sound=None):
    return CliRunner().invoke(main, ["listen", *map(str, arguments)], input=sound)


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def sound(make_music):
    return make_music(36)


@pytest.fixture(scope="module")
def wav(sound, tmp_path_factory):
    path = tmp_path_factory.mktemp("listen") / "song.wav"
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    return path


def test_a_line_a_step(stream_model, tune):
    done = call(tune, "--model", stream_model, "--format", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    found = rows(done.stdout)
    assert [list(r) for r in found] == [KEYS] * 18
    segments = sentio_tf.load(stream_model).stream().push(decode.load(tune))
    for row, segment in zip(found, segments, strict=True):
        assert [row[k] for k in KEYS[:4]] == pytest.approx(
            [segment.start_s, segment.end_s, segment.valence, segment.arousal], abs=6e-5
        )


def test_csv_and_table(stream_model, wav):
    found = rows(call(wav, "--model", stream_model, "--every", "2", "--format", "json").stdout)
    assert [r["end_s"] for r in found] == pytest.approx([30, 32, 34, 36], abs=0.03)
    table = list(
        csv.DictReader(io.StringIO(call(wav, "--model", stream_model, "--every", "2", "--format", "csv").stdout))
    )
    assert [{k: str(v) for k, v in r.items()} for r in found] == table
    head, *lines = call(wav, "--model", stream_model, "--every", "2").stdout.splitlines()
    assert head.split() == ["window", "valence", "arousal", "quadrant,", "mood"]
    assert [line[:11] for line in lines] == ["0:00 - 0:30", "0:02 - 0:32", "0:04 - 0:34", "0:06 - 0:36"]
    for row, line in zip(found, lines, strict=True):
        assert line[17:].split()[:2] == [f"{row['valence']:+.2f}", f"{row['arousal']:+.2f}"]
        assert line.endswith(f"{row['quadrant']} {row['mood']}")


@pytest.mark.parametrize(("encoding", "scale", "kind"), [("f32le", 1, "<f4"), ("s16le", 32_768, "<i2")])
def test_standard_input_is_heard_as_the_file(stream_model, sound, wav, encoding, scale, kind):
    options = ["--model", stream_model, "--format", "json", "--every", "3"]
    expected = rows(call(wav, *options).stdout)
    content = (scale * sound).astype(kind).tobytes()
    done = call("-", *options, "--rate", RATE, "--encoding", encoding, sound=content)
    assert (done.exit_code, done.stderr) == (0, "")
    found = rows(done.stdout)
    assert len(found) == len(expected) == 3
    for mine, other in zip(found, expected, strict=True):
        assert [mine[k] for k in KEYS[:4]] == pytest.approx([other[k] for k in KEYS[:4]], abs=2e-3)


def test_another_rate(stream_model, make_music):
    """s16le is the default."""
    content = (32_768 * make_music(33, rate=44_100)).astype("<i2").tobytes()
    done = call("-", "--model", stream_model, "--format", "json", "--rate", "44100", sound=content)
    assert [r["end_s"] for r in rows(done.stdout)] == pytest.approx([30, 31, 32, 33], abs=0.01)


def test_eager_and_short(stream_model, sound):
    content = sound[: 3 * RATE].tobytes()
    options = ["--model", stream_model, "--rate", RATE, "--encoding", "f32le"]
    done = call("-", *options, "--eager", "--format", "json", sound=content)
    assert [r["end_s"] for r in rows(done.stdout)] == pytest.approx([1, 2, 3], abs=0.01)
    done = call("-", *options, sound=content)
    assert len(done.stdout.splitlines()) == 2, "what was heard is repeated at its end"
    assert done.stderr == "listening: an answer every 1.00 s, the first after 30.00 s\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing argument"),
        (["-"], 2, "--rate: expected the sample rate"),
        (["x.wav", "--rate", "44100"], 2, "expected with - only"),
        (["x.wav", "--encoding", "s16le"], 2, "expected with - only"),
        (["-", "--rate", "10"], 2, "--rate"),
        (["-", "--rate", "44100", "--encoding", "mp3"], 2, "--encoding"),
        (["x.wav", "--every", "0"], 2, "--every"),
        (["x.wav", "--every", "nan"], 2, "--every"),
        (["x.wav", "--format", "xml"], 2, "--format"),
        (["x.wav", "--model", "nowhere"], 1, "nowhere: no such model file"),
        (["x.wav", "--model", "MODEL"], 1, "x.wav: no such file"),
        (["-", "--rate", "44100", "--model", "MODEL", "--format", "json"], 1, "received none; check what writes"),
    ],
    ids=str,
)
def test_exit_codes(stream_model, arguments, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call(*(stream_model if a == "MODEL" else a for a in arguments), sound=b"")
    assert done.exit_code == code, done.output
    assert message in done.stderr
    if code == 1:
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.splitlines()) == 1


def test_what_cannot_be_judged(stream_model, tmp_path):
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(40 * RATE), RATE)
    done = call(silence, "--model", stream_model, "--format", "json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"error: {silence}: silent throughout (40.0 s); there is nothing to judge\n"
    broken = np.array([0, np.nan], np.float32).tobytes()
    done = call("-", "--rate", RATE, "--encoding", "f32le", "--model", stream_model, "--format", "csv", sound=broken)
    assert done.exit_code == 1
    assert "error: expected finite samples, received NaN" in done.stderr


def test_a_model_without_a_stream(stream_model, wav, tmp_path):
    import dataclasses

    from sentio_tf.contract import Card
    from sentio_tf.export.card import embed
    from sentio_tf.runtime.flatbuffer import read_metadata

    content = stream_model.read_bytes()
    old = tmp_path / "old.tflite"
    old.write_bytes(embed(content, dataclasses.replace(Card.from_json(read_metadata(content)), stream=None)))
    done = call(wav, "--model", old, "--every", "10", "--format", "json")
    assert done.exit_code == 0
    assert "each answer costs a whole window" in done.stderr
    assert rows(done.stdout)


# -- a process of its own -----------------------------------------------------------------------------


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom sentio_tf.cli import main\n"
        "try:\n    main(['listen', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'tensorflow', 'numpy', 'rich', 'soundfile', 'soxr', 'ai_edge_litert'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "arecord -t raw -f S16_LE -c 1 -r 44100 | sentio-tf listen" in done.stdout


def test_answers_come_while_the_sound_does_and_ctrl_c_ends_it(stream_model, sound):
    """The first line is there while the pipe is still open."""
    line = [PROGRAM, "listen", "-", "--rate", str(RATE), "--encoding", "f32le", "--model", stream_model]
    child = subprocess.Popen(
        [*line, "--format", "json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    try:
        child.stdin.write(sound[: 31 * RATE].tobytes())
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["end_s"] == 30
        child.send_signal(signal.SIGINT)
        rest, said = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 130
    assert said == b""
    assert len(rest.splitlines()) <= 1


def shell(line):
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120)


def test_a_reader_that_stops_early(stream_model, tune):
    done = shell(f"'{PROGRAM}' listen '{tune}' --model '{stream_model}' --format csv | head -n 2")
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == ""


def test_places_that_cannot_be_written_or_read(stream_model, tune):
    if Path("/dev/full").exists():
        done = shell(f"'{PROGRAM}' listen '{tune}' --model '{stream_model}' > /dev/full")
        assert done.returncode == 1
        assert "cannot be written" in done.stderr
        assert "Traceback" not in done.stderr
    done = shell(f"'{PROGRAM}' listen '{tune}' --model '{stream_model}' >&-")
    assert done.returncode == 1
    assert done.stderr == "error: expected a place to print to, received a closed standard output\n"
    done = shell(f"'{PROGRAM}' listen - --rate 44100 <&-")
    assert done.returncode == 2
    assert "expected sound on standard input" in done.stderr


def test_a_terminal_is_no_sound():
    ours, theirs = os.openpty()
    try:
        done = subprocess.run(
            [PROGRAM, "listen", "-", "--rate", "44100"], stdin=theirs, capture_output=True, timeout=60
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 2
    assert b"received a terminal" in done.stderr
