"""Terms of the loss against numpy; grids; the guard."""

import warnings

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentio_tf.errors import ConfigError, SentioError
from sentio_tf.layers import grid
from sentio_tf.layers.normalize import ClipZScore
from sentio_tf.losses import EmotionLoss, attention_loss, soft_loss
from sentio_tf.models import MODELS
from sentio_tf.training import taps
from sentio_tf.training.callbacks import History
from sentio_tf.training.distiller import (
    TERMS,
    Distiller,
    Guard,
    Layout,
    gradient_norms,
    spread_of,
)


def array(x):
    return keras.ops.convert_to_numpy(x)


# Grids.


@given(size=st.integers(1, 40), goal=st.integers(1, 40))
def test_averaging_keeps_the_mean(size, goal):
    matrix = grid.averaging(size, goal)
    assert matrix.shape == (goal, size)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(matrix.mean(axis=0), 1 / size, atol=1e-6)


def test_averaging_by_hand():
    np.testing.assert_allclose(grid.averaging(4, 2), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    np.testing.assert_allclose(grid.averaging(3, 2), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]], atol=1e-6)
    np.testing.assert_allclose(grid.averaging(1, 3), np.ones((3, 1)))


def test_on_grid_is_the_mean_of_its_parts(rng):
    x = rng.standard_normal((2, 4, 6, 3)).astype(np.float32)
    expected = x.reshape(2, 2, 2, 3, 2, 3).mean((2, 4))
    np.testing.assert_allclose(array(grid.on_grid(x, 2, 3)), expected, atol=1e-6)
    np.testing.assert_allclose(array(grid.on_grid(x, 4, 6)), x, atol=1e-6)


def test_attention_map_is_energy_of_norm_one(rng):
    x = rng.standard_normal((3, 4, 6, 5)).astype(np.float32)
    found = array(grid.attention_map(x, 4, 6))
    energy = (x**2).mean(-1)
    np.testing.assert_allclose(found, energy / np.linalg.norm(energy.reshape(3, -1), axis=1)[:, None, None], rtol=1e-4)
    # Where it is louder, not how loud the whole is.
    np.testing.assert_allclose(array(grid.attention_map(9 * x, 4, 6)), found, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "options", "features", "attention"),
    [
        ("efficientnet_lite", {"weights": None, "frames": 512, "height": 64}, (2, 4, 1280), (8, 16, 240)),
        ("mobilevit", {"frames": 512, "height": 64}, (2, 4, 320), (8, 16, 96)),
        ("musicnn", {"weights": None, "samples": 192_000, "network": "both"}, (1, 1, 3012), (1, 4 * 187, 753)),
    ],
)
def test_where_networks_are_tapped(name, options, features, attention):
    if name != "musicnn":
        options = {**options, "normalize": ClipZScore(name="normalize")}
    found = taps.taps(name, MODELS[name](**options))
    assert found["features"].shape[1:] == features
    assert found["attention"].shape[1:] == attention


@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize(("image", "grid"), [([32, 32], (4, 4)), ([24, 64], (3, 8))])
def test_a_vit_is_tapped_on_its_grid_of_patches(image, grid, class_token, rng):
    pytest.importorskip("keras_hub")
    from sentio_tf.models.vit import ViTPart

    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 24}
    backbone = {"image_shape": (32, 32, 3), "patch_size": (8, 8), "use_class_token": class_token, **sizes}
    normalize = ClipZScore(name="normalize")
    network = MODELS["vit"](
        backbone=backbone, weights=None, normalize=normalize, frames=60, image=image, pool="mean", dropout=0
    )
    found = taps.taps("vit", network)
    assert found["features"].shape[1:] == found["attention"].shape[1:] == (*grid, 16)
    block = [layer for layer in network.layers if isinstance(layer, ViTPart)][1]
    x = rng.standard_normal((1, 128, 60, 1)).astype(np.float32)
    tokens, shown = keras.Model(network.input, [block.output, found["features"]]).predict_on_batch(x)
    places = [[tokens[:, int(class_token) + row * grid[1] + k] for k in range(grid[1])] for row in range(grid[0])]
    np.testing.assert_array_equal(np.moveaxis(np.array(places), 2, 0), shown)


# Terms.


def test_layout_takes_its_parts_apart(rng):
    layout = Layout(features=(1, 2, 3), attention=(2, 2))
    parts = {
        "target": rng.standard_normal((5, 3)),
        "teacher": rng.standard_normal((5, 2)),
        "spread": rng.standard_normal((5, 2)),
        "features": rng.standard_normal((5, 1, 2, 3)),
        "attention": rng.standard_normal((5, 2, 2)),
    }
    found = layout.split(np.concatenate([p.reshape(5, -1) for p in parts.values()], axis=1))
    assert found.keys() == parts.keys()
    for name, part in parts.items():
        np.testing.assert_allclose(array(found[name]), part, rtol=1e-6)
    assert layout.taught == 2 + 6 + 4
    assert Layout().taught == 2


