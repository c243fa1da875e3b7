from dataclasses import replace

import numpy as np
import tensorflow as tf

from components.models.items import PAD
from components.models.rankers.inputs import Batch, Items, RankerInputs, RankerParts, masked_mean

DIM = 4
ROWS = [[0, 1, 2, 3], [3, PAD, 1, 0], [2, 2, 1, 0]]


def batch_of(parts: RankerParts, requests: dict[str, tf.Tensor]) -> tuple[RankerInputs, Batch]:
    inputs = RankerInputs(parts, DIM)
    return inputs, Batch(inputs, parts.counters, requests, tf.constant(ROWS))


def test_fields_are_what_is_embedded_and_numbers_the_rest(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    inputs, batch = batch_of(parts, requests)
    hour = inputs.query.vectors(requests)[0]
    # Of the request: hour, and the pooled id, colour and tags; of an item: id, colour, tags.
    assert batch.request_fields.shape == (3, 4, DIM)
    assert batch.item_fields.shape == (3, 4, 3, DIM)
    np.testing.assert_allclose(batch.request_fields[:, 0], hour)
    np.testing.assert_allclose(batch.item_fields[:, :, 0], batch.candidates[..., :DIM])
    # An item's vector is id, colour, price, tags: the price, at place 8, is no field but a number.
    np.testing.assert_allclose(batch.item_fields[:, :, 2], batch.candidates[..., 2 * DIM + 1 :])
    np.testing.assert_allclose(batch.numbers[..., 0], [[0.5] * 4, [-1.0] * 4, [0.0] * 4])  # the ages
    np.testing.assert_allclose(batch.numbers[..., 1], [[0.5, -1.0, 2.0, 0.0], [0.0, 0.0, -1.0, 0.5], [2.0, 2.0, -1.0, 0.5]])
    assert batch.numbers.shape == (3, 4, 1 + 1 + 3)


def test_an_empty_history_pools_to_zero(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    _, batch = batch_of(parts, requests)
    for pooled in batch.pooled:
        np.testing.assert_array_equal(pooled[2], np.zeros(3 * DIM + 1))
        assert np.abs(pooled[:2]).min(axis=1).max() > 0


def test_only_what_is_asked_for_is_made(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    inputs, batch = batch_of(parts, requests)
    assert batch.counters.shape == (3, 4, 3)
    assert inputs.weights == []


def test_hidden_ids_are_those_of_unknown_items(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    """While training alone; the features stay. Row 2 has no training event, row 3 and PAD are unknown."""
    inputs = RankerInputs(replace(parts, id_dropout=1 - 1e-7), DIM)
    whole, hidden = (
        Batch(inputs, parts.counters, requests, tf.constant(ROWS), training).candidates for training in (False, True)
    )
    unknown = np.broadcast_to(whole[1, 0, :DIM], (3, 4, DIM))
    np.testing.assert_array_equal(hidden[..., :DIM], unknown)
    np.testing.assert_array_equal(hidden[..., DIM:], whole[..., DIM:])
    assert not np.array_equal(whole[..., :DIM], unknown)


def test_frozen_vectors_are_those_that_were_learnt(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    inputs, batch = batch_of(parts, requests)
    before = batch.candidates, batch.history
    inputs.freeze()
    frozen = Batch(inputs, parts.counters, requests, tf.constant(ROWS))
    np.testing.assert_array_equal(frozen.candidates, before[0])
    np.testing.assert_array_equal(frozen.history, before[1])


def test_each_distinct_row_is_asked_for_once(parts: RankerParts) -> None:
    asked = []

    def squares(rows: tf.Tensor, id_rows: tf.Tensor) -> tf.Tensor:
        asked.append((rows.numpy().tolist(), id_rows.numpy().tolist()))
        return tf.cast(rows[:, tf.newaxis] ** 2, tf.float32)

    made = Items(parts.table, tf.constant([[3, PAD], [3, 1]])).vectors(squares)
    np.testing.assert_array_equal(made[..., 0], [[9, 1], [9, 1]])
    assert asked == [([3, PAD, 1], [0, 0, 2])]


def test_an_id_is_hidden_from_all_who_ask(parts: RankerParts) -> None:
    items = Items(parts.table, tf.constant([[0, 1] * 20]), id_dropout=0.5)
    seen: list[list[int]] = []
    for _ in range(2):
        items.vectors(lambda rows, id_rows: seen.append(id_rows.numpy().tolist()) or tf.zeros([tf.size(rows), 1]))
    assert seen[0] == seen[1]
    assert items.ids.numpy().tolist() == [seen[0] * 20]


def test_a_masked_mean_is_over_what_is_there() -> None:
    made = masked_mean(
        tf.constant([[[1.0], [3.0], [99.0]], [[7.0], [7.0], [7.0]]]), tf.constant([[[1.0], [1], [0]], [[0], [0], [0]]])
    )
    np.testing.assert_array_equal(made, [[2.0], [0.0]])
