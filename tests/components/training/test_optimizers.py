"""Two batches on a table of three rows, stepped by hand, and everything else as Adam steps it."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.config.pipeline import TrainingConfig
from components.training.optimizers import RowwiseAdam, optimizer_of

RATE, B1, B2, EPSILON = 0.1, 0.9, 0.999, 1e-7


def stepped(
    weight: np.ndarray, m: np.ndarray, v: float, gradient: np.ndarray, step: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """One row by the formula of the class."""
    m, v = B1 * m + (1 - B1) * gradient, B2 * v + (1 - B2) * float(np.mean(gradient**2))
    rate = RATE * np.sqrt(1 - B2**step) / (1 - B1**step)
    return weight - rate * m / (np.sqrt(v) + EPSILON), m, v


@pytest.fixture
def table() -> keras.layers.Embedding:
    layer = keras.layers.Embedding(3, 2, embeddings_initializer="ones", name="item")
    layer.build(None)
    return layer


def test_only_the_rows_that_were_read_are_stepped(table: keras.layers.Embedding) -> None:
    optimizer = RowwiseAdam(RATE)
    variable = table.embeddings
    one, two = np.array([3.0, 4.0]), np.array([-1.0, 1.0])
    optimizer.apply_gradients([(tf.IndexedSlices(tf.constant([one, two], tf.float32), tf.constant([0, 2]), [3, 2]), variable)])
    row_0, m, v = stepped(np.ones(2), np.zeros(2), 0.0, one, 1)
    row_2, *_ = stepped(np.ones(2), np.zeros(2), 0.0, two, 1)
    np.testing.assert_allclose(variable, [row_0, [1, 1], row_2], rtol=1e-5)

    # Row 0 twice in a batch: the gradients add up. Row 2 stays, although its first moment is not zero.
    both = tf.IndexedSlices(tf.constant([two, two], tf.float32), tf.constant([0, 0]), [3, 2])
    optimizer.apply_gradients([(both, variable)])
    np.testing.assert_allclose(variable, [stepped(row_0, m, v, 2 * two, 2)[0], [1, 1], row_2], rtol=1e-5)


def test_a_table_that_is_read_as_a_whole_is_stepped_by_the_same_formula(table: keras.layers.Embedding) -> None:
    gradient = np.array([[3.0, 4.0], [0.0, 0.0], [-1.0, 1.0]])
    RowwiseAdam(RATE).apply_gradients([(tf.constant(gradient, tf.float32), table.embeddings)])
    wanted = [stepped(np.ones(2), np.zeros(2), 0.0, row, 1)[0] for row in gradient]
    np.testing.assert_allclose(table.embeddings, wanted, rtol=1e-5)


def test_it_keeps_one_second_moment_a_row(table: keras.layers.Embedding) -> None:
    optimizer = RowwiseAdam(RATE)
    kernel = tf.Variable(tf.ones([2, 5]), name="dense/kernel")
    optimizer.apply_gradients([(tf.ones([3, 2]), table.embeddings), (tf.ones([2, 5]), kernel)])
    assert [weight.shape for weight in optimizer.get_weights()] == [(), (3, 2), (2, 5), (3, 1), (2, 5)]


def test_what_is_no_table_is_stepped_as_by_adam() -> None:
    rng = np.random.default_rng(1)
    start, gradients = rng.normal(size=[4, 3]), rng.normal(size=[5, 4, 3])
    found = []
    for kind in ("adam", "rowwise_adam"):
        kernel, rows = tf.Variable(start, name="dense/kernel"), tf.Variable(start, name="rows")
        optimizer = optimizer_of(TrainingConfig(optimizer=kind, learning_rate=RATE))
        for gradient in gradients:
            sparse = tf.IndexedSlices(tf.constant(gradient[:2]), tf.constant([3, 1]), [4, 3])
            optimizer.apply_gradients([(tf.constant(gradient), kernel), (sparse, rows)])
        found.append((kernel.numpy(), rows.numpy()))
    np.testing.assert_array_equal(found[0], found[1])
