from dataclasses import replace

import numpy as np
import tensorflow as tf

from components.config.rankers import MfSettings, NeuMfSettings
from components.models.features import Slot
from components.models.rankers.factorization import Factors, Mf, NeuMf
from components.models.rankers.inputs import Batch, RankerInputs, RankerParts

ROWS = [[0, 1], [1, 2], [0, 3]]
# Rows of the id tables: 0 for what has no id of its own (here item 2, and the unknown item 3), 1 + row for the others.
ITEMS = np.array([[5, 6], [1, 2], [3, 4], [0, 0]], np.float32)
PAST = np.array([[1, 1], [10, 20], [30, 40], [0, 0]], np.float32)


def batch_of(parts: RankerParts, requests: dict[str, tf.Tensor]) -> Batch:
    return Batch(RankerInputs(parts, 2), parts.counters, requests, tf.constant(ROWS))


def test_without_an_id_the_user_is_the_mean_of_the_history(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    factors = Factors(parts, 2, "factors")
    factors(batch_of(parts, requests))
    for table, weights in ((factors._past, PAST), (factors._items, ITEMS)):
        table.set_weights([weights])
    user, items = factors(batch_of(parts, requests))
    # Histories are items 1 and 0, then item 2, which has no id of its own, then nothing.
    np.testing.assert_allclose(user[:, 0], [[20, 30], [1, 1], [0, 0]])
    np.testing.assert_allclose(items, [[[1, 2], [3, 4]], [[3, 4], [5, 6]], [[1, 2], [5, 6]]])


def test_with_an_id_the_user_is_that(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    known = replace(parts, query_slots=(*parts.query_slots, Slot("member", "id", 3)))
    asked = {**requests, "member": tf.constant([2, 0, 1], tf.int64)}
    factors = Factors(known, 2, "factors")
    factors(batch_of(known, asked))
    [table] = factors._users.weights
    table.assign([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    user, _ = factors(batch_of(known, asked))
    np.testing.assert_allclose(user[:, 0], [[4, 5], [0, 1], [2, 3]])
    assert [each.name for each in factors.weights if "history" in each.name] == []


def test_mf_is_a_bias_and_a_dot_product_for_each_task(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    mf = Mf(parts, 1, MfSettings())
    mf(batch_of(parts, requests))
    for table, weights in ((mf._factors._past, PAST), (mf._factors._items, ITEMS)):
        table.set_weights([weights])
    mf._bias.set_weights([np.array([[0, 0], [100, 200], [0, 0], [0, 0]], np.float32)])
    made = mf(batch_of(parts, requests))
    # One factor a task. The first user (20, 30) and item 0 (1, 2) with biases 100 and 200; then item 1 (3, 4) without.
    np.testing.assert_allclose(made[0], [[100 + 20 * 1, 200 + 30 * 2], [20 * 3, 30 * 4]])
    np.testing.assert_allclose(made[2], [[100, 200], [0, 0]])


def test_neumf_is_the_product_beside_the_network(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    neumf = NeuMf(parts, 2, NeuMfSettings(hidden=(1,), dropout=0.0))
    neumf(batch_of(parts, requests))
    for factors in (neumf._gmf, neumf._mlp):
        factors._past.set_weights([PAST])
        factors._items.set_weights([ITEMS])
    neumf._hidden.set_weights([np.array([[1], [-1], [10], [0]], np.float32), np.array([0.5], np.float32)])
    made = neumf(batch_of(parts, requests))
    # User (20, 30) and item (1, 2): the product, and ReLU(20 − 30 + 10 · 1 + 0.5).
    np.testing.assert_allclose(made[0, 0], [20, 60, 0.5])
