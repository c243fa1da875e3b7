"""Processes that stand for containers: forks of one that has imported what all nodes import, which takes 10 s.

Apart from that a node starts as by its command line: with its arguments, its environment, its folder and its output alone.
"""

import logging
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.forks import forked

PYTHON_MODULE = ["python", "-m"]  # how every command of a compiled pipeline begins
TFX = ["tfx.v1", "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"]


def start_container(command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> BaseProcess:
    """A process that runs ``command``, of a Python module, and writes all that it says to ``log``."""
    assert list(command[:2]) == PYTHON_MODULE, command
    return forked(TFX, _run, list(command[2:]), dict(environment), folder, log)


def _run(arguments: list[str], environment: dict[str, str], folder: Path, log: Path) -> None:
    with log.open("wb") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    logging.root.handlers.clear()  # what was imported has set it up
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
