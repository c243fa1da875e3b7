from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.models.features import Slot
from components.models.items import PAD, ItemFacts, ItemTable
from components.models.towers import RECENT, ItemTower, PooledTower

DIM = 6


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.set_random_seed(5)


@pytest.fixture
def item_tower(table: ItemTable) -> ItemTower:
    return ItemTower(table, DIM, hidden=(4,), id_dropout=0.0, dropout=0.0)


@pytest.fixture
def query_tower(item_tower: ItemTower) -> PooledTower:
    return PooledTower(item_tower, (Slot("hour", "category", 24),), DIM, hidden=(8,), dropout=0.0)


def request(rows: list[list[int]], ages: list[list[int]], values: list[list[float]]) -> dict[str, tf.Tensor]:
    """Requests at hours 0, 1, ..."""
    return {
        "history_row": tf.constant(rows, tf.int32),
        "history_age_s": tf.constant(ages, tf.int64),
        "history_value": tf.constant(values, tf.float32),
        "hour": tf.range(len(rows), dtype=tf.int64),
    }


def test_items_without_an_id_of_their_own_differ_by_their_features(item_tower: ItemTower) -> None:
    untrained, unknown = item_tower(tf.constant([2, 3]))
    by_hand = item_tower.vectors(tf.constant([0, 0]), {"colour": tf.constant([3, 0], tf.int64)})
    np.testing.assert_allclose([untrained, unknown], by_hand, rtol=1e-6)
    assert not np.allclose(untrained, unknown)


def test_a_new_item_has_a_vector_from_its_features_alone(item_tower: ItemTower) -> None:
    new = item_tower.vectors(tf.constant([0]), {"colour": tf.constant([1], tf.int64)})
    assert new.shape == (1, DIM)
    assert np.isfinite(new).all()
    assert np.linalg.norm(new) > 0


def test_all_ids_hidden_leaves_the_features(facts: ItemFacts) -> None:
    """In training with every id hidden, two items of one colour are the same; in serving they are not."""
    alike = ItemFacts(facts.ids, facts.slots, {"colour": np.array([1, 1, 3, 0], np.int64)}, facts.trained)
    tower = ItemTower(ItemTable(alike), DIM, hidden=(4,), id_dropout=1.0, dropout=0.0)
    rows = tf.constant([0, 1])
    hidden, served = tower(rows, training=True), tower(rows)
    np.testing.assert_array_equal(hidden[0], hidden[1])
    np.testing.assert_array_equal(hidden[0], tower.vectors(tf.constant([0]), {"colour": tf.constant([1], tf.int64)})[0])
    assert not np.allclose(served[0], served[1])


def test_a_share_of_ids_is_hidden_in_training_only(table: ItemTable) -> None:
    tower = ItemTower(table, DIM, hidden=(4,), id_dropout=0.25, dropout=0.0)
    rows = tf.zeros([4_000], tf.int32)
    served = tower(rows)
    np.testing.assert_array_equal(served, np.broadcast_to(served[0], served.shape))
    changed = np.any(tower(rows, training=True) != served[0], axis=1)
    # A share of 0.25 of 4,000 has a standard deviation of 0.0068.
    assert 0.22 < changed.mean() < 0.28


def test_without_features_the_id_is_the_vector() -> None:
    bare = ItemTable(ItemFacts(["ant"], (), {}, np.array([True])))
    tower = ItemTower(bare, DIM, hidden=(), id_dropout=0.0, dropout=0.0)
    np.testing.assert_array_equal(tower(tf.constant([0, 1])), tf.gather(tower.trainable_weights[0], [1, 0]))


def test_the_pooled_tower_by_its_formula(item_tower: ItemTower, query_tower: PooledTower) -> None:
    """Σ_l softmax_l(W tanh(W′ v_l) + age(l) + value_l u) v_l for each attention, the mean, and that of the last few."""
    rows, ages, values = [1, 0, 2, 0, 1, 2, 1], [1, 2, 3, 4, 5, 6, 7], [1.0, 0.0, 2.0, -1.0, 3.0, 0.0, 1.0]
    made = query_tower(request([rows], [ages], [values]))[0]
    vectors = item_tower(tf.constant(rows)).numpy()
    (inner, inner_bias), (outer, outer_bias) = (layer.get_weights() for layer in query_tower._attend.layers)
    asked = np.tanh(vectors @ inner + inner_bias) @ outer + outer_bias
    asked += query_tower._age.get_weights()[0][ages] + np.outer(values, query_tower._value.get_weights()[0][0])
    shares = np.exp(asked) / np.exp(asked).sum(axis=0)
    pooled = [*(shares.T @ vectors), vectors.mean(axis=0), vectors[:RECENT].mean(axis=0)]
    hour = query_tower._slots.get_weights()[0][0]
    joined = np.concatenate([*pooled, hour])[np.newaxis]
    np.testing.assert_allclose(made, query_tower._out(query_tower._hidden(joined))[0], rtol=1e-4, atol=1e-6)