def batch(rng, n=6):
    draw = lambda: rng.uniform(-1, 1, (n, 2)).astype(np.float32)
    target = np.concatenate([draw(), np.array([[1], [1], [0], [0], [-2], [1]][:n])], axis=1).astype(np.float32)
    return target, draw(), np.abs(draw()), draw()


def test_soft_loss_is_a_gaussian_likelihood(rng):
    """-log N(answer; teacher, spread^2 + floor^2), less what the answer does not change, in units of 2 floor^2."""
    target, teacher, spread, answers = batch(rng)
    variance = spread**2 + 0.15**2
    expected = 2 * 0.15**2 * np.mean((answers - teacher) ** 2 / (2 * variance))
    assert float(soft_loss(target, teacher, spread, answers, floor=0.15)) == pytest.approx(expected, rel=1e-5)
    alone = float(soft_loss(target, teacher, 0 * spread, answers, floor=0.15))
    assert alone == pytest.approx(np.mean((answers - teacher) ** 2), rel=1e-5)


def test_bounded_soft_loss_spares_what_is_better_than_the_teacher(rng):
    target, teacher, spread, answers = batch(rng)
    found = float(soft_loss(target, teacher, 0 * spread, answers, floor=0.1, bounded=0.02))
    total = 0.0
    for t, s, a in zip(target, teacher, answers, strict=True):
        for k in range(2):
            better = t[2] == 1 and (a[k] - t[k]) ** 2 + 0.02 <= (s[k] - t[k]) ** 2
            total += 0 if better else (a[k] - s[k]) ** 2
    assert found == pytest.approx(total / 12, rel=1e-5)
    assert found < np.mean((answers - teacher) ** 2)


def test_attention_loss_of_equal_and_of_apart_maps():
    one = np.zeros((2, 2, 2), np.float32)
    one[:, 0, 0] = 1
    other = one[:, ::-1]
    assert float(attention_loss(one, one)) == 0
    assert float(attention_loss(one, other)) == 2


def test_spread_over_teachers():
    mean, spread = spread_of([np.array([[0.0, 1.0]]), np.array([[0.4, 1.0]])])
    np.testing.assert_allclose(mean, [[0.2, 1]])
    np.testing.assert_allclose(spread, [[0.2, 0]])
    assert not spread_of([np.ones((3, 2))])[1].any()


def student_of(seed=0):
    keras.utils.set_random_seed(seed)
    mel = keras.Input((8, 16, 1))
    x = keras.layers.Conv2D(3, 3, padding="same", activation="tanh", name="fine")(mel)
    x = keras.layers.Conv2D(4, 3, strides=4, padding="same", activation="tanh", name="coarse")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(mel, keras.layers.Dense(2, name="answers_of")(x))


def distilled(student, **weights):
    layout = Layout(features=(1, 2, 5), attention=(2, 4))
    weights = dict.fromkeys(TERMS, 1.0) | {"soft": 3.0} | weights
    return Distiller(student, "mobilevit", layout, weights, EmotionLoss(), floor=0.1)


@pytest.fixture
def distiller():
    return distilled(student_of())


@pytest.fixture
def lesson(rng):
    x = rng.standard_normal((6, 8, 16, 1)).astype(np.float32)
    target, teacher, spread, _ = batch(rng)
    more = rng.standard_normal((6, 10 + 8)).astype(np.float32)
    return x, np.concatenate([target, teacher, spread, more], axis=1).astype(np.float32)


def test_the_loss_is_the_weighted_sum_of_its_terms(distiller, lesson):
    x, y = lesson
    terms = {name: float(v) for name, v in distiller.terms(y, distiller(x)).items()}
    assert list(terms) == list(TERMS)
    loss = float(distiller.compute_loss(x, y, distiller(x)))
    assert loss == pytest.approx(terms["hard"] + 3 * terms["soft"] + terms["features"] + terms["attention"], rel=1e-5)
    distiller.compile(keras.optimizers.SGD(0.0))
    logs = distiller.train_on_batch(x, y, return_dict=True)
    assert {n: float(logs[n]) for n in TERMS} == pytest.approx(terms, rel=1e-5)
    assert float(logs["loss"]) == pytest.approx(loss, rel=1e-5)


