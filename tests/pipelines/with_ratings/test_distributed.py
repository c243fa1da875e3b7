"""Trainers that share one training: two processes on loopback, or two devices of one process, beside one alone.

They see the same batches in the same order, each a part of every batch, and take their negatives from all of a batch. Without
dropout, whose draws are each replica's own, the curves must therefore be those of one process but for rounding.
"""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from components.errors import ConfigError
from tests.full import full
from tests.pipelines.trainer_process import DEVICES_ENV
from tests.pipelines.trainings import Trainings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def alone(trainings: Trainings) -> Callable[[str], str]:
    """The name of a training of a section by one process on one device, which is made once."""
    made: dict[str, str] = {}

    def train(section: str) -> str:
        if section not in made:
            assert trainings.start(section, f"{section} alone", {}).wait() == 0, trainings.log(f"{section} alone")
            made[section] = f"{section} alone"
        return made[section]

    return train


def assert_same(curves: dict[str, list[float]], expected: dict[str, list[float]]) -> None:
    assert curves.keys() == expected.keys()
    for name, values in expected.items():
        # Rounding can swap two items in one sample's list, by which a metric of some 40 samples moves a step.
        bounds = {"rel": 1e-3, "abs": 1e-6} if "loss" in name else {"rel": 0.0, "abs": 5e-3}
        assert curves[name] == pytest.approx(values, **bounds), name
    assert len(set(expected["loss"])) == len(expected["loss"]) == 3, "nothing was learnt that could be compared"


@pytest.mark.parametrize("section", ["retrieval", pytest.param("ranking", marks=full("a minute and a half"))])
def test_two_processes_learn_what_one_does(section: str, trainings: Trainings, alone: Callable[[str], str]) -> None:
    name = f"{section} by two"
    chief, worker = trainings.start_pair(section, name)
    assert (chief.wait(), worker.wait()) == (0, 0), trainings.log(name)
    assert_same(trainings.curves(name), trainings.curves(alone(section)))
    made, expected = (tf.saved_model.load(str(trainings.model(each))) for each in (name, alone(section)))
    if section == "retrieval":
        np.testing.assert_allclose(made.vectors.numpy(), expected.vectors.numpy(), atol=2e-3)
    assert sorted(made.signatures) == sorted(expected.signatures)


def test_two_devices_learn_what_one_does(trainings: Trainings, alone: Callable[[str], str]) -> None:
    process = trainings.start("retrieval", "two devices", {DEVICES_ENV: "2"}, distribute="mirrored")
    assert process.wait() == 0, trainings.log("two devices")
    assert_same(trainings.curves("two devices"), trainings.curves(alone("retrieval")))


def test_a_batch_that_cannot_be_divided_is_refused(trainings: Trainings) -> None:
    process = trainings.start("retrieval", "odd", {DEVICES_ENV: "2"}, distribute="mirrored", batch_size=63)
    assert process.wait() != 0
    assert "retrieval.batch_size: found 63, wanted a multiple of 2, the number of replicas" in trainings.log("odd")


def test_a_killed_worker_ends_the_training_and_leaves_no_model(trainings: Trainings) -> None:
    """The node fails, and is tried again as any other; nobody waits for ever for one who is gone."""
    chief, worker = trainings.start_pair("retrieval", "killed", epochs=5_000, patience=5_000)
    trainings.wait_for(chief, "killed", lambda: trainings.has_begun("killed"))
    worker.kill()
    assert chief.wait(120) not in (0, None)
    assert "/job:worker" in trainings.log("killed")
    assert not trainings.model("killed").exists()


def test_a_chief_without_workers_to_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from components.training.distribution import joined

    for text in ("", "{}", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}'):
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(ConfigError, match=r'TF_CONFIG: found .*, wanted \{"cluster": \{"chief": \["host:2222"\]'):
            joined("chief")
    monkeypatch.setenv(
        "TF_CONFIG", '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "worker", "index": 0}}'
    )
    with pytest.raises(ConfigError, match="this process as chief"):
        joined("chief")


def test_a_process_that_has_computed_before_cannot_join(monkeypatch: pytest.MonkeyPatch) -> None:
    from components.training.distribution import joined

    tf.constant(1)
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "chief", "index": 0}}')
    with pytest.raises(ConfigError, match="it needs a process for each node, as on Kubeflow"):
        joined("chief")
