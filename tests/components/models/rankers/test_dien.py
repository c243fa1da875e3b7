import math
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.config.rankers import DienSettings
from components.models.items import PAD
from components.models.rankers.dien import Augru, Dien, next_item_loss
from components.models.rankers.inputs import Batch, RankerInputs, RankerParts


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def of_one_unit() -> Augru:
    """Gates: u = σ(i + 2h), r = σ(−i + h), h̃ = tanh(½ i + r · 3h + 0.1)."""
    layer = Augru(1, "augru")
    layer(tf.zeros([1, 1, 1]), tf.zeros([1, 1, 1]))
    layer._input.set_weights([np.array([[1.0, -1.0, 0.5]]), np.array([0.0, 0.0, 0.1])])
    layer._state.set_weights([np.array([[2.0, 1.0, 3.0]])])
    return layer


def step(state: float, at: float, attention: float) -> float:
    update = attention * sigmoid(at + 2 * state)
    new = math.tanh(0.5 * at + sigmoid(-at + state) * 3 * state + 0.1)
    return (1 - update) * state + update * new


def test_each_step_is_scaled_by_its_attention() -> None:
    made = of_one_unit()(tf.constant([[[1.0], [-2.0]]]), tf.constant([[[0.3, 1.0], [0.6, 0.0]]]))
    for candidate, (first, second) in enumerate([(0.3, 0.6), (1.0, 0.0)]):
        after_one = step(0.0, 1.0, first)
        assert made[0, 0, candidate, 0].numpy() == pytest.approx(after_one, rel=1e-5)
        assert made[0, 1, candidate, 0].numpy() == pytest.approx(step(after_one, -2.0, second), rel=1e-5)
    # Without attention the state stays as it was.
    assert made[0, 1, 1, 0] == made[0, 0, 1, 0]


def test_with_full_attention_it_is_a_gru() -> None:
    rng = np.random.default_rng(4)
    sequence = tf.constant(rng.normal(size=(2, 5, 3)), tf.float32)
    ours, theirs = Augru(4, "augru"), keras.layers.GRU(4, return_sequences=True, reset_after=True)
    ours(sequence, tf.ones([2, 5, 1]))
    theirs(sequence)
    # Keras keeps the old state where its gate is open: u is its z turned round.
    kernel, bias = (each.numpy() for each in ours._input.weights)
    [recurrent] = (each.numpy() for each in ours._state.weights)
    turn = np.repeat([-1.0, 1.0, 1.0], 4)
    theirs.set_weights([kernel * turn, recurrent * turn, np.stack([bias * turn, np.zeros(12)])])
    np.testing.assert_allclose(ours(sequence, tf.ones([2, 5, 1]))[:, :, 0], theirs(sequence), rtol=1e-4, atol=1e-6)


def test_the_next_item_is_told_from_that_of_another_request() -> None:
    # Two requests of three places, oldest first; the first request's first place is empty.
    interests = tf.constant([[[9.0], [2.0], [9.0]], [[1.0], [3.0], [9.0]]])
    items = tf.constant([[[9.0], [9.0], [0.5]], [[9.0], [-1.0], [0.25]]])
    rows = tf.constant([[PAD, 4, 5], [6, 7, 8]])
    # Steps: of the first request 2 → 0.5, not 0.25; of the second 1 → −1, beside the other's second place, 9, and
    # 3 → 0.25, not 0.5. The last states have nothing to tell.
    expected = (
        -math.log(sigmoid(2 * 0.5)) - math.log(1 - sigmoid(2 * 0.25))
        - math.log(sigmoid(1 * -1)) - math.log(1 - sigmoid(1 * 9))
        - math.log(sigmoid(3 * 0.25)) - math.log(1 - sigmoid(3 * 0.5))
    ) / 3  # fmt: skip
    assert next_item_loss(interests, items, rows).numpy() == pytest.approx(expected, rel=1e-5)


def test_histories_of_one_item_have_no_next_one() -> None:
    loss = next_item_loss(tf.ones([2, 3, 1]), tf.ones([2, 3, 1]), tf.constant([[PAD, PAD, 1], [PAD, PAD, PAD]]))
    assert loss.numpy() == 0


def test_what_followed_is_not_told_from_itself() -> None:
    loss = next_item_loss(tf.ones([2, 2, 1]), tf.ones([2, 2, 1]), tf.constant([[1, 3], [2, 3]]))
    assert loss.numpy() == pytest.approx(-math.log(sigmoid(1)), rel=1e-5)


def test_replicas_share_the_next_item_loss() -> None:
    """In a process of its own, since a process decides once how many devices its processor is."""
    script = """
import tensorflow as tf
from components.models.rankers.dien import next_item_loss

[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
interests, items = (tf.random.stateless_normal([2, 3, 4], [5, which]) for which in range(2))
rows = tf.constant([[1, 2, 3], [4, 5, 6]])
# Each replica has the same two requests, so that all of them have the others that one process has.
whole = next_item_loss(*(tf.concat([each, each], axis=0) for each in (interests, items, rows)))
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
shares = strategy.run(tf.function(lambda: next_item_loss(interests, items, rows)))
print(float(whole), float(strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None)))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    whole, together = map(float, ran.stdout.split())
    assert whole > 0
    assert together == pytest.approx(whole, rel=1e-5)


def test_interests_are_weighed_by_the_candidate(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    """a_t = softmax_t(h_t W e_a) (eq. 8), under which the AUGRU reads the interests; its last state joins the rest."""
    batch = Batch(RankerInputs(parts, 4), parts.counters, requests, tf.constant([[0, 2]] * 3))
    layer = Dien(parts, 4, DienSettings(interest_dim=3, hidden=(5,), auxiliary_weight=0.0))
    made = layer(batch)
    past = layer._narrow(batch.history)[:1, ::-1]  # of the first request, both of whose places are used
    interests = layer._extract(past, tf.ones([1, 2, 1]))[0, :, 0].numpy()
    for place in range(2):
        candidate = layer._match(layer._narrow(batch.candidates[:1, place]))[0].numpy()
        powers = np.exp(interests @ candidate)
        attention = tf.constant((powers / powers.sum())[np.newaxis, :, np.newaxis], tf.float32)
        evolved = layer._evolve(tf.constant(interests[np.newaxis]), attention)[:, -1, 0]
        expected = layer._deep(tf.concat([batch.joined[:1, place], evolved], axis=-1))[0]
        np.testing.assert_allclose(made[0, place], expected, rtol=1e-4, atol=1e-6)
