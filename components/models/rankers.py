"""Rankers: a request and its candidates → one logit per task per candidate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from components.config import RankingConfig
from components.models.features import Features, FeatureVectors, Slot, dense_stack
from components.models.items import PAD, ItemCounters, ItemTable
from components.transform.preprocessing import AGE_BUCKETS


@dataclass(frozen=True)
class RankerParts:
    """What every ranker is built from.

    Attributes:
      query_slots: features of a request besides its history.
      recall_vectors: float32 [n + 1, dim]; item vectors of recall, zero for unknown items.
      choices: for each task, whether it asks which of recall's candidates it was.
    """

    query_slots: tuple[Slot, ...]
    table: ItemTable
    counters: ItemCounters
    recall_vectors: tf.Tensor
    choices: tuple[bool, ...]


class DcnV2(keras.Model):
    """Deep & Cross Network v2, parallel, low-rank (Wang et al. 2021, eq. 1 and 3), on pooled history.

    x_{l+1} = x_0 ⊙ (U_l V_l^T x_l + b_l) + x_l, beside a stack of dense layers; the two are joined before the heads.
    x_0 holds the request's features, the means of the whole and of the recent history, the candidate's id, features and
    counters, and the elementwise product and the dot product of recall's two vectors.
    """

    RECENT = 5

    def __init__(self, parts: RankerParts, settings: RankingConfig) -> None:
        super().__init__(name="dcn_v2")
        dim = settings.embedding_dim
        self._parts = parts
        self.counters = parts.counters
        self._query = FeatureVectors(parts.query_slots, dim)
        self._ids = keras.layers.Embedding(
            parts.table.count + 1,
            dim,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=0.05),
            name="item_id",
        )
        self._items = FeatureVectors(parts.table.slots, dim) if parts.table.slots else None
        self._age = keras.layers.Embedding(AGE_BUCKETS, 1, embeddings_initializer="zeros", name="history_age")
        self._cross = [
            tfrs.layers.dcn.Cross(projection_dim=settings.cross_rank, name=f"cross_{layer}")
            for layer in range(settings.cross_layers)
        ]
        self._deep = dense_stack(settings.hidden, settings.dropout, "deep")
        self._heads = keras.layers.Dense(len(parts.choices), name="heads")

    def call(self, features: Features, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits, float32 [batch, n, num_tasks].

        Args:
          features: a request's features, ``history_row`` int32 [batch, length], ``timestamp_ms`` int64 [batch] and
            ``recall_embedding`` float32 [batch, dim].
          rows: int32 [batch, n]; the candidates.
        """
        x, recall_score = self._inputs(features, rows)
        crossed = x
        for layer in self._cross:
            crossed = layer(x, crossed)
        logits = self._heads(tf.concat([crossed, self._deep(x, training=training)], axis=-1))
        # Recall's score is a log-probability up to a constant: where the question is the same, ranking starts from it.
        return logits + recall_score * tf.constant(self._parts.choices, tf.float32)

    def _inputs(self, features: Features, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        candidates = self._item_vectors(rows)
        past = features["history_row"]
        present = tf.cast(past != PAD, tf.float32)[..., tf.newaxis]
        history = self._item_vectors(past)
        fresh = tf.nn.softmax(self._age(features["history_age_s"]) + (present - 1) * 1e9, axis=1) * present
        pooled = [
            tf.reduce_sum(history * fresh, 1),
            _mean(history[:, : self.RECENT], present[:, : self.RECENT]),
        ]
        query = tf.concat([self._query(features), *pooled], axis=-1)
        recalled = tf.gather(self._parts.recall_vectors, tf.where(rows < 0, self._parts.table.count, rows))
        product = features["recall_embedding"][:, tf.newaxis] * recalled
        recall_score = tf.reduce_sum(product, axis=-1, keepdims=True)
        x = tf.concat(
            [
                tf.repeat(query[:, tf.newaxis], tf.shape(rows)[1], axis=1),
                candidates,
                *(candidates * pool[:, tf.newaxis] for pool in pooled),
                self.counters(rows, features["timestamp_ms"]),
                product,
                recall_score,
            ],
            axis=-1,
        )
        return x, recall_score

    def _item_vectors(self, rows: tf.Tensor) -> tf.Tensor:
        """[batch, n, width]; each distinct item is put together once."""
        distinct, place = tf.unique(tf.reshape(rows, [-1]))
        vectors = self._ids(self._parts.table.id_rows(distinct))
        if self._items is not None:
            vectors = tf.concat([vectors, self._items(self._parts.table.features(distinct))], axis=-1)
        shape = tf.concat([tf.shape(rows), [vectors.shape[-1]]], axis=0)
        made = tf.reshape(tf.gather(vectors, place), shape)
        made.set_shape([None, None, vectors.shape[-1]])
        return made


def _mean(vectors: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(vectors * present, 1) / tf.maximum(tf.reduce_sum(present, 1), 1.0)


RANKERS: Mapping[str, Callable[[RankerParts, RankingConfig], keras.Model]] = {"dcn_v2": DcnV2}
