"""TFX run_fn of recall: trains the towers, and saves one SavedModel that stock TF Serving can run.

Signatures: ``serving_default`` a request → ``embedding``; ``embed_examples`` the same from serialized samples; ``item`` an item
with its features → ``embedding``; ``recommend`` a request and the ids to leave out → ``item_id`` and ``score`` of the
best items by exact search, and "" where there are no more.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from components.config import PipelineConfig
from components.models.items import ItemTable, of_rows
from components.models.losses import LOSSES
from components.models.recurrent import Recurrent
from components.models.self_attention import SelfAttention
from components.models.sequence_tower import Encoder, SequenceTower
from components.models.towers import ItemTower, PooledTower
from components.models.two_tower import QueryTower, TwoTower
from components.schema import samples as names
from components.training.context import TrainingContext
from components.training.distribution import train_with_all
from components.training.export import ModelExport, only
from components.training.held_out import SEEN, held_out
from components.training.inputs import training_batches
from components.training.loop import Progress, train
from components.training.ranks import gain_at_10, rank_of
from components.training.recall import best_without, without_rows
from components.training.signature import EXCLUDED, item_signature, query_signature, recommend_signature
from components.training.tuning import Tuning, tuning_of

MEASURED_SAMPLES = 5_000
RECOMMENDED = 300


def run_fn(fn_args: Any) -> None:
    train_with_all(train_and_save, fn_args, "RetrievalTrainer", "retrieval")


def tuner_fn(fn_args: Any) -> Tuning:
    return tuning_of(
        trial,
        lambda context: stop_metric(context.config, len(context.item_facts.ids)),
        fn_args,
        "RetrievalTuner",
        "retrieval",
    )


def trial(context: TrainingContext, strategy: tf.distribute.Strategy) -> Progress:
    return fit(context, strategy).progress


def train_and_save(context: TrainingContext, strategy: tf.distribute.Strategy) -> None:
    fitted = fit(context, strategy)
    save(fitted.model, fitted.table, context)


class Fitted(NamedTuple):
    model: TwoTower
    table: ItemTable
    progress: Progress


def fit(context: TrainingContext, strategy: tf.distribute.Strategy) -> Fitted:
    """The towers, trained."""
    settings = context.config.retrieval
    keras.utils.set_random_seed(settings.seed)
    table = ItemTable(context.item_facts)
    with strategy.scope():
        model = two_tower(context, table)
    with tempfile.TemporaryDirectory() as scratch:
        windows = settings.query_tower != "pooled"
        blocks = _positives(context, windows).cache(str(Path(scratch) / "train"))
        moments = held_out(context, [*context.query_keys(), "item_row"], MEASURED_SAMPLES).batch(64).cache()
        progress = train(
            model,
            partial(training_batches, blocks, settings.batch_size, settings.seed),
            measure=lambda: measured(model, moments, table.count, context.config.ranking.candidates),
            metric=stop_metric(context.config, table.count),
            settings=settings,
            run_folder=context.run_folder,
            checkpoint=context.checkpoint,
        )
    return Fitted(model, table, progress)


def two_tower(context: TrainingContext, table: ItemTable) -> TwoTower:
    """The towers and the loss that the settings name."""
    settings = context.config.retrieval
    dim, hidden, dropout = settings.embedding_dim, settings.hidden, settings.dropout
    items = ItemTower(table, dim, hidden, settings.id_dropout, dropout)
    loss = LOSSES[settings.loss_of(table.count)](items, context.item_frequency, settings)
    made = partial(TwoTower, seed=settings.seed, exclude_seen=context.config.evaluation.exclude_seen)
    if settings.query_tower == "pooled":
        return made(PooledTower(items, context.query_slots, dim, hidden, dropout), items, loss)
    encoder: Encoder
    if settings.query_tower == "gru":
        encoder = Recurrent(dim, settings.blocks, dropout)
    else:
        encoder = SelfAttention(dim, context.config.samples.history_length, settings.blocks, settings.heads, dropout)
    return made(SequenceTower(items, context.query_slots, dim, encoder), items, loss)


def _positives(context: TrainingContext, windows: bool) -> tf.data.Dataset:
    """
    Args:
      windows: only those whose histories hold the others.
    """
    label = names.LABEL_PREFIX + context.config.positive_task
    weight = names.WEIGHT_PREFIX + context.config.positive_task
    shown = [names.PROPENSITY] if context.config.samples.impressions is not None else []
    keep = [*context.query_keys(), "item_row", names.WINDOW, label, weight, *shown]

    def only_positives(block: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        wanted = block[label][:, 0] > 0
        if windows:
            wanted &= block[names.WINDOW][:, 0] > 0
        chosen = tf.where(wanted)[:, 0]
        kept = {name: tf.gather(value, chosen) for name, value in block.items()}
        kept["weight"] = kept.pop(weight)
        del kept[label]
        if not windows:
            del kept[names.WINDOW]
        return kept

    return context.blocks(context.train_files, keep, shuffled=True).map(only_positives)


def stop_metric(config: PipelineConfig, item_count: int) -> str:
    """What recall is for: that the next item is among those that are ranked, which says nothing where all of them are."""
    candidates = config.ranking.candidates
    return "ndcg_at_10" if config.retrieval.stop_on == "ndcg" or candidates >= item_count else f"recall_at_{candidates}"


def measured(model: TwoTower, moments: tf.data.Dataset, item_count: int, candidates: int) -> dict[str, float]:
    """Recall among ``candidates`` and NDCG@10 of next items over the whole catalogue, without what the user had before."""
    vectors = of_rows(item_count, model.item_tower)
    ranks = np.concatenate([_ranks(model.query_tower, vectors, batch).numpy() for batch in moments])
    return {f"recall_at_{candidates}": float((ranks < candidates).mean()), "ndcg_at_10": float(gain_at_10(ranks).mean())}


@tf.function(reduce_retracing=True)
def _ranks(query_tower: QueryTower, vectors: tf.Tensor, batch: dict[str, tf.Tensor]) -> tf.Tensor:
    scores = without_rows(tf.matmul(query_tower(batch), vectors, transpose_b=True), batch[SEEN])
    return rank_of(tf.gather(scores, batch["item_row"], batch_dims=1), scores)


class RetrievalExport(ModelExport):
    """The towers with what they read, ready to be saved."""

    def __init__(self, model: TwoTower, table: ItemTable, context: TrainingContext) -> None:
        self.vectors = model.item_tower.freeze()  # one row more than there are items
        super().__init__("retrieval", model.variables, context)
        self._item_tower: Callable[[], ItemTower] = lambda: model.item_tower
        self._table = table
        self._query_spec = self.spec_of(context.query_keys())
        # Saved under its name: request vectors from features that have been through the Transform graph, as ranking has them.
        self.embed = tf.function(lambda features: model.query_tower(features), input_signature=[self._query_spec])
        self.item_ids = tf.Variable(list(context.item_facts.ids), trainable=False)

    def query(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"embedding": self.embed(only(self.request_features(inputs), self._query_spec))}

    def embed_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": self.embed(only(self.sample_features(examples), self._query_spec))}

    def item(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        features = dict(self.item_features(inputs))
        rows = features.pop("item_row")
        return {"embedding": self._item_tower().vectors(self._table.id_rows(rows), features)}

    def recommend(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        inputs = dict(inputs)
        excluded = self._rows(inputs.pop(EXCLUDED))
        scores = tf.matmul(self.query(inputs)["embedding"], self.vectors[:-1], transpose_b=True)
        best, rows = best_without(scores, excluded, RECOMMENDED)
        return {"item_id": self.ids_of(rows), "score": best}


def save(model: TwoTower, table: ItemTable, context: TrainingContext) -> None:
    export = RetrievalExport(model, table, context)
    request = query_signature(context.config, context.facts.types)
    item = item_signature(context.config, context.facts.types)
    signatures = {
        "serving_default": tf.function(export.query).get_concrete_function(request),
        "embed_examples": tf.function(export.embed_examples).get_concrete_function(
            tf.TensorSpec([None], tf.string, name="examples")
        ),
        "item": tf.function(export.item).get_concrete_function(item),
        "recommend": tf.function(export.recommend).get_concrete_function(
            recommend_signature(context.config, context.facts.types)
        ),
    }
    export.embed.get_concrete_function()  # traced, so that it is saved
    tf.saved_model.save(export, str(context.model_folder), signatures)
