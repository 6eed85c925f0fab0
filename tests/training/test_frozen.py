"""What frozen stages answered once is what they would answer each time."""

import keras
import numpy as np
import pytest

from sentio_tf import config, corpora, pipeline
from sentio_tf.layers.specaugment import SpecAugment
from sentio_tf.training import fit as training
from sentio_tf.training.build import load_model
from sentio_tf.training.frozen import Answers, divide, hop


def network(*, frames=129, blocks=3, around=False, masks=0, seed=0):
    keras.utils.set_random_seed(seed)
    mel = keras.Input((128, frames, 1), name="log_mel")
    x = keras.layers.AveragePooling2D((16, 8))(mel)
    if masks:
        x = SpecAugment(masks, time_masks=masks, seed=1)(x)
    start = x
    for i in range(blocks):
        x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name=f"block{i}")(x)
        x = keras.layers.BatchNormalization(name=f"bn{i}")(x)
    if around:
        x = keras.layers.Concatenate()([x, start])
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2, seed=2)(x)
    return keras.Model(mel, keras.layers.Dense(2, activation="tanh", name="head")(x), name="net")


def stages(model):
    there = [y.name for y in model.layers]
    return [[model.get_layer(f"{kind}{i}") for kind in ("block", "bn")] for i in range(9) if f"block{i}" in there]


def test_front_and_rest_are_the_whole(rng):
    model, short = network(seed=0), network(seed=0)
    whole = short(x := rng.standard_normal((3, 128, 129, 1)).astype(np.float32)).numpy()
    parts = divide(model, short, stages, 2)
    np.testing.assert_allclose(parts.twin(parts.front(x)), whole, atol=1e-6)
    assert {v.path for v in parts.trained.trainable_variables} == {
        "block2/kernel", "block2/bias", "bn2/gamma", "bn2/beta", "head/kernel", "head/bias",
    }  # fmt: skip


