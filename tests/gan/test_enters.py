"""Generated spectrograms enter the training part of a network on log-mels, and nothing else."""

import csv
import json
import shutil

import numpy as np
import pytest

from sentio_tf import config as configuration
from sentio_tf import corpora, pipeline
from sentio_tf.corpora import split as splits
from sentio_tf.errors import ConfigError, DataError
from sentio_tf.evaluation.predictions import from_rows
from sentio_tf.training import classical, generated
from sentio_tf.training.fit import fit
from sentio_tf.training.run import plan, read_tracks

from .conftest import quiet

SETS = ["model=short_chunk_cnn", "architecture.size=small", "epochs=1", "batch_size=4", "crop_s=3.69", "final=false"]


@pytest.fixture
def copy(made, tmp_path):
    """A corpus that may be changed."""
    shutil.copytree(made, tmp_path / "made")
    return tmp_path / "made"


def arguments(split, cache, **more):
    return {"split": split, "cache": cache, "report": quiet, **more}


def test_training_takes_them_and_only_real_songs_are_judged(made, source, split, cache, tmp_path):
    said = []
    results = fit(
        configuration.load(None, SETS), [source, f"folder:{made}"], tmp_path / "run", **arguments(split, cache) |
        {"report": said.append},
    )  # fmt: skip
    assert "fold 0: 8 generated tracks" in said
    with (tmp_path / "run" / "predictions.csv").open() as file:
        assert {row["corpus"] for row in csv.DictReader(file)} == {"folder-songs"}
    assert set(results["corpora"]) <= {"folder-songs (rating)", "folder-songs (sign)", "folder-songs"}
    with (tmp_path / "run" / "trained.csv").open() as file:
        assert sum(row["key"].startswith("generated-made/") for row in csv.DictReader(file)) == 8


def test_a_spectrogram_is_cached_as_it_is(made, cache):
    track = corpora.read(f"folder:{made}")[0]
    store = pipeline.open_cache(pipeline.Spec(cache))
    assert store.build([track]) == {}
    np.testing.assert_allclose(store.read(track)[:].T, np.load(track.path).astype(np.float32), atol=1 / 256 + 1e-4)


@pytest.mark.parametrize("role", ["train", "validation"])
def test_a_gan_that_knows_a_test_song_is_refused(copy, source, split, cache, tmp_path, role):
    """By its key, its artist or its recording, in whatever part of the GAN's training it was."""
    part = {key: names[0] for key, names in splits.load(split).parts.items()}
    tracks = corpora.read(source)
    song = next(t for t in tracks if part[t.key] == "test")
    with (copy / "trained.csv").open("a") as file:
        file.write(f"another/key,{song.group},{song.group},,{role}\n")
    with pytest.raises(
        DataError, match=r"fold 0: expected a GAN that does not know the test songs, received generated"
    ):
        fit(configuration.load(None, SETS), [source, f"folder:{copy}"], tmp_path / "r", **arguments(split, cache))


def test_validation_songs_may_have_judged_it_but_not_trained_it(copy, source, split, cache, tmp_path):
    text = (copy / "trained.csv").read_text()
    (copy / "trained.csv").write_text(text.replace(",validation", ",train"))
    with pytest.raises(DataError, match="does not know the validation songs"):
        fit(configuration.load(None, SETS), [source, f"folder:{copy}"], tmp_path / "r", **arguments(split, cache))


def test_folds_that_the_gan_was_not_made_for(made, source, cache, tmp_path):
    """Out-of-fold results would be judged on songs that the GAN learnt from."""
    with pytest.raises(DataError, match="expected a GAN that does not know"):
        fit(configuration.load(None, [*SETS, "folds=3"]), [source, f"folder:{made}"], tmp_path / "r",
            cache=cache, report=quiet)  # fmt: skip


@pytest.mark.parametrize(
    ("sets", "taught", "wanted"),
    [
        (["model=musicnn", "weights=random"], False, "musicnn"),
        (["augment={gain_db: 3}"], False, "augmentation of the waveform"),
        ([], True, "teachers"),
    ],
)
def test_what_needs_sound_does_not_take_them(made, sets, taught, wanted):
    tracks = corpora.read(f"folder:{made}")
    config = configuration.load(None, [*SETS, *sets])
    with pytest.raises(ConfigError, match=f"beside generated spectrograms, received {wanted}"):
        generated.check(tracks, [f"folder:{made}"], config, taught=taught)


