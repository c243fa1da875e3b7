"""A trainer's ``run_fn`` in a process of its own: ``python -m tests.pipelines.trainer_process RUN_FN ARGUMENTS``.

ARGUMENTS is a JSON file with what TFX's FnArgs would hold.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import tensorflow as tf

DEVICES_ENV = "WINNOW_TEST_DEVICES"  # how many devices the one CPU is to be, for `mirrored`


def main(run_fn: str, arguments: Path) -> None:
    count = int(os.environ.get(DEVICES_ENV, "1"))
    if count > 1:
        [cpu] = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    module, _, name = run_fn.rpartition(".")
    getattr(importlib.import_module(module), name)(SimpleNamespace(**json.loads(arguments.read_text())))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
