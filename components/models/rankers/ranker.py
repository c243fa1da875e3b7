"""A ranker: the inputs that all share, the body that the config names, and the heads of the tasks."""

import tensorflow as tf
import tf_keras as keras

from components.models.features import Features, as_matrix, like_before
from components.models.rankers.inputs import Batch, RankerInputs, RankerParts
from components.models.tasks import joint_logits


class Ranker(keras.Model):
    """A request and its candidates → one logit per task per candidate.

    logits = heads(body(batch)); of a trained ranker, for tasks that ask which of recall's candidates it was, plus
    ``recall_weight`` · recall's score. Recall has learnt from the samples of training and knows them better than any to come,
    so that a ranker which heard it there would trust it too far, and learn little of its own. The two are put together by
    moments that neither has learnt from.

    Args:
      body: ``Batch`` → float32 [batch, n, width].
      heads: float32 [rows, width] → [rows, num_tasks].

    Attributes:
      counters: those of ``parts``, until others are set.
      recall_weight: float32 scalar; not trained, but to be set. None where recall is not asked.
    """

    def __init__(self, parts: RankerParts, dim: int, body: keras.layers.Layer, heads: keras.layers.Layer) -> None:
        super().__init__(name="ranker")
        self.counters = parts.counters
        self.body, self.heads = body, heads
        self._parts = parts
        self._inputs = RankerInputs(parts, dim)
        asked = parts.recall_vectors is not None
        self.recall_weight = tf.Variable(1.0, trainable=False, name="recall_weight") if asked else None

    def freeze(self) -> None:
        """Be trained no more: what depends on an item alone is looked up from now on."""
        self._inputs.freeze()

    def call(self, features: Features, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits over all impressions, float32 [batch, n, num_tasks]; the arguments are those of ``Batch``."""
        logits, recalled = self.apart(features, rows, training)
        if recalled is not None and not training:
            choices = tf.constant([task.kind == "choice" for task in self._parts.tasks], tf.float32)
            logits += self.recall_weight * recalled[..., tf.newaxis] * choices
        return joint_logits(logits, self._parts.tasks)

    def apart(self, features: Features, rows: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor | None]:
        """What the ranker says by itself, float32 [batch, n, num_tasks], and recall's scores [batch, n]."""
        batch = Batch(self._inputs, self.counters, features, rows, training)
        said = self.body(batch, training=training)
        logits = like_before(self.heads(as_matrix(said), training=training), said)
        return logits, batch.recall_score
