"""The optimizer against Keras' own where both can do it, and on what Keras' cannot."""

import keras
import numpy as np
import pytest

from sentio_tf.training.optimizer import PhasedAdamW, phased


def network(seed=0):
    keras.utils.set_random_seed(seed)
    x = keras.Input((4,))
    y = keras.layers.Dense(5, activation="relu", name="body")(x)
    y = keras.layers.LayerNormalization(name="norm")(y)
    return keras.Model(x, keras.layers.Dense(2, name="head")(y))


@pytest.fixture
def data(rng):
    x = rng.standard_normal((32, 4)).astype(np.float32)
    return x, x[:, :2] - x[:, 2:]


def trained(optimizer, data, **options):
    model = network()
    model.compile(optimizer, "mse")
    model.fit(*data, epochs=3, batch_size=8, shuffle=False, verbose=0, **options)
    return model


@pytest.mark.parametrize("more", [{}, {"use_ema": True, "ema_momentum": 0.9}])
def test_equals_keras_where_all_train(data, more):
    options = {"weight_decay": 0.1, "global_clipnorm": 1.0, **more}
    theirs = keras.optimizers.AdamW(0.01, **options)
    theirs.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    theirs.finalize_variable_values = lambda _: None
    ours = PhasedAdamW(0.01, **options)
    for a, b in zip(trained(theirs, data).get_weights(), trained(ours, data).get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_two_batches_accumulated_are_one_of_both(data):
    """Keras' own is not: it counts batches where Adam's correction wants updates."""
    whole = network()
    whole.compile(PhasedAdamW(0.01, weight_decay=0.1), "mse")
    whole.fit(*data, epochs=3, batch_size=16, shuffle=False, verbose=0)
    halves = trained(PhasedAdamW(0.01, weight_decay=0.1, gradient_accumulation_steps=2), data)
    for a, b in zip(whole.get_weights(), halves.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_what_joins_late_takes_steps_of_the_learning_rate():
    """With a constant gradient Adam moves by the learning rate each time, whenever a variable began."""
    a, b = keras.Variable(np.zeros(1, np.float32), name="a"), keras.Variable(np.zeros(1, np.float32), name="b")
    optimizer = PhasedAdamW(0.1, weight_decay=0.0)
    optimizer.build([a, b])
    optimizer.activate([a])
    for _ in range(100):
        optimizer.apply([keras.ops.ones(1)], [a])
    optimizer.activate([a, b])
    for k in range(1, 11):
        optimizer.apply([keras.ops.ones(1)] * 2, [a, b])
        assert float(b.numpy()[0]) == pytest.approx(-0.1 * k, rel=1e-3)


def test_average_of_what_rests_again_is_its_value():
    a, b = keras.Variable(np.zeros(1, np.float32), name="a"), keras.Variable(np.zeros(1, np.float32), name="b")
    optimizer = PhasedAdamW(0.1, weight_decay=0.0, use_ema=True, ema_momentum=0.9)
    optimizer.build([a, b])
    for _ in range(5):
        optimizer.apply([keras.ops.ones(1)] * 2, [a, b])
    optimizer.activate([b])
    np.testing.assert_allclose(optimizer.averages()[a.path].numpy(), a.numpy())


def test_one_step_by_hand():
    """Loshchilov & Hutter 2019, algorithm 2, first step: m_hat = g, v_hat = g^2."""
    w = keras.Variable(np.array([1.0, -2.0], np.float32), name="kernel")
    optimizer = PhasedAdamW(0.1, weight_decay=0.5, epsilon=0.0)
    optimizer.build([w])
    optimizer.apply([keras.ops.convert_to_tensor(np.array([3.0, -4.0], np.float32))])
    np.testing.assert_allclose(w.numpy(), [1 - 0.1 * 0.5 - 0.1, -2 + 0.1 * 0.5 * 2 + 0.1], rtol=1e-5)


def test_slow_variables_move_by_their_share_and_decay_by_it():
    def step(slow):
        w = keras.Variable(np.array([1.0], np.float32), name="kernel")
        optimizer = PhasedAdamW(0.1, weight_decay=0.5, epsilon=0.0, slow=[w.path] if slow else [], slow_rate=0.2)
        optimizer.build([w])
        optimizer.apply([keras.ops.ones(1)])
        return 1 - float(w.numpy()[0])

    assert step(True) == pytest.approx(0.2 * step(False), rel=1e-4)


def test_decay_spares_biases_and_normalisation(data):
    """With gradients of zero nothing but decay moves a weight."""
    model = network()
    optimizer = PhasedAdamW(0.1, weight_decay=0.5)
    for v in model.trainable_variables:
        v.assign(np.ones(v.shape, np.float32))
    optimizer.build(model.trainable_variables)
    optimizer.apply([keras.ops.zeros(v.shape) for v in model.trainable_variables])
    moved = {v.path: not np.allclose(v.numpy(), 1) for v in model.trainable_variables}
    assert moved == {path: path.endswith("kernel") for path in moved}


def test_average_of_a_variable_that_joins_late_starts_at_its_value():
    a, b = (keras.Variable(np.full(2, value, np.float32), name=name) for name, value in (("a", 3.0), ("b", 7.0)))
    optimizer = PhasedAdamW(0.1, weight_decay=0.0, use_ema=True, ema_momentum=0.5)
    optimizer.build([a, b])
    optimizer.activate([a])
    optimizer.apply([keras.ops.ones(2)], [a])
    np.testing.assert_allclose(optimizer.averages()[b.path].numpy(), 7)
    np.testing.assert_allclose(optimizer.averages()[a.path].numpy(), (3 + a.numpy()) / 2)
    optimizer.activate([a, b])
    optimizer.apply([keras.ops.ones(2)] * 2, [a, b])
    np.testing.assert_allclose(optimizer.averages()[b.path].numpy(), (7 + b.numpy()) / 2)


def test_activate_needs_built_and_known_variables():
    w, other = keras.Variable(np.ones(1)), keras.Variable(np.ones(1))
    optimizer = PhasedAdamW(0.1)
    with pytest.raises(ValueError, match="built on all variables"):
        optimizer.activate([w])
    optimizer.build([w])
    with pytest.raises(ValueError, match="Unknown variable"):
        optimizer.activate([other])


def test_state_holds_each_variable_once():
    """A list of variables on the optimizer would be tracked: on JAX one buffer would be given away twice."""
    model = network()
    optimizer = PhasedAdamW(0.1, use_ema=True)
    optimizer.build(model.trainable_variables)
    optimizer.activate(model.trainable_variables[2:])
    assert not {id(v) for v in optimizer.variables} & {id(v) for v in model.variables}
    assert len({id(v) for v in optimizer.variables}) == len(optimizer.variables)


def test_config_survives():
    optimizer = PhasedAdamW(0.1, slow=["body/kernel"], slow_rate=0.3, weight_decay=0.2)
    again = PhasedAdamW.from_config(optimizer.get_config())
    assert (again.slow, again.slow_rate, again.weight_decay) == (frozenset({"body/kernel"}), 0.3, 0.2)


def test_phased_looks_into_a_loss_scale():
    optimizer = PhasedAdamW(0.1)
    assert phased(keras.optimizers.LossScaleOptimizer(optimizer)) is optimizer
    assert phased(keras.optimizers.Adam()) is None
