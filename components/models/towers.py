"""Two towers: query → vector, item → vector; the dot product says how well they fit.

Covington, Adams, Sargin (2016), Deep Neural Networks for YouTube Recommendations; Yi et al. (2019), Sampling-Bias-Corrected
Neural Modeling for Large Corpus Item Recommendations.
"""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from components.models import draws
from components.models.features import Features, FeatureVectors, Slot, dense_stack
from components.models.items import PAD, ItemTable, of_rows
from components.models.pairs import Pairs
from components.transform.preprocessing import AGE_BUCKETS

FEATURE_DIM = 16  # of the embedding of each feature that is not an id
HEADS = 4
RECENT = 5


class ItemTower(keras.layers.Layer):
    """Item rows → vectors, from the id and from the features.

    In training a share of the ids is hidden, so that the vector of an item without an id of its own is learnt too.

    Attributes:
      trained: bool [count]; the items with a training event, which alone are told apart in training.
    """

    def __init__(self, table: ItemTable, dim: int, hidden: tuple[int, ...], id_dropout: float, dropout: float) -> None:
        super().__init__(name="item_tower")
        self._table, self.count = table, table.count
        self.trained = table.trained
        trained_rows = np.flatnonzero(table.trained)
        self.trained_count = len(trained_rows)
        self._trained_rows = tf.constant(trained_rows, tf.int32)
        self._id_dropout = id_dropout
        self._frozen: tf.Variable | None = None
        self._ids = keras.layers.Embedding(table.count + 1, dim, embeddings_initializer=_initializer(), name="item_id")
        self._features = self._mix = None
        if table.slots:
            self._features = FeatureVectors(table.slots, FEATURE_DIM)
            self._mix = keras.Sequential([dense_stack(hidden, dropout, "hidden"), keras.layers.Dense(dim)], name="mix")

    def call(self, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """float32 [batch, dim] from int32 [batch]."""
        if self._frozen is not None:
            return self._table.at(rows, self._frozen)
        return self.vectors(self._table.id_rows(rows), self._table.features(rows), training)

    def drawn(self, count: int) -> tf.Tensor:
        """int32 [count]; rows of trained items, drawn uniformly, the same on all replicas.

        What nobody had in training is no positive of any sample: as a negative it would be told by being new, and be buried.
        """
        places = draws.uniform([count], maxval=self.trained_count, dtype=tf.int32, shared=True)
        return tf.gather(self._trained_rows, places)

    def freeze(self) -> tf.Variable:
        """Look the catalogue's vectors up from now on, as serving does: a history then costs no pass through the tower.

        Returns:
          float32 [n + 1, dim]; the last row for unknown items.
        """
        self._frozen = tf.Variable(of_rows(self.count + 1, self), trainable=False, name="frozen")
        return self._frozen

    def vectors(self, id_rows: tf.Tensor, features: Features, training: bool = False) -> tf.Tensor:
        if training and self._id_dropout:
            id_rows = draws.hidden(id_rows, self._id_dropout)
        ids = self._ids(id_rows)
        if self._features is None or self._mix is None:
            return ids
        return ids + self._mix(tf.concat([ids, self._features(features)], axis=-1), training=training)


class PooledTower(keras.layers.Layer):
    """User, context and history → vector.

    The history is read with the item tower's vectors v_l, pooled by HEADS attentions, and by the means of all and of the
    RECENT last: pooled_h = Σ_l softmax_l(W_h tanh(W v_l) + age_h(l) + value_l u_h) v_l. What depends on the item alone
    is computed once for each distinct item of a batch, so that the cost of long histories is that of the sum.
    """

    def __init__(self, items: ItemTower, slots: tuple[Slot, ...], dim: int, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__(name="query_tower")
        self._items = items
        self._slots = FeatureVectors(slots, FEATURE_DIM)
        self._age = keras.layers.Embedding(AGE_BUCKETS, HEADS, embeddings_initializer=_initializer(), name="history_age")
        self._attend = keras.Sequential([keras.layers.Dense(dim, activation="tanh"), keras.layers.Dense(HEADS)], name="attend")
        self._value = keras.layers.Dense(HEADS, use_bias=False, name="history_value")
        self._hidden = dense_stack(hidden, dropout, "hidden")
        self._out = keras.layers.Dense(dim)

    def call(self, features: Features, training: bool = False) -> tf.Tensor:
        """float32 [batch, dim]."""
        rows = features["history_row"]
        batch, length = tf.shape(rows)[0], tf.shape(rows)[1]
        present = tf.cast(rows != PAD, tf.float32)[..., tf.newaxis]
        # Histories share items: each is put through the tower once a batch.
        distinct, place = tf.unique(tf.reshape(rows, [-1]))
        vectors = self._items(distinct, training=training)
        items = tf.reshape(tf.gather(vectors, place), [batch, length, vectors.shape[-1]])
        asked = tf.reshape(tf.gather(self._attend(vectors), place), [batch, length, HEADS])
        asked += self._age(features["history_age_s"]) + self._value(features["history_value"][..., tf.newaxis])
        weights = tf.nn.softmax(asked + (present - 1) * 1e9, axis=1) * present
        mean = present / tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1.0)
        recent = present * tf.cast(tf.range(length) < RECENT, tf.float32)[:, tf.newaxis]
        recent /= tf.maximum(tf.reduce_sum(recent, axis=1, keepdims=True), 1.0)
        pooled = tf.matmul(tf.concat([weights, mean, recent], axis=-1), items, transpose_a=True)
        pooled = tf.reshape(pooled, [batch, (HEADS + 2) * vectors.shape[-1]])
        mixed = tf.concat([pooled, self._slots(features)], axis=-1)
        return self._out(self._hidden(mixed, training=training))

    def training_pairs(self, inputs: Features) -> Pairs:
        """One of each sample."""
        rows = inputs["item_row"]
        samples = tf.range(tf.shape(rows)[0])
        return Pairs(
            queries=self(inputs, training=True),
            rows=rows,
            weight=inputs["weight"],
            excluded=inputs["history_row"],
            sample=samples,
            place=tf.zeros_like(samples),
            propensity=inputs.get("propensity"),
        )


def _initializer() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=0.05)
