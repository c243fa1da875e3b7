"""The two towers as one trainable model."""

from collections.abc import Mapping

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from components.models.replicas import rows_of_all, total
from components.models.towers import ItemTower, QueryTower


class TwoTower(tfrs.Model):
    """In-batch softmax with log-Q correction and accidental-hit removal.

    For a batch of pairs (q_i, v_i): loss = −Σ_i w_i log softmax_j(q_i · v_j − log Q_j)[i], with Q_j the frequency of item j
    among the training events (Yi et al. 2019, eq. 3–5), and with j ≠ i of the same item left out. Where the batch is spread
    over replicas, j runs over the pairs of all of them.
    """

    def __init__(self, query_tower: QueryTower, item_tower: ItemTower) -> None:
        super().__init__()
        self.query_tower, self.item_tower = query_tower, item_tower
        self._task = tfrs.tasks.Retrieval(
            loss=keras.losses.CategoricalCrossentropy(from_logits=True, reduction=keras.losses.Reduction.SUM),
            remove_accidental_hits=True,
        )

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The mean loss of a batch; where it is spread over replicas, this one's share of it.

        Args:
          inputs: a request's features, ``item_row`` int32 [batch], ``item_prob`` and ``weight`` float32 [batch]; a weight of
            0 leaves a pair out as a positive, though its item still serves as a negative.
        """
        weight = inputs["weight"]
        loss = self._task(
            self.query_tower(inputs, training=training),
            rows_of_all(self.item_tower(inputs["item_row"], training=training)),
            sample_weight=weight,
            candidate_sampling_probability=rows_of_all(inputs["item_prob"]),
            candidate_ids=rows_of_all(inputs["item_row"]),
            compute_metrics=False,
        )
        return loss / tf.maximum(total(tf.reduce_sum(weight)), 1.0)
