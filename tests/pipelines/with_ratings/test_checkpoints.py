"""A trainer's process that is killed in the middle, and another that goes on where it was.

In `make test` the same is tried within one process: tests/components/training/test_checkpoints.py.
"""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.full import full
from tests.pipelines.trainings import Trainings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
EPOCHS = 10
RANDOM = {
    "retrieval": {"query_tower": "self_attention", "loss": "sampled", "loss_negatives": 10, "dropout": 0.3, "id_dropout": 0.3},
    "ranking": {"model": {"name": "dcn_v2", "cross_rank": 4, "cross_layers": 1, "hidden": [8], "dropout": 0.3}},
}


@full("four minutes")
@pytest.mark.parametrize("section", ["retrieval", "ranking"])
def test_a_killed_trainer_goes_on_and_ends_as_if_it_had_not_been(section: str, trainings: Trainings) -> None:
    settings = {**RANDOM[section], "epochs": EPOCHS, "patience": EPOCHS, "schedule": "cosine"}
    whole, name = f"{section} whole", f"{section} killed"
    assert trainings.start(section, whole, {}, **settings).wait() == 0, trainings.log(whole)
    # The same training, so it must not find the checkpoint of the one above, which has ended and removed it.
    assert trainings.checkpoints() == []

    process = trainings.start(section, name, {}, **settings)
    trainings.wait_for(process, name, lambda: bool(trainings.checkpoints()))
    process.kill()
    process.wait()
    assert not trainings.model(name).exists(), "it had ended before it was killed"

    assert trainings.start(section, name, {}, **settings).wait() == 0, trainings.log(name)
    assert "goes on after epoch" in trainings.log(name)
    assert trainings.curves(name) == trainings.curves(whole)
    for found, expected in zip(*(_variables(trainings.model(each)) for each in (name, whole)), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert trainings.checkpoints() == []


@full("a minute and a half")
def test_a_killed_pair_goes_on(trainings: Trainings) -> None:
    """The chief alone keeps the checkpoint, and tells its worker what is in it."""
    settings = {"epochs": EPOCHS, "patience": EPOCHS}
    chief, worker = trainings.start_pair("retrieval", "pair", **settings)
    trainings.wait_for(chief, "pair", lambda: bool(trainings.checkpoints()))
    for process in (chief, worker):
        process.kill()
        process.wait()
    chief, worker = trainings.start_pair("retrieval", "pair", **settings)
    assert (chief.wait(), worker.wait()) == (0, 0), trainings.log("pair")
    assert "goes on after epoch" in trainings.log("pair")
    assert len(trainings.curves("pair")["loss"]) == EPOCHS
    assert trainings.checkpoints() == []


def _variables(model: Path) -> list[np.ndarray]:
    saved = tf.saved_model.load(str(model))
    return [variable.numpy() for variable in saved._variables]
