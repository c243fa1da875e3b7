"""The funnel at moments of the validation split: how it orders what recall returns there, and what that is worth."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.models.items import PAD
from components.models.rankers import Ranker
from components.models.tasks import Task, combined_score, joint_logits
from components.ranking.blend import blend_weights
from components.schema import samples as names
from components.training.context import TrainingContext
from components.training.held_out import SEEN, held_out
from components.training.ranks import gain_at_10, rank_of
from components.training.recall import Recall

MEASURED_SAMPLES, MEASURED_AT_ONCE = 1_500, 32


def held_out_moments(context: TrainingContext, recall: Recall) -> tf.data.Dataset:
    """Moments of the validation split with what recall returns there, as the funnel does it."""

    def with_recall(block: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        embedding = recall.embed(block)
        rows = recall.best_rows(embedding, block.pop(SEEN), context.config.ranking.candidates)
        return {**block, names.RECALL_EMBEDDING: embedding, "recall_row": rows}

    moments = held_out(context, [*context.query_keys(), names.TIMESTAMP, "item_row"], MEASURED_SAMPLES)
    return moments.batch(MEASURED_AT_ONCE).map(with_recall)


class Said(NamedTuple):
    """What a ranker and recall say of the candidates of n moments.

    Attributes:
      own: float32 [n, candidates, num_tasks]; the ranker's logits.
      recalled: float32 [n, candidates]; recall's scores.
      there: bool [n, candidates]; False where recall has found fewer.
      wanted: bool [n, candidates]; True for the item that it was, nowhere where recall has missed it.
    """

    own: NDArray[np.float32]
    recalled: NDArray[np.float32]
    there: NDArray[np.bool_]
    wanted: NDArray[np.bool_]


def said_at(ranker: Ranker, moments: tf.data.Dataset) -> Said:
    batches = [tuple(map(np.asarray, _said(ranker, batch))) for batch in moments]
    return Said(*(np.concatenate(each) for each in zip(*batches, strict=True)))


@tf.function(reduce_retracing=True)
def _said(ranker: Ranker, batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
    rows = batch["recall_row"]
    return ranker.own(batch, rows), ranker.recalled(batch, rows), rows != PAD, rows == batch["item_row"][:, tf.newaxis]


def blend(ranker: Ranker, said: Said, tasks: tuple[Task, ...]) -> dict[str, float]:
    """Set how much the ranker's own logits and recall's scores count; not where recall is not asked, or has found nothing.

    What the score takes from tasks that are no choices counts as it does.

    Returns:
      what each counts; nothing where recall is not asked.
    """
    if ranker.blend is None:
        return {}
    choice = np.array([task.kind == "choice" for task in tasks])
    share = sum(task.score_weight for task in tasks if task.kind == "choice")
    found = said.wanted.any(axis=1)
    if found.any():
        logits, wanted = said.own[found], said.wanted[found].argmax(axis=1)
        own = combined_score(logits * choice, tasks).numpy()
        other = combined_score(joint_logits(logits, tasks) * ~choice, tasks).numpy()
        ranker.blend.assign(blend_weights(own, share * said.recalled[found], other, said.there[found], wanted))
    return dict(zip(("ranker_weight", "recall_weight"), ranker.blend.numpy().tolist(), strict=True))


def ndcg_of(ranker: Ranker, said: Said, tasks: tuple[Task, ...]) -> float:
    """The funnel's: NDCG@10 of the wanted item among all that recall returns, ranked; 0 where recall has missed it."""
    scores = combined_score(ranker.blended(said.own, said.recalled), tasks).numpy()
    scores = np.where(said.there, scores, np.finfo(scores.dtype).min)
    rank = rank_of(np.where(said.wanted, scores, 0).sum(axis=1), scores).numpy()
    return float(np.where(said.wanted.any(axis=1), gain_at_10(rank), 0).mean())
