"""Decoding in the graph, in an environment of its own: tensorflow-io loads beside TensorFlow 2.16 and 2.17 only."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_examples_decoded_in_the_graph_are_the_native_ones(tmp_path, make_music):
    if sys.version_info >= (3, 12):
        pytest.skip("tensorflow-io has no release for this Python")
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"{ROOT}[tfio]"], check=True)
    for i in range(4):
        y = make_music(12, seed=i, rate=44_100)
        for suffix, options in {
            "mp3": {"format": "MP3", "compression_level": 0.2},
            "flac": {"format": "FLAC"},
            "ogg": {"format": "OGG", "subtype": "VORBIS"},
            "wav": {"format": "WAV", "subtype": "PCM_16"},
        }.items():
            soundfile.write(tmp_path / f"{i}.{suffix}", y, 44_100, **options)
    script = Path(__file__).with_name("tfio_check.py")
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([python, script, tmp_path], capture_output=True, text=True, cwd=tmp_path, env=clean)
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [f["kind"] for f in found] == [".mp3", ".flac", ".ogg", ".wav"]
    for values in found:
        assert values["shape"] == [12, 128, 200, 1]
        assert values["targets"], "the same tracks in the same order"
        # Its resampler is another one, and its mp3 decoder may start a few samples apart.
        assert values["median_db"] < 0.5, values
