"""The command as a user meets it: a process of its own, exit codes, stdout and stderr."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from sentio_tf.cli import main

RATE = 22_050
KEYS = """path model valence arousal valence_std arousal_std quadrant mood duration_s windows in_domain
warnings""".split()  # noqa: SIM905


def command(*arguments):
    """The installed command in a process of its own."""
    program = Path(sys.executable).with_name("sentio-tf")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def call(*arguments):
    """The same, in this process."""
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    root = tmp_path_factory.mktemp("bad")
    (root / "text.mp3").write_text("not music\n" * 100)
    (root / "empty.wav").touch()
    (root / "a folder").mkdir()
    soundfile.write(root / "silence.wav", np.zeros(5 * RATE), RATE)
    x = np.full(RATE, 0.1, np.float32)
    x[100] = np.nan
    soundfile.write(root / "nan.wav", x, RATE, subtype="FLOAT")
    return root


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom sentio_tf.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'matplotlib', 'rich', 'soundfile', 'av', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "predict" in done.stdout


def test_prediction_imports_no_tensorflow_and_no_matplotlib(tune):
    code = (
        "import sys\nfrom sentio_tf.cli import main\n"
        f"try:\n    main(['predict', {str(tune)!r}, '--format', 'json'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'av', 'librosa', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_json(tune):
    done = command("predict", tune, "--format", "json", "--timeline")
    assert done.returncode == 0
    assert done.stderr == "", "nothing of LiteRT or anybody else on stderr"
    (answer,) = json.loads(done.stdout)
    assert list(answer) == [*KEYS, "timeline"]
    assert [list(s) for s in answer["timeline"]] == [["start_s", "end_s", "valence", "arousal"]] * 3
    assert -1 <= answer["valence"] <= 1
    assert answer["quadrant"] in {"Q1", "Q2", "Q3", "Q4"}


def test_table(tune):
    done = command("predict", tune, "--timeline")
    assert done.returncode == 0
    for word in ("two_moods.mp3", "valence", "arousal", "quadrant", "±", "0:47", "0:15 - 0:45"):
        assert word in done.stdout, word
    assert "\x1b" not in done.stdout, "no colours in a pipe"


def test_table_fits_a_terminal_of_80_columns(tune, tmp_path):
    """In a real terminal: a line a song, long names shortened, numbers whole, the bar gone."""
    import fcntl
    import os
    import re
    import shutil
    import struct
    import termios

    long = tmp_path / ("a very long name of a song " * 4 + ".mp3")
    shutil.copy(tune, long)
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    program = Path(sys.executable).with_name("sentio-tf")
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "TERM")} | {"TERM": "xterm"}
    child = subprocess.Popen([program, "predict", tune, long], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # Linux says so when the other side closes
            break
        if not part:
            break
        said += part
    os.close(ours)
    assert child.wait() == 0
    assert "Listening" in said.decode()
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.decode()).replace("\r", "\n").splitlines()
    rows = [r for r in shown if "±" in r]
    assert len(rows) == 2
    for row in rows:
        assert len(row) <= 80
        assert re.search(r"[+-]\d\.\d\d ± \d\.\d\d +[+-]\d\.\d\d ± \d\.\d\d +Q\d [a-z]+ +0:47", row), row
    assert "…" in rows[1]


def test_csv(tune, bad):
    done = call("predict", tune, bad / "empty.wav", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0]) == [*KEYS, "error"]
    assert (rows[0]["error"], rows[1]["valence"]) == ("", "")
    assert "0 bytes" in rows[1]["error"]
    windows = list(csv.DictReader(io.StringIO(call("predict", tune, "--format", "csv", "--timeline").stdout)))
    assert len(windows) == 3
    assert float(windows[1]["start_s"]) == 15


def test_every_bad_file_one_line_and_the_good_ones_answered(tune, bad):
    names = ["text.mp3", "empty.wav", "a folder", "silence.wav", "nan.wav", "missing.mp3"]
    done = command("predict", *(bad / n for n in names), tune, "--format", "json")
    assert done.returncode == 1
    *errors, good = json.loads(done.stdout)
    assert good["path"] == str(tune)
    assert "valence" in good
    assert [list(e) for e in errors] == [["path", "error"]] * len(names)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == len(names)
    for name, line in zip(names, lines, strict=True):
        assert line.startswith("error: ")
        assert name in line
    assert "Traceback" not in done.stderr


def test_only_bad_files(bad):
    done = call("predict", bad / "missing.mp3")
    assert done.exit_code == 1
    assert done.stdout.strip() == ""


def test_strange_names(tmp_path, make_music):
    for name in ("two words.wav", "quo\"te's.wav", "пісня 歌 🎵.wav", "[bold]x[bold].wav", "line\nbreak.wav"):
        path = tmp_path / name
        soundfile.write(path, make_music(3), RATE)
        for form in ("json", "table", "csv"):
            done = call("predict", path, "--format", form)
            assert done.exit_code == 0, (name, done.output)
        assert json.loads(call("predict", path, "--format", "json").stdout)[0]["path"] == str(path)
    assert "[bold]x[bold].wav" in call("predict", tmp_path / "[bold]x[bold].wav").stdout


def test_a_name_that_is_no_unicode(tmp_path, make_music):
    import os

    path = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    try:
        with open(path, "wb") as file:
            soundfile.write(file, make_music(3), RATE, format="WAV")
    except OSError:
        pytest.skip("this file system wants Unicode")
    for form in ("json", "table", "csv"):
        program = Path(sys.executable).with_name("sentio-tf")
        done = subprocess.run([program, "predict", path, "--format", form], capture_output=True)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_plot(tune, tmp_path, ending):
    target = tmp_path / f"p.{ending}"
    done = call("predict", tune, "--plot", target)
    assert done.exit_code == 0, done.output
    head = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert target.read_bytes().startswith(head)


def test_plot_of_several_and_where_it_cannot_go(tune, tmp_path, bad):
    assert call("predict", tune, tune, bad / "text.mp3", "--plot", tmp_path / "p.png").exit_code == 1
    assert (tmp_path / "p.png").exists(), "the good ones are drawn"
    done = call("predict", tune, "--plot", tmp_path / "no" / "p.png")
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr
    assert call("predict", tune, "--plot", tmp_path / "p.gif").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["predict"], 2),
        (["predict", "x", "--format", "xml"], 2),
        (["predict", "x", "--hop", "0"], 2),
        (["predict", "x", "--hop", "31"], 2),
        (["predict", "x", "--hop", "nan"], 2),
        (["sing"], 2),
        (["predict", "x", "--model", "nowhere"], 1),
        (["fit", "mobilevit", "--data", "jazz:x"], 1),
        (["fit", "mobilevit"], 2),
        (["export", "nowhere", "--data", "panda4q:x", "--out", "x.tflite"], 1),
    ],
)
def test_exit_codes(arguments, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert done.exit_code == code, done.output
    if code == 1:
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.strip().splitlines()) == 1


def test_models():
    entries = json.loads(call("models", "--format", "json").stdout)
    entry = entries[0]
    assert [sum(e[role] for e in entries) for role in ("default", "live")] == [1, 1]
    assert {"name", "file", "bytes", "sha256", "licence", "quantization", "config", "summary"} <= set(entry)
    text = call("models").stdout
    assert all(e["name"] in text for e in entries)
    assert any(line.endswith("default of listen and web)") for line in text.splitlines())
    assert "CC BY-NC-SA 4.0" in text


def test_training_without_its_extra(monkeypatch):
    """In the base install `fit` says what to install."""
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "tensorflow" else real(n))
    done = call("fit", "mobilevit", "--data", "panda4q:x")
    assert done.exit_code == 1
    assert "pip install 'sentio-tf[train]'" in done.stderr


def test_fit_of_a_finished_run_says_its_metrics(run):
    arguments = [a for s in run["sources"] for a in ("--data", s)]
    settings = [a for s in run["sets"] for a in ("--set", s)]
    done = call("fit", "tiny", *arguments, *settings, "--out", run["path"], "--cache", run["cache"])
    assert done.exit_code == 0, done.output
    assert "out-of-fold, grouped, scale [-1, 1]" in done.stdout
    assert "folder-rated (16 songs, 8 groups): valence ccc" in done.stdout


def test_version():
    import sentio_tf

    assert call("--version").stdout.strip() == f"sentio-tf, version {sentio_tf.__version__}"


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "sentio_tf", "--version"], capture_output=True, text=True)
    assert done.stdout == call("--version").stdout


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path, make_music):
    """An hour takes no more memory than ten minutes."""
    minute = make_music(60)
    # A child begins with its parent's resident set; a small process between keeps ours out of the figure.
    launcher = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)"
    )

    def peak(minutes):
        path = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            for _ in range(minutes):
                file.write(minute)
        program = Path(sys.executable).with_name("sentio-tf")
        line = [sys.executable, "-c", launcher, program, "predict", path, "--format", "json"]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        (answer,) = json.loads(done.stdout)
        assert answer["duration_s"] == pytest.approx(60 * minutes, abs=1)
        assert answer["windows"] == 4 * minutes - 1
        return int(done.stderr.splitlines()[-1]) / 1024

    short, long = peak(10), peak(60)
    assert long < 1.1 * short
    assert long < 400


def shell(line):
    program = Path(sys.executable).with_name("sentio-tf")
    return subprocess.run(["bash", "-c", line.replace("sentio-tf", str(program), 1)], capture_output=True, text=True)


def test_stdout_that_cannot_be_written(tune):
    if Path("/dev/full").exists():
        done = shell(f"sentio-tf predict '{tune}' --format csv > /dev/full")
        assert done.returncode == 1
        assert "cannot be written" in done.stderr
        assert "Traceback" not in done.stderr
    done = shell(f"sentio-tf predict '{tune}' >&-")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_reader_that_stops_early_still_gets_errors_and_plot(tune, bad, tmp_path):
    plot = tmp_path / "p.png"
    done = shell(f"sentio-tf predict '{tune}' '{bad}/missing.mp3' --plot {plot} --format json | true")
    assert "missing.mp3: no such file" in done.stderr
    assert "Traceback" not in done.stderr
    assert plot.exists()


def test_closed_stderr(tune):
    done = shell(f"sentio-tf predict '{tune}' --format json 2>&-")
    assert done.returncode == 0
    assert json.loads(done.stdout)[0]["windows"] == 3


def test_plot_of_a_name_that_steers_terminals(tmp_path, make_music):
    path = tmp_path / "esc\x1b[31m\udce9.wav"
    try:
        with open(path, "wb") as file:
            soundfile.write(file, make_music(3), RATE, format="WAV")
    except OSError:
        pytest.skip("this file system wants Unicode")
    from xml.etree import ElementTree

    target = tmp_path / "p.svg"
    done = command("predict", path, "--plot", target)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    ElementTree.parse(target)


def test_warnings_are_not_lost_in_a_csv_timeline(tmp_path, make_music):
    path = tmp_path / "short.wav"
    soundfile.write(path, make_music(0.5), RATE)
    assert "0.50 s were repeated" in call("predict", path, "--format", "csv", "--timeline").stderr


def test_one_file_never_costs_the_others(tune, monkeypatch):
    """Whatever a decoder throws: the other files are answered."""
    from sentio_tf.audio import decode

    real = decode.check_readable

    def check(path):
        if path.name == "cursed.mp3":
            raise RuntimeError("unheard of")
        real(path)

    monkeypatch.setattr(decode, "check_readable", check)
    done = call("predict", "cursed.mp3", tune, "--format", "json")
    assert done.exit_code == 1
    first, second = json.loads(done.stdout)
    assert "unheard of" in first["error"]
    assert second["windows"] == 3
