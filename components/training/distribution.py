"""One model trained by several GPUs or by several processes together, with ``tf.distribute``.

With ``multi_worker`` the pipeline's node is the chief: it finds the workers in ``TF_CONFIG``, as Kubeflow's training operators
set it, and tells them what to train (``components.training.worker``). All compute the same steps, each with its part of
every batch; all end with the same model, and the chief's is the one that is kept.
"""

import importlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.config.pipeline import TrainingConfig
from components.errors import ConfigError
from components.training.context import TrainingContext

TF_CONFIG = "TF_CONFIG"
CHIEF, WORKER = "chief", "worker"
TOLD = ("transform_output", "train_files", "eval_files", "custom_config", "hyperparameters")  # of TFX's FnArgs, to the workers
logger = logging.getLogger("winnow.training")
Job = Callable[[TrainingContext, tf.distribute.Strategy], None]


def train_with_all(job: Job, fn_args: Any, node: str, section: str) -> None:
    """Run ``job`` here in the way that the settings ask for, and have the workers run it with it, where there are any.

    Args:
      section: of the settings, which says how.

    Raises:
      ConfigError: the environment does not allow it, or a batch cannot be divided.
    """
    context = TrainingContext.of(fn_args, node, section)
    settings: TrainingConfig = getattr(context.config, section)
    strategy = joined(CHIEF) if settings.distribute == "multi_worker" else alone(settings)
    replicas = strategy.num_replicas_in_sync
    if settings.batch_size % replicas:
        raise ConfigError(
            f"{section}.batch_size: found {settings.batch_size}, wanted a multiple of {replicas}, the number of replicas that "
            f"take a part of each batch ({section}.distribute: {settings.distribute})"
        )
    told = {"job": [job.__module__, job.__name__], "of": [node, section], **{name: getattr(fn_args, name) for name in TOLD}}
    if settings.distribute == "multi_worker":
        with strategy.scope():
            chiefs(json.dumps(told))
    job(context, strategy)
    context.checkpoint.remove()


def alone(settings: TrainingConfig) -> tf.distribute.Strategy:
    """The strategy of a process that trains without others."""
    return tf.distribute.get_strategy() if settings.distribute == "none" else tf.distribute.MirroredStrategy()


def train_as_told(folder: Path) -> None:
    """A worker's part: wait for the chief, and run the job that it names.

    Args:
      folder: for what this worker writes, since saving a model takes all of them; nobody reads it.

    Raises:
      ConfigError: the environment is not that of a worker.
    """
    strategy = joined(WORKER)
    with strategy.scope():
        told = json.loads(chiefs(""))
    module, name = told.pop("job")
    logger.info("training with the chief: %s", module)
    arguments = SimpleNamespace(**told, serving_model_dir=str(folder / "model"), model_run_dir=str(folder / "run"))
    job: Job = getattr(importlib.import_module(module), name)
    job(TrainingContext.of(arguments, *told["of"]), strategy)


def chiefs(message: str) -> str:
    """What the chief says, on every worker of the strategy in scope; all must ask at the same point."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return message
    size = int(_first(strategy, np.float32(len(message.encode()))))
    said = np.zeros(size, np.float32)
    own = np.frombuffer(message.encode(), np.uint8)[:size]
    said[: len(own)] = own
    return _first(strategy, said).astype(np.uint8).tobytes().decode()


def chiefs_arrays(arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """The chief's, on every worker of the strategy in scope; all must bring arrays of the same shapes."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return list(arrays)
    return [_first(strategy, each) for each in arrays]


def _first(strategy: tf.distribute.Strategy, value: Any) -> Any:
    """The value of the first replica, which is the chief's: the sum, to which no other adds."""

    def added(replica: Any) -> tf.Tensor:
        return tf.constant(value if replica.replica_id_in_sync_group == 0 else np.zeros_like(value))

    return strategy.reduce("SUM", strategy.experimental_distribute_values_from_function(added), axis=None).numpy()


@cache
def joined(task: str) -> tf.distribute.MultiWorkerMirroredStrategy:
    """All processes that TF_CONFIG names, once all of them are there; a process can join but once.

    Args:
      task: what TF_CONFIG must say that this process is.

    Raises:
      ConfigError: it does not, or the process has computed with TensorFlow already.
    """
    text = os.environ.get(TF_CONFIG, "")
    try:
        found = json.loads(text)
        chief, workers, own = found["cluster"][CHIEF], found["cluster"][WORKER], found["task"]["type"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{TF_CONFIG}: found {text!r}, wanted {_example(task)}") from error
    if len(chief) != 1 or not workers or own != task:
        raise ConfigError(f"{TF_CONFIG}: found {text}, wanted one chief, workers, and this process as {task}: {_example(task)}")
    logger.info("waiting for all of %s", ", ".join((*chief, *workers)))
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ConfigError(
            "distribute: found multi_worker in a process that has computed with TensorFlow before and cannot join others any "
            "more; it needs a process for each node, as on Kubeflow: `winnow run` takes none and mirrored"
        ) from error


def _example(task: str) -> str:
    cluster = {CHIEF: ["host:2222"], WORKER: ["host:2222"]}
    return json.dumps({"cluster": cluster, "task": {"type": task, "index": 0}})
