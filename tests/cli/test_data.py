"""`sentio-tf data` as a user meets it: answers on stdout, one line for what is wrong, exit codes."""

import csv
import io
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from sentio_tf.cli import main


def call(*arguments):
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


def failed(result, text, code=1):
    """One line on stderr, that exit code, no traceback."""
    assert result.exit_code == code, result.output
    lines = result.stderr.strip().splitlines()
    assert text in lines[-1], lines
    assert not any("Traceback" in line for line in lines)
    return True


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """The composed corpus: what a newcomer has."""
    root = tmp_path_factory.mktemp("demo") / "songs"
    result = call("demo", root, "--songs", 24, "--seconds", 6, "--seed", 3)
    assert result.exit_code == 0, result.output
    assert "24 synthetic songs" in result.stdout
    return f"folder:{root}"


# -- show -------------------------------------------------------------------------------------------


def test_show_lists_the_corpora():
    known = json.loads(call("show", "--format", "json").stdout)
    names = [k["name"] for k in known]
    assert {
        "deam",
        "emomusic",
        "pmemo",
        "panda4q",
        "musifeast17",
        "emopia",
        "vgmidi",
        "jamendo",
        "esc10",
        "esc50",
    } < set(names)
    assert all(k["licence"] and k["citation"] and k["how_to_get"] and k["scale"] for k in known)
    table = call("show").stdout
    assert all(name in table for name in names)
    assert [r["name"] for r in csv.DictReader(io.StringIO(call("show", "--format", "csv").stdout))] == names


def test_show_a_corpus(songs):
    text = call("show", songs).stdout
    assert "24: 24 rated, 0 with signs, 24 files" in text
    rows = json.loads(call("show", songs, "--format", "json").stdout)
    table = list(csv.DictReader(io.StringIO(call("show", songs, "--format", "csv").stdout)))
    assert len(rows) == len(table) == 24
    assert all(-1 <= r["valence"] <= 1 and r["there"] for r in rows)
    assert [float(r["valence"]) for r in table] == [r["valence"] for r in rows]


@pytest.mark.parametrize("name", ["deam", "emomusic", "pmemo"])
def test_show_labels_over_time(tmp_path, name):
    from sentio_tf.corpora import CORPORA
    from tests.corpora import miniatures

    root = miniatures.write(name, tmp_path / name)
    curves = CORPORA[name].dynamics(root)
    found = json.loads(call("show", f"{name}:{root}", "--over-time", "--format", "json").stdout)
    assert set(found) == set(curves)
    table = list(csv.DictReader(io.StringIO(call("show", f"{name}:{root}", "--over-time", "--format", "csv").stdout)))
    assert len(table) == sum(len(c.times_s) for c in curves.values())
    song = table[0]["track_id"]
    assert float(table[0]["time_s"]) == curves[song].times_s[0] == found[song]["times_s"][0]
    assert float(table[0]["arousal"]) == curves[song].arousal[0]
    assert f"{len(curves)} songs" in call("show", f"{name}:{root}", "--over-time").stdout


def test_show_what_is_not_there(tmp_path):
    failed(call("show", "jazz:x"), "expected CORPUS:ROOT")
    failed(call("show", f"deam:{tmp_path / 'no'}"), "no such folder")
    failed(call("show", f"deam:{tmp_path}"), "no such label file")
    failed(call("show", f"panda4q:{tmp_path}", "--over-time"), "expected labels over time")


