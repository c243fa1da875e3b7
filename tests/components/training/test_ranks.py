import numpy as np
import tensorflow as tf

from components.training.ranks import gain_at_10, rank_of


def test_what_is_no_number_ranks_last() -> None:
    scores = tf.constant([[0.5, 0.9, 0.5, 0.1], [np.nan, 0.9, 0.2, np.nan]])
    # Two of equal score share their places; what a diverged model scores as no number is no hit.
    np.testing.assert_array_equal(rank_of(scores[:, 0], scores), [1.5, 4])
    np.testing.assert_array_equal(rank_of(scores[:, 2], scores), [1.5, 3])


def test_a_gain_falls_with_the_rank_and_ends_after_the_tenth() -> None:
    np.testing.assert_allclose(gain_at_10(np.array([0, 1, 2.5, 9, 10, 500])), [1, 0.63093, 0.46084, 0.28906, 0, 0], rtol=1e-4)
