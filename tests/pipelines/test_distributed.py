"""Trainers that share one training: two processes on loopback, or two devices of one process, beside one alone.

They see the same batches in the same order, each a part of every batch, and take their negatives from all of a batch. Without
dropout, whose draws are each replica's own, the curves must therefore be those of one process but for rounding.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.config import parse_config
from components.errors import ConfigError
from tests.pipelines.conftest import SMALL_MODELS, Workdir, ratings_config
from tests.pipelines.trainer_process import DEVICES_ENV

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
INPUTS = {
    "examples": ("Samples", "examples"), "schema": ("Samples", "schema"), "transform_graph": ("Transform", "transform_graph"),
    "event_log": ("Ingest", "event_log"), "catalogue": ("Ingest", "catalogue"), "features": ("Samples", "features"),
}  # fmt: skip
RECALL = {"retrieval": ("RetrievalTrainer", "model"), "index": ("IndexBuilder", "index")}
EXACT: dict[str, dict[str, Any]] = {
    "retrieval": {"dropout": 0.0, "id_dropout": 0.0},
    "ranking": {"model": {**SMALL_MODELS["ranking"]["model"], "dropout": 0.0}},
}
Processes = list["subprocess.Popen[bytes]"]


class Trainings:
    """Trains with the samples of a run that has ended; each training's outputs and logs lie in a folder of its own."""

    def __init__(self, run: Workdir, folder: Path, processes: Processes) -> None:
        self._run, self._folder, self._processes = run, folder, processes

    def start(self, section: str, name: str, environment: dict[str, str], **settings: Any) -> "subprocess.Popen[bytes]":
        folder = self._folder / name
        folder.mkdir()
        config = ratings_config()
        config[section] = {**config[section], **EXACT[section], "epochs": 3, **settings}
        order = {
            "run_fn": f"components.{section}.trainer.run_fn",
            "config": parse_config(json.dumps(config), origin="test").model_dump_json(),
            "inputs": {
                key: str(self._run.artifact(*place))
                for key, place in {**INPUTS, **(RECALL if section == "ranking" else {})}.items()
            },
            "folder": str(folder),
        }
        (folder / "order.json").write_text(json.dumps(order))
        return self.process(["-m", "tests.pipelines.trainer_process", str(folder / "order.json")], folder / "log", environment)

    def process(self, command: list[str], log: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        own = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", **environment}
        with log.open("wb") as file:
            started = subprocess.Popen([sys.executable, *command], env=own, stdout=file, stderr=subprocess.STDOUT)
        self._processes.append(started)
        return started

    def start_pair(
        self, section: str, name: str, **settings: Any
    ) -> tuple["subprocess.Popen[bytes]", "subprocess.Popen[bytes]"]:
        """The chief and its worker, which have found each other through TF_CONFIG once they train."""
        cluster = {"chief": [f"127.0.0.1:{free_port()}"], "worker": [f"127.0.0.1:{free_port()}"]}

        def task(kind: str) -> dict[str, str]:
            return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": 0}})}

        chief = self.start(section, name, task("chief"), distribute="multi_worker", **settings)
        return chief, self.process(["-m", "components.training.worker"], self._folder / name / "worker.log", task("worker"))

    def log(self, name: str) -> str:
        return (self._folder / name / "log").read_text(errors="replace")

    def model(self, name: str) -> Path:
        return self._folder / name / "model" / "Format-Serving"

    def has_begun(self, name: str) -> bool:
        """An epoch has ended: TensorBoard's file of the chief is there."""
        return any((self._folder / name / "model_run").rglob("events*"))

    def curves(self, name: str) -> dict[str, list[float]]:
        record = json.loads((self._folder / name / "model_run" / "history.json").read_text())
        return record["curves"]


@pytest.fixture(scope="module")
def trainings(ratings: Workdir, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainings]:
    processes: Processes = []
    yield Trainings(ratings, tmp_path_factory.mktemp("trainings"), processes)
    for process in processes:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


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


@pytest.mark.parametrize("section", ["retrieval", "ranking"])
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
    while not trainings.has_begun("killed"):
        assert (chief.poll(), worker.poll()) == (None, None), trainings.log("killed")
        time.sleep(0.1)
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
