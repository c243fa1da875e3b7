"""Softmax losses of recall: the item that came next, told from others.

Where a batch is spread over replicas, each gives its share.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras
from numpy.typing import NDArray

from components.config import RetrievalConfig
from components.errors import ConfigError
from components.models.pairs import Pairs
from components.models.replicas import rows_of_all, total
from components.models.towers import ItemTower

SCORES_AT_ONCE = 8 << 20  # those that fit the cache of a processor
MOST_PLACES = 1 << 30  # of samples × items: 4 GiB of int32
Weigh = Callable[[tf.Tensor, tf.Tensor, slice], tf.Tensor]  # probabilities and weights of a part of the pairs → weights


class InBatchSoftmax:
    """Told from the other items of the batch, with log-Q correction and without accidental hits.

    loss = −Σ_i w_i log softmax_j(q_i · v_j − log Q_j)[i] / Σ_i w_i, with Q_j the frequency of item j among the training
    events (Yi et al. 2019, eq. 3–5), and with j ≠ i of the same item left out. Where the batch is spread over replicas, j
    runs over the pairs of all of them. Costs the square of the batch.
    """

    def __init__(self, items: ItemTower, frequency: tf.Tensor, settings: RetrievalConfig) -> None:
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


class MixedSoftmax:
    """Told from the batch's items and from ``loss_negatives`` of the n trained ones, drawn uniformly.

    loss = −Σ_i w_i log softmax_j(q_i · v_j − log Q*_j)[i] / Σ_i w_i, with Q* = (B Q + B′ / n) / (B + B′) the chance that one of
    the B items of the batch, of frequency Q, or of the B′ drawn is j (Yang et al. 2020, Mixed Negative Sampling for Learning
    Two-tower Neural Networks in Recommendations, section 3.3), and with j ≠ i of the same item left out.
    """

    def __init__(self, items: ItemTower, frequency: tf.Tensor, settings: RetrievalConfig) -> None:
        self._items, self._frequency, self._settings = items, frequency, settings

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        drawn = self._items.drawn(self._settings.loss_negatives)
        own = self._items(pairs.rows, training=True)
        of_batch = rows_of_all(pairs.rows)
        rows = tf.concat([of_batch, drawn], axis=0)
        vectors = tf.concat([rows_of_all(own), self._items(drawn, training=True)], axis=0)
        batch_count, drawn_count = tf.cast(tf.size(of_batch), tf.float32), float(self._settings.loss_negatives)
        chance = (batch_count * self._frequency + drawn_count / self._items.trained_count) / (batch_count + drawn_count)
        log_chance = tf.math.log(chance)
        scores = tf.matmul(pairs.queries, vectors, transpose_b=True)
        own_score = tf.reduce_sum(pairs.queries * own, axis=1) - tf.gather(log_chance, pairs.rows)
        return _told_apart(pairs, own_score, rows, scores, self._settings.loss_hardest, tf.gather(log_chance, rows))


class FullSoftmax:
    """Told from all trained items but those excluded for the user, for up to some 100,000 items.

    −Σ_i w_i log softmax_j(q_i · v_j)[i] / Σ_i w_i, with j ≠ i of the sample's history left out where recall leaves out what
    was had. (Else most of what is learnt of a long history is not to return it. To leave out what lies before the history too
    made no difference: ``infra/decisions/0015``.)
    """

    def __init__(self, items: ItemTower, frequency: tf.Tensor, settings: RetrievalConfig) -> None:
        check_catalogue(items.count, settings.batch_size)
        self._items = items

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        return self.weighed(pairs)

    def weighed(self, pairs: Pairs, weigh: Weigh | None = None) -> tf.Tensor:
        """The loss with what ``weigh`` gives in the place of each w above the line."""
        items = self._items
        vectors = items(tf.range(items.count), training=True)
        summed = sum_of_losses(pairs, vectors, items.trained, scores_at_once(items), weigh)
        return summed / tf.maximum(total(tf.reduce_sum(pairs.weight)), 1.0)


def check_catalogue(count: int, batch_size: int) -> None:
    """
    Raises:
      ConfigError: what each of a batch's users had does not fit memory as a row of the whole catalogue.
    """
    if batch_size * count > MOST_PLACES:
        raise ConfigError(
            f"retrieval.loss: found a softmax over all of {count:,} items in batches of {batch_size:,}, wanted batches of "
            f"up to {MOST_PLACES // count:,}, or another loss, such as sampled"
        )


def scores_at_once(items: ItemTower) -> int:
    """How many pairs can be scored with a whole catalogue while their scores stay in the cache."""
    return max(1, SCORES_AT_ONCE // items.count)


def sum_of_losses(
    pairs: Pairs, vectors: tf.Tensor, trained: NDArray[np.bool_], at_once: int, weigh: Weigh | None = None
) -> tf.Tensor:
    """−Σ_i w_i log softmax_j(q_i · v_j)[i] over the trained items j, with j ≠ i that are excluded for the user left out.

    ``at_once`` pairs at a time, and their gradients beside their losses, while their scores are at hand: [m, n] scores are
    never held at once, and most of the time would go by in writing and reading them.

    Args:
      vectors: float32 [n, dim]; of the catalogue.
      trained: bool [n].
      weigh: what w is instead of the pairs' own; no gradient flows through it.
    """

    @tf.custom_gradient
    def summed(queries: tf.Tensor, vectors: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
        last = _last_places(pairs.excluded, tf.shape(vectors)[0])
        count = tf.shape(queries)[0]

        def some(start: tf.Tensor, loss: tf.Tensor, of_queries: tf.TensorArray, of_vectors: tf.Tensor) -> tuple[Any, ...]:
            part = slice(start, tf.minimum(start + at_once, count))
            query, row, weight = queries[part], pairs.rows[part], pairs.weight[part]
            own = tf.reduce_sum(query * tf.gather(vectors, row), axis=1)
            own_place = tf.stack([tf.range(tf.shape(row)[0]), row], axis=1)
            had = tf.gather(last, pairs.sample[part]) >= tf.cast(pairs.place[part], tf.int16)[:, tf.newaxis]
            scores = tf.where(had | ~trained, tf.float32.min, tf.matmul(query, vectors, transpose_b=True))
            scores = tf.tensor_scatter_nd_update(scores, own_place, own)
            top = tf.reduce_max(scores, axis=1, keepdims=True)
            powers = tf.exp(scores - top)
            sums = tf.reduce_sum(powers, axis=1, keepdims=True)
            if weigh is not None:
                weight = weigh(tf.exp(own - top[:, 0]) / sums[:, 0], weight, part)
            loss += tf.reduce_sum(weight * (tf.math.log(sums) + top - own[:, tf.newaxis])[:, 0])
            of_scores = tf.tensor_scatter_nd_sub(powers * (weight[:, tf.newaxis] / sums), own_place, weight)
            of_queries = of_queries.write(start // at_once, tf.matmul(of_scores, vectors))
            return part.stop, loss, of_queries, of_vectors + tf.matmul(of_scores, query, transpose_a=True)

        parts = tf.TensorArray(tf.float32, 0, dynamic_size=True, infer_shape=False, element_shape=[None, vectors.shape[1]])
        state = (0, 0.0, parts, tf.zeros_like(vectors))
        _, loss, parts, of_vectors = tf.while_loop(lambda start, *_: start < count, some, state, parallel_iterations=2)
        of_queries = tf.reshape(parts.concat(), tf.shape(queries))
        return loss, lambda upstream: (upstream * of_queries, upstream * of_vectors)

    return summed(pairs.queries, vectors)


def _last_places(history: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
    """int16 [samples, items]: the last place where each item stands in a sample's history, −1 where it does not."""
    known = tf.where((history >= 0) & (history < items))
    places = tf.tensor_scatter_nd_max(
        tf.fill([tf.shape(history)[0], items], -1),
        tf.stack([known[:, 0], tf.cast(tf.gather_nd(history, known), tf.int64)], axis=1),
        tf.cast(known[:, 1], tf.int32),
    )
    return tf.cast(places, tf.int16)


