"""Causal self-attention over the events of a history.

Kang, McAuley (2018), Self-Attentive Sequential Recommendation; blocks as in Xiong et al. (2020), On Layer Normalization
in the Transformer Architecture (normalised before each layer, not after).
"""

import tensorflow as tf
import tf_keras as keras

from components.models import draws

EXPANSION = 4  # of the dense layers within a block


class SelfAttention(keras.layers.Layer):
    """An ``Encoder``: each event attends to its own place and to those before it in time.

    x_0 = E + P, the events' vectors and learnt ones of their places (Kang, McAuley 2018, eq. 1); in each block
    x + softmax(Q Kᵀ / √d, masked) V for each head (eq. 2 and 3) and x + W₂ gelu(W₁ x) (eq. 4, which has ReLU), each with
    dropout, and normalised before (section 3.3).
    """

    def __init__(self, dim: int, length: int, blocks: int, heads: int, dropout: float) -> None:
        super().__init__(name="self_attention")
        self._dropout = dropout
        self._places = self.add_weight("places", [length + 1, dim], initializer=keras.initializers.RandomNormal(stddev=0.05))
        self._blocks = [_Block(dim, heads, dropout, name=f"block_{number}") for number in range(blocks)]
        self._norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")

    def call(self, events: tf.Tensor, lengths: tf.Tensor, training: bool = False) -> tf.Tensor:
        places = tf.range(tf.shape(events)[1])
        x = events + self._places[: tf.shape(events)[1]]
        if training:
            x = draws.dropout(x, self._dropout)
        begun = places <= lengths[:, tf.newaxis]
        earlier = places[:, tf.newaxis] <= places
        mask = earlier & begun[:, tf.newaxis] | tf.eye(tf.shape(events)[1], dtype=tf.bool)
        for block in self._blocks:
            x = block(x, mask, training=training)
        return self._norm(x)


class _Block(keras.layers.Layer):
    """x + attention(norm(x)), then x + dense(norm(x))."""

    def __init__(self, dim: int, heads: int, dropout: float, name: str) -> None:
        super().__init__(name=name)
        self._attend = draws.MultiHeadAttention(heads, dim // heads, dropout=dropout)
        self._before_attention = keras.layers.LayerNormalization(epsilon=1e-6)
        self._before_dense = keras.layers.LayerNormalization(epsilon=1e-6)
        self._widen = keras.layers.Dense(EXPANSION * dim, activation="gelu")
        self._narrow = keras.layers.Dense(dim)
        self._drop = draws.Dropout(dropout)

    def call(self, x: tf.Tensor, mask: tf.Tensor, training: bool = False) -> tf.Tensor:
        normed = self._before_attention(x)
        x += self._drop(self._attend(normed, normed, attention_mask=mask, training=training), training=training)
        return x + self._drop(self._narrow(self._widen(self._before_dense(x))), training=training)
