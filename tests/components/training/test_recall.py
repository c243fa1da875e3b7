from pathlib import Path

import numpy as np
import tensorflow as tf

from components.models.items import PAD
from components.training.recall import Recall, without_rows


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


class Saved(tf.Module):
    """Towers of which requests and items are numbers; the last of the vectors stands for unknown items."""

    def __init__(self, vectors: list[list[float]]) -> None:
        super().__init__()
        self.vectors = tf.Variable(vectors)

    @tf.function(input_signature=[{"request": tf.TensorSpec([None, 1])}])
    def embed(self, features: dict[str, tf.Tensor]) -> tf.Tensor:
        return features["request"]


def test_the_best_rows_are_of_those_that_may_be(tmp_path: Path) -> None:
    tf.saved_model.save(Saved([[1.0], [4.0], [3.0], [2.0], [0.0]]), str(tmp_path / "Format-Serving"))
    recall = Recall(tmp_path)
    vectors, had = recall.embed({"request": tf.constant([[1.0], [-1.0]])}), tf.constant([[2, PAD], [PAD, PAD]])
    np.testing.assert_array_equal(recall.best_rows(vectors, had, 3), [[1, 3, 0], [0, 3, 2]])
    among = tf.constant([True, False, True, True])
    np.testing.assert_array_equal(recall.best_rows(vectors, had, 2, among), [[3, 0], [0, 3]])
    # Where too few are left, none follow.
    np.testing.assert_array_equal(recall.best_rows(vectors, had, 4, among), [[3, 0, PAD, PAD], [0, 3, 2, PAD]])
