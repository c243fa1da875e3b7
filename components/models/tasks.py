"""The outcomes that a ranker predicts, and what is made of their logits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

from components.models.calibration import Calibration


@dataclass(frozen=True)
class Task:
    """One outcome.

    Attributes:
      kind: ``binary``, ``regression``, or ``choice``: which of the listed candidates it was.
      weight: of its loss; score_weight: of its logit in the combined score.
      after: the binary task without which it cannot happen, as a purchase without a click.
    """

    name: str
    kind: str
    weight: float
    score_weight: float
    after: str | None = None


def joint_logits(logits: tf.Tensor, tasks: Sequence[Task]) -> tf.Tensor:
    """Logits over all impressions, of the same shape [..., num_tasks]: ESMM's product for tasks that come after another.

    ESMM (Ma et al. 2018, eq. 1): p(y=1, z=1 | x) = p(y=1 | x) · p(z=1 | y=1, x), pCTCVR = pCTR · pCVR, where the last
    factor is what ``logits`` hold for a task with ``after``. Chains (purchase after basket after click) multiply on.
    """
    own = dict(zip((task.name for task in tasks), tf.unstack(logits, num=len(tasks), axis=-1), strict=True))
    after = {task.name: task.after for task in tasks}

    def joint(name: str) -> tf.Tensor:
        first = after[name]
        return own[name] if first is None else logit_of_product(joint(first), own[name])

    return tf.stack([joint(task.name) for task in tasks], axis=-1)


def logit_of_product(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """logit(σ(a) σ(b)) = −log(e^−a + e^−b + e^−(a + b)): exact where the product is near 0 or 1."""
    return -tf.reduce_logsumexp(tf.stack([-a, -b, -a - b]), axis=0)


def combined_score(logits: tf.Tensor, tasks: Sequence[Task]) -> tf.Tensor:
    """[batch, n]: the tasks' logits (predictions of a regression), weighted and added."""
    return tf.reduce_sum(logits * tf.constant([task.score_weight for task in tasks]), axis=-1)


def predictions(logits: tf.Tensor, tasks: Sequence[Task], calibrations: Mapping[str, Calibration]) -> dict[str, tf.Tensor]:
    """Each task's prediction [batch, n]: a probability, or the value itself.

    The probability of a ``choice`` task compares with drawn negatives and is no rate: use it to order, not to count. That
    of a task with ``after`` is the probability that both happen, pCTCVR; divided by the first one's it is pCVR. As each is
    calibrated on its own, it is cut off at the first one's: both do not happen more often than one.

    Args:
      calibrations: by task, what makes a probability of its logit; σ for those that are not there.
    """
    of_task = dict(zip((task.name for task in tasks), tf.unstack(logits, num=len(tasks), axis=-1), strict=True))
    by_name = {task.name: task for task in tasks}

    def predicted(task: Task) -> tf.Tensor:
        if task.kind == "regression":
            return of_task[task.name]
        own = calibrations.get(task.name, tf.sigmoid)(of_task[task.name])
        first = None if task.after is None else by_name[task.after]
        return own if first is None or first.kind != task.kind else tf.minimum(own, predicted(first))

    return {task.name: predicted(task) for task in tasks}
