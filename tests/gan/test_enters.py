"""Generated spectrograms enter the training part of a network on log-mels, and nothing else."""

import csv
import json
import shutil

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from sentio_tf import config as configuration
from sentio_tf import corpora, pipeline
from sentio_tf.cli import main
from sentio_tf.corpora import split as splits
from sentio_tf.errors import ConfigError, DataError, ModelError
from sentio_tf.evaluation.predictions import from_rows
from sentio_tf.export import NON_COMMERCIAL, OWN, corpora_behind, default_licence, export_run, read_run, representative
from sentio_tf.training import apply, classical, generated
from sentio_tf.training import fit as training
from sentio_tf.training.fit import fit
from sentio_tf.training.plan import plan
from sentio_tf.training.run import read_tracks

from .conftest import RATE, SONGS, quiet

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
    about = json.loads((made / "gan.json").read_text())
    assert results["generated"] == {"generated-made": {"gan": about["gan"], "unsound": ""}}
    assert set(results["corpora"]) <= {"folder-songs (rating)", "folder-songs (sign)", "folder-songs"}
    with (tmp_path / "run" / "trained.csv").open() as file:
        assert sum(row["key"].startswith("generated-made/") for row in csv.DictReader(file)) == 8


@pytest.fixture(scope="module")
def others(tmp_path_factory, make_music, make_table):
    """Another corpus, whose artists no GAN knows."""
    root = tmp_path_factory.mktemp("others") / "others"
    root.mkdir()
    for i in range(8):
        soundfile.write(root / f"{i}.wav", make_music(2, seed=50 + i), RATE)
    rows = [{"path": f"{i}.wav", "artist": f"b{i}", "valence": i / 9 - 0.4, "arousal": 0.3 - i / 9} for i in range(8)]
    make_table(root / "labels.csv", rows)
    return f"folder:{root}"


@pytest.fixture(scope="module")
def taught(others, made, cache, tmp_path_factory):
    """A finished run on other songs and what the GAN of `songs` made, whose own songs it never heard."""
    out = tmp_path_factory.mktemp("taught") / "run"
    config = configuration.load(None, [*SETS, "final=true", "folds=0", "validation=0.4"])
    fit(config, [others, f"folder:{made}"], out, cache=cache, report=quiet)
    return out


def test_a_run_knows_the_songs_of_the_gan_that_made_its_spectrograms(taught, source, split, cache, tmp_path):
    """Judged on the GAN's corpus, it is judged on the songs that the GAN does not know."""
    strangers = {key for key, names in splits.load(split).parts.items() if names[0] == "test"}
    tracks = corpora.read(source)
    said = []
    assert {t.key for t in apply.unseen(taught, tracks, said.append)} == strangers
    assert said == [
        f"left out: {len(tracks) - len(strangers)} of {len(tracks)} tracks, whose artist or recording was trained on, "
        "if only by its GAN"
    ]
    with pytest.raises(DataError, match="expected tracks that the run was not trained on, received none"):
        apply.unseen(taught, [t for t in tracks if t.key not in strangers], quiet)
    same = ["evaluate", str(taught), "--data", source, "--cache", str(cache), "--out", str(tmp_path / "p.csv")]
    found = CliRunner().invoke(main, same)
    assert found.exit_code == 0, found.output
    with (tmp_path / "p.csv").open(newline="") as file:
        assert {f"{row['corpus']}/{row['track_id']}" for row in csv.DictReader(file)} == strangers


def test_who_goes_on_from_it_knows_them_too(taught, others, source, split, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "train_fold", lambda *a, **k: None)  # what is known is written before
    strangers = {key for key, names in splits.load(split).parts.items() if names[0] == "test"}
    config = configuration.load(None, [*SETS, "final=true", "folds=0", "validation=0.4"])
    fit(config, [others], tmp_path / "next", start=taught, cache=cache, report=quiet)
    assert {t.key for t in apply.unseen(tmp_path / "next", corpora.read(source), quiet)} == strangers


def test_no_spectrogram_calibrates_or_compares_an_export(taught, others, made, cache):
    """There is no sound of them; what INT8 and the parity check hear is music."""
    settings = read_run(taught)["config"]
    calibrating, compared = representative.draw(taught, [others, f"folder:{made}"], settings, root=cache)
    assert {t.corpus for t in (*calibrating.tracks, *compared.tracks)} == {"folder-others"}
    assert len(calibrating.samples) >= 1
    assert len(calibrating.samples) + len(compared.samples) == 8


