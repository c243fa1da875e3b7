"""Explicit crosses of bounded degree: Deep & Cross Network v2."""

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from components.config.rankers import DcnV2MixSettings, DcnV2Settings
from components.models.features import as_matrix, dense_stack, like_before
from components.models.rankers.inputs import Batch, RankerParts


class DcnV2(keras.layers.Layer):
    """Deep & Cross Network v2, parallel (Wang et al. 2021, eq. 1 and 3), [batch, n, width + hidden[-1]].

    x_{l+1} = x_0 ⊙ (W_l x_l + b_l) + x_l, with W_l = U_l V_l^T where a rank is set, beside a stack of dense layers. x_0 is
    all that is known of request and candidate, side by side. Cost per candidate and layer: 2 · rank · width, or width².
    """

    def __init__(self, parts: RankerParts, dim: int, settings: DcnV2Settings) -> None:
        super().__init__(name=settings.name)
        self._cross = [
            tfrs.layers.dcn.Cross(projection_dim=settings.cross_rank, name=f"cross_{layer}")
            for layer in range(settings.cross_layers)
        ]
        self._deep = dense_stack(settings.hidden, settings.dropout, "deep")

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        return crossed_beside_deep(batch.joined, self._cross, self._deep, training)


class DcnV2Mix(keras.layers.Layer):
    """Deep & Cross Network v2 with a mixture of low-rank experts (Wang et al. 2021, section 3.2), as ``DcnV2`` otherwise."""

    def __init__(self, parts: RankerParts, dim: int, settings: DcnV2MixSettings) -> None:
        super().__init__(name=settings.name)
        self._cross = [
            CrossMixture(settings.cross_rank, settings.experts, name=f"cross_{layer}") for layer in range(settings.cross_layers)
        ]
        self._deep = dense_stack(settings.hidden, settings.dropout, "deep")

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        return crossed_beside_deep(batch.joined, self._cross, self._deep, training)


def crossed_beside_deep(x: tf.Tensor, cross: list[keras.layers.Layer], deep: keras.layers.Layer, training: bool) -> tf.Tensor:
    first = crossed = as_matrix(x)
    for layer in cross:
        crossed = layer(first, crossed)
    return like_before(tf.concat([crossed, deep(first, training=training)], axis=-1), x)


class CrossMixture(keras.layers.Layer):
    """x_{l+1} = Σ_i G_i(x_l) E_i(x_l) + x_l, with E_i(x_l) = x_0 ⊙ (U_i tanh(C_i tanh(V_i^T x_l)) + b), [..., width].

    G is a softmax over the experts of a linear map of x_l. The gates sum to 1, so b is added once; and they are applied
    where the experts are narrow, so that all U_i are one matrix product.
    """

    def __init__(self, rank: int, experts: int, name: str) -> None:
        super().__init__(name=name)
        self._rank, self._experts = rank, experts
        self._gates = keras.layers.Dense(experts, activation="softmax", name="gates")
        self._down = keras.layers.Dense(experts * rank, activation="tanh", use_bias=False, name="v")

    def build(self, shape: tf.TensorShape) -> None:
        initializer = keras.initializers.TruncatedNormal(stddev=0.05)
        self._within = self.add_weight("c", [self._experts, self._rank, self._rank], initializer="glorot_uniform")
        self._up = self.add_weight("u", [self._experts * self._rank, shape[-1]], initializer=initializer)
        self._bias = self.add_weight("b", [shape[-1]], initializer="zeros")
        super().build(shape)

    def call(self, x0: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        lead = tf.shape(x)[:-1]
        narrow = tf.reshape(self._down(x), tf.concat([lead, [self._experts, self._rank]], axis=0))
        narrow = tf.tanh(tf.einsum("...er,ers->...es", narrow, self._within)) * self._gates(x)[..., tf.newaxis]
        flat = tf.reshape(narrow, tf.concat([lead, [self._experts * self._rank]], axis=0))
        return x0 * (tf.tensordot(flat, self._up, axes=1) + self._bias) + x
