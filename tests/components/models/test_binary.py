import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.config import RetrievalConfig
from components.models.binary import GeneralizedBinary
from components.models.items import ItemFacts, ItemTable
from components.models.pairs import Pairs
from components.models.towers import ItemTower

ITEMS, DRAWN = 5, 200_000
ROWS, WEIGHT = np.array([0, 2, 2], np.int32), np.array([1.0, 0.5, 0.0], np.float32)


@pytest.mark.parametrize("calibration", [0.0, 1.0])
def test_of_more_draws_than_items_the_positive_keeps_its_weight(calibration: float) -> None:
    keras.utils.set_random_seed(7)
    items = ItemTower(ItemTable(ItemFacts([f"i{row}" for row in range(ITEMS)], (), {}, np.ones(ITEMS, bool))), 4, (), 0.0, 0.0)
    queries, none = tf.random.normal([3, 4], seed=1), tf.zeros([3], tf.int32)
    pairs = Pairs(queries, tf.constant(ROWS), tf.constant(WEIGHT), tf.fill([3, 1], -1), none, none)
    scores = queries.numpy() @ items(tf.range(ITEMS)).numpy().T
    own = scores[np.arange(3), ROWS]
    wrong = np.log1p(np.exp(scores))
    wrong[np.arange(3), ROWS] = 0.0
    losses = (np.log1p(np.exp(-own)) + wrong.sum(axis=1) * DRAWN / ITEMS) / (DRAWN + 1)
    settings = RetrievalConfig(loss="gbce", loss_negatives=DRAWN, loss_calibration=calibration)
    made = GeneralizedBinary(items, tf.zeros(6), settings)(pairs)
    assert float(made) == pytest.approx((losses * WEIGHT).sum() / 1.5, rel=1e-2)


@pytest.mark.parametrize(("calibration", "beta"), [(0.0, 1.0), (1.0, 0.25), (0.75, 0.4375)])
def test_the_positive_is_tempered_for_the_share_that_is_drawn(calibration: float, beta: float) -> None:
    """Of a query without any direction all scores are 0, and each of the k + 1 terms is log 2: one of four others is drawn."""
    items = ItemTower(ItemTable(ItemFacts([f"i{row}" for row in range(ITEMS)], (), {}, np.ones(ITEMS, bool))), 4, (), 0.0, 0.0)
    none, count = tf.zeros([2_000], tf.int32), 2_000
    pairs = Pairs(tf.zeros([count, 4]), none, tf.ones([count]), tf.fill([count, 1], -1), none, none)
    settings = RetrievalConfig(loss="gbce", loss_negatives=1, loss_calibration=calibration)
    loss = GeneralizedBinary(items, tf.zeros(6), settings)
    made = {round(float(loss(pairs)) / np.log(2) * 2, 4) for _ in range(100)}
    assert sorted(made) == pytest.approx([beta, beta + 1], abs=1e-3)  # the draw hits the item, or another
