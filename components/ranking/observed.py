"""What a ranker's logits are worth where outcomes were observed: AUC, and the calibration that makes rates of them."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from components.config import PipelineConfig
from components.errors import DataError
from components.models.calibration import SlicedCalibration, fit_sliced
from components.models.multi_task import MultiTaskRanker
from components.models.tasks import Task
from components.schema import samples as names

LOGITS = "logits"


def auc_of(model: MultiTaskRanker, samples: tf.data.Dataset, tasks: tuple[Task, ...], task: str) -> float:
    """Of the samples that observed the task; NaN where the model says no numbers. AUC = U / (n₊ n₋) (Mann and Whitney 1947).

    Raises:
      DataError: all came to the same.
    """
    label, weight = names.LABEL_PREFIX + task, names.WEIGHT_PREFIX + task
    columns = _with_logits(model, samples, [label, weight])
    logits = columns[LOGITS][:, [each.name for each in tasks].index(task)]
    observed, positive = columns[weight] > 0, columns[label] > 0
    above, below = logits[observed & positive], logits[observed & ~positive]
    if not (len(above) and len(below)):
        raise DataError(
            f"all {observed.sum()} samples of the validation split that observed task {task!r} came to the same, so that no "
            "AUC can be told; see samples.split in the config, or stop ranking on ndcg"
        )
    if np.isnan(logits).any():
        return np.nan
    return float(mannwhitneyu(above, below, method="asymptotic").statistic / len(above) / len(below))


def calibrations_of(
    model: MultiTaskRanker, samples: tf.data.Dataset, tasks: tuple[Task, ...], config: PipelineConfig
) -> dict[str, SlicedCalibration]:
    """What makes rates of the logits of the binary tasks, from samples that training has not seen."""
    binary = {task.name: place for place, task in enumerate(tasks) if task.kind == "binary"}
    if not binary:
        return {}
    known = [prefix + name for name in binary for prefix in (names.LABEL_PREFIX, names.WEIGHT_PREFIX)]
    by = sliced_by(config)
    columns = _with_logits(model, samples, known if by is None else [*known, by])
    value = None if by is None else columns[by].reshape(-1)
    return {
        name: fit_sliced(
            config.ranking.calibration,
            columns[LOGITS][:, place],
            columns[names.LABEL_PREFIX + name],
            columns[names.WEIGHT_PREFIX + name],
            value,
        )
        for name, place in binary.items()
    }


def _with_logits(model: MultiTaskRanker, samples: tf.data.Dataset, columns: list[str]) -> dict[str, NDArray]:
    """Some columns of samples, and under ``LOGITS`` float32 [n, num_tasks] what the model says of their items."""
    found = [{LOGITS: _logits(model, batch).numpy(), **{name: batch[name].numpy() for name in columns}} for batch in samples]
    return {name: np.concatenate([batch[name] for batch in found]) for name in found[0]}


@tf.function(reduce_retracing=True)
def _logits(model: MultiTaskRanker, batch: dict[str, tf.Tensor]) -> tf.Tensor:
    return model({**batch, "candidate_row": batch["item_row"][:, tf.newaxis]})[:, 0]


def sliced_by(config: PipelineConfig) -> str | None:
    """The feature of a request whose values have calibrations of their own."""
    name = config.ranking.calibration_slice
    return None if name is None else names.feature_name(config, name)