class SampledSoftmax:
    """Told from ``loss_negatives`` items, drawn uniformly from the trained ones for each batch anew and shared by its pairs.

    −Σ_i w_i log softmax(q_i · v_i, q_i · v_j for j drawn, j ≠ i)[0] / Σ_i w_i (Jean et al. 2015, with a uniform Q, whose
    correction is the same for all and so cancels out).
    """

    def __init__(self, items: ItemTower, frequency: tf.Tensor, settings: RetrievalConfig) -> None:
        self._items, self._settings = items, settings

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        drawn = self._items.drawn(self._settings.loss_negatives)
        own_score = tf.reduce_sum(pairs.queries * self._items(pairs.rows, training=True), axis=1)
        scores = tf.matmul(pairs.queries, self._items(drawn, training=True), transpose_b=True)
        return _told_apart(pairs, own_score, drawn, scores, self._settings.loss_hardest)


def _told_apart(
    pairs: Pairs,
    own: tf.Tensor,
    rows: tf.Tensor,
    scores: tf.Tensor,
    hardest: int | None,
    log_chance: tf.Tensor | None = None,
) -> tf.Tensor:
    """The mean loss of each pair's own logit [m] beside the scores [m, k] of ``rows`` [k], the pair's own item left out.

    Args:
      hardest: how many count of each pair's negatives, those that score best: what recall would return in the item's place.
      log_chance: float32 [k]; of the draw of each row, taken from its score to make its logit; None where it is the same for
        all.
    """
    scores = tf.where(pairs.rows[:, tf.newaxis] == rows, scores.dtype.min, scores)
    logits = scores if log_chance is None else scores - log_chance
    if hardest is not None:
        places = tf.math.top_k(scores, k=tf.minimum(hardest, tf.shape(scores)[1]), sorted=False).indices
        logits = tf.gather(logits, places, batch_dims=1)
    logits = tf.concat([own[:, tf.newaxis], logits], axis=1)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.zeros_like(pairs.rows), logits)
    return tf.reduce_sum(losses * pairs.weight) / tf.maximum(total(tf.reduce_sum(pairs.weight)), 1.0)
