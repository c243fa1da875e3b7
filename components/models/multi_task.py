"""The loss of several tasks at once."""

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf
import tf_keras as keras

from components.models.replicas import total as total_of_replicas


@dataclass(frozen=True)
class Task:
    """One outcome.

    Attributes:
      kind: ``binary``, ``regression``, or ``choice``: which of the listed candidates it was.
      weight: of its loss; score_weight: of its logit in the combined score.
    """

    name: str
    kind: str
    weight: float
    score_weight: float


class MultiTaskRanker(keras.Model):
    """A ranker trained on all tasks together; loss = Σ_t weight_t · loss_t."""

    def __init__(self, ranker: keras.Model, tasks: tuple[Task, ...]) -> None:
        super().__init__(name="multi_task")
        self.ranker, self._tasks = ranker, tasks

    def call(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        return self.ranker(inputs, inputs["candidate_row"], training=training)

    def train_step(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            losses = self.losses_of(self(inputs, training=True), inputs)
            total = tf.add_n([task.weight * losses[f"loss_{task.name}"] for task in self._tasks])
        self.optimizer.minimize(total, self.trainable_variables, tape=tape)
        return {"loss": total, **losses}

    def losses_of(self, logits: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Each task's mean loss over the samples that observed it; where a batch is spread over replicas, this one's share.

        Args:
          logits: float32 [batch, n, num_tasks].
          inputs: ``label_<task>`` and ``weight_<task>`` float32 [batch], of the first candidate; for ``choice`` tasks
            ``returned`` float32 [batch], 1 where recall returned it.
        """
        losses = {}
        for place, task in enumerate(self._tasks):
            of_task, label = logits[..., place], inputs[f"label_{task.name}"]
            weight = inputs[f"weight_{task.name}"]
            if task.kind == "choice":
                # Candidates that repeat the first are accidental hits and no negatives.
                rows = inputs["candidate_row"]
                again = tf.concat([tf.zeros_like(rows[:, :1], bool), rows[:, 1:] == rows[:, :1]], axis=1)
                masked = tf.where(again, of_task.dtype.min, of_task)
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


def combined_score(logits: tf.Tensor, tasks: tuple[Task, ...]) -> tf.Tensor:
    """[batch, n]: the tasks' logits (predictions of a regression), weighted and added."""
    return tf.reduce_sum(logits * tf.constant([task.score_weight for task in tasks]), axis=-1)


def predictions(logits: tf.Tensor, tasks: tuple[Task, ...]) -> dict[str, tf.Tensor]:
    """Each task's prediction [batch, n]: a probability, or the value itself.

    The probability of a ``choice`` task compares with drawn negatives and is no rate: use it to order, not to count.
    """
    return {
        task.name: logits[..., place] if task.kind == "regression" else tf.sigmoid(logits[..., place])
        for place, task in enumerate(tasks)
    }
