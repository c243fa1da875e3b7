"""What a ranker learns from: samples, with what recall says of them."""

import tensorflow as tf

from components.config import PipelineConfig
from components.schema import samples as names
from components.training.context import TrainingContext
from components.training.recall import Recall

OBSERVED_SAMPLES, OBSERVED_AT_ONCE = 50_000, 512


def asks_recall(config: PipelineConfig) -> bool:
    """Whether recall's scores count in ranking: not where it is asked for outcomes that were observed.

    There recall was trained on which items they came of, and knows nothing of those that it did not come of.
    """
    return names.has_drawn_negatives(config, config.positive_task)


def sample_blocks(context: TrainingContext, recall: Recall, files: tuple[str, ...], recalled: bool = True) -> tf.data.Dataset:
    """Samples with recall's vector of each request and, where some task is a choice, the rows that recall returns.

    Args:
      recalled: whether those rows are wanted.
    """
    config = context.config
    tasks = config.dataset.tasks
    recalled = recalled and any(names.has_drawn_negatives(config, task) for task in tasks)
    guided = recalled or asks_recall(config)
    labels = [prefix + task for task in tasks for prefix in (names.LABEL_PREFIX, names.WEIGHT_PREFIX)]
    keep = [*context.query_keys(), names.TIMESTAMP, "item_row", *labels]
    # What nobody had in training is no positive of any sample: as a negative it would be told by being new, and be buried.
    met = tf.constant(context.item_facts.trained)

    def with_recall(block: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        block = dict(block)
        for task in tasks:
            block[names.LABEL_PREFIX + task] = block[names.LABEL_PREFIX + task][:, 0]
        if guided:
            block[names.RECALL_EMBEDDING] = recall.embed(block)
        if recalled:
            had = block["history_row"] if config.evaluation.exclude_seen else block["history_row"][:, :0]
            block["recall_row"] = recall.best_rows(block.pop(names.RECALL_EMBEDDING), had, config.ranking.candidates, met)
        return block

    blocks = context.blocks(files, keep, shuffled=True)
    # Two at once keep two cores busy; more would hold more scores in memory.
    return blocks.rebatch(recall.rows_at_once).map(with_recall, num_parallel_calls=2)


def with_candidates(batch: dict[str, tf.Tensor], negatives: int, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Adds ``candidate_row`` [batch, n]: the sample's item, then some of what recall returns, drawn anew each epoch.

    The negatives are uniform among recall's candidates, so a positive that recall did not return would be told from them
    by being unlike all that recall returns: it loses its weight in the tasks that compare it with them. Where recall returns
    fewer than its list is long, draws of the places that are left over are ``PAD``.
    """
    item = batch["item_row"][:, tf.newaxis]
    if "recall_row" not in batch:
        return {**batch, "candidate_row": item}
    recalled = batch["recall_row"]
    shape = [tf.shape(recalled)[0], negatives]
    chosen = tf.random.stateless_uniform(shape, seed, maxval=tf.shape(recalled)[1], dtype=tf.int32)
    returned = tf.cast(tf.reduce_any(recalled == item, axis=1), tf.float32)
    candidates = tf.concat([item, tf.gather(recalled, chosen, batch_dims=1)], axis=1)
    return {**batch, "candidate_row": candidates, "returned": returned}


def observed_samples(blocks: tf.data.Dataset) -> tf.data.Dataset:
    """As many samples as predictions are calibrated and judged by."""
    return blocks.unbatch().take(OBSERVED_SAMPLES).batch(OBSERVED_AT_ONCE)