def test_training_the_rest_trains_the_whole(rng):
    model, short = network(seed=0), network(seed=0)
    parts = divide(model, short, stages, 2)
    x = rng.standard_normal((8, 128, 129, 1)).astype(np.float32)
    before = [w.copy() for w in model.get_weights()]
    parts.trained.compile("adam", "mse")
    parts.trained.fit(parts.front.predict(x, verbose=0), np.ones((8, 2)), epochs=1, verbose=0)
    parts.twin.set_weights(parts.trained.get_weights())
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert not any(moved[:12])
    assert all(moved[-2:])
    for a, b in zip(short.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", [{"around": True}, {"masks": 2}])
def test_what_cannot_be_divided_is_trained_as_it_is(kind):
    """A path around the stages, or masks before them that are drawn anew each time."""
    assert divide(network(**kind), network(**kind), stages, 2) is None
    assert divide(network(), network(), stages, 0) is None


def test_answers_are_those_of_the_windows_and_come_back_from_files(run, tmp_path):
    tracks = [t for s in run["sources"] for t in corpora.read(s)][:3]
    parts = divide(network(), network(), stages, 3)
    said = []
    answers = Answers(tmp_path / "answers")
    assert answers.compute(parts.front, tracks, run["store"], seconds=3, report=said.append)
    assert said == ["frozen stages answer 3 tracks, once"]
    found = [
        (index, parts.front(x[None])[0].numpy())
        for index, x in pipeline.windows(tracks, run["store"], seconds=3, hop_s=hop(3))
    ]
    flat = [(i, row) for i, t in enumerate(tracks) for row in answers.of[t.key]]
    assert [i for i, _ in found] == [i for i, _ in flat]
    for (_, a), (_, b) in zip(found, flat, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)

    again, said = Answers(tmp_path / "answers"), []
    assert again.compute(parts.front, tracks, run["store"], seconds=3, report=said.append)
    assert said == []
    for key, rows in answers.of.items():
        np.testing.assert_array_equal(rows, again.of[key])
    file = next((tmp_path / "answers").rglob("*.npy"))
    file.write_bytes(file.read_bytes()[:40])  # cut by a full disk: computed again
    third = Answers(tmp_path / "answers")
    third.compute(parts.front, tracks, run["store"], seconds=3, report=said.append)
    assert said == ["frozen stages answer 1 tracks, once"]
    other = divide(network(seed=5), network(seed=5), stages, 3)
    third.compute(other.front, tracks, run["store"], seconds=3, report=said.append)
    assert said[-1] == "frozen stages answer 3 tracks, once"


def test_processes_share_the_answering(run, tmp_path, monkeypatch):
    """What another one has answered meanwhile is read, what it works on is waited for, what it left is answered."""
    tracks = [t for s in run["sources"] for t in corpora.read(s)][:4]
    front = divide(network(), network(), stages, 3).front
    first = Answers(tmp_path / "answers")
    first.compute(front, tracks, run["store"], seconds=3, report=lambda _: None)
    files = {t.key: next((tmp_path / "answers").rglob(f"{pipeline.entry_id(t)}.npy")) for t in tracks}
    kept = {key: file.read_bytes() for key, file in files.items()}
    for file in files.values():
        file.unlink()

    done, busy, left, own = (t.key for t in tracks)
    of_key = {pipeline.entry_id(t): t.key for t in tracks}
    asked = []

    held = {busy, left}

    class Other:  # works on two tracks; of these it finishes one before it dies
        def acquire(self, name, *, wait):
            key = of_key[name]
            if key == done or (wait and key == busy):
                files[key].write_bytes(kept[key])
            if wait:
                held.discard(key)
            return key not in held

        def release(self, name):
            pass

    monkeypatch.setattr("sentio_tf.training.frozen.UNIT", 2)
    monkeypatch.setattr(Answers, "_locks", lambda self, stack: Other())
    answer = Answers._answer
    monkeypatch.setattr(
        Answers,
        "_answer",
        lambda self, front, cache, some, **how: (
            asked.append([t.key for t in some]),
            answer(self, front, cache, some, **how),
        ),
    )
    again = Answers(tmp_path / "answers")
    again.compute(front, tracks, run["store"], seconds=3, report=lambda _: None)
    assert asked == [[], [own], [left]]
    for key, rows in first.of.items():
        np.testing.assert_array_equal(rows, again.of[key])


def test_answers_that_cannot_be_kept_are_given_all_the_same(run, tmp_path):
    (tmp_path / "file").write_text("")
    tracks = [t for s in run["sources"] for t in corpora.read(s)][:3]
    answers = Answers(tmp_path / "file" / "answers")
    front = divide(network(), network(), stages, 3).front
    assert answers.compute(front, tracks, run["store"], seconds=3, report=lambda _: None)
    assert set(answers.of) == {t.key for t in tracks}


def test_answers_of_another_front_end_are_others(run):
    """Graph and weights do not know what the mel was made with."""
    import dataclasses

    from sentio_tf.training.frozen import identity

    front = divide(network(), network(), stages, 3).front
    spec = run["store"].spec
    other = dataclasses.replace(spec, mel=dataclasses.replace(spec.mel, fmax=11_025.0))
    names = {identity(front, 3, spec), identity(front, 3, other), identity(front, 6, spec)}
    assert len(names) == 3
    assert identity(front, 3, spec) in names


def test_parts_keep_the_precision_of_the_whole():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = network()
    finally:
        keras.config.set_dtype_policy(before)
    parts = divide(half, network(), stages, 2)
    parts.trained.compile("adam", "mse")
    assert isinstance(parts.trained.optimizer, keras.optimizers.LossScaleOptimizer)
    assert keras.config.dtype_policy() == before


def test_answers_too_large_for_the_machine_are_not_kept(run, monkeypatch):
    monkeypatch.setattr("sentio_tf.training.frozen.available_bytes", lambda: 1000)
    tracks = [t for s in run["sources"] for t in corpora.read(s)][:3]
    said = []
    front = divide(network(), network(), stages, 3).front
    assert not Answers().compute(front, tracks, run["store"], seconds=3, report=said.append)
    assert "too much for this machine" in said[0]


def test_batches_draw_every_track_once_an_epoch_and_can_be_entered_anywhere(run):
    tracks = [t for s in run["sources"] for t in corpora.read(s)][:8]
    answers = Answers(of={t.key: np.full((3, 2), i, np.float32) for i, t in enumerate(tracks)})
    options = {"batch": 4, "repeats": {}, "seed": 3}
    stream = answers.batches(tracks, **options)
    drawn = [next(stream) for _ in range(6)]
    for epoch in range(3):
        x = np.concatenate([x for x, _ in drawn[2 * epoch : 2 * epoch + 2]])
        assert sorted(x[:, 0].astype(int)) == list(range(8))
    for x, y in drawn:
        np.testing.assert_array_equal(y, [pipeline.target(tracks[int(i)]) for i in x[:, 0]])
    later = answers.batches(tracks, skip=4, **options)
    np.testing.assert_array_equal(next(later)[0], drawn[4][0])


def net(*, normalize, frames=1292, seed=None):
    keras.utils.set_random_seed(0)
    mel = keras.Input((128, frames, 1), name="log_mel")
    x = keras.layers.AveragePooling2D((16, 4), name="shrink")(mel)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu", name="block0")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(mel, keras.layers.Dense(2, activation="tanh", name="head")(x), name="net")


@pytest.mark.parametrize("alpha", [0, 10])
def test_a_fit_on_answers_is_the_fit_without(run, tmp_path, monkeypatch, alpha):
    """One window a track and no dropout: the only difference is that the frozen part is not computed again."""
    from sentio_tf.models import MODELS, STAGES

    monkeypatch.setitem(MODELS, "net", net)
    monkeypatch.setitem(STAGES, "net", lambda model: [[model.get_layer("block0")]])
    answers = {}
    for cached in ("true", "false"):
        sets = ["model=net", "epochs=3", "batch_size=8", "validation=0.25", "unfreeze={1: 0}", f"cache_frozen={cached}"]
        settings = config.load(None, [*sets, f"head_alpha={alpha}"])
        out = tmp_path / cached
        said = []
        training.fit(settings, run["sources"], out, cache=tmp_path / "cache", report=said.append)
        assert any("frozen stages answer" in line for line in said) is (cached == "true")
        model = load_model(out / "model.keras")
        answers[cached] = model.get_weights()
    for a, b in zip(answers["true"], answers["false"], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_no_window_is_answered_twice_in_a_cross_validation(run, tmp_path, monkeypatch):
    """A song that judges one fold trains the other; its answers are those of the whole network all the same."""
    import csv

    from sentio_tf.models import MODELS, STAGES

    monkeypatch.setitem(MODELS, "net", net)
    monkeypatch.setitem(STAGES, "net", lambda model: [[model.get_layer("block0")]])
    told: dict[str, list[str]] = {"true": [], "false": []}
    rows = {}
    for cached, said in told.items():
        sets = ["model=net", "epochs=1", "batch_size=8", "validation=0.25", "unfreeze={1: 0}", "normalization=clip"]
        settings = config.load(None, [*sets, "folds=2", "final=false", f"cache_frozen={cached}"])
        training.fit(settings, run["sources"], tmp_path / cached, cache=tmp_path / "cache", report=said.append)
        with (tmp_path / cached / "predictions.csv").open(newline="") as file:
            rows[cached] = {(r["corpus"], r["track_id"]): r for r in csv.DictReader(file)}
    answered = [int(line.split()[3]) for line in told["true"] if line.startswith("frozen stages answer")]
    assert sum(answered) == len(rows["true"]) == len(rows["false"]) == 32
    for key, row in rows["true"].items():
        for axis in ("valence_hat", "arousal_hat"):
            assert float(row[axis]) == pytest.approx(float(rows["false"][key][axis]), abs=1e-4)
