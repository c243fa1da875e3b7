"""One trial of a search, by a process of its own: ``python -m components.training.trial ORDER RESULT``.

ORDER is a JSON file: ``job``, the function that trains, by module and name; ``of``, the node and the section of the settings;
``arguments``, those of TFX that a tuner got; ``values``, of the settings. RESULT is written at the end: ``Outcome``, or
``failure``, the reason why these values cannot be trained with.
"""

import importlib
import json
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import tensorflow as tf
import tf_keras as keras

from components.config import tuned_config
from components.errors import ConfigError
from components.training.context import TrainingContext
from components.training.distribution import alone
from components.training.loop import Progress

Job = Callable[[TrainingContext, tf.distribute.Strategy], Progress]


@dataclass(frozen=True)
class Outcome:
    """What a trial's metric reached at best, after which of how many epochs."""

    reached: float
    best_epoch: int
    epochs: int


class ImpossibleError(Exception):
    """Nothing can be trained with these values, which says nothing of others."""


def run(job: Job, context: TrainingContext, section: str, values: Mapping[str, Any]) -> Outcome:
    """Train with other values of a section's settings.

    Raises:
      ImpossibleError: they do not go together, need more memory than there is, or lead to no number.
    """
    keras.backend.clear_session()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            config = tuned_config(context.config, section, values)
            trial = replace(context, config=config, run_folder=Path(scratch))
            progress = job(trial, alone(getattr(config, section)))
        except (ConfigError, tf.errors.ResourceExhaustedError) as error:
            raise ImpossibleError(str(error)) from error
    trial.checkpoint.remove()
    return Outcome(progress.curves[progress.metric][progress.best_epoch], progress.best_epoch + 1, progress.epochs)


def context_of(arguments: Mapping[str, Any], node: str, section: str) -> TrainingContext:
    """A trial's, from what TFX hands a tuner; it saves no model."""
    nothing = {"hyperparameters": None, "serving_model_dir": "", "model_run_dir": ""}
    return TrainingContext.of(SimpleNamespace(**arguments, **nothing), node, section)


def main(order: Path, result: Path) -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", force=True
    )  # libraries have set up theirs
    _end_with(os.getppid())
    told = json.loads(order.read_text())
    module, name = told["job"]
    node, section = told["of"]
    context = context_of(told["arguments"], node, section)
    try:
        said = asdict(run(getattr(importlib.import_module(module), name), context, section, told["values"]))
    except ImpossibleError as error:
        said = {"failure": str(error)}
    result.write_text(json.dumps(said))


def _end_with(parent: int) -> None:
    """Nobody waits for a trial whose search was killed, and the next attempt at it is not to find it at work."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
