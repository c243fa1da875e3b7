"""TFX run_fn of ranking: trains the ranker, and saves it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras as keras

from components.config import PipelineConfig
from components.models.items import ItemCounters, ItemTable
from components.models.multi_task import MultiTaskRanker
from components.models.rankers import RankerParts, make_ranker
from components.models.tasks import Task
from components.ranking.export import RankingExport, save
from components.ranking.inputs import asks_recall, observed_samples, sample_blocks, with_candidates
from components.ranking.moments import blend, held_out_moments, ndcg_of, said_at
from components.ranking.observed import auc_of, calibrations_of
from components.schema import samples as names
from components.training.context import TrainingContext
from components.training.distribution import train_with_all
from components.training.inputs import training_batches, with_seeds
from components.training.loop import Progress, train
from components.training.recall import Recall
from components.training.tuning import Tuning, tuning_of

METRICS = {"ndcg": "ndcg_at_10", "auc": "auc"}


def run_fn(fn_args: Any) -> None:
    train_with_all(train_and_save, fn_args, "RankingTrainer", "ranking")


def tuner_fn(fn_args: Any) -> Tuning:
    return tuning_of(trial, lambda context: METRICS[context.config.ranking.stop_on], fn_args, "RankingTuner", "ranking")


def trial(context: TrainingContext, strategy: tf.distribute.Strategy) -> Progress:
    return fit(context, strategy).progress


class Fitted(NamedTuple):
    model: MultiTaskRanker
    parts: RankerParts
    recall: Recall
    progress: Progress


def train_and_save(context: TrainingContext, strategy: tf.distribute.Strategy) -> None:
    model, parts, recall, _ = fit(context, strategy)
    samples = observed_samples(sample_blocks(context, recall, context.eval_files, recalled=False))
    calibrations = calibrations_of(model, samples, parts.tasks, context.config)
    model.ranker.counters = parts.counters.since(context.item_days(), context.facts.eval_from_ms or 0)
    save(RankingExport(model, recall, parts.table, parts.tasks, calibrations, context), context)


def fit(context: TrainingContext, strategy: tf.distribute.Strategy) -> Fitted:
    """The ranker, trained."""
    settings = context.config.ranking
    keras.utils.set_random_seed(settings.seed)
    recall = Recall(context.inputs["retrieval"])
    tasks = ranking_tasks(context.config)
    parts = RankerParts(
        context.query_slots,
        ItemTable(context.met_item_facts),
        ItemCounters(context.item_days()),
        recall.vectors_with_unknown if asks_recall(context.config) else None,
        tasks,
        settings.id_dropout,
    )
    with strategy.scope():
        model = MultiTaskRanker(make_ranker(parts, settings), tasks, settings.seed)
    with tempfile.TemporaryDirectory() as scratch:
        blocks = sample_blocks(context, recall, context.train_files).cache(str(Path(scratch) / "train"))
        measure = _measure(context, recall, model, tasks)

        def batches(epoch: int) -> tf.data.Dataset:
            ordered = training_batches(blocks, settings.batch_size, settings.seed, epoch)
            seeded = with_seeds(ordered, settings.seed + 1, epoch)
            return seeded.map(lambda batch, seed: with_candidates(batch, settings.negatives, seed), tf.data.AUTOTUNE)

        progress = train(
            model,
            batches,
            measure=measure,
            metric=METRICS[settings.stop_on],
            settings=settings,
            run_folder=context.run_folder,
            checkpoint=context.checkpoint,
        )
    return Fitted(model, parts, recall, progress)


def ranking_tasks(config: PipelineConfig) -> tuple[Task, ...]:
    return tuple(
        Task(
            name,
            "choice" if names.has_drawn_negatives(config, name) else task.kind,
            task.weight,
            task.score_weight,
            task.after,
        )
        for name, task in config.dataset.tasks.items()
    )


def _measure(
    context: TrainingContext, recall: Recall, model: MultiTaskRanker, tasks: tuple[Task, ...]
) -> Callable[[], dict[str, float]]:
    """The validation metric that the config names, of the model as it is whenever it is asked for."""
    if context.config.ranking.stop_on == "auc":
        observed = observed_samples(sample_blocks(context, recall, context.eval_files, recalled=False)).cache()
        return lambda: {METRICS["auc"]: auc_of(model, observed, tasks, context.config.positive_task)}
    moments = held_out_moments(context, recall).cache()

    def ndcg() -> dict[str, float]:
        said = said_at(model.ranker, moments)
        weights = blend(model.ranker, said, tasks)
        return {METRICS["ndcg"]: ndcg_of(model.ranker, said, tasks), **weights}

    return ndcg
