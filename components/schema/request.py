"""A request for the model server, made of a sample: what the models' signatures take, as JSON can say it."""

from typing import Any

import tensorflow as tf

from components.config import PipelineConfig
from components.schema import samples as names

PADDING = {"string": "", "float": -1.0}


def request_inputs(sample: bytes, config: PipelineConfig, types: tuple[str, ...]) -> dict[str, list[Any]]:
    """Column-form ``inputs`` of one request: single features as [value], lists as [[values]].

    A number that the sample lacks is NaN, as in ``components.training.signature``.
    """
    spec = names.feature_spec(config, types)
    columns = config.dataset.user_features
    stored = tf.train.Example.FromString(sample).features.feature
    inputs: dict[str, list[Any]] = {}
    for name in names.query_features(config, types):
        dtype, single = spec[name]
        values = stored_values(stored[name], dtype)
        if single:
            inputs[name] = values
        elif dtype == "float" and name in columns:
            inputs[name] = values or [float("nan")]
        else:
            inputs[name] = [values or [PADDING[dtype]]]  # an empty list would not say of what type it is
    return inputs


def stored_values(feature: tf.train.Feature, dtype: str) -> list[Any]:
    if dtype == "string":
        return [value.decode() for value in feature.bytes_list.value]
    return list(feature.float_list.value if dtype == "float" else feature.int64_list.value)
