"""The saved towers, as ranking uses them: vectors of requests, and the items that recall returns."""

from pathlib import Path

import tensorflow as tf

from components.models.features import Features
from components.models.items import PAD

SCORES_AT_ONCE = 1 << 25  # 128 MiB of float32


class Recall:
    """Loaded from RetrievalTrainer's model artifact; its weights stay as they are."""

    def __init__(self, model: Path) -> None:
        self._saved = tf.saved_model.load(str(model / "Format-Serving"))
        self._vectors = tf.Variable(self._saved.vectors[:-1], trainable=False)
        self.count, self.dim = self._vectors.shape
        self._embed = self._saved.embed.concrete_functions[0]

    @property
    def variables(self) -> list[tf.Variable]:
        """All that ``embed`` and ``best_rows`` read."""
        return [self._vectors, *self._embed.variables]

    @property
    def vectors_with_unknown(self) -> tf.Tensor:
        """float32 [n + 1, dim]; the last row, for unknown items, is zero."""
        return tf.concat([self._vectors, tf.zeros([1, self.dim])], axis=0)

    @property
    def rows_at_once(self) -> int:
        """How many requests can be scored against the whole catalogue within the memory set aside."""
        return max(1, min(2_048, SCORES_AT_ONCE // self.count))

    def embed(self, features: Features) -> tf.Tensor:
        """float32 [batch, dim] from features that have been through the Transform graph."""
        keys = self._embed.structured_input_signature[0][0].keys()
        return self._saved.embed({name: features[name] for name in keys})

    def best_rows(self, embedding: tf.Tensor, excluded: tf.Tensor, count: int, among: tf.Tensor | None = None) -> tf.Tensor:
        """int32 [batch, min(count, n)]; the rows of the best items without those ``excluded`` int32 [batch, m], then ``PAD``.

        Args:
          among: bool [n]; the others are left out too; None: all.
        """
        scores = tf.matmul(embedding, self._vectors, transpose_b=True)
        if among is not None:
            scores = tf.where(among, scores, scores.dtype.min)
        return best_without(scores, excluded, count)[1]


def best_without(scores: tf.Tensor, excluded: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The best of ``scores`` [batch, n] but for the rows ``excluded`` int32 [batch, m], in order.

    Returns:
      their scores and int32 rows, [batch, min(count, n)]; ``PAD`` where there are no more.
    """
    best, rows = tf.math.top_k(without_rows(scores, excluded), k=min(count, scores.shape[1]))
    return best, tf.where(best > best.dtype.min, rows, PAD)


def without_rows(scores: tf.Tensor, excluded: tf.Tensor) -> tf.Tensor:
    """``scores`` [batch, n] with those of the rows ``excluded`` [batch, m] at the least possible; PAD and n are no rows."""
    known = (excluded != PAD) & (excluded < tf.shape(scores)[1])
    where = tf.where(known)
    places = tf.stack([where[:, 0], tf.cast(tf.gather_nd(excluded, where), tf.int64)], axis=1)
    return tf.tensor_scatter_nd_update(scores, places, tf.fill([tf.shape(places)[0]], scores.dtype.min))
