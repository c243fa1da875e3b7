"""Gated recurrent units over the events of a history.

Hidasi et al. (2016), Session-based Recommendations with Recurrent Neural Networks (GRU4Rec).
"""

import tensorflow as tf
import tf_keras as keras

from components.models import draws


class Recurrent(keras.layers.Layer):
    """An ``Encoder``: layers of GRU, from where the history began to the latest event."""

    def __init__(self, dim: int, layers: int, dropout: float) -> None:
        super().__init__(name="recurrent")
        self._dropout = dropout
        # Place 0 is the latest event, so time runs backwards over the places.
        self._layers = [
            keras.layers.GRU(dim, return_sequences=True, go_backwards=True, name=f"gru_{number}") for number in range(layers)
        ]
        self._out = keras.layers.Dense(dim, name="out")

    def call(self, events: tf.Tensor, lengths: tf.Tensor, training: bool = False) -> tf.Tensor:
        begun = tf.range(tf.shape(events)[1]) <= lengths[:, tf.newaxis]
        x = events
        for layer in self._layers:
            if training:
                x = draws.dropout(x, self._dropout)
            x = tf.reverse(layer(x, mask=begun), axis=[1])
        return self._out(x)
