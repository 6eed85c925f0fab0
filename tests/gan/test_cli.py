import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from sentio_tf.cli import main

from .conftest import NO_GUARD


@pytest.fixture
def sentio():
    return lambda *words: CliRunner().invoke(main, ["gan", *map(str, words)])


def test_help_needs_no_tensorflow():
    code = (
        "import sys; from click.testing import CliRunner; from sentio_tf.cli import main\n"
        "for words in (['gan'], ['gan', 'fit'], ['gan', 'sample'], ['gan', 'score']):\n"
        "    found = CliRunner().invoke(main, [*words, '--help'])\n"
        "    assert found.exit_code == 0, found.output\n"
        "print(sorted({'tensorflow', 'keras', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.slow
def test_sample_and_score_print_and_give_json(sentio, gan_run, source, cache, tmp_path):
    words = ("--min-confidence", 0, "--tolerance", 99)
    found = sentio("sample", gan_run, "--out", tmp_path / "c", "--count", 8, *words)
    assert found.exit_code == 0, found.stderr
    assert "draws kept" in found.stdout
    found = sentio("sample", gan_run, "--out", tmp_path / "d", "--count", 2, *words, "--format", "json")
    assert json.loads(found.stdout)["kept"] == 2
    data = ("--data", source, "--cache", cache, "--samples", 8)
    table = sentio("score", gan_run, *data, "--corpus", tmp_path / "c")
    assert table.exit_code == 0, table.stderr
    assert "composite" in table.stdout
    assert set(json.loads(sentio("score", gan_run, *data, "--format", "json").stdout)) >= {"generated", "floor"}


def test_a_finished_training_is_told(sentio, gan_run, source, split, cache, settings):
    sets = [word for name in ("epochs", "batch_size", "judge_every", "judge_samples", *NO_GUARD)
            for word in ("--set", f"{name}={getattr(settings, name)}")]  # fmt: skip
    found = sentio("fit", "--data", source, "--split", split, "--cache", cache, "--out", gan_run, *sets)
    assert found.exit_code == 0, found.stderr
    assert "next: sentio-tf gan sample" in found.stdout


def test_errors_are_one_line(sentio, tmp_path):
    found = sentio("sample", tmp_path, "--out", tmp_path / "x")
    assert found.exit_code == 1
    assert found.stderr.count("\n") == 1
    assert "expected a run of sentio-tf gan fit" in found.stderr
    found = sentio("fit", "--data", "nothing:here", "--set", "size=huge")
    assert found.exit_code == 1
    assert "size" in found.stderr


def test_the_commands_filters_are_the_modules():
    """The command is read before Keras is: it names them itself."""
    from sentio_tf.cli.gan import sample as command
    from sentio_tf.gan import sample as module

    given = {option.name: option.default for option in command.params}
    assert (given["min_confidence"], given["tolerance"]) == (module.MIN_CONFIDENCE, module.TOLERANCE)