def test_padding_changes_nothing(query_tower: PooledTower) -> None:
    bare = request([[1, 0]], [[3, 9]], [[4.0, 2.0]])
    # What lies in the padded places must not matter, whatever it is.
    padded = request([[1, 0, PAD, PAD]], [[3, 9, 0, 7]], [[4.0, 2.0, 0.0, 99.0]])
    np.testing.assert_allclose(query_tower(padded), query_tower(bare), rtol=1e-5, atol=1e-6)


def test_requests_of_a_batch_are_apart(query_tower: PooledTower) -> None:
    batch = request([[1, 0], [2, PAD], [PAD, PAD]], [[3, 9], [5, 0], [0, 0]], [[4.0, 2.0], [1.0, 0.0], [0.0, 0.0]])
    alone = [query_tower({name: value[place : place + 1] for name, value in batch.items()})[0] for place in range(3)]
    np.testing.assert_allclose(query_tower(batch), alone, rtol=1e-5, atol=1e-6)


def test_an_empty_history_is_finite(query_tower: PooledTower) -> None:
    vectors = query_tower(request([[PAD, PAD]], [[0, 0]], [[0.0, 0.0]]))
    assert vectors.shape == (1, DIM)
    assert np.isfinite(vectors).all()


def test_a_history_of_no_length_is_finite(query_tower: PooledTower) -> None:
    query_tower(request([[0]], [[1]], [[1.0]]))  # builds the layers
    empty = {name: value[:, :0] if name != "hour" else value for name, value in request([[0]], [[1]], [[1.0]]).items()}
    assert np.isfinite(query_tower(empty)).all()


def test_ages_and_values_of_the_history_matter(query_tower: PooledTower) -> None:
    one = query_tower(request([[1, 0]], [[1, 20]], [[1.0, 1.0]]))
    older = query_tower(request([[1, 0]], [[20, 1]], [[1.0, 1.0]]))
    dearer = query_tower(request([[1, 0]], [[1, 20]], [[1.0, 5.0]]))
    assert not np.allclose(one, older, atol=1e-7)
    assert not np.allclose(one, dearer, atol=1e-7)


def test_frozen_vectors_are_those_of_the_tower(item_tower: ItemTower, query_tower: PooledTower) -> None:
    rows = tf.constant([0, 2, 3, PAD])
    asked = request([[0, 3, 1], [2, PAD, PAD]], [[1, 2, 3], [4, 0, 0]], [[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]])
    before = item_tower(rows), query_tower(asked)
    frozen = item_tower.freeze()
    assert frozen.shape == (item_tower.count + 1, DIM)
    np.testing.assert_allclose(item_tower(rows), before[0], rtol=1e-6)
    np.testing.assert_allclose(query_tower(asked), before[1], rtol=1e-5)


def test_a_saved_tower_gives_the_same_vectors(query_tower: PooledTower, tmp_path: Path) -> None:
    """Saved once, for any number of requests and any length of the history."""
    batch = request([[1, 0], [2, PAD]], [[3, 9], [5, 0]], [[4.0, 2.0], [1.0, 0.0]])
    expected = query_tower(batch)
    spec = {name: tf.TensorSpec([None] * len(value.shape), value.dtype, name) for name, value in batch.items()}
    module = tf.Module()
    module.kept = [*query_tower.variables, *query_tower._items.variables]
    module.vectors = tf.function(lambda features: query_tower(features), input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path))
    saved = tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(saved.vectors(batch), expected, rtol=1e-5, atol=1e-6)
    longer = request([[1, 0, 2]], [[3, 9, 1]], [[4.0, 2.0, 0.0]])
    np.testing.assert_allclose(saved.vectors(longer), query_tower(longer), rtol=1e-5, atol=1e-6)
