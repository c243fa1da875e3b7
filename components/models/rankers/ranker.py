"""A ranker: the inputs that all share, the body that the config names, and the heads of the tasks."""

import tensorflow as tf
import tf_keras as keras

from components.models.features import Features, as_matrix, like_before
from components.models.rankers.inputs import Batch, RankerInputs, RankerParts
from components.models.tasks import joint_logits


class Ranker(keras.Model):
    """A request and its candidates → one logit per task per candidate.

    logits = heads(body(batch)), and for tasks that ask which of recall's candidates it was, plus recall's score: it is a
    log-probability up to a constant, so where the question is the same, ranking starts from it.

    Args:
      body: ``Batch`` → float32 [batch, n, width].
      heads: float32 [rows, width] → [rows, num_tasks].

    Attributes:
      counters: those of ``parts``, until others are set.
    """

    def __init__(self, parts: RankerParts, dim: int, body: keras.layers.Layer, heads: keras.layers.Layer) -> None:
        super().__init__(name="ranker")
        self.counters = parts.counters
        self.body, self.heads = body, heads
        self._parts = parts
        self._inputs = RankerInputs(parts, dim)

    def freeze(self) -> None:
        """Be trained no more: what depends on an item alone is looked up from now on."""
        self._inputs.freeze()

    def call(self, features: Features, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits over all impressions, float32 [batch, n, num_tasks]; the arguments are those of ``Batch``."""
        batch = Batch(self._inputs, self.counters, features, rows, training)
        said = self.body(batch, training=training)
        logits = like_before(self.heads(as_matrix(said), training=training), said)
        choices = tf.constant([task.kind == "choice" for task in self._parts.tasks], tf.float32)
        for score in batch.recall_score:
            logits += score * choices
        return joint_logits(logits, self._parts.tasks)
