import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from numpy.typing import NDArray

from components.config import RetrievalConfig
from components.models.items import ItemFacts, ItemTable
from components.models.off_policy import InversePropensitySoftmax, OffPolicySoftmax
from components.models.pairs import Pairs
from components.models.softmax import FullSoftmax
from components.models.towers import ItemTower

ITEMS, TOP_K, CAP = 5, 3, 2.0
ROWS, REWARD, PROPENSITY = np.array([0, 2, 2], np.int32), np.array([1.0, 0.5, 2.0]), np.array([0.9, 0.05, 1.0])


@pytest.fixture
def items() -> ItemTower:
    keras.utils.set_random_seed(7)
    return ItemTower(ItemTable(ItemFacts([f"i{row}" for row in range(ITEMS)], (), {}, np.ones(ITEMS, bool))), 4, (), 0.0, 0.0)


@pytest.fixture
def pairs() -> Pairs:
    """Of three requests; the first user has had item 4."""
    queries, history, none = tf.random.normal([3, 4], seed=1), tf.constant([[4], [-1], [-1]]), tf.zeros([3], tf.int32)
    return Pairs(
        queries, tf.constant(ROWS), tf.constant(REWARD, tf.float32), history, tf.range(3), none,
        tf.constant(PROPENSITY, tf.float32),
    )  # fmt: skip


def policy_of(items: ItemTower, pairs: Pairs) -> NDArray[np.float32]:
    powers = np.exp(pairs.queries.numpy() @ items(tf.range(ITEMS)).numpy().T)
    powers[0, 4] = 0.0
    shares: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def test_reinforce_and_its_gradient_by_hand(items: ItemTower, pairs: Pairs) -> None:
    """ρ and λ weigh the gradients as constants; the second pair's ρ is cut by the cap."""
    policy = policy_of(items, pairs)
    chosen = policy[np.arange(3), ROWS]
    ratio = np.minimum(chosen / PROPENSITY, CAP)
    assert ratio[1] == CAP
    weight = REWARD * ratio * TOP_K * (1 - chosen) ** (TOP_K - 1)
    loss = OffPolicySoftmax(items, tf.zeros(6), RetrievalConfig(loss="off_policy", loss_top_k=TOP_K, loss_weight_cap=CAP))
    with tf.GradientTape() as tape:
        tape.watch(pairs.queries)
        made = loss(pairs)
    assert float(made) == pytest.approx((weight * -np.log(chosen)).sum() / REWARD.sum(), rel=1e-5)
    expected = weight[:, np.newaxis] * ((policy - np.eye(ITEMS)[ROWS]) @ items(tf.range(ITEMS)).numpy()) / REWARD.sum()
    np.testing.assert_allclose(tape.gradient(made, pairs.queries), expected, rtol=1e-4, atol=1e-6)


def test_inverse_propensities_by_hand(items: ItemTower, pairs: Pairs) -> None:
    """Of 1 / (5 · 0.9), 1 / (5 · 0.05) and 1 / (5 · 1) the second is cut to 2; the loss is the weighted mean."""
    chosen = policy_of(items, pairs)[np.arange(3), ROWS]
    weight = REWARD * np.array([1 / 4.5, CAP, 1 / 5])
    loss = InversePropensitySoftmax(items, tf.zeros(6), RetrievalConfig(loss="ips", loss_ips_cap=CAP))
    assert float(loss(pairs)) == pytest.approx((weight * -np.log(chosen)).sum() / weight.sum(), rel=1e-5)
    even = pairs._replace(propensity=tf.fill([3], 0.4))
    full = FullSoftmax(items, tf.zeros(6), RetrievalConfig(loss="full"))
    assert float(loss(even)) == pytest.approx(float(full(even)), rel=1e-5)
