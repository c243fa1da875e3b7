import math

import numpy as np
import pytest
import tensorflow as tf

from components.config.rankers import DinSettings
from components.models.rankers.din import Dice, Din, LocalActivation, attention_pooling
from components.models.rankers.inputs import Batch, RankerInputs, RankerParts


def test_pooling_is_a_weighted_sum_for_each_candidate() -> None:
    history = tf.constant([[[1.0, 2.0], [3.0, 4.0]]])
    weights = tf.constant([[[1.0, 0.0], [0.5, -1.0]]])  # of 2 items for 2 candidates
    # (1, 2) + ½ (3, 4), and −(3, 4): weights are not normalised.
    np.testing.assert_allclose(attention_pooling(weights, history), [[[2.5, 4.0], [-3.0, -4.0]]])


@pytest.mark.parametrize("activation", ["dice", "prelu"])
def test_the_activation_unit_is_a_network_of_the_four_parts(activation: str) -> None:
    """Against the network as the paper draws it, on [e, v, e − v, e ⊙ v] of one pair after the other."""
    rng = np.random.default_rng(2)
    history, candidates = rng.normal(size=(2, 3, 4)).astype(np.float32), rng.normal(size=(2, 5, 4)).astype(np.float32)
    present = np.array([[1, 1, 0], [1, 0, 0]], np.float32)[..., None]
    unit = LocalActivation((6, 3), activation)
    made = unit(tf.constant(history), tf.constant(candidates), tf.constant(present)).numpy()
    past, bias = (each.numpy() for each in unit._of_past.weights)
    [candidate] = (each.numpy() for each in unit._of_candidate.weights)
    # W_3 is free to choose: only W_1 + W_3 and W_2 − W_3 are learnt.
    difference = rng.normal(size=past.shape)
    first = np.concatenate([past - difference, candidate + difference, difference, unit._of_product.numpy()])

    def activated(s: np.ndarray) -> np.ndarray:
        # At first Dice's α and PReLU's slope are 0, and E = 0, Var = 1.
        return s / (1 + np.exp(-s)) if activation == "dice" else np.maximum(s, 0)

    second, second_bias = (each.numpy() for each in unit._layers[0].weights)
    last, last_bias = (each.numpy() for each in unit._out.weights)
    for b, j, c in np.ndindex(2, 3, 5):
        e, v = history[b, j], candidates[b, c]
        hidden = activated(np.concatenate([e, v, e - v, e * v]) @ first + bias)
        expected = (activated(hidden @ second + second_bias) @ last + last_bias)[0] * present[b, j, 0]
        assert made[b, j, c] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_dice_is_a_gate_at_the_mean() -> None:
    dice = Dice()
    s = tf.constant([[[0.0], [2.0]]])
    dice(s, tf.ones([1, 2]))
    dice._alpha.assign([0.5])
    dice._standardised.set_weights([np.array([1.0]), np.array([4.0])])  # the moving mean and variance
    # p = σ((s − 1) / 2): σ(−½) and σ(½); f = s (p + ½ (1 − p)).
    gate = 1 / (1 + math.exp(-0.5))
    np.testing.assert_allclose(dice(s, tf.ones([1, 2]))[0, :, 0], [0, 2 * (gate + 0.5 * (1 - gate))], rtol=1e-5)


def test_dice_learns_its_mean_from_what_is_there() -> None:
    dice = Dice()
    there = tf.constant([[1.0, 1.0, 0.0]])
    # Mean 2 and variance 1 without the last one: p = σ(±1).
    made = dice(tf.constant([[[1.0], [3.0], [1e6]]]), there, training=True)
    gate = 1 / (1 + math.exp(-1))
    np.testing.assert_allclose(made[0, :2, 0], [1 - gate, 3 * gate], rtol=1e-4)
    np.testing.assert_allclose(dice._standardised.weights[0], [0.05 * 2], rtol=1e-4)


def test_din_has_an_interest_for_each_candidate(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    """The dense layers read all that is known, and Σ_j a(e_j, v_A) e_j beside it (Zhou et al. 2018, eq. 3)."""
    batch = Batch(RankerInputs(parts, 4), parts.counters, requests, tf.constant([[0, 2]] * 3))
    layer = Din(parts, 4, DinSettings(hidden=(3,)))
    made = layer(batch)
    weights = layer._attend(batch.history, batch.candidates, batch.present).numpy()
    interest = np.einsum("bln,bld->bnd", weights, batch.history)
    np.testing.assert_allclose(made, layer._deep(np.concatenate([batch.joined, interest], -1)), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(interest[2], 0)  # no history, no interest
