"""What both SavedModels hold: the Transform graph, the item lookup, and a model's variables."""

from collections.abc import Iterable, Mapping

import tensorflow as tf

from components.models.features import Features
from components.models.items import PAD
from components.training.context import TrainingContext, with_rows
from components.training.signature import query_signature, to_samples_form
from components.training.transform_graph import TransformGraph


class ModelExport(tf.Module):
    """A trained model behind the preprocessing of requests and of samples.

    ``tf.saved_model.save`` follows every attribute that it can track, and would store each Keras layer that it finds as
    functions of its own, which no signature calls and which triple the time of saving and of loading. So the model
    itself is to be held where saving does not look, in a closure, and only its variables are tracked.
    """

    def __init__(self, name: str, variables: list[tf.Variable], context: TrainingContext) -> None:
        super().__init__(name=name)
        self._variables = variables
        self._config, self._types = context.config, context.facts.types
        self._raw_spec = context.transform.raw_feature_spec()
        self._transform = TransformGraph(context.transform)
        self._rows = context.item_rows
        self._ids = tf.constant([*context.item_facts.ids, ""])
        # Traced once, and called by every signature.
        self._request_graph = tf.function(self._of_request, input_signature=[query_signature(self._config, self._types)])
        self._sample_graph = tf.function(self._of_samples, input_signature=[tf.TensorSpec([None], tf.string, "examples")])

    def spec_of(self, names: Iterable[str]) -> dict[str, tf.TensorSpec]:
        """What ``request_features`` and ``sample_features`` give under ``names``, for any size of a batch."""
        made = self._sample_graph.get_concrete_function().structured_outputs
        return {name: tf.TensorSpec([None, *made[name].shape[1:]], made[name].dtype, name) for name in names}

    def request_features(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What the models read of raw requests: transformed, item ids turned into rows."""
        return self._request_graph(inputs)

    def sample_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """The same from serialized samples, string [batch]."""
        return self._sample_graph(examples)

    def item_features(self, inputs: dict[str, tf.Tensor]) -> Features:
        """What the models read of raw items."""
        return self._of_request(inputs)

    def ids_of(self, rows: tf.Tensor) -> tf.Tensor:
        """string, the shape of ``rows``: the id of each item, "" for ``PAD``."""
        return tf.gather(self._ids, tf.where(rows == PAD, tf.size(self._ids) - 1, rows))

    def _of_request(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return with_rows(self._rows, self._transform(to_samples_form(inputs, self._config, self._types)))

    def _of_samples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return with_rows(self._rows, self._transform(tf.io.parse_example(examples, self._raw_spec)))


def only(features: Mapping[str, tf.Tensor], spec: Mapping[str, tf.TensorSpec]) -> dict[str, tf.Tensor]:
    """Those features that a traced function takes."""
    return {name: features[name] for name in spec}
