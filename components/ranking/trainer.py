"""TFX run_fn of ranking: trains the ranker, and saves one SavedModel that stock TF Serving can run.

Signatures: ``serving_default`` a request and N item ids → ``score`` and each task's prediction, [batch, N];
``rank_recalled`` the same for who has asked recall's query tower already, and gives its vector too; ``recommend`` a request
alone → the whole funnel: recall by exact search, ranking, the items in order; ``rank_examples`` serialized samples and
catalogue rows → ``score``; ``evaluate`` serialized samples → each task's prediction, for TFMA.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from components.config import PipelineConfig
from components.models.calibration import SlicedCalibration, fit_sliced
from components.models.items import PAD, ItemCounters, ItemTable
from components.models.multi_task import MultiTaskRanker
from components.models.rankers import Ranker, RankerParts, make_ranker
from components.models.replicas import copies
from components.models.tasks import Task, combined_score, predictions
from components.ranking.blend import blend_weights
from components.schema import samples as names
from components.training.context import TrainingContext
from components.training.distribution import train_with_all
from components.training.export import ModelExport, only
from components.training.held_out import SEEN, held_out
from components.training.inputs import training_batches, with_seeds
from components.training.loop import Progress, train
from components.training.recall import Recall, rank_of
from components.training.signature import EXCLUDED, query_signature, recommend_signature
from components.training.tuning import Tuning, tuning_of

METRICS = {"ndcg": "ndcg_at_10", "auc": "auc"}
MEASURED_SAMPLES, MEASURED_AT_ONCE = 1_500, 32
OBSERVED_SAMPLES, OBSERVED_AT_ONCE = 50_000, 512
RECOMMENDED = 100
LOGITS = "logits"


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
    samples = observed_samples(_blocks(context, recall, context.eval_files, recalled=False))
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
        blocks = _blocks(context, recall, context.train_files).cache(str(Path(scratch) / "train"))
        measure = _measure(context, recall, model, tasks)

        def batches(epoch: int) -> tf.data.Dataset:
            ordered = training_batches(blocks, settings.batch_size, settings.seed, epoch)
            seeded = with_seeds(ordered, settings.seed + 1, epoch)
            return seeded.map(lambda batch, seed: _with_candidates(batch, settings.negatives, seed), tf.data.AUTOTUNE)

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


def asks_recall(config: PipelineConfig) -> bool:
    """Whether recall's scores count in ranking: not where it is asked for outcomes that were observed.

    There recall was trained on which items they came of, and knows nothing of those that it did not come of.
    """
    return names.has_drawn_negatives(config, config.positive_task)


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


def _blocks(context: TrainingContext, recall: Recall, files: tuple[str, ...], recalled: bool = True) -> tf.data.Dataset:
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


def _with_candidates(batch: dict[str, tf.Tensor], negatives: int, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Adds ``candidate_row`` [batch, n]: the sample's item, then some of what recall returns, drawn anew each epoch.

    The negatives are uniform among recall's candidates, so a positive that recall did not return would be told from them
    by being unlike all that recall returns: it loses its weight in the tasks that compare it with them.
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


def _measure(
    context: TrainingContext, recall: Recall, model: MultiTaskRanker, tasks: tuple[Task, ...]
) -> Callable[[], dict[str, float]]:
    """The validation metric that the config names, of the model as it is whenever it is asked for."""
    if context.config.ranking.stop_on == "auc":
        observed = observed_samples(_blocks(context, recall, context.eval_files, recalled=False)).cache()
        return lambda: {METRICS["auc"]: auc_of(model, observed, tasks, context.config.positive_task)}
    moments = _held_out(context, recall).cache()

    def ndcg() -> dict[str, float]:
        weights = blend(model.ranker, moments, tasks)
        return {METRICS["ndcg"]: ndcg_of(model, moments, tasks), **weights}

    return ndcg


def observed_samples(blocks: tf.data.Dataset) -> tf.data.Dataset:
    """As many samples as predictions are calibrated and judged by."""
    return blocks.unbatch().take(OBSERVED_SAMPLES).batch(OBSERVED_AT_ONCE)


def _held_out(context: TrainingContext, recall: Recall) -> tf.data.Dataset:
    """Moments of the validation split with what recall returns there, as the funnel does it."""

    def with_recall(block: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        embedding = recall.embed(block)
        rows = recall.recalled_rows(embedding, block.pop(SEEN), context.config.ranking.candidates)
        return {**block, names.RECALL_EMBEDDING: embedding, "recall_row": rows}

    moments = held_out(context, [*context.query_keys(), names.TIMESTAMP, "item_row"], MEASURED_SAMPLES)
    return moments.batch(MEASURED_AT_ONCE).map(with_recall)


def blend(ranker: Ranker, moments: tf.data.Dataset, tasks: tuple[Task, ...]) -> dict[str, float]:
    """Set how much the ranker's own logits and recall's scores count; not where recall is not asked, or has found nothing.

    What the score takes from tasks that are no choices counts as it does.

    Returns:
      what each counts; nothing where recall is not asked.
    """
    if ranker.blend is None:
        return {}
    choice = np.array([task.kind == "choice" for task in tasks])
    share = sum(task.score_weight for task in tasks if task.kind == "choice")
    columns = [tuple(map(np.asarray, _apart(ranker, batch))) for batch in moments]
    logits, recalled, there, hit = (np.concatenate(each) for each in zip(*columns, strict=True))
    found = hit.any(axis=1)
    if found.any():
        own, other = (np.asarray(combined_score(logits[found] * of, tasks)) for of in (choice, ~choice))
        ranker.blend.assign(blend_weights(own, share * recalled[found], other, there[found], hit[found].argmax(axis=1)))
    return dict(zip(("ranker_weight", "recall_weight"), ranker.blend.numpy().tolist(), strict=True))


@tf.function(reduce_retracing=True)
def _apart(ranker: Ranker, batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
    rows = batch["recall_row"]
    return ranker.own(batch, rows), ranker.recalled(batch, rows), rows != PAD, rows == batch["item_row"][:, tf.newaxis]


def ndcg_of(model: MultiTaskRanker, moments: tf.data.Dataset, tasks: tuple[Task, ...]) -> float:
    """The funnel's: NDCG@10 of the next item among all that recall returns, ranked; 0 where recall has missed it."""
    return float(np.concatenate([_ranked_gain(model, batch, tasks).numpy() for batch in moments]).mean())


