import math

import numpy as np
import tensorflow as tf

from components.config.rankers import MmoeSettings, PleSettings, SharedBottomSettings, SingleHeadSettings
from components.models.heads import Gate, Mmoe, Ple, SharedBottom, SingleHead

X = tf.constant([[[1.0, 2.0]]])


def scales(layer: tf.Module, scale: float) -> None:
    """A dense stack of one layer becomes ReLU(scale · (x_1, x_2))."""
    layer.set_weights([np.eye(2) * scale, np.zeros(2)])


def sums(tower: tf.Module, scale: float) -> None:
    """A tower without hidden layers becomes scale · (x_1 + x_2)."""
    tower.set_weights([np.full((2, 1), scale), np.zeros(1)])


def gates(gate: Gate, *odds: float) -> None:
    """Softmax weights in proportion to ``odds`` where x_1 is 1."""
    gate._weights.set_weights([np.array([[math.log(each) for each in odds], [0.0] * len(odds)])])


def test_single_is_linear() -> None:
    heads = SingleHead(2, SingleHeadSettings())
    heads(X)
    heads.set_weights([np.array([[1.0, 10.0], [2.0, 0.0]]), np.array([0.5, 0.0])])
    np.testing.assert_allclose(heads(X), [[[5.5, 10.0]]])


def test_towers_read_one_shared_bottom() -> None:
    heads = SharedBottom(2, SharedBottomSettings(hidden=(2,), tower_hidden=()))
    heads(X)
    scales(heads._shared, 3.0)
    sums(heads._towers._towers[0], 1.0)
    sums(heads._towers._towers[1], -1.0)
    np.testing.assert_allclose(heads(X), [[[9.0, -9.0]]])


def test_each_task_of_mmoe_has_its_own_gate() -> None:
    heads = Mmoe(2, MmoeSettings(experts=2, hidden=(2,), tower_hidden=()))
    heads(X)
    scales(heads._experts[0], 1.0)
    scales(heads._experts[1], 10.0)
    gates(heads._gates[0], 3.0, 1.0)  # 3/4 and 1/4
    gates(heads._gates[1], 1.0, 4.0)  # 1/5 and 4/5
    sums(heads._towers._towers[0], 1.0)
    sums(heads._towers._towers[1], 1.0)
    # The experts sum to 3 and 30: ¾ · 3 + ¼ · 30 and ⅕ · 3 + ⅘ · 30.
    np.testing.assert_allclose(heads(X), [[[9.75, 24.6]]], rtol=1e-5)


def test_ple_mixes_a_task_s_own_experts_and_the_shared_ones() -> None:
    heads = Ple(2, PleSettings(levels=1, shared_experts=1, task_experts=1, hidden=(2,), tower_hidden=()))
    heads(X)
    [level] = heads._levels
    scales(level._own[0][0], 1.0)
    scales(level._own[1][0], 100.0)
    scales(level._shared[0], 10.0)
    gates(level._gates[0], 3.0, 1.0)
    gates(level._gates[1], 1.0, 1.0)
    for tower in heads._towers._towers:
        sums(tower, 1.0)
    # Own 3, shared 30: 9.75. Own 300, shared 30: 165. Neither sees the other's expert.
    np.testing.assert_allclose(heads(X), [[[9.75, 165.0]]], rtol=1e-5)


def test_levels_of_ple_hand_on_what_their_gates_made() -> None:
    heads = Ple(2, PleSettings(levels=2, shared_experts=1, task_experts=1, hidden=(2,), tower_hidden=()))
    heads(X)
    first, second = heads._levels
    for level in (first, second):
        scales(level._own[0][0], 1.0)
        scales(level._own[1][0], 2.0)
        scales(level._shared[0], 3.0)
        for gate in level._gates:
            gate._weights.set_weights([np.zeros((2, 2))])
    first._shared_gate._weights.set_weights([np.zeros((2, 3))])
    assert second._shared_gate is None
    for tower in heads._towers._towers:
        sums(tower, 1.0)
    # Even gates. After the first level, times x: the tasks (1 + 3) / 2 = 2 and (2 + 3) / 2 = 2.5, shared (1 + 2 + 3) / 3 = 2.
    # After the second: (2 · 1 + 2 · 3) / 2 = 4 and (2.5 · 2 + 2 · 3) / 2 = 5.5; x sums to 3.
    np.testing.assert_allclose(heads(X), [[[12.0, 16.5]]], rtol=1e-5)
