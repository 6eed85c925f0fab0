"""The Keras metrics are their numpy twins, whatever the batches are."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from sentio_tf import metrics as twins
from sentio_tf.evaluation import metrics

PAIRS = [(twins.CCC, metrics.ccc), (twins.Pearson, metrics.pearson), (twins.R2, metrics.r2), (twins.RMSE, metrics.rmse)]
each = pytest.mark.parametrize(("twin", "function"), PAIRS, ids=lambda v: getattr(v, "label", ""))


def table(rng, rows=53, spread=0.4, centre=0.0):
    """Reference and estimates, float32 `(rows, 2)`, sorted so that batches are unlike each other."""
    reference = centre + spread * rng.standard_normal((rows, 2))
    reference = reference[np.argsort(reference[:, 0])]
    estimated = 0.6 * (reference - centre) + 0.3 * spread * rng.standard_normal((rows, 2)) + centre + 0.2 * spread
    return reference.astype(np.float32), estimated.astype(np.float32)


def stream(metric, batch, *columns):
    for start in range(0, len(columns[0]), batch):
        metric.update_state(*(c[start : start + batch] for c in columns))
    return float(metric.result())


@each
@pytest.mark.parametrize(("rows", "batch"), [(12, 1), (53, 11), (53, 1000)])
def test_an_epoch_is_all_rows_at_once(rng, twin, function, rows, batch):
    reference, estimated = table(rng, rows)
    expected = [function(reference[:, i], estimated[:, i]) for i in range(2)]
    assert stream(twin("arousal"), batch, reference, estimated) == pytest.approx(expected[1], abs=2e-6)
    assert stream(twin(), batch, reference, estimated) == pytest.approx(np.mean(expected), abs=2e-6)


@each
def test_far_from_zero_and_close_together(rng, twin, function):
    """Values .9 +- .003: squares of float32 would keep one digit of that spread."""
    reference, estimated = table(rng, rows=500, spread=0.003, centre=0.9)
    expected = function(reference[:, 1], estimated[:, 1])
    assert stream(twin("arousal"), 64, reference, estimated) == pytest.approx(expected, abs=2e-5)


def test_the_rmse_of_nearly_perfect_estimates_is_not_rounding(rng):
    reference, _ = table(rng)
    estimated = reference + np.float32(1e-5)
    expected = metrics.rmse(reference[:, 0], estimated[:, 0])
    assert stream(twins.RMSE("valence"), 16, reference, estimated) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("rows", "batch"), [(9, 3), (20_000, 10_000)])
@pytest.mark.parametrize("value", [0.1, -0.7])
def test_constants_are_not_taken_for_spread(rng, rows, batch, value):
    constant = np.full((rows, 2), value, np.float32)
    moving = rng.standard_normal((rows, 2)).astype(np.float32)
    assert stream(twins.R2(), batch, constant, moving) == 0
    for twin in (twins.CCC, twins.Pearson):
        for pair in ((constant, moving), (moving, constant), (constant, constant)):
            assert stream(twin(), batch, *pair) == 0


@each
def test_rows_that_are_not_rated_do_not_count(rng, twin, function):
    reference, estimated = table(rng)
    rated = rng.random(len(reference)) < 0.6
    rated[:16] = False  # the first batches have no rating
    targets = np.concatenate([reference, rated[:, None]], axis=1).astype(np.float32)
    targets[~rated, :2] = np.sign(targets[~rated, :2])
    expected = function(reference[rated, 0], estimated[rated, 0])
    assert stream(twin("valence"), 8, targets, estimated) == pytest.approx(expected, abs=2e-6)
    estimated[~rated] = np.nan
    assert stream(twin("valence"), 8, targets, estimated) == pytest.approx(expected, abs=2e-6)


@each
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_a_weight_is_so_many_rows(rng, twin, function, shape):
    reference, estimated = table(rng)
    weight = rng.integers(0, 4, len(reference))
    r, e = (np.repeat(x[:, 1], weight) for x in (reference, estimated))
    given = 0.25 * weight.astype(np.float32).reshape(shape)  # only ratios matter
    assert stream(twin("arousal"), 8, reference, estimated, given) == pytest.approx(function(r, e), abs=2e-6)


def test_masked_rows_do_not_count(rng):
    reference, estimated = table(rng, rows=30)
    kept = np.arange(30) % 3 > 0
    outputs = keras.ops.convert_to_tensor(estimated)
    outputs._keras_mask = keras.ops.convert_to_tensor(kept)
    metric = twins.CCC("valence")
    metric.update_state(reference, outputs)
    expected = metrics.ccc(reference[kept, 0], estimated[kept, 0])
    assert float(metric.result()) == pytest.approx(expected, abs=2e-6)


@each
def test_fewer_than_two_rows_give_zero(rng, twin, function):
    reference, estimated = table(rng, rows=3)
    metric = twin()
    assert float(metric.result()) == 0
    metric.update_state(reference[:1], estimated[:1])
    assert float(metric.result()) == 0
    metric.update_state(reference[1:], estimated[1:], np.zeros(2))
    assert float(metric.result()) == 0
    metric.update_state(reference[1:], estimated[1:])
    assert float(metric.result()) == pytest.approx(
        np.mean([function(reference[:, i], estimated[:, i]) for i in range(2)]), rel=1e-4
    )
    metric.reset_state()
    assert float(metric.result()) == 0


@each
def test_named_and_saved(twin, function):
    assert [twin(a).name for a in ("valence", "arousal", None)] == [
        f"{twin.label}_valence", f"{twin.label}_arousal", twin.label,
    ]  # fmt: skip
    saved = keras.saving.serialize_keras_object(twin("arousal", name="mine"))
    assert saved["registered_name"] == f"sentio_tf>{twin.__name__}"
    again = keras.saving.deserialize_keras_object(saved)
    assert isinstance(again, twin)
    assert (again.axis, again.name) == ("arousal", "mine")


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match=r"axis valence, arousal or None. Received: 'mood'"):
        twins.CCC("mood")
    metric = twins.CCC()
    for shapes in (((4, 1), (4, 2)), ((4, 2), (4, 3)), ((4,), (4,)), ((4, 4), (4, 2))):
        reference, estimated = (np.zeros(s, np.float32) for s in shapes)
        with pytest.raises(ValueError, match=r"expected targets \(batch, 2\) or \(batch, 3\)"):
            metric.update_state(reference, estimated)


@pytest.fixture
def half_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


def small():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


def check_fit(model, rng, pairs):
    """`fit` and `evaluate`; what is reported is what the outputs give."""
    x = rng.standard_normal((50, 3)).astype(np.float32)
    y = np.concatenate([np.tanh(x[:, :2]), np.arange(50)[:, None] % 4 > 0], axis=1).astype(np.float32)
    made = [twins.CCC("valence"), twins.CCC("arousal"), *(twin() for twin, _ in pairs)]
    model.compile("sgd", first_two, metrics=made)
    history = model.fit(x, y, batch_size=16, epochs=2, validation_data=(x, y), verbose=0).history
    outputs = np.asarray(model.predict(x, batch_size=16, verbose=0), np.float64)
    found = model.evaluate(x, y, batch_size=16, verbose=0, return_dict=True)
    rated = y[:, 2] == 1
    expected = {}
    for twin, function in pairs:
        both = [function(y[rated, i], outputs[rated, i]) for i in range(2)]
        expected[twin.label] = np.mean(both)
        if twin is twins.CCC:
            expected |= {"ccc_valence": both[0], "ccc_arousal": both[1]}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-5)
        assert history[f"val_{name}"][-1] == pytest.approx(value, abs=1e-5)


@keras.saving.register_keras_serializable("tests")
def first_two(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true[:, :2] - y_pred), axis=-1)


def test_in_compile(rng):
    check_fit(small(), rng, PAIRS)


def test_under_mixed_float16(rng, half_precision):
    model = small()
    check_fit(model, rng, PAIRS[:1])
    assert model.compute_dtype == "float16"
    metric = twins.CCC("valence")
    assert all(v.dtype == "float32" for v in metric.variables)


def test_weighted_metrics_get_the_weights(rng):
    model = small()
    x, y = rng.standard_normal((40, 3)), rng.uniform(-1, 1, (40, 2))
    weight = (np.arange(40) < 25).astype(float)
    model.compile("adam", "mse", weighted_metrics=[twins.CCC("valence")])
    found = model.evaluate(x, y, sample_weight=weight, batch_size=16, verbose=0, return_dict=True)
    outputs = model.predict(x, verbose=0)
    assert found["ccc_valence"] == pytest.approx(metrics.ccc(y[:25, 0], outputs[:25, 0]), abs=1e-5)


def test_a_model_with_them_is_saved_whole(rng, tmp_path):
    model = small()
    model.compile("sgd", "mse", metrics=[twins.CCC("valence"), twins.R2()])
    x, y = rng.standard_normal((20, 3)), rng.uniform(-1, 1, (20, 2))
    model.fit(x, y, verbose=0)
    before = model.evaluate(x, y, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.evaluate(x, y, verbose=0, return_dict=True) == pytest.approx(before, abs=1e-6)


# What runs on another backend, in a process of its own: by hand and in `fit`.
ELSEWHERE = """
import numpy as np, keras
from sentio_tf import metrics as twins
from sentio_tf.evaluation import metrics
from sentio_tf.losses import CCCLoss
rng = np.random.default_rng(0)
a = rng.uniform(-1, 1, (50, 2)).astype("float32")
b = (0.5 * a + 0.2 * rng.standard_normal((50, 2))).astype("float32")
for twin in (twins.CCC, twins.Pearson, twins.R2, twins.RMSE):
    metric = twin("arousal")
    for i in range(0, 50, 16):
        metric.update_state(a[i : i + 16], b[i : i + 16])
    expected = metrics.AXIS[twin.label](a[:, 1], b[:, 1])
    assert abs(float(metric.result()) - expected) < 2e-6, twin
expected = 1 - np.mean([metrics.ccc(a[:, i], b[:, i]) for i in range(2)])
assert abs(float(CCCLoss()(a, b)) - expected) < 1e-4
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
model.compile("adam", CCCLoss(), metrics=[twins.CCC("valence")])
model.fit(a, b, batch_size=16, epochs=2, verbose=0)
found = model.evaluate(a, b, batch_size=16, verbose=0, return_dict=True)["ccc_valence"]
outputs = np.asarray(model.predict(a, verbose=0))
assert abs(found - metrics.ccc(b[:, 0], outputs[:, 0])) < 1e-5
print("done on", keras.backend.backend())
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_on_jax():
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "done on jax", done.stderr
