import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.config.pipeline import TrainingConfig
from components.errors import ArtifactError
from components.models.draws import Dropout, drawing
from components.training.checkpoints import Checkpoint, CheckpointFile, digest_of, training_key
from components.training.inputs import training_batches
from components.training.loop import HISTORY_FILE, train

SETTINGS = TrainingConfig(epochs=6, patience=2, batch_size=8, schedule="cosine", learning_rate=0.05)
METRICS = [0.3, 0.5, 0.2, 0.6, 0.1, 0.2]  # the fourth epoch is the best, and the sixth the last that patience allows


class CutOffError(Exception):
    pass


class Line(keras.Model):
    """A dense layer behind dropout; its loss is the squared error."""

    def __init__(self, width: int = 1) -> None:
        super().__init__()
        self._drop, self._dense = Dropout(0.5), keras.layers.Dense(width)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self._dense(self._drop(inputs, training=training))

    def train_step(self, data: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        with drawing(7, self.optimizer.iterations), tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(data["x"], training=True) - data["y"]) ** 2)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return {"loss": loss}


def checkpoint_in(folder: Path) -> CheckpointFile:
    return CheckpointFile(str(folder), lambda: "key")


def trained(folder: Path, checkpoint: CheckpointFile, cut_off_after: int | None = None, width: int = 1) -> list[np.ndarray]:
    """The weights that are left; the process can go away while the metric of a later epoch is measured."""
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(64, 4)).astype(np.float32)
    blocks = tf.data.Dataset.from_tensor_slices({"x": x, "y": x[:, :1]}).batch(16)
    model, history = Line(width), []

    def measure() -> dict[str, float]:
        if len(history) == cut_off_after:
            raise CutOffError
        history.append(int(model.optimizer.iterations))
        return {"recall": METRICS[history[-1] // 8 - 1]}

    train(model, lambda epoch: training_batches(blocks, 8, 3, epoch), measure, "recall", SETTINGS, folder, checkpoint)
    return model.get_weights()


@pytest.mark.parametrize("epochs", [1, 4, 5])
def test_a_training_that_was_cut_off_ends_as_if_it_had_not_been(epochs: int, tmp_path: Path) -> None:
    expected = trained(tmp_path / "whole", checkpoint_in(tmp_path / "apart"))
    with pytest.raises(CutOffError):
        trained(tmp_path / "first", checkpoint_in(tmp_path), cut_off_after=epochs)
    found = trained(tmp_path / "second", checkpoint_in(tmp_path))
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own, other)
    records = [json.loads((tmp_path / name / HISTORY_FILE).read_text()) for name in ("whole", "second")]
    assert [len(record.pop("seconds")) for record in records] == [6, 6]
    assert records[0] == records[1]
    assert (records[0]["best_epoch"], len(records[0]["curves"]["loss"])) == (4, 6)


def test_a_training_that_had_ended_is_not_trained_again(tmp_path: Path) -> None:
    """Its process was killed while the model was saved."""
    expected = trained(tmp_path, checkpoint_in(tmp_path))
    found = trained(tmp_path / "again", checkpoint_in(tmp_path), cut_off_after=0)
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own, other)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, checkpoint_in(tmp_path))
    with pytest.raises(ArtifactError, match=r"key\.npz: is of another model than is trained here; remove it"):
        trained(tmp_path, checkpoint_in(tmp_path), width=2)


def test_what_was_half_written_is_not_taken(tmp_path: Path) -> None:
    file = checkpoint_in(tmp_path)
    assert file.read() is None
    file.write(Checkpoint({"loss": [1.0]}, {"model": [np.arange(3.0), np.int64(7)]}))
    (tmp_path / ".key.npz.partial").write_bytes((tmp_path / "key.npz").read_bytes()[:100])
    found = file.read()
    assert found is not None
    assert found.progress == {"loss": [1.0]}
    assert [each.tolist() for each in found.arrays["model"]] == [[0.0, 1.0, 2.0], 7]
    file.remove()
    assert list(tmp_path.iterdir()) == []
    file.remove()


def test_a_damaged_one_is_named(tmp_path: Path) -> None:
    file = checkpoint_in(tmp_path)
    file.write(Checkpoint({}, {"model": [np.arange(3.0)]}))
    (tmp_path / "key.npz").write_bytes((tmp_path / "key.npz").read_bytes()[:100])
    with pytest.raises(ArtifactError, match=r"key\.npz: is damaged .*; remove it, and the training starts anew"):
        file.read()


def test_the_key_is_of_contents_and_not_of_places(tmp_path: Path) -> None:
    def key(setting: str = "a", folder: str = "one", content: str = "x", name: str = "part") -> str:
        place = tmp_path / folder / "inner"
        place.mkdir(parents=True, exist_ok=True)
        for old in place.iterdir():
            old.unlink()
        (place / name).write_text(content)
        return training_key([setting], digest_of({"examples": place.parent, "train": [place / name]}))

    assert key() == key(folder="two")
    assert len({key(), key(setting="b"), key(content="y"), key(name="other")}) == 4
