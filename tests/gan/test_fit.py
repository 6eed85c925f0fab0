import csv
import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from sentio_tf import corpora
from sentio_tf.config import GanConfig
from sentio_tf.corpora import split as splits
from sentio_tf.corpora.track import Track
from sentio_tf.errors import ConfigError, DataError, ModelError, SentioError
from sentio_tf.gan import sheets, watch
from sentio_tf.gan.fit import Jury, alone, fit
from sentio_tf.gan.objectives import OBJECTIVES
from sentio_tf.gan.run import open_run
from sentio_tf.training.callbacks import History

from .conftest import quiet


def rows(run):
    with (run / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def songs_of(run):
    with (run / "trained.csv").open(newline="") as file:
        return {row["key"]: row["role"] for row in csv.DictReader(file)}


def test_a_run_has_all_that_is_promised(gan_run):
    for name in ("config.yaml", "history.csv", "curves.png", "quality.json", "environment.json", "scale.npz"):
        assert (gan_run / name).stat().st_size > 0, name
    assert len(list((gan_run / "sheets").glob("epoch-*.png"))) == 2
    assert not list(gan_run.rglob("checkpoint.npz"))
    history = rows(gan_run)
    assert [row["epoch"] for row in history] == ["0", "1"]
    for name in (
        "d_loss",
        "g_loss",
        "d_accuracy",
        "d_gradient",
        "g_gradient",
        "d_held",
        "d_known",
        "composite",
        "diversity",
    ):
        assert np.isfinite(float(history[-1][name])), name
    status = json.loads((gan_run / "status.json").read_text())
    assert status["status"] == "finished"
    assert status["epoch"] == 2


def test_only_the_training_part_is_known_and_no_test_song(gan_run, split):
    known = songs_of(gan_run)
    part = {key: names[0] for key, names in splits.load(split).parts.items()}
    assert {key: role for key, role in part.items() if role != "test"} == known


def test_quality_stands_between_floor_and_ceiling(gan_run):
    found = json.loads((gan_run / "quality.json").read_text())
    assert set(found) >= {"generated", "ceiling", "floor", "memorisation", "samples", "dimensions", "clipped"}
    assert found["ceiling"]["composite"] > found["floor"]["composite"]
    assert 0 <= found["clipped"] < 0.1
    assert set(found["generated"]["fidelity"]) == {"valence", "arousal"}


def test_known_songs_are_a_draw_from_all_corpora(settings):
    """Those of the first corpus alone would not be comparable with the validation songs."""
    tracks = [Track(str(i), "ab"[i // 30], Path(), f"g{i}", valence_sign=1, arousal_sign=1) for i in range(60)]
    jury = Jury(settings, *[None] * 5, tracks, tracks[:20], None)
    asked, _ = jury.known()
    assert len(asked) == 20
    assert {t.corpus for t in jury.known_tracks()} == {"a", "b"}


def test_the_saved_generator_answers_in_db(gan_run):
    run = open_run(gan_run)
    assert run.sound
    assert run.why == ""
    assert len(run.targets) == sum(s.role == "train" for s in run.songs)
    made = np.asarray(run.generator()([np.zeros((1, 100), np.float32), np.zeros((1, 2), np.float32)]))
    low, high = run.scale.mean - 3 * run.scale.std, run.scale.mean + 3 * run.scale.std
    assert made.shape == (1, 128, 1292, 1)
    assert (made[0, :, :, 0] >= low[:, None] - 1e-3).all()
    assert (made[0, :, :, 0] <= high[:, None] + 1e-3).all()


def test_a_finished_training_is_not_done_again(gan_run, settings, source, split, cache):
    said = []
    before = (gan_run / "generator.keras").stat().st_mtime_ns
    found = fit(settings, [source], gan_run, split=split, cache=cache, report=said.append)
    assert (gan_run / "generator.keras").stat().st_mtime_ns == before
    assert found == json.loads((gan_run / "quality.json").read_text())
    assert any("is complete" in line for line in said)


def test_another_experiment_does_not_go_into_a_run(gan_run, changed, source, split, cache):
    with pytest.raises(ConfigError, match="another configuration or other data"):
        fit(changed(seed=5), [source], gan_run, split=split, cache=cache, report=quiet)


def test_an_interrupted_training_goes_on_to_the_same_result(gan_run, settings, source, split, cache, tmp_path):
    """Networks, average, both optimizers, random states: to the last bit what an uninterrupted training gives."""
    out = tmp_path / "run"

    def stop(line):
        if "epoch 2/2" in line:  # the second epoch is done, and not yet in the checkpoint
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(settings, [source], out, split=split, cache=cache, report=stop)
    half = json.loads((out / "status.json").read_text())
    assert half == {"status": "training", "why": "", "epoch": 1}
    with pytest.raises(ModelError, match="received a training that ended at epoch 1 of 2"):
        open_run(out)
    assert open_run(out, force=True).generator().output_shape == (None, 128, 1292, 1)
    said = []
    fit(settings, [source], out, split=split, cache=cache, report=said.append)
    assert "goes on behind epoch 1" in said
    assert rows(out) == rows(gan_run)
    for name in ("generator.keras", "discriminator.keras"):
        one, other = (keras.models.load_model(run / name).get_weights() for run in (gan_run, out))
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (lambda file: file.write_bytes(b"PK nothing"), "does not read or is another's"),
        (lambda file: np.savez(file, about=json.dumps({"purpose": "other"})), r"\(of another training\)"),
    ],
)
def test_a_checkpoint_of_no_use_is_said(settings, tmp_path, write, why):
    file = tmp_path / "checkpoint.npz"
    checkpoint = watch.Checkpoint(tmp_path, file, watch.Guard(settings, 0.0), History(tmp_path / "h.csv"), "this")
    assert checkpoint.restore(None) == 0
    write(file)
    with pytest.raises(SentioError, match=rf"checkpoint\.npz: expected the state of this training, .*{why}"):
        checkpoint.restore(None)


def test_a_perfect_discriminator_is_a_failed_run(changed, source, split, cache, tmp_path, monkeypatch):
    """The published run had a loss of 0 and went on; here it is refused, and says so ever after."""
    from sentio_tf.gan import fit as module

    out = tmp_path / "run"
    # Against a generator that learns nothing, with nothing to hold it back, it wins within a few steps.
    lost = dataclasses.replace(OBJECTIVES["bce"](0.9), generator=lambda fake: 0 * keras.ops.mean(fake))
    monkeypatch.setattr(module, "objective_of", lambda config: lost)
    config = changed(
        epochs=8, objective="bce", condition="concatenate", spectral_norm=False, augmented=False, instance_noise=0.0,
        adapt=False, generator_updates=1, learning_rate=0.01, min_loss=0.3, win=1.0, collapse=0.0, patience=1,
        judge_every=8,
    )  # fmt: skip
    why = r"the discriminator is perfect: its loss of .* is within 0.3 of the least, 0.163, and passes nothing on"
    with pytest.raises(SentioError, match=f"has failed: {why}"):
        fit(config, [source], out, split=split, cache=cache, report=quiet)
    status = json.loads((out / "status.json").read_text())
    assert status["status"] == "failed"
    assert "is perfect" in status["why"]
    with pytest.raises(ModelError, match=f"a training that failed: {why}"):
        open_run(out)
    with pytest.raises(SentioError, match=f"has failed before: {why}"):
        fit(config, [source], out, split=split, cache=cache, report=quiet)


def test_numbers_that_are_not_finite_end_it(changed, source, split, cache, tmp_path):
    out = tmp_path / "run"
    config = changed(learning_rate=1e38, spectral_norm=False, instance_noise=0.0)
    with pytest.raises(SentioError, match=r"is not finite from step .* lower learning_rate"):
        fit(config, [source], out, split=split, cache=cache, report=quiet)
    assert json.loads((out / "status.json").read_text())["status"] == "failed"
    assert json.loads((out / "quality.json").read_text()) == {}
    assert not (out / "generator.keras").exists()  # there was no whole epoch
    with pytest.raises(ModelError, match="expected a network of gan fit, received one that does not read"):
        open_run(out, force=True).generator()


def test_two_processes_do_not_train_one_run(settings, source, split, cache, tmp_path):
    """Neither its configuration nor its songs are touched by the second, whatever it wants."""
    out = tmp_path / "run"
    code = (
        "import sys; from pathlib import Path; from sentio_tf.gan.fit import alone\n"
        f"with alone(Path({str(out)!r})):\n"
        "    print('mine', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"mine\n"
        with pytest.raises(SentioError, match="that nobody trains now, received one that another process does; wait"):
            fit(settings, [source], out, split=split, cache=cache, report=quiet)
        assert [p.name for p in out.iterdir()] == ["lock"]

        other.stdin.close()
    with alone(out):
        pass


def test_a_run_directory_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "lock").mkdir()  # as a folder without leave to write: it is there, and no lock can be
    with pytest.raises(ConfigError, match=r"the run directory cannot be written \("), alone(tmp_path):
        pass


def test_curves_show_who_waited(gan_run, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(sheets, "_line", lambda ax, rows, name, label: drawn.append(name))
    shutil.copyfile(gan_run / "history.csv", tmp_path / "history.csv")
    sheets.draw_curves(tmp_path, least=0.0)
    assert set(rows(gan_run)[0]) <= {*drawn, "epoch"}


def test_several_folds_need_a_name(settings, source, cache, tmp_path):
    path = tmp_path / "folds.json"
    splits.make(corpora.read(source), "kfold", k=3).save(path)
    with pytest.raises(ConfigError, match=r"received a split with 3; name it with --fold 0"):
        fit(settings, [source], tmp_path / "r", split=path, cache=cache, report=quiet)
    with pytest.raises(ConfigError, match=r"--fold: expected one of 0, 1, 2, received '7'"):
        fit(settings, [source], tmp_path / "r", split=path, fold="7", cache=cache, report=quiet)


def test_too_few_songs(changed, source, split, cache, tmp_path):
    with pytest.raises(DataError, match="expected 99 training tracks and 2 validation tracks or more"):
        fit(changed(batch_size=99), [source], tmp_path / "r", split=split, cache=cache, report=quiet)


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(ModelError, match="expected a run of sentio-tf gan fit"):
        open_run(tmp_path)


# -- the guard --------------------------------------------------------------------------------------

GOOD = {"d_loss": 0.7, "d_accuracy": 0.75}


@pytest.mark.parametrize(
    ("logs", "diversity", "kind"),
    [
        ({"d_loss": 0.0, "d_accuracy": 0.9}, None, "perfect"),
        ({"d_loss": 0.3, "d_accuracy": 0.96}, 1.0, "wins"),
        ({"d_loss": 1.0, "d_accuracy": 0.54}, 1.0, "collapsed"),
        (GOOD, 0.1, "alike"),
        (GOOD, 0.5, None),
        (GOOD, None, None),
    ],
)
def test_what_is_no_contest(logs, diversity, kind):
    logs = logs | ({} if diversity is None else {"diversity": diversity})
    found = watch.reasons(GanConfig(), 0.0, logs)
    assert list(found) == ([kind] if kind else [])


def test_the_guard_counts_epochs_in_a_row():
    guard = watch.Guard(GanConfig(patience=3), least=0.0)
    guard.set_model(keras.Sequential())
    won = {"d_loss": 0.3, "d_accuracy": 0.99}
    for logs in (won, won, GOOD, won, won):
        guard.on_epoch_end(0, dict(logs))
        assert not guard.failed
    guard.on_epoch_end(5, dict(won))
    assert guard.failed == "the discriminator wins: 0.990 right, above 0.95, in 3 epochs in a row"
    assert guard.model.stop_training


def test_only_judged_epochs_count_for_diversity():
    """A judgement of epoch 5 does not speak for the epochs up to the next one."""
    guard = watch.Guard(GanConfig(), least=0.0)
    guard.set_model(keras.Sequential())
    alike = GOOD | {"diversity": 0.1}
    for logs in (alike, GOOD, GOOD, GOOD | {"diversity": 0.5}, alike, GOOD):
        guard.on_epoch_end(0, dict(logs))
        assert not guard.failed
    guard.on_epoch_end(6, dict(alike))
    assert guard.failed == (
        "samples are all alike: 0.10 of the diversity of music, below 0.3, in 2 judgements in a row"
    )


PERFECT = {"d_loss": 0.0, "d_accuracy": 0.9}
WON = {"d_loss": 0.3, "d_accuracy": 0.99}
COLLAPSED = {"d_loss": 1.0, "d_accuracy": 0.5}
ALIKE, DIVERSE = GOOD | {"diversity": 0.0}, GOOD | {"diversity": 0.9}


@pytest.mark.parametrize(
    ("history", "why"),
    [
        ([GOOD] * 3 + [DIVERSE], ""),
        ([COLLAPSED, GOOD] * 2, ""),  # half of them, and it found its way
        ([PERFECT] * 4, "the discriminator is perfect: .*, in the last epoch"),
        ([GOOD] * 59 + [COLLAPSED], "the discriminator has collapsed: 0.500 right, below 0.55, in the last epoch"),
        ([ALIKE, *[GOOD] * 3], "samples are all alike: 0.00 of the diversity .*, when last judged"),
        ([ALIKE, GOOD, DIVERSE, GOOD], ""),
        (([WON] * 4 + [GOOD]) * 4, "16 of 20 epochs were no contest, first: the discriminator wins: 0.990 right"),
    ],
)
def test_what_comes_to_its_end_may_have_failed(history, why):
    """With the defaults: fewer epochs in a row than `patience`, which the guard lets pass."""
    found = watch.verdict(GanConfig(), 0.0, history)
    assert re.match(why, found) if why else found == ""


def simulated(history: list[dict]) -> tuple[str, int]:
    """Why a training with these logs has failed, and after how many epochs, as `gan.fit` asks guard and verdict."""
    guard, seen = watch.Guard(GanConfig(), least=0.0), []
    guard.set_model(keras.Sequential())
    for epoch, logs in enumerate(history):
        seen.append(logs)
        guard.on_epoch_end(epoch, dict(logs))
        if guard.failed:
            break
    return guard.failed or watch.verdict(GanConfig(), 0.0, seen), len(seen)


def test_total_collapse_of_the_samples_fails_with_the_defaults():
    """Judged every fifth epoch, five judgements in a row would have needed 25 epochs."""
    why, epochs = simulated([ALIKE if (i + 1) % 5 == 0 else GOOD for i in range(20)])
    assert (why, epochs) == (
        "samples are all alike: 0.00 of the diversity of music, below 0.3, in 2 judgements in a row",
        10,
    )
    why, _ = simulated([ALIKE if (i + 1) % 5 == 0 else GOOD for i in range(5)])
    assert why.endswith("in the last epoch")


def test_the_end_is_judged_by_the_training_too(changed, source, split, cache, tmp_path):
    """Two epochs of a discriminator that no bound allows, with a patience that they do not exhaust."""
    with pytest.raises(SentioError, match=r"has failed: the discriminator has collapsed: .*, in the last epoch"):
        fit(changed(win=1.0, collapse=0.999), [source], tmp_path / "run", split=split, cache=cache, report=quiet)
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "failed"
