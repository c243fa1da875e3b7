"""The random draws of training: they depend on the seed and the step alone, and not on what has been drawn before.

So a training that was cut off goes on with the very draws that it would have had: of the random numbers nothing has to be
kept but the optimizer's count of steps. TensorFlow's own dropout draws from a state inside its kernels that nobody can save.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import tensorflow as tf
import tf_keras as keras

_PRIME = 1_000_003


@dataclass(frozen=True)
class _Step:
    """Of one batch: ``number`` int64 [], of all replicas the same; ``places`` numbers the draws within it."""

    seed: int
    number: tf.Tensor
    places: Iterator[int] = field(default_factory=itertools.count)


_step: ContextVar[_Step | None] = ContextVar("step", default=None)


@contextmanager
def drawing(seed: int, step: tf.Tensor) -> Iterator[None]:
    """Around what a model computes of one batch in training; ``step`` int64 [], the optimizer's count of them."""
    token = _step.set(_Step(seed, step))
    try:
        yield
    finally:
        _step.reset(token)


def uniform(
    shape: Sequence[int] | tf.Tensor, maxval: int | tf.Tensor = 1, dtype: tf.DType = tf.float32, shared: bool = False
) -> tf.Tensor:
    """Uniform numbers from 0 to ``maxval``, which is left out; outside of ``drawing``, TensorFlow's own.

    Args:
      shared: the same on all replicas.
    """
    step = _step.get()
    if step is None:
        return tf.random.uniform(shape, maxval=maxval, dtype=dtype)
    return tf.random.stateless_uniform(shape, _seed(step, shared), maxval=maxval, dtype=dtype)


def hidden(id_rows: tf.Tensor, rate: float) -> tf.Tensor:
    """``id_rows`` with a share ``rate`` of them 0, the row of all ids that are unknown."""
    return tf.where(uniform(tf.shape(id_rows)) < rate, 0, id_rows)


def dropout(value: tf.Tensor, rate: float) -> tf.Tensor:
    """``value`` with a share ``rate`` of it zero, the rest divided by 1 − rate; outside of ``drawing``, TensorFlow's own."""
    step = _step.get()
    if step is None:
        return tf.nn.dropout(value, rate)
    return tf.nn.experimental.stateless_dropout(value, rate, _seed(step, shared=False))


class Dropout(keras.layers.Layer):
    """``dropout`` while training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = rate

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return dropout(inputs, self._rate) if training and self._rate else inputs


class MultiHeadAttention(keras.layers.MultiHeadAttention):
    """Keras' own, with ``Dropout`` of the attention's weights."""

    def _build_attention(self, rank: int) -> None:
        super()._build_attention(rank)
        self._dropout_layer = Dropout(self._dropout)


def _seed(step: _Step, shared: bool) -> tf.Tensor:
    """int64 [2]; of each draw of each step another."""
    number = tf.cast(step.number, tf.int64)
    replica = tf.distribute.get_replica_context()
    if not shared and replica is not None and replica.num_replicas_in_sync > 1:
        number = number * replica.num_replicas_in_sync + tf.cast(replica.replica_id_in_sync_group, tf.int64)
    return tf.stack([tf.constant(step.seed * _PRIME + next(step.places), tf.int64), number])
