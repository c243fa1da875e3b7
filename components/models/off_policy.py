"""Recall learnt from clicks on what another policy has shown, corrected by the propensities that were logged."""

import tensorflow as tf

from components.config import RetrievalConfig
from components.models.pairs import Pairs
from components.models.softmax import FullSoftmax
from components.models.towers import ItemTower

LEAST_PROPENSITY = 1e-6


class OffPolicySoftmax(FullSoftmax):
    """REINFORCE, corrected for the policy that has shown the items, and for lists of K.

    −Σ_i R_i ρ_i λ_i log π(i) / Σ_i R_i, with π the softmax over all trained items but those excluded for the user, the reward R
    the pair's weight, ρ_i = min(π(i) / β(i), c) for the propensity β with which the item was shown, and
    λ_i = K (1 − π(i))^(K − 1), the derivative of the chance to be among K draws; no gradient flows through ρ and λ.
    (Chen et al. 2019, Top-K Off-Policy Correction for a REINFORCE Recommender System, equations 3 and 6 and the cap of
    section 4.4. There the propensities are estimated; here they are those that were logged.)
    """

    def __init__(self, items: ItemTower, frequency: tf.Tensor, settings: RetrievalConfig) -> None:
        super().__init__(items, frequency, settings)
        self._top_k, self._cap = settings.loss_top_k, settings.loss_weight_cap

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        propensity = _propensity(pairs)

        def weigh(probability: tf.Tensor, reward: tf.Tensor, part: slice) -> tf.Tensor:
            ratio = tf.minimum(probability / propensity[part], self._cap)
            return reward * ratio * self._top_k * (1 - probability) ** (self._top_k - 1)

        return self.weighed(pairs, weigh)


class InversePropensitySoftmax(FullSoftmax):
    """The full softmax, with each click weighed by how seldom its item was shown.

    The weight of a pair, and so its share of their sum, is R_i min(1 / (n β(i)), c), with R and β as above and n trained items.
    (Propensity-scored empirical risk minimisation of Schnabel et al. 2016, Recommendations as Treatments, self-normalised, and
    with the weights capped: what was hardly ever shown would else count for most of what is learnt.)
    """

    def __init__(self, items: ItemTower, frequency: tf.Tensor, settings: RetrievalConfig) -> None:
        super().__init__(items, frequency, settings)
        self._count, self._cap = items.trained_count, settings.loss_ips_cap

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        weight = tf.minimum(1 / (self._count * _propensity(pairs)), self._cap)
        return self.weighed(pairs._replace(weight=pairs.weight * weight))


def _propensity(pairs: Pairs) -> tf.Tensor:
    """float32 [m]; the config refuses these losses where there is none."""
    return tf.maximum(tf.convert_to_tensor(pairs.propensity), LEAST_PROPENSITY)
