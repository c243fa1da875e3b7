"""Whether predicted probabilities are true: on the samples of the test split, whether positive or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.config import PipelineConfig
from components.evaluation import metrics
from components.models.calibration import is_large_enough
from components.schema import samples as names
from components.training.exported import read_examples


@dataclass(frozen=True)
class Outcomes:
    """What came of test samples; of the binary tasks only, of which none is observed where all negatives are drawn.

    Attributes:
      samples: n serialized samples.
      user_id, item_id: bytes [n]; timestamp_ms: int64 [n]; they tell which event a sample is of.
      labels, weights: of each task, float32 [n]; the weight is 0 where the task was not observed.
      slices: str [n]; the value of ``ranking.calibration_slice``; None where there is none.
    """

    samples: list[bytes]
    user_id: NDArray[np.bytes_]
    item_id: NDArray[np.bytes_]
    timestamp_ms: NDArray[np.int64]
    labels: dict[str, NDArray[np.float32]]
    weights: dict[str, NDArray[np.float32]]
    slices: NDArray[np.str_] | None

    @classmethod
    def read(cls, config: PipelineConfig, examples: Path) -> Self:
        """The first ``evaluation.max_queries`` of the test split."""
        tasks = [
            name
            for name, task in config.dataset.tasks.items()
            if task.kind == "binary" and not names.has_drawn_negatives(config, name)
        ]
        samples = read_examples(examples / "Split-test", config.evaluation.max_queries) if tasks else []
        numbers = [prefix + task for task in tasks for prefix in (names.LABEL_PREFIX, names.WEIGHT_PREFIX)]
        types = {names.USER_ID: tf.string, names.ITEM_ID: tf.string, names.TIMESTAMP: tf.int64}
        types |= dict.fromkeys(numbers, tf.float32)
        name = config.ranking.calibration_slice
        sliced_by = None if name is None else names.feature_name(config, name)
        if sliced_by is not None:
            types[sliced_by] = tf.int64 if name in config.dataset.context else tf.string
        spec = {name: tf.io.FixedLenFeature([], dtype) for name, dtype in types.items()}
        columns = {name: column.numpy() for name, column in tf.io.parse_example(tf.constant(samples, tf.string), spec).items()}
        return cls(
            samples=samples,
            user_id=columns[names.USER_ID].astype(bytes),
            item_id=columns[names.ITEM_ID].astype(bytes),
            timestamp_ms=columns[names.TIMESTAMP],
            labels={task: columns[names.LABEL_PREFIX + task] for task in tasks},
            weights={task: columns[names.WEIGHT_PREFIX + task] for task in tasks},
            slices=None if sliced_by is None else np.array([_text(value) for value in columns[sliced_by].tolist()]),
        )

    def judge(self, predictions: Mapping[str, NDArray[np.float32]]) -> dict[str, dict]:
        """AUC over all and by user, log loss and calibration of each task that was observed to happen and not to; calibration
        also of each slice that is large enough to have a map of its own.

        Args:
          predictions: of each task, or of some, the probability [n].
        """
        judged = {}
        for task in [name for name in self.labels if name in predictions]:
            observed = self.weights[task] > 0
            label, prob = self.labels[task][observed], predictions[task][observed]
            if not len(label) or label.min() == label.max():
                continue
            curve = metrics.reliability_curve(label, prob)
            judged[task] = {
                "auc": metrics.auc(label, prob),
                "grouped_auc": metrics.grouped_auc(label, prob, self.user_id[observed]),
                "log_loss": metrics.log_loss(label, prob),
                "calibration_error": metrics.expected_calibration_error(curve),
                "curve": {
                    "mean_prob": curve.mean_prob.tolist(),
                    "observed_rate": curve.observed_rate.tolist(),
                    "count": curve.count.tolist(),
                },
                "calibration_by_slice": {} if self.slices is None else _by_slice(label, prob, self.slices[observed]),
            }
        return judged


def _by_slice(label: NDArray[np.float32], prob: NDArray[np.float32], slices: NDArray[np.str_]) -> dict[str, dict]:
    judged = {}
    for value in np.unique(slices).tolist():
        chosen = slices == value
        if is_large_enough(label[chosen]):
            curve = metrics.reliability_curve(label[chosen], prob[chosen])
            judged[value] = {
                "sample_count": int(chosen.sum()),
                "calibration_error": metrics.expected_calibration_error(curve),
                "mean_prob": float(prob[chosen].mean()),
                "observed_rate": float(label[chosen].mean()),
            }
    return judged


def _text(value: bytes | int) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
