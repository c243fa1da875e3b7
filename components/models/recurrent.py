"""Gated recurrent units over the events of a history.

Hidasi et al. (2016), Session-based Recommendations with Recurrent Neural Networks (GRU4Rec).
"""

import tensorflow as tf
import tf_keras as keras

from components.models import draws


class Recurrent(keras.layers.Layer):
    """An ``Encoder``: layers of GRU, from where the history began to the latest event; then a linear one.

    h_t = (1 − z_t) ⊙ h_{t−1} + z_t ⊙ ĥ_t, with z_t = σ(W_z x_t + U_z h_{t−1}), r_t = σ(W_r x_t + U_r h_{t−1}) and
    ĥ_t = tanh(W x_t + U (r_t ⊙ h_{t−1})) (Hidasi et al. 2016, eq. 1–4). Keras' gates have biases, its z_t is
    what they have as 1 − z_t, and its r_t scales the product with U.
    """

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
