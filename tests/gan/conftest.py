"""A corpus of short sounds, a GAN of a few thousand weights, and one finished run of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from sentio_tf import corpora
from sentio_tf.config import GanConfig
from sentio_tf.corpora import split as splits
from sentio_tf.gan import fit, networks, sample, trainer, watch

TINY = networks.Size((4, 4, 4), (4, 4, 4), hidden=8, patch=4)
SONGS = 16
RATE = 22_050
NO_GUARD = {"win": 1.0, "collapse": 0.0, "min_loss": 0.0, "min_diversity": 0.0}  # no epoch is lost


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="session", autouse=True)
def tiny():
    """`compact` is tiny here, and steps are eager: tracing one costs more than all the steps of a test."""
    patch = pytest.MonkeyPatch()
    patch.setitem(networks.SIZES, "compact", TINY)
    patch.setattr(fit, "LEAST", 4)
    patch.setattr(watch, "SHEET", 2)
    patch.setattr(sample, "SHEET", 2)
    patch.setattr(sample, "CHUNK", 8)
    traced = trainer.GAN.compile
    patch.setattr(trainer.GAN, "compile", lambda self, *a, **k: traced(self, *a, **{"run_eagerly": True, **k}))
    yield TINY
    patch.undo()


@pytest.fixture(scope="session")
def songs(tmp_path_factory, make_music, make_table):
    """A folder corpus of ratings and quadrants, 2 s a song, two songs an artist."""
    root = tmp_path_factory.mktemp("corpus") / "songs"
    root.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for i in range(SONGS):
        loud = rng.uniform(-1, 1)
        soundfile.write(root / f"{i:02}.wav", make_music(2, seed=i) * 10 ** (loud / 2), RATE)
        row = {"path": f"{i:02}.wav", "artist": f"a{i // 2}", "valence": "", "arousal": "", "quadrant": ""}
        if i % 4:
            row |= {"valence": round(float(rng.uniform(-0.6, 0.6)), 3), "arousal": round(0.8 * loud, 3)}
        else:
            row["quadrant"] = f"Q{1 + i // 4 % 4}"
        rows.append(row)
    make_table(root / "labels.csv", rows)
    return root


@pytest.fixture(scope="session")
def source(songs):
    return f"folder:{songs}"


@pytest.fixture(scope="session")
def split(source, tmp_path_factory):
    path = tmp_path_factory.mktemp("split") / "split.json"
    shares = {"train": 0.6, "validation": 0.2, "test": 0.2}
    splits.make(corpora.read(source), shares=shares).save(path)
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def settings() -> GanConfig:
    """Two epochs that no guard gives up."""
    return GanConfig(epochs=2, batch_size=4, judge_every=2, judge_samples=8, **NO_GUARD)


@pytest.fixture(scope="session")
def gan_run(settings, source, split, cache, tmp_path_factory):
    """A finished run."""
    out = tmp_path_factory.mktemp("gan") / "run"
    fit.fit(settings, [source], out, split=split, cache=cache, report=quiet)
    return out


@pytest.fixture(scope="session")
def made(gan_run, tmp_path_factory):
    """A corpus of eight spectrograms, nothing filtered."""
    from sentio_tf.gan.sample import sample

    out = tmp_path_factory.mktemp("made") / "made"
    sample(gan_run, out, 8, min_confidence=0, tolerance=np.inf, report=quiet)
    return out


@pytest.fixture
def changed(settings):
    return lambda **changes: replace(settings, **changes)
