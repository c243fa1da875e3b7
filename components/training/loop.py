"""Training with early stopping on a metric of ours, a record that the report draws, and a checkpoint after each epoch."""

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

from components.config.pipeline import TrainingConfig
from components.errors import ArtifactError, ConfigError, DataError
from components.training.checkpoints import Arrays, Checkpoint, CheckpointFile
from components.training.distribution import chiefs, chiefs_arrays
from components.training.inputs import part_of
from components.training.optimizers import optimizer_of

HISTORY_FILE = "history.json"
MODEL, OPTIMIZER, BEST = "model", "optimizer", "best"
logger = logging.getLogger("winnow.training")
Batches = Callable[[int], tf.data.Dataset]


@dataclass
class Progress:
    """What the epochs so far have given.

    Attributes:
      metric: the one to be greatest; curves: each metric's values, one an epoch; seconds: of each epoch's steps;
      best_weights: None before any epoch.
    """

    metric: str
    curves: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    best_weights: Arrays | None = None

    @property
    def epochs(self) -> int:
        return len(self.curves.get(self.metric, ()))

    @property
    def best_epoch(self) -> int:
        """The first of the greatest, from 0; what is no number is never the best."""
        values = [-math.inf if math.isnan(value) else value for value in self.curves[self.metric]]
        return values.index(max(values))

    def is_over(self, settings: TrainingConfig) -> bool:
        if self.epochs in (0, settings.epochs):
            return self.epochs == settings.epochs
        return self.epochs - 1 - self.best_epoch >= settings.patience

    def add(self, epoch: dict[str, float], seconds: float, model: keras.Model) -> None:
        self.seconds.append(round(seconds, 3))
        for name, value in epoch.items():
            self.curves.setdefault(name, []).append(float(value))
        if self.best_epoch == self.epochs - 1:
            self.best_weights = model.get_weights()


def train(
    model: keras.Model,
    batches: Batches,
    measure: Callable[[], dict[str, float]],
    metric: str,
    settings: TrainingConfig,
    run_folder: Path,
    checkpoint: CheckpointFile,
) -> Progress:
    """Fit ``model``, leave it with its best weights, write TensorBoard logs and ``history.json``.

    Where a training with the same settings and inputs was cut off, it goes on after the last epoch that it had finished.

    Args:
      batches: an epoch's, of all replicas of the strategy in whose scope the model was made; the same on each worker.
      measure: validation metrics of the model as it is; ``metric`` names the one to be greatest.

    Raises:
      DataError: there is not one batch.
      ConfigError: ``metric`` was no number after any epoch.
    """
    strategy = model.distribute_strategy
    with strategy.scope():
        model.compile(optimizer=optimizer_of(settings))
        # The draws read the count of steps, which replicas cannot make within the step that first reads it.
        model.optimizer.iterations.assign(0)
        feed = _Feed(model, batches, settings)
        progress = _resumed(model, feed, metric, checkpoint)
        logs = tf.summary.create_file_writer(str(run_folder))
        for epoch in range(progress.epochs):
            _log(logs, epoch, progress)
        while not progress.is_over(settings):
            epoch = progress.epochs
            if settings.schedule == "cosine":
                model.optimizer.learning_rate = _cosine(settings, epoch)
            started = time.monotonic()
            losses = feed.fit(epoch)
            seconds = time.monotonic() - started
            # The chief's: should another worker find a last digit otherwise, all must stop or go on together all the same.
            progress.add({**losses, **json.loads(chiefs(json.dumps(measure())))}, seconds, model)
            reached = progress.curves[metric][epoch]
            logger.info("epoch %d of at most %d: %.0f s, %s %.4f", epoch + 1, settings.epochs, seconds, metric, reached)
            _log(logs, epoch, progress)
            if strategy.extended.should_checkpoint:
                checkpoint.write(_checkpoint(model, progress))
        if math.isnan(progress.curves[metric][progress.best_epoch]):
            raise ConfigError(
                f"{metric} came to no number after any of {progress.epochs} epochs: the training diverged; wanted a lower "
                "learning_rate"
            )
        model.set_weights(progress.best_weights)
    record = {
        "metric": metric,
        "best_epoch": progress.best_epoch + 1,
        "curves": progress.curves,
        "seconds": progress.seconds,
    }
    run_folder.mkdir(parents=True, exist_ok=True)
    (run_folder / HISTORY_FILE).write_text(json.dumps(record, indent=1))
    return progress


