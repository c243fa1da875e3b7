import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.config.pipeline import TrainingConfig
from components.errors import ConfigError, DataError
from components.training.checkpoints import CheckpointFile
from components.training.loop import HISTORY_FILE, train


class Counter(keras.Model):
    """Its one weight is the number of the epochs so far, one step each."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs = self.add_weight("epochs", initializer="zeros")

    def train_step(self, data: tf.Tensor) -> dict[str, tf.Tensor]:
        self.epochs.assign_add(1.0)
        return {"loss": self.epochs}

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs


def one_batch(epoch: int) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(tf.zeros([1, 1]))


def checkpoint_in(folder: Path) -> CheckpointFile:
    return CheckpointFile(str(folder / "checkpoints"), lambda: "key")


def run(folder: Path, metrics: list[float], epochs: int, patience: int) -> tuple[float, list[float]]:
    """The weight that is left, and the epochs that were measured, with these metrics after each."""
    model, measured = Counter(), []

    def measure() -> dict[str, float]:
        measured.append(float(model.epochs))
        return {"recall": metrics[len(measured) - 1], "other": 0.0}

    train(model, one_batch, measure, "recall", TrainingConfig(epochs=epochs, patience=patience), folder, checkpoint_in(folder))
    return float(model.epochs), measured


def test_stops_when_the_best_is_old_and_keeps_it(tmp_path: Path) -> None:
    # The best is the second epoch; two epochs without a better one end it after the fourth.
    assert run(tmp_path, [0.1, 0.5, 0.4, 0.5, 0.9], epochs=5, patience=2) == (2, [1, 2, 3, 4])
    record = json.loads((tmp_path / HISTORY_FILE).read_text())
    assert (record["metric"], record["best_epoch"]) == ("recall", 2)
    assert record["curves"] == {"loss": [1, 2, 3, 4], "recall": [0.1, 0.5, 0.4, 0.5], "other": [0, 0, 0, 0]}


def test_a_curve_is_of_the_mean_over_an_epochs_batches(tmp_path: Path) -> None:
    class Told(Counter):
        """Its loss is what the batch says."""

        def train_step(self, data: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"loss": data[0, 0], "loss_click": -data[0, 0]}

    def batches(epoch: int) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices([[[1.0]], [[2.0]], [[6.0 + 3 * epoch]]])

    train(Told(), batches, lambda: {"recall": 0.0}, "recall", TrainingConfig(epochs=2), tmp_path, checkpoint_in(tmp_path))
    curves = json.loads((tmp_path / HISTORY_FILE).read_text())["curves"]
    assert (curves["loss"], curves["loss_click"]) == ([3.0, 4.0], [-3.0, -4.0])


def test_goes_on_while_it_gets_better(tmp_path: Path) -> None:
    assert run(tmp_path, [0.1, 0.0, 0.2, 0.1], epochs=4, patience=2) == (3, [1, 2, 3, 4])


def test_the_rate_falls_along_a_cosine(tmp_path: Path) -> None:
    class Rate(Counter):
        """Its loss is the rate of the epoch."""

        def train_step(self, data: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"loss": self.optimizer.learning_rate}

    settings = TrainingConfig(epochs=4, learning_rate=0.01, schedule="cosine")
    train(Rate(), one_batch, lambda: {"recall": 0.0}, "recall", settings, tmp_path, checkpoint_in(tmp_path))
    rates = json.loads((tmp_path / HISTORY_FILE).read_text())["curves"]["loss"]
    # (1 + cos(π epoch / 4)) / 2 is 1, 0.853553, 0.5, 0.146447.
    np.testing.assert_allclose(rates, [0.01, 0.00853553, 0.005, 0.00146447], rtol=1e-5)


def test_a_metric_that_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    assert run(tmp_path, [0.3, np.nan, np.nan, 0.9], epochs=4, patience=2) == (1, [1, 2, 3])


def test_a_training_that_never_comes_to_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="recall came to no number after any of 2 epochs: the training diverged"):
        run(tmp_path, [np.nan, np.nan, np.nan], epochs=2, patience=2)


def test_fewer_samples_than_a_batch_are_told(tmp_path: Path) -> None:
    nothing = tf.data.Dataset.from_tensors(tf.zeros([1, 1])).take(0)
    with pytest.raises(
        DataError, match="found fewer samples to learn from than the batch_size of 64, wanted one batch at least"
    ):
        train(
            Counter(),
            lambda epoch: nothing,
            lambda: {"recall": 0.0},
            "recall",
            TrainingConfig(batch_size=64),
            tmp_path,
            checkpoint_in(tmp_path),
        )
