"""Matrix factorisation, plain and neural: a vector of the user and one of the item, and nothing else."""

import tensorflow as tf
import tf_keras as keras

from components.config.rankers import MfSettings, NeuMfSettings
from components.models.features import FeatureVectors, dense_stack
from components.models.rankers.inputs import Batch, RankerParts, id_embedding, masked_mean


class Factors(keras.layers.Layer):
    """User and item vectors: float32 [batch, 1, width] and [batch, n, width].

    The user's is that of its id, where the request has a feature of kind ``id``; without one it is the mean of a second
    set of vectors over the items of the history (FISM: Kabbur et al. 2013, eq. 4 with α = 1), zero where that is empty.
    """

    def __init__(self, parts: RankerParts, width: int, name: str) -> None:
        super().__init__(name=name)
        slots = tuple(slot for slot in parts.query_slots if slot.kind == "id")
        self._users = FeatureVectors(slots, width) if slots else None
        self._past = id_embedding(parts.table, width, "history_id")
        self._items = id_embedding(parts.table, width, "item_id")

    def call(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        items = batch.candidate_items.vectors(lambda rows, id_rows: self._items(id_rows))
        if self._users is not None:
            user = tf.add_n(self._users.vectors(batch.features))
        else:
            past = batch.past_items.vectors(lambda rows, id_rows: self._past(id_rows))
            user = masked_mean(past, batch.present)
        return user[:, tf.newaxis], items


class Mf(keras.layers.Layer):
    """Matrix factorisation with a bias of the item (Koren, Bell, Volinsky 2009, eq. 4): b_i + q_i · p_u.

    Each task has factors of its own, so that the output is [batch, n, num_tasks]; the mean μ, and the user's bias where it
    makes a difference, are left to the head. Cost per candidate: num_tasks · dim.
    """

    def __init__(self, parts: RankerParts, dim: int, settings: MfSettings) -> None:
        super().__init__(name=settings.name)
        self._dim, self._tasks = dim, len(parts.tasks)
        self._factors = Factors(parts, dim * len(parts.tasks), "factors")
        self._bias = keras.layers.Embedding(
            parts.table.count + 1, len(parts.tasks), embeddings_initializer="zeros", name="bias"
        )

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        user, items = self._factors(batch)
        product = user * items
        by_task = tf.reshape(product, [*tf.unstack(tf.shape(product)[:2]), self._tasks, self._dim])
        bias = batch.candidate_items.vectors(lambda rows, id_rows: self._bias(id_rows))
        return bias + tf.reduce_sum(by_task, axis=-1)


class NeuMf(keras.layers.Layer):
    """Neural matrix factorisation (He et al. 2017, eq. 12), [batch, n, dim + hidden[-1]].

    φ = [p_u^G ⊙ q_i^G, MLP([p_u^M, q_i^M])], with vectors of their own on both sides; the head is the last layer h.
    """

    def __init__(self, parts: RankerParts, dim: int, settings: NeuMfSettings) -> None:
        super().__init__(name=settings.name)
        self._gmf, self._mlp = Factors(parts, dim, "gmf"), Factors(parts, dim, "mlp")
        self._hidden = dense_stack(settings.hidden, settings.dropout, "hidden")

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        user, items = self._gmf(batch)
        user_input, item_input = self._mlp(batch)
        mixed = tf.concat([tf.broadcast_to(user_input, tf.shape(item_input)), item_input], axis=-1)
        return tf.concat([user * items, self._hidden(mixed, training=training)], axis=-1)
