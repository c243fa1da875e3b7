"""The loss of several tasks at once."""

from collections.abc import Mapping

import tensorflow as tf
import tf_keras as keras

from components.models.draws import drawing
from components.models.items import PAD
from components.models.replicas import total as total_of_replicas
from components.models.tasks import Task


class MultiTaskRanker(keras.Model):
    """A ranker trained on all tasks together; loss = Σ_t weight_t · loss_t, and the losses that its layers add.

    Args:
      seed: of what training draws.
    """

    def __init__(self, ranker: keras.Model, tasks: tuple[Task, ...], seed: int = 0) -> None:
        super().__init__(name="multi_task")
        self.ranker, self._tasks, self._seed = ranker, tasks, seed

    def call(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        return self.ranker(inputs, inputs["candidate_row"], training=training)

    def train_step(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        with drawing(self._seed, self.optimizer.iterations), tf.GradientTape() as tape:
            losses = self.losses_of(self(inputs, training=True), inputs)
            total = tf.add_n([*(task.weight * losses[f"loss_{task.name}"] for task in self._tasks), *self.losses])
        self.optimizer.minimize(total, self.trainable_variables, tape=tape)
        return {"loss": total, **losses}

    def losses_of(self, logits: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Each task's mean loss over the samples that observed it; where a batch is spread over replicas, this one's share.

        Args:
          logits: float32 [batch, n, num_tasks].
          inputs: ``label_<task>`` and ``weight_<task>`` float32 [batch], of the first candidate; for ``choice`` tasks
            ``candidate_row`` int32 [batch, n], ``PAD`` where there is none, and ``returned`` float32 [batch], 1 where recall
            returned the first.
        """
        losses = {}
        for place, task in enumerate(self._tasks):
            of_task, label = logits[..., place], inputs[f"label_{task.name}"]
            weight = inputs[f"weight_{task.name}"]
            if task.kind == "choice":
                # Candidates that repeat the first are accidental hits and no negatives; nor are places where there is none.
                rows = inputs["candidate_row"]
                none = (rows[:, 1:] == rows[:, :1]) | (rows[:, 1:] == PAD)
                masked = tf.where(tf.pad(none, [[0, 0], [1, 0]]), of_task.dtype.min, of_task)
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.zeros_like(rows[:, 0]), masked)
                weight *= label * inputs["returned"]
            elif task.kind == "binary":
                loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=of_task[:, 0])
            else:
                loss = tf.square(label - of_task[:, 0])
            losses[f"loss_{task.name}"] = tf.reduce_sum(loss * weight) / tf.maximum(
                total_of_replicas(tf.reduce_sum(weight)), 1.0
            )
        return losses
