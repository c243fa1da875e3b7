"""The losses of recall, by their names in the config."""

from collections.abc import Callable, Mapping

import tensorflow as tf

from components.config import RetrievalConfig
from components.models.binary import GeneralizedBinary
from components.models.off_policy import InversePropensitySoftmax, OffPolicySoftmax
from components.models.pairs import Pairs
from components.models.softmax import FullSoftmax, InBatchSoftmax, MixedSoftmax, SampledSoftmax
from components.models.towers import ItemTower

Loss = Callable[[Pairs], tf.Tensor]
LOSSES: Mapping[str, Callable[[ItemTower, tf.Tensor, RetrievalConfig], Loss]] = {
    "in_batch": InBatchSoftmax,
    "mixed": MixedSoftmax,
    "full": FullSoftmax,
    "sampled": SampledSoftmax,
    "gbce": GeneralizedBinary,
    "off_policy": OffPolicySoftmax,
    "ips": InversePropensitySoftmax,
}