@tf.function(reduce_retracing=True)
def _ranked_gain(model: MultiTaskRanker, batch: dict[str, tf.Tensor], tasks: tuple[Task, ...]) -> tf.Tensor:
    rows = batch["recall_row"]
    scores = combined_score(model({**batch, "candidate_row": rows}), tasks)
    scores = tf.where(rows == PAD, scores.dtype.min, scores)
    hit = rows == batch["item_row"][:, tf.newaxis]
    rank = rank_of(tf.reduce_sum(tf.where(hit, scores, 0.0), axis=1), scores)
    gain = 0.6931472 / tf.math.log(rank + 2)
    return tf.where(tf.reduce_any(hit, axis=1) & (rank < 10), gain, 0.0)


def auc_of(model: MultiTaskRanker, samples: tf.data.Dataset, tasks: tuple[Task, ...], task: str) -> float:
    """Of the samples that observed the task; NaN where all came to the same. AUC = U / (n₊ n₋) (Mann and Whitney 1947)."""
    label, weight = names.LABEL_PREFIX + task, names.WEIGHT_PREFIX + task
    columns = _with_logits(model, samples, [label, weight])
    logits = columns[LOGITS][:, [each.name for each in tasks].index(task)]
    observed, positive = columns[weight] > 0, columns[label] > 0
    above, below = logits[observed & positive], logits[observed & ~positive]
    if not (len(above) and len(below)) or np.isnan(logits).any():
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


