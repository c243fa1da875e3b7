"""What rankers see of requests and candidates: one set of embeddings, and each part of a batch when it is first asked for.

A ranker reads the parts that its paper speaks of: vectors of candidates and of the history, fields of equal width, numbers,
or all of them side by side. Weights of parts that it never asks for are never made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import tensorflow as tf
import tf_keras as keras

from components.models.draws import hidden
from components.models.features import Features, FeatureVectors, Slot
from components.models.items import PAD, ItemCounters, ItemTable, of_rows
from components.models.tasks import Task
from components.transform.preprocessing import AGE_BUCKETS

RECENT = 5


@dataclass(frozen=True)
class RankerParts:
    """What every ranker is built from.

    Attributes:
      query_slots: features of a request besides its history.
      recall_vectors: float32 [n + 1, dim]; item vectors of recall, zero for unknown items; None where recall is not asked.
      id_dropout: share of item ids hidden in training, so that the shared one of unknown items is learnt.
    """

    query_slots: tuple[Slot, ...]
    table: ItemTable
    counters: ItemCounters
    recall_vectors: tf.Tensor | None
    tasks: tuple[Task, ...]
    id_dropout: float = 0.0


class RankerInputs(keras.layers.Layer):
    """The embeddings of request and item features, all of width ``dim``."""

    def __init__(self, parts: RankerParts, dim: int) -> None:
        super().__init__(name="inputs")
        self.parts = parts
        self.query = FeatureVectors(parts.query_slots, dim)
        self.ids = id_embedding(parts.table, dim, "item_id")
        self.items = FeatureVectors(parts.table.slots, dim)
        self.age = keras.layers.Embedding(AGE_BUCKETS, 1, embeddings_initializer="zeros", name="history_age")
        self.item_widths = [dim, *self.items.widths]
        self._frozen: tf.Variable | None = None

    def item_vectors(self, items: "Items") -> tf.Tensor:
        """float32 [batch, n, width]: id and features side by side."""
        if self._frozen is not None:
            return self.parts.table.at(items.rows, self._frozen)
        return items.vectors(self._side_by_side)

    def freeze(self) -> None:
        """Look the vectors up from now on, as serving does: a candidate then costs one lookup and not one for each feature."""

        def known(rows: tf.Tensor) -> tf.Tensor:
            return self._side_by_side(rows, self.parts.table.id_rows(rows))

        self._frozen = tf.Variable(of_rows(self.parts.table.count + 1, known), trainable=False, name="frozen")

    def _side_by_side(self, rows: tf.Tensor, id_rows: tf.Tensor) -> tf.Tensor:
        return tf.concat([self.ids(id_rows), *self.items.vectors(self.parts.table.features(rows))], axis=-1)


class Items:
    """Items of a batch, each looked up once however often it stands there.

    In training a share of them is without its id, for all who ask this object: the embedding of an id that one part of a
    ranker must do without is not to be read by another part.

    Args:
      rows: int32 [batch, n].
      id_dropout: the share.
    """

    def __init__(self, table: ItemTable, rows: tf.Tensor, id_dropout: float = 0.0) -> None:
        self._table, self.rows, self._id_dropout = table, rows, id_dropout

    def vectors(self, vectors_of: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """[batch, n, width]: ``vectors_of`` int32 [m] rows and int32 [m] rows of an id embedding → [m, width]."""
        distinct, id_rows, place = self._distinct
        vectors = vectors_of(distinct, id_rows)
        made = tf.reshape(tf.gather(vectors, place), tf.concat([tf.shape(self.rows), [vectors.shape[-1]]], axis=0))
        made.set_shape([None, None, vectors.shape[-1]])
        return made

    @cached_property
    def ids(self) -> tf.Tensor:
        """int32 [batch, n]: the row of each in an id embedding, 0 for one that is unknown or hidden, and for no item."""
        _, id_rows, place = self._distinct
        return tf.reshape(tf.gather(id_rows, place), tf.shape(self.rows))

    @cached_property
    def _distinct(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        distinct, place = tf.unique(tf.reshape(self.rows, [-1]))
        id_rows = self._table.id_rows(distinct)
        return distinct, hidden(id_rows, self._id_dropout) if self._id_dropout else id_rows, place


class Batch:
    """Requests and their candidates. B requests, n candidates, L places of the history, D the width of an item's vector.

    Args:
      features: a request's features, ``history_row`` int32 [B, L], most recent first, and ``timestamp_ms`` int64 [B].
      rows: int32 [B, n]; the candidates.

    Attributes:
      past: int32 [B, L]; the rows of the history, ``PAD`` where there is none.
      candidate_items, past_items: the items of both.
    """

    def __init__(
        self, inputs: RankerInputs, counters: ItemCounters, features: Features, rows: tf.Tensor, training: bool = False
    ) -> None:
        self._inputs, self._counters = inputs, counters
        self.features, self.rows = features, rows
        self.past: tf.Tensor = features["history_row"]
        table, id_dropout = inputs.parts.table, inputs.parts.id_dropout if training else 0.0
        self.candidate_items, self.past_items = Items(table, rows, id_dropout), Items(table, self.past, id_dropout)

    @cached_property
    def present(self) -> tf.Tensor:
        """float32 [B, L, 1]: 1 where the history has an item."""
        return tf.cast(self.past != PAD, tf.float32)[..., tf.newaxis]

    @cached_property
    def candidates(self) -> tf.Tensor:
        """[B, n, D]."""
        return self._inputs.item_vectors(self.candidate_items)

    @cached_property
    def history(self) -> tf.Tensor:
        """[B, L, D], most recent first; where ``present`` is 0, the vector of an unknown item."""
        return self._inputs.item_vectors(self.past_items)

    @cached_property
    def pooled(self) -> list[tf.Tensor]:
        """Two means of the history, [B, D] each: one weighted by age, and that of the last few."""
        age = self._inputs.age(self.features["history_age_s"])
        fresh = tf.nn.softmax(age + (self.present - 1) * 1e9, axis=1) * self.present
        return [
            tf.reduce_sum(self.history * fresh, 1),
            masked_mean(self.history[:, :RECENT], self.present[:, :RECENT]),
        ]

    @cached_property
    def counters(self) -> tf.Tensor:
        """[B, n, 3]; of the candidates."""
        return self._counters(self.rows, self.features["timestamp_ms"])

    @cached_property
    def joined(self) -> tf.Tensor:
        """[B, n, …]: request and candidate side by side, with the products of the candidate and the pooled history."""
        request = tf.concat([*self._query_vectors, *self.pooled], axis=-1)
        return tf.concat(
            [
                self.per_candidate(request),
                self.candidates,
                *(self.candidates * pool[:, tf.newaxis] for pool in self.pooled),
                self.counters,
            ],
            axis=-1,
        )

    @cached_property
    def request_fields(self) -> tf.Tensor:
        """[B, F, dim]: embedded features of the request, and of the history as the mean by age."""
        pooled = tf.split(self.pooled[0], self._inputs.item_widths, axis=-1)
        vectors = zip(self._inputs.parts.query_slots, self._query_vectors, strict=True)
        return tf.stack([vector for slot, vector in vectors if slot.embedded] + self._embedded(pooled), axis=1)

    @cached_property
    def item_fields(self) -> tf.Tensor:
        """[B, n, G, dim]: the id and the embedded features of each candidate."""
        return tf.stack(self._embedded(tf.split(self.candidates, self._inputs.item_widths, axis=-1)), axis=2)

    @cached_property
    def numbers(self) -> tf.Tensor:
        """[B, n, …]: all features that are numbers, and the counters."""
        vectors = zip(self._inputs.parts.query_slots, self._query_vectors, strict=True)
        of_request = [self.per_candidate(vector) for slot, vector in vectors if not slot.embedded]
        items = tf.split(self.candidates, self._inputs.item_widths, axis=-1)[1:]
        of_item = [item for slot, item in zip(self._inputs.parts.table.slots, items, strict=True) if not slot.embedded]
        return tf.concat([*of_request, *of_item, self.counters], axis=-1)

    @cached_property
    def _query_vectors(self) -> list[tf.Tensor]:
        return self._inputs.query.vectors(self.features)

    def _embedded(self, item_vectors: list[tf.Tensor]) -> list[tf.Tensor]:
        slots = self._inputs.parts.table.slots
        return item_vectors[:1] + [vector for slot, vector in zip(slots, item_vectors[1:], strict=True) if slot.embedded]

    def per_candidate(self, of_request: tf.Tensor) -> tf.Tensor:
        """[B, n, …] from [B, …]: the same for each candidate."""
        return tf.repeat(of_request[:, tf.newaxis], tf.shape(self.rows)[1], axis=1)


def id_embedding(table: ItemTable, dim: int, name: str) -> keras.layers.Embedding:
    """An embedding to be read at the rows that ``Items`` gives for ids."""
    initializer = keras.initializers.RandomNormal(stddev=0.05)
    return keras.layers.Embedding(table.count + 1, dim, embeddings_initializer=initializer, name=name)


def masked_mean(vectors: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    """[batch, width]: the mean of ``vectors`` [batch, length, width] where ``present`` [batch, length, 1] is 1, else 0."""
    return tf.reduce_sum(vectors * present, 1) / tf.maximum(tf.reduce_sum(present, 1), 1.0)
