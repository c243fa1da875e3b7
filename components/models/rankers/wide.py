"""Rankers with a part that is linear in every feature, beside a deep one: Wide & Deep, DeepFM."""

import tensorflow as tf
import tf_keras as keras

from components.config.rankers import DeepFmSettings, WideDeepSettings
from components.models.features import FeatureVectors, dense_stack
from components.models.rankers.inputs import Batch, RankerParts

MIX = 0x2545F4914F6CDD1D  # odd: multiplying by it loses nothing, and spreads neighbours over the high bits


class FirstOrder(keras.layers.Layer):
    """<w, x>: a weight of each value of each feature of request and item, summed; [batch, n, num_tasks]."""

    def __init__(self, parts: RankerParts) -> None:
        super().__init__(name="first_order")
        self._table, width = parts.table, len(parts.tasks)
        self._query = FeatureVectors(tuple(slot for slot in parts.query_slots if slot.embedded), width)
        self._items = FeatureVectors(tuple(slot for slot in parts.table.slots if slot.embedded), width)
        self._ids = keras.layers.Embedding(parts.table.count + 1, width, embeddings_initializer="zeros", name="item_id")
        self._numbers = keras.layers.Dense(width, name="numbers")

    def call(self, batch: Batch) -> tf.Tensor:
        of_items = batch.candidate_items.vectors(self._of_items)
        of_request = tf.add_n(self._query.vectors(batch.features))[:, tf.newaxis]
        return of_request + of_items + self._numbers(batch.numbers)

    def _of_items(self, rows: tf.Tensor, id_rows: tf.Tensor) -> tf.Tensor:
        return tf.add_n([self._ids(id_rows), *self._items.vectors(self._table.features(rows))])


class HistoryCrosses(keras.layers.Layer):
    """Σ_k w_k φ_k(x): a weight for each pair of an item of the history and the candidate; [batch, n, num_tasks].

    The cross-product transformation of Cheng et al. 2016 (eq. 1), φ_k(x) = Π_i x_i^c_ki, for their own example,
    AND(installed app, impression app), with the pairs hashed to a table of ``buckets`` weights. An unknown item is in no pair.
    """

    def __init__(self, parts: RankerParts, buckets: int) -> None:
        super().__init__(name="history_crosses")
        self._items, self._buckets = parts.table.count + 1, buckets
        self._weights = keras.layers.Embedding(buckets, len(parts.tasks), embeddings_initializer="zeros", name="crosses")

    def call(self, past: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
        """From int32 [batch, length] and [batch, n], as ``Items.ids`` has them."""
        past, candidates = past[:, tf.newaxis, :], candidates[:, :, tf.newaxis]
        known = tf.cast((past > 0) & (candidates > 0), tf.float32)
        return tf.reduce_sum(self._weights(self.bucket(past, candidates)) * known[..., tf.newaxis], axis=2)

    def bucket(self, past: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
        """int64, the common shape of both."""
        pair = tf.cast(past, tf.int64) * (self._items + 1) + tf.cast(candidates, tf.int64)
        return tf.math.floormod(tf.bitwise.right_shift(pair * tf.constant(MIX, tf.int64), 24), self._buckets)


class WideDeep(keras.layers.Layer):
    """Wide & Deep (Cheng et al. 2016, eq. 3): w_wide · [x, φ(x)] beside a deep network, both read by one head.

    [batch, n, 2 · num_tasks + hidden[-1]]. Heads that share layers put the wide part through them, too; with ``single`` ones it
    stays linear. Cost per candidate: a look-up per item of the history, and the deep network.
    """

    def __init__(self, parts: RankerParts, dim: int, settings: WideDeepSettings) -> None:
        super().__init__(name=settings.name)
        self._first_order = FirstOrder(parts)
        self._crosses = HistoryCrosses(parts, settings.cross_buckets)
        self._deep = dense_stack(settings.hidden, settings.dropout, "deep")

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        wide = [self._first_order(batch), self._crosses(batch.past_items.ids, batch.candidate_items.ids)]
        return tf.concat([*wide, self._deep(batch.joined, training=training)], axis=-1)


class DeepFm(keras.layers.Layer):
    """DeepFM (Guo et al. 2017, eq. 1): a factorisation machine and a deep network over the same embeddings.

    [batch, n, num_tasks + 1 + hidden[-1]]: first-order terms, the second-order term, and the deep part. Only ``single`` heads
    add the three up as the paper does; others put them through layers of their own.
    """

    def __init__(self, parts: RankerParts, dim: int, settings: DeepFmSettings) -> None:
        super().__init__(name=settings.name)
        self._first_order = FirstOrder(parts)
        self._deep = dense_stack(settings.hidden, settings.dropout, "deep")

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        second_order = pairwise_products(batch.request_fields, batch.item_fields)
        deep = self._deep(batch.joined, training=training)
        return tf.concat([self._first_order(batch), second_order, deep], axis=-1)


def pairwise_products(request_fields: tf.Tensor, item_fields: tf.Tensor) -> tf.Tensor:
    """[batch, n, 1]: Σ_{i<j} <v_i, v_j> over all fields (Guo et al. 2017, eq. 2), in time linear in their number.

    ½ Σ_d ((Σ_i v_id)² − Σ_i v_id²) (Rendle 2010, lemma 3.1); the sums over the request's fields are made once.

    Args:
      request_fields: [batch, F, dim]; item_fields: [batch, n, G, dim].
    """
    total = tf.reduce_sum(request_fields, axis=1)[:, tf.newaxis] + tf.reduce_sum(item_fields, axis=2)
    squares = tf.reduce_sum(request_fields**2, axis=1)[:, tf.newaxis] + tf.reduce_sum(item_fields**2, axis=2)
    return 0.5 * tf.reduce_sum(total**2 - squares, axis=-1, keepdims=True)
