"""Losses of recall: the item that came next, told from others. Where a batch is spread over replicas, each gives its share."""

from collections.abc import Callable, Mapping

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from components.models import draws
from components.models.pairs import Pairs
from components.models.replicas import rows_of_all, total
from components.models.towers import ItemTower


class InBatchSoftmax:
    """Told from the other items of the batch, with log-Q correction and without accidental hits.

    loss = −Σ_i w_i log softmax_j(q_i · v_j − log Q_j)[i] / Σ_i w_i, with Q_j the frequency of item j among the training
    events (Yi et al. 2019, eq. 3–5), and with j ≠ i of the same item left out. Where the batch is spread over replicas, j
    runs over the pairs of all of them. Costs the square of the batch.
    """

    def __init__(self, items: ItemTower, frequency: tf.Tensor, negatives: int) -> None:
        self._items, self._frequency = items, frequency
        self._task = tfrs.tasks.Retrieval(
            loss=keras.losses.CategoricalCrossentropy(from_logits=True, reduction=keras.losses.Reduction.SUM),
            remove_accidental_hits=True,
        )

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        loss = self._task(
            pairs.queries,
            rows_of_all(self._items(pairs.rows, training=True)),
            sample_weight=pairs.weight,
            candidate_sampling_probability=rows_of_all(tf.gather(self._frequency, pairs.rows)),
            candidate_ids=rows_of_all(pairs.rows),
            compute_metrics=False,
        )
        return loss / tf.maximum(total(tf.reduce_sum(pairs.weight)), 1.0)


class FullSoftmax:
    """Told from the whole catalogue: −Σ_i w_i log softmax_j(q_i · v_j)[i] / Σ_i w_i; for up to some 100,000 items."""

    def __init__(self, items: ItemTower, frequency: tf.Tensor, negatives: int) -> None:
        self._items = items

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        vectors = self._items(tf.range(self._items.count), training=True)
        scores = tf.matmul(pairs.queries, vectors, transpose_b=True)
        return _mean(tf.nn.sparse_softmax_cross_entropy_with_logits(pairs.rows, scores), pairs.weight)


class SampledSoftmax:
    """Told from ``negatives`` items, drawn uniformly from the catalogue for each batch anew and shared by its pairs.

    −Σ_i w_i log softmax(q_i · v_i, q_i · v_j for j drawn, j ≠ i)[0] / Σ_i w_i (Jean et al. 2015, with a uniform Q, whose
    correction is the same for all and so cancels out).
    """

    def __init__(self, items: ItemTower, frequency: tf.Tensor, negatives: int) -> None:
        self._items, self._negatives = items, negatives

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        drawn = draws.uniform([self._negatives], maxval=self._items.count, dtype=tf.int32, shared=True)
        own = tf.reduce_sum(pairs.queries * self._items(pairs.rows, training=True), axis=1, keepdims=True)
        others = tf.matmul(pairs.queries, self._items(drawn, training=True), transpose_b=True)
        others = tf.where(pairs.rows[:, tf.newaxis] == drawn, others.dtype.min, others)
        scores = tf.concat([own, others], axis=1)
        return _mean(tf.nn.sparse_softmax_cross_entropy_with_logits(tf.zeros_like(pairs.rows), scores), pairs.weight)


def _mean(losses: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(losses * weight) / tf.maximum(total(tf.reduce_sum(weight)), 1.0)


Loss = Callable[[Pairs], tf.Tensor]
LOSSES: Mapping[str, Callable[[ItemTower, tf.Tensor, int], Loss]] = {
    "in_batch": InBatchSoftmax,
    "full": FullSoftmax,
    "sampled": SampledSoftmax,
}
