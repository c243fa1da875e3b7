"""How the interest in the candidate came about: deep interest evolution network."""

import tensorflow as tf
import tf_keras as keras

from components.config.rankers import DienSettings
from components.models.features import dense_stack
from components.models.items import PAD
from components.models.rankers.inputs import Batch, RankerParts
from components.models.replicas import total


class Dien(keras.layers.Layer):
    """Deep interest evolution network (Zhou et al. 2019), [batch, n, hidden[-1]].

    A GRU reads the history, oldest first, and its states h_t are the interests (eq. 2 to 5); an auxiliary loss has each
    tell the next item from another one (eq. 6). For each candidate a_t = softmax_t(h_t W e_a) (eq. 8), and an AUGRU reads
    the interests again under these weights (eq. 11 and 12); its last state joins all the rest before the dense layers.

    Item vectors are first mapped to ``interest_dim``, d. Cost: the first GRU and the input side of the second run once a
    request; per candidate length · 3 d² for the AUGRU's states, in ``length`` steps one after another, which makes it the
    slowest ranker at serving time.
    """

    def __init__(self, parts: RankerParts, dim: int, settings: DienSettings) -> None:
        super().__init__(name=settings.name)
        self._auxiliary_weight = settings.auxiliary_weight
        self._narrow = keras.layers.Dense(settings.interest_dim, name="narrow")
        self._extract = Augru(settings.interest_dim, name="extract")
        self._match = keras.layers.Dense(settings.interest_dim, use_bias=False, name="match")
        self._evolve = Augru(settings.interest_dim, name="evolve")
        self._deep = dense_stack(settings.hidden, settings.dropout, "deep")

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        present = batch.present[:, ::-1]
        past = self._narrow(batch.history)[:, ::-1]
        interests = self._extract(past, present)[:, :, 0]
        if training and self._auxiliary_weight:
            self.add_loss(self._auxiliary_weight * next_item_loss(interests, past, batch.past[:, ::-1]))
        asked = tf.matmul(interests, self._match(self._narrow(batch.candidates)), transpose_b=True)
        attention = tf.nn.softmax(asked + (present - 1) * 1e9, axis=1) * present
        evolved = self._evolve(interests, attention)[:, -1]
        return self._deep(tf.concat([batch.joined, evolved], axis=-1), training=training)


class Augru(keras.layers.Layer):
    """A GRU whose update gate is scaled by attention, for many attentions over one sequence; all its states.

    u_t = σ(W^u i_t + U^u h_{t−1} + b^u), r_t = σ(W^r i_t + U^r h_{t−1} + b^r),
    h̃_t = tanh(W^h i_t + r_t ∘ U^h h_{t−1} + b^h) (Zhou et al. 2019, eq. 2 to 4),
    ũ_t = a_t u_t, h_t = (1 − ũ_t) ∘ h_{t−1} + ũ_t ∘ h̃_t (eq. 11 and 12), h_0 = 0.
    With attention 1 it is a GRU (eq. 5), with attention 0 a step changes nothing: so are unused places passed over.
    """

    def __init__(self, units: int, name: str) -> None:
        super().__init__(name=name)
        self._units = units
        self._input = keras.layers.Dense(3 * units, name="input")  # u, r, h̃
        self._state = keras.layers.Dense(3 * units, use_bias=False, kernel_initializer="orthogonal", name="state")

    def call(self, sequence: tf.Tensor, attention: tf.Tensor) -> tf.Tensor:
        """float32 [batch, length, n, units] from a sequence [batch, length, width] and attention [batch, length, n]."""
        inputs = tf.transpose(self._input(sequence), [1, 0, 2])[:, :, tf.newaxis]
        weights = tf.transpose(attention, [1, 0, 2])[..., tf.newaxis]
        first = tf.zeros([tf.shape(attention)[0], tf.shape(attention)[2], self._units])
        self._state(first)  # makes its weights, which may not be made inside the loop
        return tf.transpose(tf.scan(self._step, (inputs, weights), first), [1, 0, 2, 3])

    def _step(self, state: tf.Tensor, at: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """[batch, n, units] from the state before, the input's side of the gates [batch, 1, 3 · units], and attention."""
        of_input, attention = at
        update_in, reset_in, new_in = tf.split(of_input, 3, axis=-1)
        update_state, reset_state, new_state = tf.split(self._state(state), 3, axis=-1)
        update = attention * tf.sigmoid(update_in + update_state)
        new = tf.tanh(new_in + tf.sigmoid(reset_in + reset_state) * new_state)
        return (1 - update) * state + update * new


def next_item_loss(interests: tf.Tensor, items: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """The auxiliary loss (Zhou et al. 2019, eq. 6), a mean over the steps that there are.

    −(log σ(h_t · e[t + 1]) + log(1 − σ(h_t · ê[t + 1]))), where ê, the item that did not follow, is the next item of
    another request of the batch, if it is another item: items are drawn as often as they are had, without a table of them
    in the step. Where the batch is spread over replicas, this is one's share, and ê is of the same replica.

    Args:
      interests: [batch, length, width], oldest first; items: the same, the vectors that were read; rows: int32
        [batch, length], of which items, ``PAD`` where there is none.
    """
    state, following, following_row = interests[:, :-1], items[:, 1:], rows[:, 1:]
    other, other_row = tf.roll(following, 1, axis=0), tf.roll(following_row, 1, axis=0)
    told = (rows[:, :-1] != PAD) & (following_row != PAD)
    told_apart = told & (other_row != PAD) & (other_row != following_row)
    of_next = tf.boolean_mask(tf.nn.softplus(-tf.reduce_sum(state * following, axis=-1)), told)
    of_other = tf.boolean_mask(tf.nn.softplus(tf.reduce_sum(state * other, axis=-1)), told_apart)
    steps = total(tf.reduce_sum(tf.cast(told, tf.float32)))
    return (tf.reduce_sum(of_next) + tf.reduce_sum(of_other)) / tf.maximum(steps, 1.0)