def test_a_cache_of_sound_has_none_of_them(made, tmp_path):
    tracks = corpora.read(f"folder:{made}")[:1]
    failed = pipeline.open_cache(pipeline.Spec(tmp_path, "waveform")).build(tracks)
    assert "there is a log-mel of the default front end only" in failed[tracks[0].key]


@pytest.mark.parametrize("content", [b"nothing", np.zeros((128, 10), np.float16), np.full((128, 1292), np.nan)])
def test_a_file_that_is_no_log_mel(copy, tmp_path, content):
    file = copy / "spectrograms" / "000001.npy"
    file.write_bytes(content) if isinstance(content, bytes) else np.save(file, content)
    track = corpora.read(f"folder:{copy}")[0]
    failed = pipeline.open_cache(pipeline.Spec(tmp_path / "c")).build([track])
    assert "expected a finite log-mel (128, 1292)" in failed[track.key]


def test_classical_models_refuse_them(made, source, split, cache, tmp_path):
    config = configuration.load(None, ["model=ridge", "features=bands"], configuration.ClassicalConfig)
    with pytest.raises(DataError, match="which a network generated: they may enter the training part"):
        classical.fit(config, [source, f"folder:{made}"], tmp_path / "r", **arguments(split, cache))


def test_reading_refuses_them_unless_asked(made, source):
    with pytest.raises(DataError, match="expected recordings, received 8 tracks of generated-made"):
        read_tracks([source, f"folder:{made}"], report=quiet)
    assert len(read_tracks([source, f"folder:{made}"], generated=True, report=quiet)) > 8


def test_no_split_and_no_plan_has_them(made, source):
    tracks = [*corpora.read(source), *corpora.read(f"folder:{made}")]
    for make in (lambda: splits.make(tracks), lambda: splits.make(tracks, "kfold"), lambda: splits.official(tracks)):
        with pytest.raises(DataError, match="expected recordings to divide into training and test"):
            make()
    with pytest.raises(DataError, match="expected recordings to divide"):
        plan(tracks, folds=3, seed=0, grid=5)


@pytest.mark.parametrize("part", ["test", "validation", "0"])
def test_a_split_file_that_has_them_elsewhere_than_in_train(tmp_path, part):
    split = splits.Split(
        "holdout", {"a/1": ("train",), "generated-x/1": (part,)}, {"a/1": "a", "generated-x/1": "x"}, {}
    )
    split.save(tmp_path / "s.json")
    with pytest.raises(DataError, match=r"expected recordings in every part but train, received generated-x/1"):
        splits.load(tmp_path / "s.json")


def test_no_evaluation_has_them():
    row = {"track_id": "1", "corpus": "generated-x", "valence": 0, "arousal": 0, "valence_hat": 0, "arousal_hat": 0}
    with pytest.raises(DataError, match="received tracks of generated-x, which a network generated"):
        from_rows([row])


def test_a_corpus_by_force_is_said_in_training(copy):
    about = json.loads((copy / "gan.json").read_text())
    assert generated.warnings([f"folder:{copy}"]) == []
    (copy / "gan.json").write_text(json.dumps(about | {"unsound": "a training that failed: it was lost"}))
    assert generated.warnings([f"folder:{copy}"]) == [
        "warning: made was drawn by force from a training that failed: it was lost"
    ]


def test_many_for_a_song_are_warned_of(made):
    tracks = corpora.read(f"folder:{made}")
    said = []
    generated.check_part([], tracks, "0", tracks[:3], [], [], said.append)
    assert said == [
        "fold 0: warning: 8 generated spectrograms for 3 real songs, more than 2 each; what is learnt is the GAN "
        "rather than music"
    ]
    generated.check_part([], tracks, "0", tracks[:4], [], [], said.append)
    assert len(said) == 1


def test_a_corpus_without_its_provenance(copy):
    (copy / "trained.csv").unlink()
    tracks = corpora.read(f"folder:{copy}")
    with pytest.raises(DataError, match=r"trained\.csv: expected the songs that the GAN knows"):
        generated.check(tracks, [f"folder:{copy}"], configuration.load(None, SETS), taught=False)
