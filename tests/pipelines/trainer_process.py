"""A trainer's node in a process of its own, as on Kubeflow: ``python -m tests.pipelines.trainer_process ORDER``.

ORDER is a JSON file: ``run_fn``, ``config`` (the pipeline's, as JSON), ``inputs`` (places by the name of the input), and
``folder``, where the outputs go: ``model`` and ``model_run``; ``checkpoints``, the folder of those.
"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf
from tfx.proto import trainer_pb2
from tfx.utils import proto_utils

from components.schema import tfx_api as tfx
from components.training.component import ModelTrainerExecutor, ModelTrainerSpec

DEVICES_ENV = "WINNOW_TEST_DEVICES"  # how many devices the one CPU is to be, for `mirrored`


def main(order: dict[str, Any]) -> None:
    count = int(os.environ.get(DEVICES_ENV, "1"))
    if count > 1:
        [cpu] = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    outputs = {"model": tfx.standard_artifacts.Model(), "model_run": tfx.standard_artifacts.ModelRun()}
    for name, artifact in outputs.items():
        artifact.uri = str(Path(order["folder"]) / name)
    inputs = {name: _artifact(name, place) for name, place in order["inputs"].items()}
    ModelTrainerExecutor().Do(
        {name: [artifact] for name, artifact in inputs.items()},
        {name: [artifact] for name, artifact in outputs.items()},
        {
            "run_fn": order["run_fn"],
            "train_args": proto_utils.proto_to_json(trainer_pb2.TrainArgs(splits=["train"])),
            "eval_args": proto_utils.proto_to_json(trainer_pb2.EvalArgs(splits=["eval"])),
            "custom_config": json.dumps({"config": order["config"], "checkpoints": order["checkpoints"]}),
        },
    )


def _artifact(name: str, place: str) -> Any:
    artifact = ModelTrainerSpec.INPUTS[name].type()
    artifact.uri = place
    if name == "examples":
        artifact.split_names = '["train", "eval", "test"]'
    return artifact


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", force=True)  # TFX has set up its own
    main(json.loads(Path(sys.argv[1]).read_text()))
