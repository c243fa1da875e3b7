"""A ranker: the inputs that all share, the body that the config names, and the heads of the tasks."""

import tensorflow as tf
import tf_keras as keras

from components.models.features import Features, as_matrix, like_before
from components.models.rankers.inputs import Batch, RankerInputs, RankerParts
from components.models.tasks import joint_logits
from components.schema import samples as names


class Ranker(keras.Model):
    """A request and its candidates → one logit per task per candidate.

    logits = heads(body(batch)). Of a ranker that is not in training, those of tasks that ask which of recall's candidates it
    was are a · logits + b · recall's score. Recall has learnt from the samples of training and knows them better than any to
    come, so that a ranker which heard it there would trust it too far, and learn little of its own; a and b are to be found by
    moments that neither was trained on.

    Args:
      body: ``Batch`` → float32 [batch, n, width].
      heads: float32 [rows, width] → [rows, num_tasks].

    Attributes:
      counters: those of ``parts``, until others are set.
      blend: float32 [2]: a and b; not trained, but to be set. None where recall is not asked.
    """

    def __init__(self, parts: RankerParts, dim: int, body: keras.layers.Layer, heads: keras.layers.Layer) -> None:
        super().__init__(name="ranker")
        self.counters = parts.counters
        self.body, self.heads = body, heads
        self._parts = parts
        self._inputs = RankerInputs(parts, dim)
        asked = parts.recall_vectors is not None
        self.blend = tf.Variable([1.0, 1.0], trainable=False, name="blend") if asked else None

    def freeze(self) -> None:
        """Be trained no more: what depends on an item alone is looked up from now on."""
        self._inputs.freeze()

    def call(self, features: Features, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits over all impressions, float32 [batch, n, num_tasks].

        Args:
          features: those of ``Batch``; outside training, where recall is asked, also ``recall_embedding`` float32 [batch, dim].
          rows: int32 [batch, n]; the candidates.
        """
        own = self.own(features, rows, training)
        return joint_logits(own, self._parts.tasks) if training else self.blended(own, self.recalled(features, rows))

    def blended(self, own: tf.Tensor, recalled: tf.Tensor) -> tf.Tensor:
        """Logits over all impressions, float32 [batch, n, num_tasks], of what ``own`` and ``recalled`` have given."""
        logits = own
        if self.blend is not None:
            both = self.blend[0] * own + self.blend[1] * recalled[..., tf.newaxis]
            logits = tf.where([task.kind == "choice" for task in self._parts.tasks], both, own)
        return joint_logits(logits, self._parts.tasks)

    def own(self, features: Features, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """What the ranker says by itself, float32 [batch, n, num_tasks]."""
        batch = Batch(self._inputs, self.counters, features, rows, training)
        said = self.body(batch, training=training)
        return like_before(self.heads(as_matrix(said), training=training), said)

    def recalled(self, features: Features, rows: tf.Tensor) -> tf.Tensor:
        """Recall's scores, float32 [batch, n]; 0 where it is not asked."""
        if self._parts.recall_vectors is None:
            return tf.zeros(tf.shape(rows))
        vectors = self._parts.table.at(rows, self._parts.recall_vectors)
        return tf.einsum("bd,bnd->bn", features[names.RECALL_EMBEDDING], vectors)
