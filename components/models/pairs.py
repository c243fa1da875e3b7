"""What a query tower is trained on: vectors of requests, and the item that each led to."""

from typing import NamedTuple

import tensorflow as tf


class Pairs(NamedTuple):
    """
    Attributes:
      queries: float32 [m, dim].
      rows: int32 [m]; of the items.
      weight: float32 [m]; 0 leaves a pair out as a positive, though its item may still serve as a negative.
      history: int32 [samples, length]; what the samples' users had before, the latest first.
      sample, place: int32 [m]; a pair's user had what stands in the sample's history from this place on.
      propensity: float32 [m]; the probability with which the item was shown, 1 where it is not known; None for sequences.
    """

    queries: tf.Tensor
    rows: tf.Tensor
    weight: tf.Tensor
    history: tf.Tensor
    sample: tf.Tensor
    place: tf.Tensor
    propensity: tf.Tensor | None = None
