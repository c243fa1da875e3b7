"""Trainings by processes of their own, with the samples of a run that has ended."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from components.config import parse_config
from components.training.context import TrainingContext
from tests.pipelines.conftest import SMALL_MODELS, Workdir, ratings_config

ROOT = Path(__file__).resolve().parents[2]
INPUTS = {
    "examples": ("Samples", "examples"), "schema": ("Samples", "schema"), "transform_graph": ("Transform", "transform_graph"),
    "event_log": ("Ingest", "event_log"), "catalogue": ("Ingest", "catalogue"), "features": ("Samples", "features"),
}  # fmt: skip
RECALL = {"retrieval": ("RetrievalTrainer", "model"), "index": ("IndexBuilder", "index")}
EXACT: dict[str, dict[str, Any]] = {
    "retrieval": {"dropout": 0.0, "id_dropout": 0.0, "loss": "in_batch"},
    "ranking": {"model": {**SMALL_MODELS["ranking"]["model"], "dropout": 0.0}, "id_dropout": 0.0},
}


def ranking_context(run: Workdir, config: Mapping[str, Any], checkpoints: Path) -> TrainingContext:
    """What RankingTrainer would work with in a run."""
    inputs = {key: run.artifact(*place) for key, place in {**INPUTS, **RECALL}.items()}
    examples, transform = inputs.pop("examples"), inputs.pop("transform_graph")
    inputs.pop("schema")
    arguments = SimpleNamespace(
        transform_output=str(transform), train_files=[f"{examples}/Split-train/*"], eval_files=[f"{examples}/Split-eval/*"],
        serving_model_dir="", model_run_dir="", hyperparameters=None,
        custom_config={"config": json.dumps(config), "inputs": {key: str(path) for key, path in inputs.items()},
                       "checkpoints": str(checkpoints)},
    )  # fmt: skip
    return TrainingContext.of(arguments, "RankingTrainer", "ranking")


Processes = list["subprocess.Popen[bytes]"]


class Trainings:
    """Trains with the samples of a run that has ended; each training's outputs and logs lie in a folder of its own."""

    def __init__(self, run: Workdir, folder: Path, processes: Processes) -> None:
        self._run, self._folder, self._processes = run, folder, processes

    def start(self, section: str, name: str, environment: dict[str, str], **settings: Any) -> "subprocess.Popen[bytes]":
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
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
            "checkpoints": str(self._folder / "checkpoints"),
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

    def checkpoints(self) -> list[str]:
        """Of all trainings that have not ended."""
        return [path.name for path in (self._folder / "checkpoints").glob("*.npz")]

    def wait_for(self, process: "subprocess.Popen[bytes]", name: str, is_there: Callable[[], bool]) -> None:
        """Until it is there, while the process is at work."""
        while not is_there():
            assert process.poll() is None, self.log(name)
            time.sleep(0.02)

    def curves(self, name: str) -> dict[str, list[float]]:
        record = json.loads((self._folder / name / "model_run" / "history.json").read_text())
        return record["curves"]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