def test_the_card_says_whose_songs_the_gan_knew(taught, others, made, cache, tmp_path):
    """And the licence of the weights follows these songs, here a user's own."""
    done = export_run(
        taught, tmp_path / "m.tflite", sources=[others, f"folder:{made}"], quantization="none", cache=cache
    )
    assert done.card.training["generated"] == {"generated-made": ["folder"]}
    assert done.card.licence == OWN


def test_the_licence_follows_the_songs_of_the_gan():
    songs = [
        {"key": "folder-mine/1", "via": ""},
        {"key": "generated-made/1", "via": ""},
        {"key": "panda4q/1", "via": "generated-made"},
        {"key": "folder-mine/1", "via": "generated-made"},
        {"key": "folder-mine/2", "via": "generated-other"},
        {"key": "emopia/2", "via": "before"},
    ]
    assert corpora_behind(["folder", "folder"], songs) == ["emopia", "folder", "panda4q"]
    assert corpora_behind(["folder", "folder"], songs[:2]) == ["folder"]
    assert default_licence(corpora_behind(["folder"], songs[:3])) == NON_COMMERCIAL
    assert generated.generated_corpora(songs) == {
        "generated-made": ["folder", "panda4q"],
        "generated-other": ["folder"],
    }


def test_a_run_of_before_that_does_not_say_it_is_not_judged(taught, source, tmp_path):
    """Files without the column are read: what was never taught by a GAN is judged as before."""
    with (taught / "trained.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row.pop("via")]

    def write(kept):
        with (tmp_path / "trained.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(kept)

    write(rows)
    with pytest.raises(ModelError, match="with the songs that the GAN of generated-made knows, received one of an ear"):
        apply.unseen(tmp_path, corpora.read(source), quiet)
    write([row for row in rows if not row["key"].startswith("generated-")])
    assert len(apply.unseen(tmp_path, corpora.read(source), quiet)) == SONGS


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
    """And stands in the results of who learns from it, with the GAN that made it."""
    about = json.loads((copy / "gan.json").read_text())
    tracks, config = corpora.read(f"folder:{copy}"), configuration.load(None, SETS)
    known = lambda: generated.check(tracks, [f"folder:{copy}"], config, taught=False)
    assert generated.warnings(known()) == []
    assert generated.marks(known()) == {"generated-made": {"gan": about["gan"], "unsound": ""}}
    (copy / "gan.json").write_text(json.dumps(about | {"unsound": "a training that failed: it was lost"}))
    assert generated.warnings(known()) == [
        "warning: generated-made was drawn by force from a training that failed: it was lost"
    ]
    assert generated.marks(known())["generated-made"]["unsound"] == "a training that failed: it was lost"
    for content in ("{}", "[]", "no"):
        (copy / "gan.json").write_text(content)
        with pytest.raises(DataError, match=r"gan\.json: expected how a corpus of gan sample was drawn, received none"):
            known()


def test_many_for_a_song_are_warned_of(made):
    tracks = corpora.read(f"folder:{made}")
    said = []
    generated.check_part([], tracks, "0", tracks[:3], [], [], said.append)
    assert said == [
        "fold 0: warning: an epoch draws 8 generated spectrograms and 3 real songs, more than 2 for one; what is "
        "learnt is the GAN rather than music"
    ]
    generated.check_part([], tracks, "0", tracks[:4], [], [], said.append)
    assert len(said) == 1


def test_what_is_drawn_again_and_again_counts_as_often(made, source):
    real, tracks, said = corpora.read(source), corpora.read(f"folder:{made}"), []
    check = lambda **repeats: generated.check_part([], tracks, "0", real, [], [], said.append, repeats=repeats)
    check(**{"generated-made": 4})
    assert said == []
    check(**{"generated-made": 10})
    assert "an epoch draws 80 generated spectrograms and 16 real songs" in said.pop()
    check(**{"generated-made": 4, "folder-songs": 0.5})
    assert "an epoch draws 32 generated spectrograms and 8 real songs" in said.pop()


def test_a_corpus_without_its_provenance(copy):
    (copy / "trained.csv").unlink()
    tracks = corpora.read(f"folder:{copy}")
    with pytest.raises(DataError, match=r"trained\.csv: expected the songs that the GAN knows"):
        generated.check(tracks, [f"folder:{copy}"], configuration.load(None, SETS), taught=False)
