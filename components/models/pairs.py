"""What a query tower is trained on: vectors of requests, and the item that each led to."""

from typing import NamedTuple

import tensorflow as tf


class Pairs(NamedTuple):
    """
    Attributes:
      queries: float32 [m, dim].
      rows: int32 [m]; of the items.
      weight: float32 [m]; 0 leaves a pair out as a positive, though its item may still serve as a negative.
      excluded: int32 [samples, length]; what is not to be recommended to the samples' users: what they had, the latest first.
      sample, place: int32 [m]; of a pair it is what stands in its sample's row from this place on.
      propensity: float32 [m]; the probability with which the item was shown, 1 where it is not known; None for sequences.
    """

    queries: tf.Tensor
    rows: tf.Tensor
    weight: tf.Tensor
    excluded: tf.Tensor
    sample: tf.Tensor
    place: tf.Tensor
    propensity: tf.Tensor | None = None
