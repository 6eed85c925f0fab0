"""`sentio-tf features` as a user meets it."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from sentio_tf.audio import decode
from sentio_tf.cli import main
from sentio_tf.features import analyse, read

RATE = 22_050


def call(*arguments):
    return CliRunner().invoke(main, ["features", *map(str, arguments)])


@pytest.fixture
def music(tmp_path, make_music):
    """A folder with a file, a file further down, a hidden one and one that is no audio."""
    root = tmp_path / "music"
    (root / "b").mkdir(parents=True)
    for i, name in enumerate(["a.wav", "b/c.flac", ".hidden.wav"]):
        soundfile.write(root / name, make_music(1, seed=i), RATE)
    (root / "notes.txt").write_text("no music")
    return root


def test_files_and_folders_to_a_table(music, tmp_path):
    out = tmp_path / "f.csv"
    done = call(music, music / "a.wav", "--out", out, "--cache", tmp_path / "cache", "--workers", 1)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}: 2 rows x 164 features\n"
    table = read(out)
    assert table.ids == {"path": [str(music / "a.wav"), str(music / "b" / "c.flac")]}
    np.testing.assert_allclose(table.matrix[0], analyse.vector(decode.load(music / "a.wav")), rtol=1e-6)
    assert (tmp_path / "cache" / "features.sqlite").exists()


def test_a_bad_file_is_a_line_and_the_others_are_written(music, tmp_path):
    (music / "bad\n.mp3").write_text("no music")
    out = tmp_path / "f.parquet"
    done = call(music, tmp_path / "none.ogg", "--out", out, "--cache", tmp_path, "--format", "json", "--workers", 1)
    assert done.exit_code == 1
    answer = json.loads(done.stdout)
    assert (answer["out"], answer["rows"], answer["features"]) == (str(out), 2, 164)
    assert [f["path"] for f in answer["failed"]] == [str(music / "bad\n.mp3"), str(tmp_path / "none.ogg")]
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 2
    assert r"bad\n.mp3: " in lines[0]
    assert len(read(out).matrix) == 2


def test_nothing_readable_writes_nothing(tmp_path):
    out = tmp_path / "f.csv"
    done = call(tmp_path / "none.ogg", "--out", out, "--cache", tmp_path)
    assert done.exit_code == 1
    assert "nothing was written" in done.stderr
    assert not out.exists()


def test_tracks_of_a_corpus(mini, tmp_path):
    out = tmp_path / "f.csv"
    arguments = ["--data", f"folder:{mini / 'rated'}", "--set", "extended", "--out", out, "--cache", tmp_path]
    done = call(*arguments, "--workers", 1)
    assert done.exit_code == 0, done.output
    with out.open() as file:
        header = next(csv.reader(file))
    assert header[:3] == ["corpus", "track_id", "mfcc_01_mean"]
    table = read(out)
    assert len(table.names) == 193
    assert len(table.ids["track_id"]) == 16
    assert call(*arguments, "--data", f"folder:{mini / 'rated'}").exit_code == 1, "tracks twice"


@pytest.mark.parametrize("which", ["recipe", "extended"])
def test_the_list(which):
    done = call("--list", "--set", which)
    assert done.exit_code == 0
    assert "spectral_centroid" in done.stdout
    assert "[Hz]" in done.stdout
    assert "librosa.feature.rms(y=y)[0]" in done.stdout
    rows = json.loads(call("--list", "--set", which, "--format", "json").stdout)
    assert sum(len(r["columns"]) for r in rows) == {"recipe": 164, "extended": 193}[which]
    assert set(rows[0]) == {"name", "formula", "unit", "group", "call", "columns"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "expected AUDIO or --data CORPUS:ROOT, received neither"),
        (["x.mp3", "--data", "folder:x", "--out", "f.csv"], 2, "received both"),
        (["x.mp3"], 2, "expected --out FILE"),
        (["x.mp3", "--out", "f.txt"], 1, "expected a file ending in .parquet or .csv"),
        (["--data", "nothing:x", "--out", "f.csv"], 1, "expected CORPUS:ROOT"),
        (["x.mp3", "--out", "f.csv", "--set", "all"], 2, "'all' is not one of"),
        ([".", "--out", "f.csv"], 1, "expected audio files in the folder, found none"),
    ],
)
def test_wrong_usage(arguments, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert done.exit_code == code
    assert message in done.stderr


def test_neither_librosa_nor_tensorflow_is_imported(tune, tmp_path):
    arguments = ["features", str(tune), "--out", str(tmp_path / "f.csv"), "--cache", str(tmp_path)]
    code = (
        "import sys\nfrom sentio_tf.cli import main\n"
        f"try:\n    main({arguments!r})\n"
        "except SystemExit as end:\n    assert not end.code, end\n"
        "heavy = {'tensorflow', 'keras', 'librosa', 'numba', 'sklearn', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
