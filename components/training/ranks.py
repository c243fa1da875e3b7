"""Where a model places the one item that was wanted, and what that is worth."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


def rank_of(wanted: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """float32 [batch], from 0: the place of a score, [batch], among ``scores`` [batch, n], of which it is one.

    Of equal ones, the mean of their places: a model that finds all alike is not to look good. What is no number comes last.
    """
    above = tf.reduce_sum(tf.cast(~(scores <= wanted[:, tf.newaxis]), tf.float32), axis=1)
    equal = tf.reduce_sum(tf.cast(scores == wanted[:, tf.newaxis], tf.float32), axis=1)
    return above + tf.maximum(equal - 1, 0) / 2


def gain_at_10(rank: NDArray) -> NDArray[np.float64]:
    """NDCG@10 where one item is wanted (Järvelin and Kekäläinen 2002): 1 / log2(rank + 2), ranks from 0; 0 from 10 on."""
    return np.where(rank < 10, 1 / np.log2(rank + 2.0), 0.0)
