"""The history as a sequence: what is known at each of its places is learnt to find the item that came next."""

from typing import Protocol

import tensorflow as tf
import tf_keras as keras

from components.models.features import Features, FeatureVectors, Slot
from components.models.items import PAD
from components.models.pairs import Pairs
from components.models.towers import FEATURE_DIM, ItemTower
from components.schema import samples as names

GROUPS = 4  # of a training batch's histories, by their length


class Encoder(Protocol):
    """From the events' vectors to what is known after each of them."""

    def __call__(self, events: tf.Tensor, lengths: tf.Tensor, training: bool = False) -> tf.Tensor:
        """float32 [batch, length + 1, dim], of places from which only those after them are seen.

        Args:
          events: float32 [batch, length + 1, dim]; place 0 the latest event, and the one after the first event, at ``lengths``,
            where the history began; those behind it mean nothing.
          lengths: int32 [batch].
        """
        ...


class SequenceTower(keras.layers.Layer):
    """User, context and history → vector, through an encoder of the item tower's vectors.

    Place 0 is the latest event, as in the features. The first place without an event is where the history began: its state is
    what is known before any event. The state s_i of place i is learnt to find the item at place i − 1, which came next; that of
    place 0, to which the user and the context are added, is learnt to find the item of the sample. So a history of L events
    gives L + 1 things to learn for the cost of one pass. An item's score is the product of a state and the item's vector, by
    which the history is read too (Kang, McAuley 2018, eq. 5, with M = N).
    """

    def __init__(self, items: ItemTower, slots: tuple[Slot, ...], dim: int, encoder: Encoder) -> None:
        super().__init__(name="query_tower")
        self._items, self._dim, self._encoder = items, dim, encoder
        self._slots = FeatureVectors(slots, FEATURE_DIM)
        # Starts at nothing: of all that is learnt only the last place of each sample has a user and a context.
        self._mix = keras.layers.Dense(dim, kernel_initializer="zeros", name="mix")
        self._start = self.add_weight("start", [dim], initializer=keras.initializers.RandomNormal(stddev=0.05))

    def call(self, features: Features, training: bool = False) -> tf.Tensor:
        """float32 [batch, dim]."""
        past = features["history_row"]
        longest = tf.reduce_max(_lengths(past))
        return self._with_context(self._states(past[:, :longest], training)[:, 0], features)

    def training_pairs(self, inputs: Features) -> Pairs:
        """Every place whose next item is one that ``window`` says is to be learnt; inner places count as much as samples."""
        past = inputs["history_row"]
        states = self._states_by_length(past)
        latest = self._with_context(states[:, 0], inputs)
        queries = tf.concat([latest[:, tf.newaxis], states[:, 1 : tf.shape(past)[1] + 1]], axis=1)
        rows = tf.concat([inputs["item_row"][:, tf.newaxis], past], axis=1)
        inner = tf.cast((inputs[names.WINDOW][:, 1:] > 0) & (past != PAD) & (past < self._items.count), tf.float32)
        weight = tf.concat([inputs["weight"][:, tf.newaxis], inner], axis=1)
        kept = tf.where(weight > 0)
        sample, place = tf.unstack(tf.cast(kept, tf.int32), axis=1)
        return Pairs(tf.gather_nd(queries, kept), tf.gather_nd(rows, kept), tf.gather_nd(weight, kept), past, sample, place)

    def _states_by_length(self, past: tf.Tensor) -> tf.Tensor:
        """As ``_states`` in training, short histories and long ones apart, so that less is computed of empty places."""
        batch, length = tf.shape(past)[0], tf.shape(past)[1]
        lengths = _lengths(past)
        order = tf.argsort(lengths)
        ends = [batch * (group + 1) // GROUPS for group in range(GROUPS)]
        made = []
        for start, end in zip([0, *ends], ends, strict=False):
            chosen = order[start:end]
            longest = tf.maximum(tf.reduce_max(tf.gather(lengths, chosen)), 0)  # of no histories too
            states = self._states(tf.gather(past, chosen)[:, :longest], training=True)
            made.append(tf.pad(states, [[0, 0], [0, length - longest], [0, 0]]))
        return tf.gather(tf.concat(made, axis=0), tf.argsort(order))

    def _states(self, past: tf.Tensor, training: bool) -> tf.Tensor:
        """float32 [batch, length + 1, dim] from int32 [batch, length]; those after the history's beginning mean nothing."""
        batch, length = tf.shape(past)[0], tf.shape(past)[1]
        lengths = _lengths(past)
        past = tf.concat([past, tf.fill([batch, 1], PAD)], axis=1)
        distinct, place = tf.unique(tf.reshape(past, [-1]))
        vectors = tf.gather(self._items(distinct, training=training), place)
        events = tf.reshape(vectors, [batch, length + 1, self._dim]) * self._dim**0.5
        events = tf.where((past != PAD)[..., tf.newaxis], events, self._start)
        return self._encoder(events, lengths, training=training)

    def _with_context(self, states: tf.Tensor, features: Features) -> tf.Tensor:
        return states + self._mix(self._slots(features))


def _lengths(past: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(past != PAD, tf.int32), axis=1)
