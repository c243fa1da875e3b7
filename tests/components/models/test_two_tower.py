import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.models.features import Slot
from components.models.items import PAD, ItemFacts, ItemTable
from components.models.pairs import Pairs
from components.models.softmax import InBatchSoftmax
from components.models.towers import ItemTower, PooledTower
from components.models.two_tower import TwoTower
from components.training.recall import without_rows

GROUPS, ITEMS = 2, 8


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.set_random_seed(11)


def make_model(frequency: list[float], dim: int = 4) -> TwoTower:
    item_count = len(frequency)
    facts = ItemFacts([f"i{row}" for row in range(item_count)], (), {}, np.ones(item_count, bool))
    items = ItemTower(ItemTable(facts), dim, hidden=(), id_dropout=0.0, dropout=0.0)
    slots = (Slot("group", "category", GROUPS),)
    loss = InBatchSoftmax(items, tf.constant([*frequency, 0.0]), 0)
    return TwoTower(PooledTower(items, slots, dim, hidden=(16,), dropout=0.0), items, loss)


def pairs(rows: list[int], groups: list[int], weights: list[float]) -> dict[str, tf.Tensor]:
    """Requests of a group without a history, and the item that each led to."""
    none = np.full((len(rows), 1), PAD)
    return {
        "history_row": tf.constant(none, tf.int32),
        "history_age_s": tf.constant(none * 0, tf.int64),
        "history_value": tf.constant(none * 0, tf.float32),
        "group": tf.constant(groups, tf.int64),
        "item_row": tf.constant(rows, tf.int32),
        "weight": tf.constant(weights, tf.float32),
    }


def loss_by_hand(model: TwoTower, batch: dict[str, tf.Tensor], frequency: list[float]) -> float:
    """Σ w_i · (log Σ_j exp(s_ij) − s_ii) / Σ w_i, s_ij = q_i · v_j − log Q_j, over the j that are i or of another item."""
    queries, items = model.query_tower(batch).numpy(), model.item_tower(batch["item_row"]).numpy()
    rows, weights = batch["item_row"].numpy(), batch["weight"].numpy()
    total = 0.0
    for i, query in enumerate(queries):
        scores = [query @ item - np.log(frequency[rows[j]]) for j, item in enumerate(items) if i == j or rows[i] != rows[j]]
        own = query @ items[i] - np.log(frequency[rows[i]])
        total += weights[i] * (np.log(np.sum(np.exp(scores))) - own)
    return total / max(weights.sum(), 1)


@pytest.mark.parametrize(
    ("rows", "weights"),
    [
        ([0, 1, 2], [1.0, 1.0, 1.0]),
        ([0, 1, 0], [1.0, 1.0, 1.0]),  # the first and the last pair are each other's accidental hits
        ([0, 1, 2], [1.0, 0.0, 2.5]),
        ([0, 0, 0], [0.5, 0.0, 0.0]),  # no negative is left: log 1 = 0
    ],
)
def test_loss_is_the_corrected_softmax(rows: list[int], weights: list[float]) -> None:
    frequency = [0.5, 0.3, 0.2]
    model = make_model(frequency)
    batch = pairs(rows, [0, 1, 1], weights)
    np.testing.assert_allclose(model.compute_loss(batch), loss_by_hand(model, batch, frequency), rtol=1e-5, atol=1e-6)


def test_frequent_items_are_corrected_down() -> None:
    """With equal scores of 0 the loss is known: log(Σ_j 1/Q_j · Q_i), for Q = (0.8, 0.2) log(1 + 4) and log(1 + 1/4)."""
    model = make_model([0.8, 0.2])
    batch = pairs([0, 1], [0, 1], [1.0, 1.0])
    model.compute_loss(batch)  # builds the layers
    model.item_tower.set_weights([np.zeros_like(each) for each in model.item_tower.get_weights()])
    np.testing.assert_allclose(model.compute_loss(batch), (np.log(5) + np.log(1.25)) / 2, rtol=1e-5)


def test_a_pair_of_weight_zero_is_still_a_negative() -> None:
    model = make_model([0.5, 0.3, 0.2])
    alone = pairs([0, 0], [0, 1], [1.0, 0.0])  # the same item is no negative
    beside = pairs([0, 1], [0, 1], [1.0, 0.0])
    np.testing.assert_allclose(model.compute_loss(alone), 0.0, atol=1e-6)
    assert model.compute_loss(beside) > 0.1
    without = pairs([0, 1], [0, 1], [0.0, 0.0])
    np.testing.assert_array_equal(model.compute_loss(without), 0.0)


def test_a_checkerboard_is_learnt_perfectly() -> None:
    """Group 0 takes the even items, group 1 the odd ones: afterwards each group's best four of eight are its own."""
    model = make_model([1 / ITEMS] * ITEMS)
    rng = np.random.default_rng(7)
    groups = rng.integers(0, GROUPS, 1_024)
    rows = 2 * rng.integers(0, ITEMS // 2, 1_024) + groups
    batch = pairs(list(rows), list(groups), [1.0] * 1_024)
    model.compile(optimizer=keras.optimizers.legacy.Adam(0.05))
    model.fit(tf.data.Dataset.from_tensor_slices(batch).batch(128), epochs=5, verbose=0)
    asked = pairs([0, 0], [0, 1], [1.0, 1.0])
    scores = model.query_tower(asked) @ tf.transpose(model.item_tower(tf.range(ITEMS)))
    best = tf.math.top_k(scores, k=4).indices.numpy()
    assert [set(each) for each in best] == [{0, 2, 4, 6}, {1, 3, 5, 7}]
    # What a group has had does not come back: the three others stay in front.
    rest = tf.math.top_k(without_rows(scores, tf.constant([[4], [1]])), k=3).indices.numpy()
    assert [set(each) for each in rest] == [{0, 2, 6}, {3, 5, 7}]


@pytest.mark.parametrize(("exclude_seen", "left_out"), [(True, [[1, 0]]), (False, [[]])])
def test_what_was_had_is_left_out_where_recall_leaves_it_out(exclude_seen: bool, left_out: list[list[int]]) -> None:
    model = make_model([0.5, 0.5])
    given: list[Pairs] = []
    whole = TwoTower(model.query_tower, model.item_tower, lambda pairs: given.append(pairs) or 0.0, exclude_seen=exclude_seen)
    whole.compute_loss({**pairs([1], [0], [1.0]), "history_row": tf.constant([[1, 0]]), **{
        name: tf.zeros([1, 2], dtype) for name, dtype in (("history_age_s", tf.int64), ("history_value", tf.float32))
    }})  # fmt: skip
    assert given[0].excluded.numpy().tolist() == left_out
