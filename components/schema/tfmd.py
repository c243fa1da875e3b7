"""The samples' contract in the terms of TensorFlow Metadata. Apart from it, since who serves has no use for that package."""

from tensorflow_metadata.proto.v0 import schema_pb2

from components.config import PipelineConfig
from components.config.dataset import FeatureColumn, FeatureKind
from components.schema.events import CONTEXT_PREFIX
from components.schema.samples import HOURS, WEEKDAYS, feature_spec

_TFMD = {"string": schema_pb2.BYTES, "float": schema_pb2.FLOAT, "int64": schema_pb2.INT}


def schema_proto(config: PipelineConfig, types: tuple[str, ...]) -> schema_pb2.Schema:
    """The contract that the statistics of the samples are validated against."""
    schema = schema_pb2.Schema()
    columns = {**config.dataset.user_features, **config.dataset.item_features}
    contexts = {CONTEXT_PREFIX + name: column for name, column in config.dataset.events.context.items()}
    for name, (dtype, single) in feature_spec(config, types).items():
        feature = schema.feature.add(name=name, type=_TFMD[dtype])
        if single:
            feature.presence.min_fraction = 1.0
            feature.presence.min_count = 1
            feature.shape.dim.add(size=1)
        column = columns.get(name) or contexts.get(name)
        values = getattr(column, "values", None)
        if values:
            feature.string_domain.value.extend([*values, ""])  # which stands for an unknown one
        if isinstance(column, FeatureColumn) and column.kind is FeatureKind.NUMBER:
            if not single:
                feature.presence.min_count = 1
            if column.min is not None:
                feature.float_domain.min = column.min
            if column.max is not None:
                feature.float_domain.max = column.max
        for context, size in (("hour", HOURS), ("weekday", WEEKDAYS)):
            if name == CONTEXT_PREFIX + context:
                feature.int_domain.min, feature.int_domain.max = 0, size - 1
        if column is not None and dtype == "string" and single:
            feature.drift_comparator.infinity_norm.threshold = config.validation.drift_threshold
    return schema
