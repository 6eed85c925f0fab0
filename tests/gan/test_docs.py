"""The commands that the documents give, one after the other, on the miniature corpus."""

import csv
import shlex
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from sentio_tf.cli import main
from sentio_tf.gan import listen, sample

from .conftest import NO_GUARD

ROOT = Path(__file__).parents[2]
# What makes each short; the last of an option given twice holds.
SHORT = {
    "data split": "",
    "gan fit": "--set epochs=1 --set batch_size=4 --set judge_samples=8 "
    + " ".join(f"--set {name}={value}" for name, value in NO_GUARD.items()),
    "gan sample": "--count 8 --wav 1 --min-confidence 0 --tolerance 99",
    "gan score": "--samples 8",
    "fit short_chunk_cnn": "--set architecture.size=small --set epochs=1 --set batch_size=4 --set crop_s=3.69",
}


def commands(name: str, heading: str) -> list[list[str]]:
    """Words of the commands in the first block of a section, without `sentio-tf`."""
    block = (ROOT / name).read_text(encoding="utf-8").split(heading, 1)[1].split("```")[1]
    lines = [shlex.split(line, comments=True) for line in block.replace("\\\n", " ").strip().splitlines()]
    assert all(words[0] == "sentio-tf" for words in lines)
    return [words[1:] for words in lines]


def here(words: list[str], source: str) -> list[str]:
    """The command on one corpus, and without what musicnn hears."""
    kept = []
    for word in words:
        if word.startswith("panda4q:"):
            if kept[-1] == "--data":
                kept.pop()
        elif word != "--audio":
            kept.append(source if word.endswith((":ROOT", ":MY_MUSIC")) else word)
    return [*kept, *SHORT[" ".join(words[:2])].split()]


@pytest.mark.slow  # each step has faster tests of its own
@pytest.mark.parametrize(
    ("name", "heading"), [("docs/gan.md", "# Generated spectrograms"), ("README.md", "## Generate")]
)
def test_they_run_from_the_split_to_the_network(name, heading, source, cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SENTIO_CACHE", str(cache))
    monkeypatch.setattr(sample, "griffin_lim", partial(listen.griffin_lim, rounds=1))
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for words in commands(name, heading):
        found = CliRunner().invoke(main, here(words, source))
        assert found.exit_code == 0, f"{' '.join(words)}: {found.output}"
    with (tmp_path / "runs" / "short_chunk_cnn" / "trained.csv").open(newline="") as file:
        assert sum(row["key"].startswith("generated-made/") for row in csv.DictReader(file)) == 8
