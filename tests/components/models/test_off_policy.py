import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.config import RetrievalConfig
from components.models.items import ItemFacts, ItemTable
from components.models.off_policy import OffPolicySoftmax
from components.models.pairs import Pairs
from components.models.towers import ItemTower

ITEMS, TOP_K, CAP = 5, 3, 2.0
ROWS, REWARD, PROPENSITY = np.array([0, 2, 2], np.int32), np.array([1.0, 0.5, 2.0]), np.array([0.9, 0.05, 1.0])


def test_the_loss_and_its_gradient_by_hand() -> None:
    """ρ and λ weigh the gradients as constants; the second pair's ρ is cut by the cap."""
    keras.utils.set_random_seed(7)
    items = ItemTower(ItemTable(ItemFacts([f"i{row}" for row in range(ITEMS)], (), {}, np.ones(ITEMS, bool))), 4, (), 0.0, 0.0)
    queries, none = tf.Variable(tf.random.normal([3, 4], seed=1)), tf.zeros([3], tf.int32)
    history = tf.constant([[4], [-1], [-1]])  # the first user has had item 4
    pairs = Pairs(
        tf.convert_to_tensor(queries), tf.constant(ROWS), tf.constant(REWARD, tf.float32), history, tf.range(3), none,
        tf.constant(PROPENSITY, tf.float32),
    )  # fmt: skip
    vectors = items(tf.range(ITEMS)).numpy()
    powers = np.exp(queries.numpy() @ vectors.T)
    powers[0, 4] = 0.0
    policy = powers / powers.sum(axis=1, keepdims=True)
    chosen = policy[np.arange(3), ROWS]
    ratio = np.minimum(chosen / PROPENSITY, CAP)
    assert ratio[1] == CAP
    weight = REWARD * ratio * TOP_K * (1 - chosen) ** (TOP_K - 1)
    loss = OffPolicySoftmax(items, tf.zeros(6), RetrievalConfig(loss="off_policy", loss_top_k=TOP_K, loss_weight_cap=CAP))
    with tf.GradientTape() as tape:
        made = loss(pairs._replace(queries=tf.convert_to_tensor(queries)))
    assert float(made) == pytest.approx((weight * -np.log(chosen)).sum() / REWARD.sum(), rel=1e-5)
    one_hot = np.eye(ITEMS)[ROWS]
    expected = weight[:, np.newaxis] * ((policy - one_hot) @ vectors) / REWARD.sum()
    np.testing.assert_allclose(tape.gradient(made, queries), expected, rtol=1e-4, atol=1e-6)
