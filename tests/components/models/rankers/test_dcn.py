import math

import numpy as np
import tensorflow as tf

from components.config.rankers import DcnV2Settings
from components.models.rankers.dcn import CrossMixture, DcnV2, crossed_beside_deep
from components.models.rankers.inputs import RankerParts


def test_full_cross_layers(parts: RankerParts) -> None:
    body = DcnV2(parts, 4, DcnV2Settings(cross_layers=2, cross_rank=None, hidden=(), dropout=0.0))
    x = tf.constant([[[1.0, 2.0]]])
    crossed_beside_deep(x, body._cross, body._deep, training=False)
    for layer in body._cross:
        layer.set_weights([np.array([[0, 1], [1, 0]], np.float32), np.array([1, 0], np.float32)])
    # W swaps: x_1 = (1, 2) ⊙ ((2, 1) + (1, 0)) + (1, 2) = (4, 4); x_2 = (1, 2) ⊙ ((4, 4) + (1, 0)) + (4, 4) = (9, 12).
    # There are no dense layers, so beside it is x itself.
    np.testing.assert_allclose(crossed_beside_deep(x, body._cross, body._deep, training=False), [[[9, 12, 1, 2]]])


def test_low_rank_cross_layers(parts: RankerParts) -> None:
    body = DcnV2(parts, 4, DcnV2Settings(cross_layers=1, cross_rank=1, hidden=(), dropout=0.0))
    x = tf.constant([[[1.0, 2.0]]])
    crossed_beside_deep(x, body._cross, body._deep, training=False)
    # V^T x = 3, U 3 = (6, −3): x_1 = (1, 2) ⊙ ((6, −3) + (1, 0)) + (1, 2) = (8, −4).
    body._cross[0].set_weights([np.float32([[1], [1]]), np.float32([[2, -1]]), np.float32([1, 0])])
    np.testing.assert_allclose(crossed_beside_deep(x, body._cross, body._deep, training=False), [[[8, -4, 1, 2]]])


def test_a_mixture_of_two_experts_of_rank_one() -> None:
    layer = CrossMixture(rank=1, experts=2, name="mixture")
    x0, x = tf.constant([[[2.0, -1.0]]]), tf.constant([[[1.0, 0.5]]])
    layer(x0, x)
    layer._down.set_weights([np.array([[1, 0], [0, 2]], np.float32)])  # V^T x: 1 and 1
    layer._within.assign([[[3.0]], [[-1.0]]])
    layer._up.assign([[10.0, 0.0], [0.0, 20.0]])
    layer._bias.assign([0.5, 0.25])
    layer._gates.set_weights([np.array([[math.log(3), 0], [0, 0]], np.float32), np.zeros(2)])  # gates 3/4 and 1/4
    first, second = math.tanh(3 * math.tanh(1)), math.tanh(-math.tanh(1))
    expected = [2 * (0.75 * 10 * first + 0.5) + 1, -1 * (0.25 * 20 * second + 0.25) + 0.5]
    np.testing.assert_allclose(layer(x0, x)[0, 0], expected, rtol=1e-5)
