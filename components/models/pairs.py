"""What a query tower is trained on: vectors of requests, and the item that each led to."""

from typing import NamedTuple

import tensorflow as tf


class Pairs(NamedTuple):
    """
    Attributes:
      queries: float32 [m, dim].
      rows: int32 [m]; of the items.
      weight: float32 [m]; 0 leaves a pair out as a positive, though its item may still serve as a negative.
    """

    queries: tf.Tensor
    rows: tf.Tensor
    weight: tf.Tensor
