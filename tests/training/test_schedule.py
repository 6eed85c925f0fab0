import keras
import numpy as np
import pytest

from sentio_tf.errors import ConfigError
from sentio_tf.training.optimizer import PhasedAdamW
from sentio_tf.training.schedule import ProgressiveUnfreezing, resting, stages_at

SCHEDULE = {1: 0, 5: 4, 9: 6}


@pytest.mark.parametrize(("epoch", "expected"), [(1, 0), (4, 0), (5, 4), (8, 4), (9, 6), (30, 6)])
def test_phases_of_the_recipe(epoch, expected):
    assert stages_at(epoch, SCHEDULE, 13) == expected


def test_schedules_at_the_edges():
    assert stages_at(3, {}, 13) == 13
    assert stages_at(1, {2: "all"}, 13) == 0
    assert stages_at(2, {2: "all"}, 13) == 13
    assert stages_at(1, {1: 6}, 4) == 4
    assert resting(SCHEDULE, 13, 30) == 7
    assert resting(SCHEDULE, 13, 4) == 13
    assert resting({}, 13, 30) == 0


def deep(blocks=4, width=16):
    keras.utils.set_random_seed(0)
    x = keras.Input((8,))
    y, stages = x, []
    for i in range(blocks):
        dense = keras.layers.Dense(width, activation="relu", name=f"block{i}")
        norm = keras.layers.BatchNormalization(name=f"bn{i}")
        y = norm(dense(y))
        stages.append([dense, norm])
    return keras.Model(x, keras.layers.Dense(2, name="head")(y)), stages


class Weights(keras.callbacks.Callback):
    """Which layers moved in each epoch."""

    def __init__(self):
        super().__init__()
        self.moved: list[set[str]] = []

    def snapshot(self):
        return {y.name: [np.array(w) for w in y.get_weights()] for y in self.model.layers if y.get_weights()}

    def on_train_begin(self, logs=None):
        self.before = self.snapshot()

    def on_epoch_end(self, epoch, logs=None):
        now = self.snapshot()
        self.moved.append(
            {n for n, ws in now.items() if any((a != b).any() for a, b in zip(ws, self.before[n], strict=True))}
        )
        self.before = now


@pytest.mark.parametrize("optimizer", [lambda: PhasedAdamW(0.01), lambda: keras.optimizers.AdamW(0.01)])
def test_exactly_the_right_layers_move_in_each_phase(rng, optimizer):
    model, stages = deep()
    model.compile(optimizer(), "mse")
    x = rng.standard_normal((32, 8)).astype(np.float32)
    spy, said = Weights(), []
    schedule = {1: 0, 2: 1, 4: 3, 5: "all"}
    model.fit(
        x,
        x[:, :2],
        epochs=5,
        batch_size=8,
        verbose=0,
        callbacks=[ProgressiveUnfreezing(stages, schedule, said.append), spy],
    )
    last = {i: {f"{kind}{n}" for n in range(4 - i, 4) for kind in ("block", "bn")} | {"head"} for i in range(5)}
    assert spy.moved == [last[0], last[1], last[1], last[3], last[4]]
    assert len(said) == 4
    assert said[0] == "epoch 1: the head alone trains, 34 weights"


def test_state_of_the_optimizer_is_there_from_the_start(rng):
    model, stages = deep()
    model.compile(PhasedAdamW(0.01), "mse")
    x = rng.standard_normal((16, 8)).astype(np.float32)
    model.fit(x, x[:, :2], epochs=1, verbose=0, callbacks=[ProgressiveUnfreezing(stages, {1: 0, 9: "all"})])
    assert len(model.optimizer._momentums) == 4 * 4 + 2
    still = [np.abs(m.numpy()).max() for m in model.optimizer._momentums[:-2]]
    assert max(still) == 0
    assert np.abs(model.optimizer._momentums[-2].numpy()).max() > 0


def executed(graph):
    """What an update needs: everything that an assignment depends on; TensorFlow prunes the rest."""
    waiting = [op for op in graph.get_operations() if op.type.startswith("Assign")]
    found = set()
    while waiting:
        op = waiting.pop()
        if op not in found:
            found.add(op)
            waiting += [t.op for t in op.inputs] + list(op.control_inputs)
    return found


def test_a_step_costs_less_when_layers_rest(rng):
    """By what is computed, not by the clock: the gradient graph of the resting layers is not there."""
    import tensorflow as tf

    model, stages = deep(blocks=6)
    x = rng.standard_normal((16, 8)).astype(np.float32)
    products = []

    class Count(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            step = tf.function(self.model.train_step).get_concrete_function(
                (tf.TensorSpec((16, 8)), tf.TensorSpec((16, 2)))
            )
            products.append(sum(op.type == "MatMul" for op in executed(step.graph)))

    model.compile(PhasedAdamW(0.01), "mse")
    model.fit(
        x, x[:, :2], epochs=3, batch_size=16, verbose=0,
        callbacks=[ProgressiveUnfreezing(stages, {1: 0, 2: 3, 3: "all"}), Count()],
    )  # fmt: skip
    # Forward 7; backward one product for the weights of each training layer and one on the way to it.
    assert products == [8, 14, 20]


def test_too_many_stages_are_refused():
    _, stages = deep()
    with pytest.raises(ConfigError, match=r"expected 0 to 4 stages or all, received 6"):
        ProgressiveUnfreezing(stages, {1: 0, 5: 6})
