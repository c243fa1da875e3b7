"""A step on an embedding table of a million rows, of which a batch reads some thousands: Adam beside its row-wise kind."""

import statistics
import time
from collections.abc import Iterator

import tensorflow as tf
import tf_keras as keras

from components.config.pipeline import TrainingConfig
from components.training.optimizers import OPTIMIZERS, optimizer_of

ROWS, DIM, READ = 1_000_000, 16, 4_096
STEPS, ROUNDS = 20, 5
Figure = tuple[str, float, str]


def step_times() -> Iterator[Figure]:
    """Medians of rounds in turn, and how many times as fast the row-wise kind is."""
    steps = {name: _step_of(name) for name in OPTIMIZERS}
    times_ms: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            started = time.perf_counter()
            for _ in range(STEPS):
                step()
            times_ms[name].append((time.perf_counter() - started) * 1000 / STEPS)
    medians = {name: statistics.median(values) for name, values in times_ms.items()}
    for name, value in medians.items():
        yield f"{name}_step_ms_of_{ROWS}_rows", value, "ms"
    yield "rowwise_adam_speedup", medians["adam"] / medians["rowwise_adam"], "1"


def _step_of(name: str) -> tf.types.experimental.PolymorphicFunction:
    layer = keras.layers.Embedding(ROWS, DIM)
    layer.build(None)
    optimizer = optimizer_of(TrainingConfig(optimizer=name))

    @tf.function
    def step() -> None:
        rows = tf.random.uniform([READ], maxval=ROWS, dtype=tf.int32)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(layer(rows)))
        optimizer.apply_gradients(zip(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables, strict=True))

    step()
    return step
