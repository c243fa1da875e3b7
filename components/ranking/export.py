"""A trained ranker as one SavedModel that stock TF Serving can run.

Signatures: ``serving_default`` a request and N item ids → ``score`` and each task's prediction, [batch, N];
``rank_recalled`` the same for who has asked recall's query tower already, and gives its vector too; ``recommend`` a request
alone → the whole funnel: recall by exact search, ranking, the items in order, and "" where there are no more;
``rank_examples`` serialized samples and catalogue rows → ``score``; ``evaluate`` serialized samples → each task's prediction,
for TFMA.
"""

from collections.abc import Callable

import tensorflow as tf

from components.models.calibration import SlicedCalibration
from components.models.items import PAD, ItemTable
from components.models.multi_task import MultiTaskRanker
from components.models.replicas import copies
from components.models.tasks import Task, combined_score, predictions
from components.ranking.observed import sliced_by
from components.schema import samples as names
from components.training.context import TrainingContext
from components.training.export import ModelExport, only
from components.training.recall import Recall
from components.training.signature import EXCLUDED, query_signature, recommend_signature

RECOMMENDED = 100


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
        scores = combined_score(self._logits(features, rows), self._tasks)
        scores = tf.where(rows == PAD, scores.dtype.min, scores)
        best, place = tf.math.top_k(scores, k=min(RECOMMENDED, self._candidates))
        return {"item_id": self.ids_of(tf.gather(rows, place, batch_dims=1)), "score": best}

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
