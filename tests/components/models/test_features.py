import numpy as np
import tensorflow as tf
import tf_keras as keras

from components.models.features import FeatureVectors, Slot, bag_mean, dense_stack


def table_of(rows: list[list[float]]) -> keras.layers.Embedding:
    weights = np.array(rows, np.float32)
    return keras.layers.Embedding(*weights.shape, embeddings_initializer=keras.initializers.Constant(weights))


def test_bag_mean_is_over_what_is_there() -> None:
    table = table_of([[1, 10], [3, 30], [5, 50]])
    # (1 + 5) / 2 and (10 + 50) / 2; a value given twice counts twice: (3 + 3 + 5) / 3; nothing at all is zero.
    means = bag_mean(table, tf.constant([[0, 2, -1], [1, 1, 2], [-1, -1, -1]], tf.int64))
    np.testing.assert_allclose(means, [[3, 30], [11 / 3, 110 / 3], [0, 0]], rtol=1e-6)


def test_bag_mean_takes_lists_of_lists() -> None:
    table = table_of([[1.0], [3.0]])
    np.testing.assert_allclose(bag_mean(table, tf.constant([[[0, 1], [1, -1]]])), [[[2.0], [3.0]]])


def test_vectors_lie_side_by_side_in_the_order_of_the_slots() -> None:
    slots = (Slot("price", "number"), Slot("colour", "category", 4), Slot("tags", "bag", 3))
    layer = FeatureVectors(slots, dim=5)
    batch = {
        "price": tf.constant([[0.5], [-2.0]]),
        "colour": tf.constant([3, 0], tf.int64),
        "tags": tf.constant([[0, -1], [-1, -1]], tf.int64),
    }
    vectors = layer(batch)
    assert layer.width == 1 + 5 + 5
    assert vectors.shape == (2, layer.width)
    colours, tags = (weights.numpy() for weights in layer.trainable_weights)
    np.testing.assert_allclose(vectors[:, 0], [0.5, -2.0])
    np.testing.assert_allclose(vectors[:, 1:6], colours[[3, 0]])
    np.testing.assert_allclose(vectors[:, 6:], [tags[0], np.zeros(5)])


def test_integers_are_numbers_too() -> None:
    layer = FeatureVectors((Slot("count", "number"),), dim=5)
    np.testing.assert_allclose(layer({"count": tf.constant([2, 3], tf.int64)}), [[2.0], [3.0]])


def test_dense_stack_widths() -> None:
    stack = dense_stack((7, 3), dropout=0.5, name="stack")
    assert stack(tf.zeros([2, 4])).shape == (2, 3)
    assert [weights.shape for weights in stack.trainable_weights] == [(4, 7), (7,), (7, 3), (3,)]


def test_an_empty_stack_changes_nothing() -> None:
    np.testing.assert_array_equal(dense_stack((), dropout=0.5, name="stack")(tf.ones([2, 4])), np.ones((2, 4)))