class _Feed:
    """Brings the batches to the model."""

    def __init__(self, model: keras.Model, batches: Batches, settings: TrainingConfig) -> None:
        self._model, self._batches, self._batch_size = model, batches, settings.batch_size
        self._steps: int | None = None
        if model.distribute_strategy.num_replicas_in_sync > 1:
            # Keras must know how many batches a distributed epoch has.
            self._steps = self._count()
            if self._steps == 0:
                raise self._too_few()

    def fit(self, epoch: int) -> dict[str, float]:
        """The mean of each loss over an epoch."""
        return self._fit(epoch, self._steps)

    def build(self) -> None:
        """Take one step, with which all variables come to be."""
        if self._steps is None:
            self._count()
        self._fit(0, 1)

    def _count(self) -> int:
        """Of an epoch's batches, which also fills the cache that the first epoch reads: it takes no part of a pass."""
        return int(self._batches(0).reduce(np.int64(0), lambda count, _: count + 1))

    def _fit(self, epoch: int, steps: int | None) -> dict[str, float]:
        batches, strategy = self._batches(epoch), self._model.distribute_strategy
        if strategy.num_replicas_in_sync > 1:
            whole = partial(part_of, batches, batch_size=self._batch_size)
            batches = strategy.distribute_datasets_from_function(lambda place: whole(place=place))
        means = _Means()
        try:
            self._model.fit(batches, steps_per_epoch=steps, verbose=0, callbacks=[means])
        except ValueError as error:
            if any(True for _ in self._batches(epoch).take(1)):
                raise
            raise self._too_few() from error
        return means.values()

    def _too_few(self) -> DataError:
        return DataError(
            f"found fewer samples to learn from than the batch_size of {self._batch_size}, wanted one batch at least: lower "
            "the batch_size of retrieval or ranking, whichever is being trained, or bring more data"
        )


class _Means(keras.callbacks.Callback):
    """The mean of each loss over the batches; Keras itself keeps the last batch's."""

    def __init__(self) -> None:
        super().__init__()
        self._supports_tf_logs = True  # so that Keras hands tensors on, and does not wait for each batch
        self._sums: dict[str, tf.Tensor] = {}
        self._count = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, tf.Tensor]) -> None:
        self._count += 1
        for name, value in logs.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def values(self) -> dict[str, float]:
        return {name: float(value) / self._count for name, value in self._sums.items()}


def _cosine(settings: TrainingConfig, epoch: int) -> float:
    """Half a cosine wave from the whole rate, in the first epoch, down to nothing after the last."""
    return float(settings.learning_rate * (1 + math.cos(math.pi * epoch / settings.epochs)) / 2)


def _resumed(model: keras.Model, feed: _Feed, metric: str, file: CheckpointFile) -> Progress:
    """Where the training stands: at its beginning, or where the chief's checkpoint says, with its variables in ``model``.

    Raises:
      ArtifactError: the checkpoint is of another model.
    """
    found = file.read() if model.distribute_strategy.extended.should_checkpoint else None
    progress = Progress(metric, **json.loads(chiefs(json.dumps(found.progress if found else {}))))
    if not progress.epochs:
        return progress
    feed.build()
    own = _variables(model)
    arrays = {name: found.arrays.get(name, ()) if found else values for name, values in own.items()}
    if any(_shapes(arrays[name]) != _shapes(values) for name, values in own.items()):
        raise ArtifactError(f"{file.place}: is of another model than is trained here; remove it, and the training starts anew")
    arrays = {name: chiefs_arrays(values) for name, values in arrays.items()}
    model.set_weights(arrays[MODEL])
    model.optimizer.set_weights(arrays[OPTIMIZER])
    progress.best_weights = arrays[BEST]
    logger.info("goes on after epoch %d, with which an earlier training was cut off", progress.epochs)
    return progress


def _checkpoint(model: keras.Model, progress: Progress) -> Checkpoint:
    return Checkpoint(
        {"curves": progress.curves, "seconds": progress.seconds}, {**_variables(model), BEST: progress.best_weights or ()}
    )


def _variables(model: keras.Model) -> dict[str, Arrays]:
    weights = model.get_weights()
    return {MODEL: weights, OPTIMIZER: model.optimizer.get_weights(), BEST: weights}


def _shapes(arrays: Arrays) -> list[tuple[int, ...]]:
    return [each.shape for each in arrays]


def _log(writer: tf.summary.SummaryWriter, epoch: int, progress: Progress) -> None:
    """For TensorBoard."""
    with writer.as_default(step=epoch):
        for name, values in progress.curves.items():
            tf.summary.scalar(f"epoch_{name}", values[epoch])
        writer.flush()
