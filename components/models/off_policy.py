"""Recall as a policy, learnt from what another policy has shown."""

import tensorflow as tf

from components.config import RetrievalConfig
from components.models.pairs import Pairs
from components.models.replicas import total
from components.models.softmax import check_catalogue, scores_at_once, sum_of_losses
from components.models.towers import ItemTower


class OffPolicySoftmax:
    """REINFORCE, corrected for the policy that has shown the items, and for lists of K.

    −Σ_i R_i ρ_i λ_i log π(i) / Σ_i R_i, with π the softmax over all trained items but those excluded for the user, the reward R
    the pair's weight, ρ_i = min(π(i) / β(i), c) for the propensity β with which the item was shown, and
    λ_i = K (1 − π(i))^(K − 1), the derivative of the chance to be among K draws; no gradient flows through ρ and λ.
    (Chen et al. 2019, Top-K Off-Policy Correction for a REINFORCE Recommender System, equations 3 and 6 and the cap of
    section 4.4. There the propensities are estimated; here they are those that were logged.)
    """

    def __init__(self, items: ItemTower, frequency: tf.Tensor, settings: RetrievalConfig) -> None:
        check_catalogue(items.count, settings.batch_size)
        self._items, self._top_k, self._cap = items, settings.loss_top_k, settings.loss_weight_cap

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        propensity = tf.convert_to_tensor(pairs.propensity)  # the config refuses this loss where there is none

        def weigh(probability: tf.Tensor, reward: tf.Tensor, part: slice) -> tf.Tensor:
            ratio = tf.minimum(probability / tf.maximum(propensity[part], 1e-6), self._cap)
            return reward * ratio * self._top_k * (1 - probability) ** (self._top_k - 1)

        items = self._items
        vectors = items(tf.range(items.count), training=True)
        summed = sum_of_losses(pairs, vectors, items.trained, scores_at_once(items), weigh)
        return summed / tf.maximum(total(tf.reduce_sum(pairs.weight)), 1.0)
