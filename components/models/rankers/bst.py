"""The candidate as the last word of the history: behaviour sequence transformer."""

import tensorflow as tf
import tf_keras as keras

from components.config.rankers import BstSettings
from components.models.draws import Dropout
from components.models.features import dense_stack
from components.models.rankers.inputs import Batch, RankerParts
from components.transform.preprocessing import AGE_BUCKETS

NOW = AGE_BUCKETS  # the candidate's place in time, after all buckets of ages


class Bst(keras.layers.Layer):
    """Behaviour sequence transformer (Chen et al. 2019), [batch, n, hidden[-1]].

    The candidate ends the sequence; the transformer's output at its place joins all the rest before the dense layers. The
    place of an item in time is its age at the request, pos(v_i) = t(v_t) − t(v_i) (eq. 1), embedded by buckets.

    The history does not look at the candidate, which lies in its future: so its side is computed once a request. With one
    block, which the paper found best, that changes nothing, as only the candidate's place is read. Cost: length² · width
    per request and block, length · width + 12 · width² per candidate and block.
    """

    def __init__(self, parts: RankerParts, dim: int, settings: BstSettings) -> None:
        super().__init__(name=settings.name)
        width = settings.attention_heads * settings.head_dim
        self._narrow = keras.layers.Dense(width, name="narrow")
        self._position = keras.layers.Embedding(AGE_BUCKETS + 1, width, name="position")
        self._blocks = [
            TransformerBlock(settings.attention_heads, settings.head_dim, settings.dropout, name=f"block_{place}")
            for place in range(settings.blocks)
        ]
        self._deep = dense_stack(settings.hidden, settings.dropout, "deep")

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        history = self._narrow(batch.history) + self._position(batch.features["history_age_s"])
        candidates = self._narrow(batch.candidates) + self._position(tf.constant([[NOW]]))
        for place, block in enumerate(self._blocks):
            # What the last block would make of the history is not read by anything.
            last = place == len(self._blocks) - 1
            read = block(candidates, history, batch.present, own=True, training=training)
            history = history if last else block(history, history, batch.present, own=False, training=training)
            candidates = read
        return self._deep(tf.concat([batch.joined, candidates], axis=-1), training=training)


class TransformerBlock(keras.layers.Layer):
    """Self-attention and a feed-forward network, each with a residual and layer normalisation after it.

    S = MH(E) = concat(head_1, …) W^H, head_i = softmax(Q K^T / sqrt(d)) V (eq. 2 and 3), S' = LN(E + Dropout(S)),
    F = LN(S' + Dropout(LeakyReLU(S' W_1 + b_1) W_2 + b_2)) (Chen et al. 2019, eq. 4 and 5).
    """

    def __init__(self, heads: int, head_dim: int, dropout: float, name: str) -> None:
        super().__init__(name=name)
        width = heads * head_dim
        self._heads, self._head_dim = heads, head_dim
        self._query, self._key, self._value, self._mix = (
            keras.layers.Dense(width, use_bias=False, name=part) for part in ("query", "key", "value", "mix")
        )
        self._feed = keras.Sequential(
            [keras.layers.Dense(4 * width), keras.layers.LeakyReLU(), keras.layers.Dense(width)], name="feed"
        )
        self._after_attention, self._after_feed = (
            keras.layers.LayerNormalization(epsilon=1e-6, name=part) for part in ("after_attention", "after_feed")
        )
        self._dropout = Dropout(dropout)

    def call(self, words: tf.Tensor, past: tf.Tensor, present: tf.Tensor, own: bool, training: bool = False) -> tf.Tensor:
        """[batch, m, width]: what ``words`` [batch, m, width] become that look at ``past`` [batch, length, width].

        Args:
          present: [batch, length, 1]; own: whether each word looks at itself too, not being part of the past.
        """
        query, key, value = (self._by_head(layer(part)) for layer, part in
                             ((self._query, words), (self._key, past), (self._value, past)))  # fmt: skip
        scores = tf.matmul(query, key, transpose_b=True) + (tf.transpose(present, [0, 2, 1]) - 1)[:, tf.newaxis] * 1e9
        if own:
            own_key, own_value = self._by_head(self._key(words)), self._by_head(self._value(words))
            scores = tf.concat([scores, tf.reduce_sum(query * own_key, axis=-1, keepdims=True)], axis=-1)
            weights = tf.nn.softmax(scores / self._head_dim**0.5)
            seen = tf.matmul(weights[..., :-1], value) + weights[..., -1:] * own_value
        else:
            seen = tf.matmul(tf.nn.softmax(scores / self._head_dim**0.5), value)
        joined = tf.reshape(tf.transpose(seen, [0, 2, 1, 3]), tf.shape(words))
        mixed = self._after_attention(words + self._dropout(self._mix(joined), training=training))
        return self._after_feed(mixed + self._dropout(self._feed(mixed), training=training))

    def _by_head(self, vectors: tf.Tensor) -> tf.Tensor:
        """[batch, heads, m, head_dim]."""
        batch, count = tf.unstack(tf.shape(vectors)[:2])
        return tf.transpose(tf.reshape(vectors, [batch, count, self._heads, self._head_dim]), [0, 2, 1, 3])
