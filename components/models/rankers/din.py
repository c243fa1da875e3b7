"""The history as the candidate sees it: deep interest network."""

import tensorflow as tf
import tf_keras as keras

from components.config.rankers import DinSettings
from components.models.features import dense_stack
from components.models.rankers.inputs import Batch, RankerParts


class Din(keras.layers.Layer):
    """Deep interest network (Zhou et al. 2018), [batch, n, hidden[-1]].

    The user's vector is one for each candidate: v_U(A) = Σ_j a(e_j, v_A) e_j (eq. 3), with the weights of
    ``LocalActivation``; it joins all the rest before the dense layers. These have ReLUs, where the paper has Dice, and
    there is none of its mini-batch aware regularisation (section 5.2). Cost per candidate:
    length · width · attention_hidden[0] for the attention, and the dense layers.
    """

    def __init__(self, parts: RankerParts, dim: int, settings: DinSettings) -> None:
        super().__init__(name=settings.name)
        self._attend = LocalActivation(settings.attention_hidden, settings.activation)
        self._deep = dense_stack(settings.hidden, settings.dropout, "deep")

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        weights = self._attend(batch.history, batch.candidates, batch.present, training=training)
        interest = attention_pooling(weights, batch.history)
        return self._deep(tf.concat([batch.joined, interest], axis=-1), training=training)


def attention_pooling(weights: tf.Tensor, history: tf.Tensor) -> tf.Tensor:
    """[batch, n, width]: Σ_j w_j e_j of weights [batch, length, n] and history [batch, length, width]."""
    return tf.matmul(weights, history, transpose_a=True)


class LocalActivation(keras.layers.Layer):
    """The weight a(e_j, v_A) of each item of the history for each candidate; [batch, length, n], 0 for no item.

    A small network of [e_j, v_A, e_j − v_A, e_j ⊙ v_A], whose output is not normalised: its sum says how strong an
    interest is (Zhou et al. 2018, section 4.3). Its first layer is linear in these four, so that those of e_j and of v_A
    are computed once an item, and only the product's once a pair:
    W [e, v, e − v, e ⊙ v] = (W_1 + W_3) e + (W_2 − W_3) v + W_4 (e ⊙ v).
    """

    def __init__(self, widths: tuple[int, ...], activation: str) -> None:
        super().__init__(name="local_activation")
        self._widths = widths
        self._of_past = keras.layers.Dense(widths[0], name="of_past")
        self._of_candidate = keras.layers.Dense(widths[0], use_bias=False, name="of_candidate")
        self._layers = [keras.layers.Dense(width, name=f"layer_{place}") for place, width in enumerate(widths[1:], 1)]
        self._activations = [Dice() if activation == "dice" else keras.layers.PReLU(shared_axes=[1]) for _ in widths]
        self._out = keras.layers.Dense(1, name="out")

    def build(self, shape: tf.TensorShape) -> None:
        self._of_product = self.add_weight("of_product", [shape[-1], self._widths[0]], initializer="glorot_uniform")
        super().build(shape)

    def call(self, history: tf.Tensor, candidates: tf.Tensor, present: tf.Tensor, training: bool = False) -> tf.Tensor:
        """From [batch, length, width], [batch, n, width] and [batch, length, 1]."""
        batch, length, count = tf.shape(history)[0], tf.shape(history)[1], tf.shape(candidates)[1]
        shape = [batch, length, count, self._widths[0]]
        # (v ⊙ W_4) for each candidate, side by side: one matrix product a request gives all pairs.
        scaled = candidates[..., tf.newaxis] * self._of_product
        scaled = tf.reshape(tf.transpose(scaled, [0, 2, 1, 3]), [batch, candidates.shape[-1], count * self._widths[0]])
        asked = tf.reshape(tf.matmul(history, scaled), shape)
        asked += self._of_past(history)[:, :, tf.newaxis] + self._of_candidate(candidates)[:, tf.newaxis]
        pairs = tf.reshape(asked, [batch, length * count, self._widths[0]])
        there = tf.repeat(present[..., 0], count, axis=1)
        for place, activation in enumerate(self._activations):
            if place:
                pairs = self._layers[place - 1](pairs)
            pairs = activation(pairs, there, training=training) if isinstance(activation, Dice) else activation(pairs)
        return tf.reshape(self._out(pairs), shape[:3]) * present


class Dice(keras.layers.Layer):
    """f(s) = p(s) s + (1 − p(s)) α s, p(s) = σ((s − E[s]) / sqrt(Var[s] + ε)) (Zhou et al. 2018, section 5.3).

    E and Var are those of the batch in training, over what ``there`` [batch, m] says is there, and their moving averages
    elsewhere. s: float32 [batch, m, width]; α is one learnt number for each of the last axis, 0 at first.
    """

    def __init__(self) -> None:
        super().__init__(name="dice")
        # Not fused: only so does it heed the mask.
        self._standardised = keras.layers.BatchNormalization(
            momentum=0.95, epsilon=1e-8, center=False, scale=False, fused=False, name="standardised"
        )

    def build(self, shape: tf.TensorShape) -> None:
        self._alpha = self.add_weight("alpha", [shape[-1]], initializer="zeros")
        super().build(shape)

    def call(self, s: tf.Tensor, there: tf.Tensor, training: bool = False) -> tf.Tensor:
        prob = tf.sigmoid(self._standardised(s, mask=there, training=training))
        return s * (prob + (1 - prob) * self._alpha)
