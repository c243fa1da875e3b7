"""A small shop, and its Transform graph, as the transform, training and models' tests need them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.config import PipelineConfig, parse_config
from components.schema.samples import feature_spec
from components.schema.tfmd import schema_proto

TYPES = ("buy", "view")


def small_config(**changes: Any) -> PipelineConfig:
    """Every kind of feature, of users, items and context."""
    dataset = {
        "events": {
            "path": "events.csv",
            "columns": {"user_id": "u", "item_id": "i", "timestamp": "t", "type": "k"},
            "context": {"device": {"column": "d"}},
        },
        "items": {
            "path": "items.csv",
            "id": "i",
            "features": {
                "colour": {"column": "c", "kind": "categorical"},
                "price": {"column": "p", "kind": "number"},
                "tags": {"column": "g", "kind": "multi_valued", "separator": " "},
                "listed": {"column": "l", "kind": "timestamp"},
            },
        },
        "users": {
            "path": "users.csv",
            "id": "u",
            "features": {
                "country": {"column": "n", "kind": "categorical"},
                "age": {"column": "a", "kind": "number"},
                "interests": {"column": "s", "kind": "multi_valued", "separator": " "},
            },
        },
        "tasks": {"buy": {"event": "buy"}, "like": {"when": "value >= 4"}},
    }
    samples = {"history_length": 3, "negatives": 2}
    return parse_config(json.dumps({"name": "shop", "dataset": dataset, "samples": samples, **changes}), origin="test")


EMPTY: Mapping[str, Any] = {"string": "", "float": 0.0, "int64": 0}


def sample(config: PipelineConfig, **values: Any) -> dict[str, list[Any]]:
    """A sample's features as lists; single ones that are not given are empty, lists are absent."""
    made = {}
    for name, (dtype, single) in feature_spec(config, TYPES).items():
        value = values.get(name, [EMPTY[dtype]] if single else [])
        made[name] = value if isinstance(value, list) else [value]
    return made


def serialized(config: PipelineConfig, features: Mapping[str, list[Any]]) -> bytes:
    import tensorflow as tf

    example = tf.train.Example()
    for name, (dtype, _) in feature_spec(config, TYPES).items():
        if dtype == "string":
            example.features.feature[name].bytes_list.value.extend(value.encode() for value in features[name])
        elif dtype == "float":
            example.features.feature[name].float_list.value.extend(features[name])
        else:
            example.features.feature[name].int64_list.value.extend(features[name])
    return example.SerializeToString()


def learn_transform(config: PipelineConfig, features: Sequence[Mapping[str, list[Any]]], folder: Path) -> Any:
    """The Transform graph that is learnt from these samples; a TFTransformOutput."""
    import apache_beam as beam
    import tensorflow as tf
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io
    from tfx_bsl.public import tfxio

    from components.transform.preprocessing import preprocessing_fn

    schema = schema_proto(config, TYPES)
    source = folder / "samples"
    source.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(source / "part.gz"), "GZIP") as writer:
        for each in features:
            writer.write(serialized(config, each))
    reader = tfxio.TFExampleRecord(str(source / "*.gz"), schema=schema)
    function = partial(preprocessing_fn, custom_config={"config": config.model_dump_json()})
    with beam.Pipeline(runner="FnApiRunner") as pipeline, tft_beam.Context(temp_dir=str(folder / "temp")):
        learnt = (pipeline | reader.BeamSource(), reader.TensorAdapterConfig()) | tft_beam.AnalyzeDataset(function)
        learnt | tft_beam.WriteTransformFn(str(folder / "graph"))
    metadata_io.write_metadata(dataset_metadata.DatasetMetadata(schema), str(folder / "graph" / "metadata"))
    return tft.TFTransformOutput(str(folder / "graph"))


@dataclass(frozen=True)
class SmallShop:
    """A config and the Transform graph learnt from six samples.

    Attributes:
      transform: a TFTransformOutput.
    """

    config: PipelineConfig
    transform: Any
    folder: Path

    def sample(self, **values: Any) -> bytes:
        return serialized(self.config, sample(self.config, **values))

    def transformed(self, values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Samples → transformed features as numpy arrays, the way of the trainers."""
        import tensorflow as tf

        parsed = tf.io.parse_example([self.sample(**each) for each in values], self.transform.raw_feature_spec())
        return {name: value.numpy() for name, value in self.transform.transform_features_layer()(parsed).items()}


LEARNT: Sequence[Mapping[str, Any]] = [
    {"country": "DE", "age": [20.0], "tags": ["red", "big"], "price": [1.0], "colour": "blue", "user_count_view": 0.0},
    {"country": "DE", "age": [30.0], "tags": ["red", "big"], "price": [3.0], "colour": "blue", "user_count_view": 0.0},
    {"country": "DE", "age": [40.0], "tags": ["red"], "price": [5.0], "colour": "green", "user_count_view": 0.0},
    {"country": "FR", "tags": ["red"], "listed": [10.0], "interests": ["film"], "user_count_view": 2.0},
    {"country": "FR", "listed": [20.0], "interests": ["film", "sport"], "user_count_view": 2.0},
    {"country": "JP", "context_device": "phone", "user_count_view": 2.0},
]


@pytest.fixture(scope="session")
def small_shop(tmp_path_factory: pytest.TempPathFactory) -> SmallShop:
    folder = tmp_path_factory.mktemp("small_shop")
    config = small_config()
    return SmallShop(config, learn_transform(config, [sample(config, **each) for each in LEARNT], folder), folder)
