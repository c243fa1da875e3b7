"""From transformed features to vectors: what towers and rankers share."""

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf
import tf_keras as keras

from components.models.draws import Dropout

Features = Mapping[str, tf.Tensor]


@dataclass(frozen=True)
class Slot:
    """One feature of a model.

    Attributes:
      name: its key in the features.
      kind: ``category`` (int64 [batch], 0 unknown), ``id`` (the same, of very many values), ``bag`` (int64 [batch, n],
        -1 pads) or ``number`` (float32 [batch, 1]).
      size: number of categories; 0 for numbers.
    """

    name: str
    kind: str
    size: int = 0

    @property
    def embedded(self) -> bool:
        return self.kind != "number"


class FeatureVectors(keras.layers.Layer):
    """Each feature as a vector: embeddings for categories, their mean for bags, numbers as they are.

    Input: features by name; output: [batch, width], the vectors side by side.
    """

    def __init__(self, slots: tuple[Slot, ...], dim: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self._slots = slots
        self._tables = {
            slot.name: keras.layers.Embedding(slot.size, dim, embeddings_initializer=_initializer(), name=slot.name)
            for slot in slots
            if slot.embedded
        }
        self.widths = [dim if slot.embedded else 1 for slot in slots]
        self.width = sum(self.widths)

    def call(self, features: Features) -> tf.Tensor:
        return tf.concat(self.vectors(features), axis=-1)

    def vectors(self, features: Features) -> list[tf.Tensor]:
        """The vector of each slot, [batch, its width]."""
        return [self._vector(slot, features[slot.name]) for slot in self._slots]

    def _vector(self, slot: Slot, value: tf.Tensor) -> tf.Tensor:
        if not slot.embedded:
            return tf.reshape(tf.cast(value, tf.float32), [-1, 1])
        if slot.kind == "bag":
            return bag_mean(self._tables[slot.name], value)
        return self._tables[slot.name](tf.reshape(value, [-1]))


def bag_mean(table: keras.layers.Embedding, ids: tf.Tensor) -> tf.Tensor:
    """[…, dim]: the mean of the embeddings of ``ids`` [..., n] that are not -1; zero where all are."""
    present = tf.cast(ids >= 0, tf.float32)[..., tf.newaxis]
    total = tf.reduce_sum(table(tf.maximum(ids, 0)) * present, axis=-2)
    return total / tf.maximum(tf.reduce_sum(present, axis=-2), 1.0)


def _initializer() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=0.05)


def as_matrix(x: tf.Tensor) -> tf.Tensor:
    """[rows, width] of [..., width]: a dense layer multiplies that by its kernel in one op, with bias and ReLU, where for
    more dimensions it works out the shapes anew at each call."""
    return tf.reshape(x, [-1, x.shape[-1]])


def like_before(matrix: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """[..., width of ``matrix``], with the rows placed as ``x`` [..., any width] had them before ``as_matrix``."""
    return tf.reshape(matrix, tf.concat([tf.shape(x)[:-1], [matrix.shape[-1]]], axis=0))


def dense_stack(widths: tuple[int, ...], dropout: float, name: str) -> keras.Sequential:
    """Dense layers with ReLU, each followed by dropout; what comes in goes out where there are none."""
    layers: list[keras.layers.Layer] = []
    for width in widths:
        layers += [keras.layers.Dense(width, activation="relu"), Dropout(dropout)]
    return keras.Sequential(layers or [keras.layers.Identity()], name=name)
