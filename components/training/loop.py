"""Training with early stopping on a metric of ours, and a record that the report draws."""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

from components.config.pipeline import TrainingConfig
from components.training.distribution import chiefs
from components.training.inputs import part_of

HISTORY_FILE = "history.json"


class StopOnMetric(keras.callbacks.Callback):
    """After each epoch measures the model; keeps the best weights and stops when they stay the best for long."""

    def __init__(self, measure: Callable[[], dict[str, float]], metric: str, patience: int) -> None:
        super().__init__()
        self._measure, self._metric, self._patience = measure, metric, patience
        self._best, self._best_epoch = float("-inf"), 0
        self._weights: list | None = None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        # The chief's: should another worker find a last digit otherwise, all must stop or go on together all the same.
        measured = json.loads(chiefs(json.dumps(self._measure())))
        if logs is not None:
            logs.update(measured)
        if measured[self._metric] > self._best:
            self._best, self._best_epoch, self._weights = measured[self._metric], epoch, self.model.get_weights()
        elif epoch - self._best_epoch >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._weights is not None:
            self.model.set_weights(self._weights)


def _cosine(settings: TrainingConfig, epoch: int, _: float) -> float:
    """Half a cosine wave from the whole rate, in the first epoch, down to nothing after the last."""
    return float(settings.learning_rate * (1 + math.cos(math.pi * epoch / settings.epochs)) / 2)


def train(
    model: keras.Model,
    batches: tf.data.Dataset,
    measure: Callable[[], dict[str, float]],
    metric: str,
    settings: TrainingConfig,
    run_folder: Path,
) -> None:
    """Fit ``model``, leave it with its best weights, write TensorBoard logs and ``history.json``.

    Args:
      batches: of all replicas of the strategy in whose scope the model was made; the same on each worker.
      measure: validation metrics of the model as it is; ``metric`` names the one to be greatest.
    """
    strategy = model.distribute_strategy
    steps = None
    if strategy.num_replicas_in_sync > 1:
        # Keras must know how many batches a distributed epoch has; counting them fills the cache that the first epoch reads.
        steps = int(batches.reduce(np.int64(0), lambda count, _: count + 1))
        endless = batches.repeat()
        batches = strategy.distribute_datasets_from_function(lambda place: part_of(endless, place, settings.batch_size))
    with strategy.scope():
        model.compile(optimizer=keras.optimizers.legacy.Adam(settings.learning_rate))
    schedule = []
    if settings.schedule == "cosine":
        schedule = [keras.callbacks.LearningRateScheduler(partial(_cosine, settings))]
    history = model.fit(
        batches,
        epochs=settings.epochs,
        steps_per_epoch=steps,
        verbose=0,
        callbacks=[
            *schedule,
            StopOnMetric(measure, metric, settings.patience),
            keras.callbacks.TensorBoard(str(run_folder), profile_batch=0, write_graph=False),
        ],
    )
    curves = {name: [float(value) for value in values] for name, values in history.history.items()}
    best = max(range(len(curves[metric])), key=curves[metric].__getitem__)
    record = {"metric": metric, "best_epoch": best + 1, "curves": curves}
    run_folder.mkdir(parents=True, exist_ok=True)
    (run_folder / HISTORY_FILE).write_text(json.dumps(record, indent=1))
