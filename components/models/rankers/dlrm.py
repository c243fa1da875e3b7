"""Dot products of all pairs of embeddings: DLRM."""

import tensorflow as tf
import tf_keras as keras

from components.config.rankers import DlrmSettings
from components.models.features import dense_stack
from components.models.rankers.inputs import Batch, RankerParts


class Dlrm(keras.layers.Layer):
    """Deep learning recommendation model (Naumov et al. 2019, section 2.1), [batch, n, hidden[-1]].

    The numbers go through a bottom network to a vector of the width of an embedding; it, and the dot products of all
    pairs of the embeddings and it, go through the top network. Cost per candidate: (F + G + 1)² · dim for F fields of
    the request and G of the item, and both networks.
    """

    def __init__(self, parts: RankerParts, dim: int, settings: DlrmSettings) -> None:
        super().__init__(name=settings.name)
        self._bottom = keras.Sequential(
            [
                dense_stack(settings.bottom_hidden, settings.dropout, "bottom_hidden"),
                keras.layers.Dense(dim, activation="relu"),
            ],
            name="bottom",
        )
        self._top = dense_stack(settings.hidden, settings.dropout, "top")

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        numbers = self._bottom(batch.numbers, training=training)
        fields = tf.concat([batch.per_candidate(batch.request_fields), batch.item_fields, numbers[:, :, tf.newaxis]], axis=2)
        return self._top(tf.concat([numbers, dot_products(fields)], axis=-1), training=training)


def dot_products(fields: tf.Tensor) -> tf.Tensor:
    """[batch, n, F (F − 1) / 2]: <v_i, v_j> of each pair i > j of [batch, n, F, dim], row by row of the triangle."""
    count = fields.shape[2]
    pairs = [i * count + j for i in range(count) for j in range(i)]
    products = tf.matmul(fields, fields, transpose_b=True)
    return tf.gather(tf.reshape(products, [*tf.unstack(tf.shape(products)[:2]), count * count]), pairs, axis=-1)
