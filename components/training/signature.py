"""The raw features of a request as a SavedModel takes them: dense tensors, and how the Transform graph gets them.

A list is padded: texts with "", ``history_age_s`` with a negative number. A number may be NaN where it is unknown. What
a client leaves unknown is thus said in plain JSON, and the sparse tensors of the Transform graph stay inside.
"""

from collections.abc import Mapping

import tensorflow as tf

from components.config import PipelineConfig
from components.schema import samples as names

EXCLUDED = "exclude_item_id"
DTYPES = {"string": tf.string, "float": tf.float32, "int64": tf.int64}
LISTS_BY_HISTORY = (names.HISTORY_AGE, names.HISTORY_VALUE)


def query_signature(config: PipelineConfig, types: tuple[str, ...]) -> dict[str, tf.TensorSpec]:
    """The inputs of a request: [batch] for single features and numbers, [batch, n] for lists."""
    return _signature(config, types, names.query_features(config, types))


def recommend_signature(config: PipelineConfig, types: tuple[str, ...]) -> dict[str, tf.TensorSpec]:
    """The inputs of a request for a list: those of a request, and the ids that must not come back, padded with ""."""
    return {**query_signature(config, types), EXCLUDED: tf.TensorSpec([None, None], tf.string, name=EXCLUDED)}


def item_signature(config: PipelineConfig, types: tuple[str, ...]) -> dict[str, tf.TensorSpec]:
    """The inputs of an item with its features; a timestamp is in days since 1970."""
    return _signature(config, types, [names.ITEM_ID, *config.dataset.item_features])


def _signature(config: PipelineConfig, types: tuple[str, ...], wanted: list[str]) -> dict[str, tf.TensorSpec]:
    spec = names.feature_spec(config, types)
    columns = {**config.dataset.user_features, **config.dataset.item_features}
    signature = {}
    for name in wanted:
        dtype, single = spec[name]
        number = not single and dtype == "float" and name in columns
        shape = [None] if single or number else [None, None]
        signature[name] = tf.TensorSpec(shape, DTYPES[dtype], name=name)
    return signature


def to_samples_form(inputs: Mapping[str, tf.Tensor], config: PipelineConfig, types: tuple[str, ...]) -> dict[str, tf.Tensor]:
    """The features as ``tf.io.parse_example`` gives those of samples: single ones [batch, 1], the others sparse."""
    spec = names.feature_spec(config, types)
    past = inputs[names.HISTORY_ITEM] != "" if names.HISTORY_ITEM in inputs else None
    raw = {}
    for name, value in inputs.items():
        _, single = spec[name]
        if single:
            raw[name] = value[:, tf.newaxis]
        elif name in LISTS_BY_HISTORY:
            raw[name] = _sparse(value, past)
        elif value.dtype == tf.string:
            raw[name] = _sparse(value, value != "")
        else:
            raw[name] = _sparse(value[:, tf.newaxis], ~tf.math.is_nan(value[:, tf.newaxis]))
    return raw


def _sparse(value: tf.Tensor, present: tf.Tensor) -> tf.SparseTensor:
    where = tf.where(present)
    return tf.SparseTensor(where, tf.gather_nd(value, where), tf.shape(value, out_type=tf.int64))
