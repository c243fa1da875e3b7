"""Binary cross-entropy of recall: each negative told from the item on its own."""

import tensorflow as tf

from components.config import RetrievalConfig
from components.models.pairs import Pairs
from components.models.replicas import total
from components.models.towers import ItemTower


class GeneralizedBinary:
    """gBCE: binary cross-entropy whose positive is tempered for how few negatives are drawn.

    −Σ_i w_i (β log σ(q_i · v_i) + Σ_j log(1 − σ(q_i · v_j))) / Σ_i w_i / (k + 1) over k items j ≠ i drawn uniformly, with
    α = k / (n − 1) the share that is drawn of n trained items, and β = α (t (1 − 1 / α) + 1 / α) for the calibration t: 0
    leaves plain binary cross-entropy, whose predictions are too high by the share, 1 corrects all of that (Petrov, Macdonald
    2023, gSASRec: Reducing Overconfidence in Sequential Recommendation Trained with Negative Sampling, section 5). The pairs
    of a batch share the draws; in the paper each draws its own.
    """

    def __init__(self, items: ItemTower, frequency: tf.Tensor, settings: RetrievalConfig) -> None:
        self._items, self._count = items, settings.loss_negatives
        share = min(1.0, settings.loss_negatives / max(1, items.trained_count - 1))
        self._beta = share * (settings.loss_calibration * (1 - 1 / share) + 1 / share)

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        drawn = self._items.drawn(self._count)
        own = tf.reduce_sum(pairs.queries * self._items(pairs.rows, training=True), axis=1)
        others = tf.matmul(pairs.queries, self._items(drawn, training=True), transpose_b=True)
        wrong = tf.where(pairs.rows[:, tf.newaxis] == drawn, 0.0, tf.nn.softplus(others))  # −log(1 − σ(s)) = softplus(s)
        losses = (self._beta * tf.nn.softplus(-own) + tf.reduce_sum(wrong, axis=1)) / (self._count + 1)
        return tf.reduce_sum(losses * pairs.weight) / tf.maximum(total(tf.reduce_sum(pairs.weight)), 1.0)