class RankingExport(ModelExport):
    """The ranker and recall with what they read, ready to be saved."""

    def __init__(
        self,
        model: MultiTaskRanker,
        recall: Recall,
        table: ItemTable,
        tasks: tuple[Task, ...],
        calibrations: dict[str, SlicedCalibration],
        context: TrainingContext,
    ) -> None:
        model.ranker.freeze()
        super().__init__("ranking", recall.variables, context)
        self._recall: Callable[[], Recall] = lambda: recall
        self._tasks = tasks
        self._calibrations, self._sliced_by = calibrations, sliced_by(context.config)
        self._ids = tf.constant([*context.item_facts.ids, ""])
        self._candidates = min(context.config.ranking.candidates, table.count)
        self._spec = self.spec_of([*context.query_keys(), names.TIMESTAMP])
        self.recalled = tf.TensorSpec([None, recall.dim], tf.float32, names.RECALL_EMBEDDING)
        recalled = {**self._spec, names.RECALL_EMBEDDING: self.recalled}
        rows = tf.TensorSpec([None, None], tf.int32, "rows")
        self._logits = tf.function(lambda features, rows: model.ranker(features, rows), input_signature=[recalled, rows])
        # What it reads, and not the embeddings that are frozen into a table; in the model's order, for a graph keeps none.
        read = {id(variable) for variable in self._logits.get_concrete_function().variables}
        self._ranker_variables = [copy for variable in model.variables for copy in copies(variable) if id(copy) in read]

    def _with_recall(self, features: dict[str, tf.Tensor], embedding: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        if embedding is None:
            embedding = self._recall().embed(features)
        return {**only(features, self._spec), names.RECALL_EMBEDDING: embedding}

    def _predictions(self, logits: tf.Tensor, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        value = None if self._sliced_by is None else tf.reshape(features[self._sliced_by], [-1])
        return predictions(logits, self._tasks, {name: each.of(value) for name, each in self._calibrations.items()})

    def rank(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        inputs = dict(inputs)
        rows = self._rows(inputs.pop(names.ITEM_ID))
        embedding = inputs.pop(names.RECALL_EMBEDDING, None)
        features = self._with_recall(self.request_features(inputs), embedding)
        logits = self._logits(features, rows)
        return {"score": combined_score(logits, self._tasks), **self._predictions(logits, features)}

    def recommend(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        inputs = dict(inputs)
        excluded = self._rows(inputs.pop(EXCLUDED))
        features = self._with_recall(self.request_features(inputs))
        rows = self._recall().best_rows(features[names.RECALL_EMBEDDING], excluded, self._candidates)
        logits = self._logits(features, rows)
        best, place = tf.math.top_k(combined_score(logits, self._tasks), k=min(RECOMMENDED, self._candidates))
        ordered = tf.gather(rows, place, batch_dims=1)
        return {"item_id": tf.gather(self._ids, ordered), "score": best}

    def rank_examples(self, examples: tf.Tensor, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = self._logits(self._with_recall(self.sample_features(examples)), rows)
        return {"score": combined_score(logits, self._tasks)}

    def evaluate(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        features = self.sample_features(examples)
        rows = features["item_row"][:, tf.newaxis]
        if "negative_row" in features:
            rows = tf.concat([rows, features["negative_row"]], axis=1)
        made = self._predictions(self._logits(self._with_recall(features), rows), features)
        listed = {task for task in made if names.has_drawn_negatives(self._config, task)}
        return {task: value if task in listed else value[:, :1] for task, value in made.items()}


def save(export: RankingExport, context: TrainingContext) -> None:
    request = query_signature(context.config, context.facts.types)
    candidates = {**request, names.ITEM_ID: tf.TensorSpec([None, None], tf.string, name=names.ITEM_ID)}
    examples = tf.TensorSpec([None], tf.string, name="examples")
    signatures = {
        "serving_default": tf.function(export.rank).get_concrete_function(candidates),
        "rank_recalled": tf.function(export.rank).get_concrete_function(
            {**candidates, names.RECALL_EMBEDDING: export.recalled}
        ),
        "recommend": tf.function(export.recommend).get_concrete_function(
            recommend_signature(context.config, context.facts.types)
        ),
        "rank_examples": tf.function(export.rank_examples).get_concrete_function(
            examples, tf.TensorSpec([None, None], tf.int32, name="rows")
        ),
        "evaluate": tf.function(export.evaluate).get_concrete_function(examples),
    }
    tf.saved_model.save(export, str(context.model_folder), signatures)
