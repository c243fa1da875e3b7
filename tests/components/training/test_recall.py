import numpy as np
import tensorflow as tf

from components.models.items import PAD
from components.training.recall import rank_of, without_rows


def test_only_the_history_is_taken_out() -> None:
    scores = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    # Row 3 stands for an item that the catalogue does not know, and an item may be there twice.
    made = without_rows(scores, tf.constant([[2, PAD, 2], [3, 0, PAD]])).numpy()
    least = tf.float32.min
    np.testing.assert_array_equal(made, [[1, 2, least], [least, 5, 6]])


def test_an_empty_history_takes_nothing_out() -> None:
    scores = tf.constant([[1.0, 2.0]])
    np.testing.assert_array_equal(without_rows(scores, tf.constant([[PAD, PAD]])), scores)
    np.testing.assert_array_equal(without_rows(scores, tf.zeros([1, 0], tf.int32)), scores)


def test_what_is_no_number_ranks_last() -> None:
    scores = tf.constant([[0.5, 0.9, 0.5, 0.1], [np.nan, 0.9, 0.2, np.nan]])
    # Two of equal score share their place; what a diverged model scores as no number is no hit.
    np.testing.assert_array_equal(rank_of(scores[:, 0], scores), [1, 4])
    np.testing.assert_array_equal(rank_of(scores[:, 2], scores), [1, 3])