def test_gradient_norms_are_the_slopes(distiller, lesson):
    """Along its own gradient on the student a term rises by the norm: a finite difference."""
    x, y = lesson
    norms = gradient_norms(distiller, x, y)
    assert list(norms) == list(TERMS)
    distiller.get_layer("features_projection").trainable = False
    for name, weight in distiller.weights_of.items():
        variables = distiller.trainable_variables
        start = [np.array(v.numpy()) for v in variables]
        step = 1e-3
        distiller.compile(keras.optimizers.SGD(step))
        before = float(distiller.terms(y, distiller(x))[name])
        others = {n: w for n, w in distiller.weights_of.items() if n != name}
        distiller.weights_of = {name: weight}
        distiller.trackers, trackers = [t for t in distiller.trackers if t.name == name], distiller.trackers
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Gradients do not exist")  # of what lies behind a tap
            distiller.train_on_batch(x, y)
        after = float(distiller.terms(y, distiller(x))[name])
        distiller.weights_of = {n: {**others, name: weight}[n] for n in TERMS}
        distiller.trackers = trackers
        # A step of descent: the term falls by step * weight * |gradient|^2, to first order.
        assert weight * (before - after) / step == pytest.approx(norms[name] ** 2, rel=0.05, abs=1e-4), name
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)


def test_a_term_below_whose_tap_nothing_trains_rests(distiller, lesson):
    """Its projection would learn, and look alive."""
    every = gradient_norms(distiller, *lesson)
    for name in ("fine", "coarse"):
        distiller.get_layer(name).trainable = False
    norms = gradient_norms(distiller, *lesson)
    assert list(norms) == ["hard", "soft"]
    assert 0 < norms["hard"] < every["hard"]
    distiller.get_layer("coarse").trainable = True  # attention is read before it
    assert list(gradient_norms(distiller, *lesson)) == ["hard", "soft", "features"]


def test_a_tap_that_never_trains_is_refused():
    student = student_of()
    for name in ("fine", "coarse"):
        student.get_layer(name).trainable = False
    message = r"terms.features: expected layers that train below the tap of mobilevit, .* set terms.features=0"
    with pytest.raises(ConfigError, match=message):
        distilled(student)
    with pytest.raises(ConfigError, match=r"terms.attention: expected layers that train"):
        distilled(student, features=0)
    assert list(distilled(student, features=0, attention=0).weights_of) == ["hard", "soft"]


def guard(tmp_path, norms, monkeypatch, epochs, **options):
    from sentio_tf.training import distiller as module

    history = History(tmp_path / "history.csv")
    found = Guard((None, None), history, **options)
    found.set_model(keras.Model())
    for epoch in range(epochs):
        monkeypatch.setattr(module, "gradient_norms", lambda *_, e=epoch: norms(e))
        logs = {"attention": 0.0, "soft": 0.3}
        found.on_epoch_end(epoch, logs)
        history.on_epoch_end(epoch, logs)
    return history


def test_the_published_failure_is_stopped(tmp_path, monkeypatch):
    """An attention loss of 0.0000, epoch for epoch."""
    with pytest.raises(SentioError, match=r"received attention \(0\) dead in epochs 1 and 2 .* attention 0\)"):
        guard(tmp_path, lambda _: {"soft": 1.0, "attention": 0.0}, monkeypatch, 3)


def test_one_bad_epoch_is_forgiven(tmp_path, monkeypatch):
    norms = lambda epoch: {"soft": 1.0, "attention": 0.0 if epoch % 2 else 0.4}
    history = guard(tmp_path, norms, monkeypatch, 5)
    assert [row["gradient_attention"] for row in history.rows] == [0.4, 0, 0.4, 0, 0.4]


def test_a_term_alone_dominates_nothing(tmp_path, monkeypatch):
    guard(tmp_path, lambda _: {"soft": 1.0}, monkeypatch, 3)


def test_no_gradient_at_all_is_dead(tmp_path, monkeypatch):
    with pytest.raises(SentioError, match=r"received hard .* dead"):
        guard(tmp_path, lambda _: {"hard": 0.0, "soft": 0.0}, monkeypatch, 2)


def test_a_term_alone_that_moves_nothing_is_dead(tmp_path, monkeypatch):
    with pytest.raises(SentioError, match=r"received features .* dead in epochs 1 and 2"):
        guard(tmp_path, lambda _: {"features": 0.0}, monkeypatch, 2)


def test_a_term_that_rests_is_not_dead(tmp_path, monkeypatch):
    """Nor does what is left dominate; awake, it is judged by epochs in which it was awake."""
    rested = lambda epoch: {"soft": 1.0} if epoch < 2 else {"soft": 1.0, "attention": 0.4}
    history = guard(tmp_path, rested, monkeypatch, 4)
    assert [row.get("gradient_attention") for row in history.rows] == [None, None, 0.4, 0.4]
    died = lambda epoch: {"soft": 1.0} if epoch < 2 else {"soft": 1.0, "attention": 0.0}
    with pytest.raises(SentioError, match=r"received attention .* dead in epochs 3 and 4"):
        guard(tmp_path, died, monkeypatch, 4)
