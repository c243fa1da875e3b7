import numpy as np
import tensorflow as tf

from components.config.rankers import DeepFmSettings, WideDeepSettings
from components.models.rankers.inputs import Batch, RankerInputs, RankerParts
from components.models.rankers.wide import DeepFm, FirstOrder, HistoryCrosses, WideDeep, pairwise_products


def test_the_second_order_term_is_over_all_pairs() -> None:
    # Fields (1, 2), (3, −1) of the request, (0, 4) and (2, 2) of the item. Their dot products:
    # 1·3 − 2 = 1, 8, 2 + 4 = 6, −4, 6 − 2 = 4, 8: 23 in all. Of the item (0, 0), (1, 0): 1 + 0 + 1 + 0 + 3 + 0 = 5.
    request = tf.constant([[[1.0, 2.0], [3.0, -1.0]]])
    items = tf.constant([[[[0.0, 4.0], [2.0, 2.0]], [[0.0, 0.0], [1.0, 0.0]]]])
    np.testing.assert_allclose(pairwise_products(request, items), [[[23.0], [5.0]]])


def test_deepfm_is_its_three_parts_side_by_side(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    """ŷ = y_FM + y_DNN (Guo et al. 2017, eq. 1), which a single head adds up, both of the same embeddings."""
    batch = Batch(RankerInputs(parts, 4), parts.counters, requests, tf.constant([[0, 2]] * 3))
    layer = DeepFm(parts, 4, DeepFmSettings(hidden=(3,)))
    made = layer(batch)
    fields = np.concatenate([np.repeat(batch.request_fields[:, None], 2, axis=1), batch.item_fields], axis=2)
    pairs = np.einsum("bnfd,bngd->bnfg", fields, fields)
    second = np.triu(pairs, 1).sum(axis=(2, 3))[..., None]
    np.testing.assert_allclose(
        made, np.concatenate([layer._first_order(batch), second, layer._deep(batch.joined)], -1), rtol=1e-4, atol=1e-6
    )


def test_wide_and_deep_are_side_by_side(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    batch = Batch(RankerInputs(parts, 4), parts.counters, requests, tf.constant([[0, 2]] * 3))
    layer = WideDeep(parts, 4, WideDeepSettings(hidden=(3,), cross_buckets=100))
    made = layer(batch)
    wide = [layer._first_order(batch), layer._crosses(batch.past_items.ids, batch.candidate_items.ids)]
    np.testing.assert_allclose(made, np.concatenate([*wide, layer._deep(batch.joined)], -1), rtol=1e-5)


def test_first_order_is_the_sum_of_the_weights_of_what_is_there(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    layer = FirstOrder(parts)
    batch = Batch(RankerInputs(parts, 4), parts.counters, requests, tf.constant([[0, 2]] * 3))
    layer(batch)
    layer._ids.set_weights([np.array([[7, 0], [1, 0], [0, 0], [0, 0]], np.float32)])
    for place, table in enumerate((layer._query, layer._items)):
        table.set_weights([np.full(each.shape, 10.0 ** (place + 1), np.float32) for each in table.weights])
    layer._numbers.set_weights([np.zeros(each.shape) for each in layer._numbers.weights])
    # Item 0: its id 1, the hour 10, its colour 100, the mean of its tags 100. Item 2: no id of its own 7, no tags.
    np.testing.assert_allclose(layer(batch)[0], [[211, 210], [117, 110]])
    layer._numbers.set_weights([np.eye(5, 2), np.zeros(2)])
    # The first request's age is 0.5, the prices are 0.5 and 2.
    np.testing.assert_allclose(layer(batch)[0], [[211.5, 210.5], [117.5, 112]])


def test_a_cross_has_a_weight_for_each_pair(parts: RankerParts) -> None:
    layer = HistoryCrosses(parts, buckets=1_000)
    past, rows = tf.constant([[2, 1, 0], [0, 0, 0]]), tf.constant([[3, 1, 0], [3, 1, 0]])
    assert layer(past, rows).shape == (2, 3, 2)
    table = np.zeros((1_000, 2), np.float32)
    for before, after, weight in ((2, 3, 5.0), (1, 3, 7.0), (3, 2, 100.0), (1, 1, 11.0), (0, 3, 1e3), (2, 0, 1e3)):
        table[layer.bucket(tf.constant(before), tf.constant(after))] += weight
    layer._weights.set_weights([table])
    # After 2 and 1, item 3 has 5 + 7 and item 1 has 11; the order of a pair matters; what is unknown or hidden has no weight.
    np.testing.assert_allclose(layer(past, rows)[..., 0], [[12, 11, 0], [0, 0, 0]])


def test_buckets_are_used_evenly(parts: RankerParts) -> None:
    """Also where the number of items is a power of two: the hash does not lose the high bits of the pair."""
    layer = HistoryCrosses(parts, buckets=256)
    layer._items = (1 << 10) - 1
    past, rows = np.meshgrid(np.arange(200), np.arange(200))
    counts = np.bincount(layer.bucket(tf.constant(past), tf.constant(rows)).numpy().ravel(), minlength=256)
    assert counts.min() > 100  # of 156 on average
    assert counts.max() < 220