def test_help_of_every_command_is_light():
    code = (
        "import sys\nfrom sentio_tf.cli import main\n"
        "for name in ('show', 'doctor', 'split', 'fetch', 'demo'):\n"
        "    try:\n        main(['data', name, '--help'])\n"
        "    except SystemExit as end:\n        assert end.code == 0\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'sklearn', 'scipy', 'matplotlib', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# -- doctor -----------------------------------------------------------------------------------------


def test_doctor_of_a_sound_corpus(songs, tmp_path):
    result = call("doctor", songs, "--plot", tmp_path / "labels.png", "--workers", 2)
    assert result.exit_code == 0, result.output
    assert "nothing found that would spoil a result" in result.stdout
    assert (tmp_path / "labels.png").read_bytes()[:4] == b"\x89PNG"
    found = json.loads(call("doctor", songs, "--format", "json", "--workers", 2).stdout)
    assert found["spoiled"] is False
    assert found["tracks"] == 24
    assert sum(found["quadrants"]["synthetic-songs"].values()) == 24


def test_doctor_of_a_spoiled_corpus(tmp_path, make_table):
    make_table(tmp_path / "labels.csv", [{"path": f"{i}.wav", "valence": 0.1, "arousal": 0.2} for i in range(30)])
    result = call("doctor", f"folder:{tmp_path}", "--no-audio")
    assert result.exit_code == 1
    assert "valence is the same in every row" in result.stdout
    assert "findings that would spoil a result" in result.stdout
    found = call("doctor", f"folder:{tmp_path}", "--no-audio", "--format", "json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["spoiled"] is True


def test_doctor_with_spectrograms(songs, tmp_path):
    result = call("doctor", songs, "--spectrograms", "--cache", tmp_path, "--format", "json", "--workers", 2)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["spectrograms"]
    assert found["windows"] == 24
    assert -8 < found["lowest"] < 0 < found["highest"] < 8
    assert found["errors"] == {}


def test_doctor_usage(songs, tmp_path):
    failed(call("doctor", songs, "--plot", "x.doc"), "expected a file ending in .png", 2)
    failed(call("doctor", songs, "--spectrograms", "--no-audio"), "received --no-audio", 2)
    failed(call("doctor"), "Missing argument", 2)
    failed(call("doctor", "folder"), "expected CORPUS:ROOT")
    failed(call("doctor", songs, "--no-audio", "--split", tmp_path / "none.json"), "the split cannot be read")


def test_a_plot_that_cannot_be_written_loses_no_finding(songs, tmp_path):
    result = call("doctor", songs, "--no-audio", "--plot", tmp_path / "no" / "a.png")
    failed(result, "the plot cannot be written")
    assert "nothing found that would spoil a result" in result.stdout


def test_doctor_when_no_row_can_be_used(tmp_path, make_table):
    make_table(tmp_path / "labels.csv", [{"path": f"{i}.wav", "valence": 3, "arousal": 7} for i in range(30)])
    result = call("doctor", f"folder:{tmp_path}", "--plot", tmp_path / "a.png")
    assert result.exit_code == 1
    assert "name it in corpus.yaml" in " ".join(result.stdout.split())
    assert "nothing to draw" in result.stderr
    assert not (tmp_path / "a.png").exists()


@pytest.mark.shared
def test_pictures_of_every_kind_of_corpus(shared, tmp_path):
    """Ratings, quadrants only, both, and sounds without either, which give none."""
    for i, names in enumerate((["deam"], ["emopia"], ["musifeast17", "panda4q"], ["esc10"])):
        sources = [f"{name}:{shared / name}" for name in names]
        result = call("doctor", *sources, "--no-audio", "--plot", tmp_path / f"{i}.svg")
        assert result.exit_code == 0, result.output
        picture = tmp_path / f"{i}.svg"
        assert picture.exists() == (names != ["esc10"])
        assert not picture.exists() or "sentio-tf data doctor" in picture.read_text()


# -- split ------------------------------------------------------------------------------------------


def test_split_and_check(songs, tmp_path):
    file = tmp_path / "s.json"
    made = call("split", songs, "--scheme", "kfold", "--folds", 3, "--out", file, "--format", "json")
    assert made.exit_code == 0, made.output
    about = json.loads(made.stdout)
    assert about["leaks"] == []
    assert [p["tracks"] for p in about["parts"]] == [8, 8, 8]
    checked = call("split", songs, "--check", file)
    assert checked.exit_code == 0
    assert about["hash"][:16] in checked.stdout
    assert "ok: fits the 24 tracks" in checked.stderr
    failed(call("split", songs, "--out", file), "holds another split")
    assert call("split", songs, "--scheme", "kfold", "--folds", 3, "--out", file).exit_code == 0, "the same may be"
    assert call("split", songs, "--out", tmp_path / "o.json").exit_code == 0
    assert call("split", songs, "--seed", 5, "--out", tmp_path / "o.json", "--overwrite").exit_code == 0
    again = call("split", songs, "--scheme", "kfold", "--folds", 3, "--out", tmp_path / "t.json", "--format", "json")
    assert json.loads(again.stdout)["hash"] == about["hash"]
    file.write_text(file.read_text().replace('"0"]', '"1"]', 1))
    failed(call("split", songs, "--check", file), "changed after it was written")


def test_split_shares(songs, tmp_path):
    result = call("split", songs, "--shares", "50/50", "--out", tmp_path / "s.json", "--format", "json")
    assert {p["part"]: p["tracks"] for p in json.loads(result.stdout)["parts"]} == {"train": 12, "test": 12}
    for text in ("80", "80/x/10", "1/2/3/4", "0/0", "80/20/20", "80/20/0"):
        failed(call("split", songs, "--shares", text, "--out", tmp_path / "s.json"), "that sum to 100", 2)


def test_split_usage(songs, tmp_path):
    failed(call("split", songs), "received neither", 2)
    failed(call("split", songs, "--out", "a", "--check", "b"), "received both", 2)
    failed(call("split", songs, "--folds", 3, "--out", tmp_path / "a.json"), "--folds: expected --scheme kfold", 2)
    failed(call("split", songs, "--name", "x", "--out", tmp_path / "a.json"), "--name: expected --scheme official", 2)
    failed(call("split", songs, songs, "--out", tmp_path / "a.json"), "every track once")
    failed(call("split", songs, "--scheme", "official", "--out", tmp_path / "a.json"), "received one without")
    failed(call("split", songs, "--out", tmp_path / "no" / "a.json"), "cannot be written")
    failed(call("split", songs, "--folds", 99, "--scheme", "kfold", "--out", tmp_path / "a.json"), "as many groups")


@pytest.mark.shared
def test_an_official_split_that_leaks_is_made_with_a_warning_and_fails_the_check(shared, tmp_path):
    source, file = f"emomusic:{shared / 'emomusic'}", tmp_path / "s.json"
    made = call("split", source, "--no-audio", "--scheme", "official", "--out", file)
    assert made.exit_code == 0
    assert "warning: 52 groups lie in more than one part" in made.stderr
    failed(call("split", source, "--no-audio", "--check", file), "52 groups lie in more than one part")


# -- fetch and demo ---------------------------------------------------------------------------------


def test_fetch_without_a_download(tmp_path):
    failed(call("fetch", f"pmemo:{tmp_path / 'new'}"), "https://github.com/HuiZhangDB/PMEmo")
    failed(call("fetch", "pmemo"), "expected CORPUS:ROOT")


def test_demo_refuses_a_strange_folder(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    failed(call("demo", tmp_path), "received")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    failed(call("demo", tmp_path / "a", "--songs", 2), "songs")
    failed(call("demo", tmp_path / "a", "--form", "midi"), "form")


def test_composed_music_is_called_synthetic(songs):
    from sentio_tf import corpora

    tracks = corpora.read(songs)
    assert all(t.synthetic and t.corpus.startswith("synthetic-") for t in tracks)
