import numpy as np
import tensorflow as tf

from components.models.rankers.dlrm import dot_products


def test_each_pair_has_its_dot_product() -> None:
    # Pairs (1, 0), (2, 0), (2, 1) of (1, 2), (3, 4), (5, −6): 11, −7, −9.
    fields = tf.constant([[[[1.0, 2.0], [3.0, 4.0], [5.0, -6.0]]]])
    np.testing.assert_allclose(dot_products(fields), [[[11.0, -7.0, -9.0]]])
