"""The gate behind TFX's own statistics and validation, run on samples as they lie on disk."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tfx.components.example_validator.executor import Executor as ExampleValidator
from tfx.components.statistics_gen.executor import Executor as StatisticsGen
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor

from components.config import PipelineConfig, parse_config
from components.errors import AnomalyError
from components.schema import tfx_api as tfx
from components.schema.artifact_types import ValidationReport
from components.schema.samples import SPLITS, feature_spec
from components.schema.tfmd import schema_proto
from components.validation.component import ValidationGate

Sample = dict[str, list[Any] | None]  # None: the feature is missing
TYPES = ("view",)


def config(stop_at: str = "error") -> PipelineConfig:
    features = {
        "brand": {"column": "b", "kind": "categorical", "values": ["acme", "best"]},
        "price": {"column": "p", "kind": "number", "min": 0},
    }
    dataset = {
        "events": {"path": "e", "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}},
        "items": {"path": "i", "id": "i", "features": features},
        "tasks": {"interact": {}},
    }
    return parse_config(
        json.dumps({"name": "shop", "dataset": dataset, "samples": {"negatives": 2}, "validation": {"stop_at": stop_at}}),
        origin="test",
    )


def sample(number: int) -> Sample:
    """A sample that keeps to the schema: as many values as each feature takes."""
    values: dict[str, Any] = {"string": f"s{number}", "float": 0.5, "int64": 3}
    row = {name: [values[dtype]] for name, (dtype, _) in feature_spec(config(), TYPES).items()}
    return row | {"brand": [["acme", "best"][number % 2]], "price": [float(number)]}


def as_example(row: Sample) -> bytes:
    lists = {"string": tf.train.BytesList, "float": tf.train.FloatList, "int64": tf.train.Int64List}
    fields = {"string": "bytes_list", "float": "float_list", "int64": "int64_list"}
    features = {}
    for name, (dtype, _) in feature_spec(config(), TYPES).items():
        if row[name] is None:
            features[name] = tf.train.Feature()
            continue
        values = [value.encode() for value in row[name]] if dtype == "string" else row[name]
        features[name] = tf.train.Feature(**{fields[dtype]: lists[dtype](value=values)})
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


@pytest.fixture
def validate(tmp_path: Path) -> Callable[..., list[dict[str, str]]]:
    """Writes samples, runs StatisticsGen, ExampleValidator and the gate on them; returns the gate's report."""

    def artifact(kind: type, name: str) -> Any:
        made = kind()
        made.uri = str(tmp_path / name)
        return made

    def run(stop_at: str, **splits: list[Sample]) -> list[dict[str, str]]:
        standard = tfx.standard_artifacts
        examples, schema = artifact(standard.Examples, "examples"), artifact(standard.Schema, "schema")
        statistics = artifact(standard.ExampleStatistics, "statistics")
        anomalies = artifact(standard.ExampleAnomalies, "anomalies")
        report = artifact(ValidationReport, "report")
        examples.split_names = json.dumps(list(SPLITS))
        for name in SPLITS:
            folder = tmp_path / "examples" / f"Split-{name}"
            folder.mkdir(parents=True)
            with tf.io.TFRecordWriter(str(folder / "data.gz"), "GZIP") as writer:
                for row in splits.get(name, [sample(number) for number in range(10)]):
                    writer.write(as_example(row))
        (tmp_path / "schema").mkdir()
        (tmp_path / "schema" / "schema.pbtxt").write_text(text_format.MessageToString(schema_proto(config(), TYPES)))
        context = BaseBeamExecutor.Context(beam_pipeline_args=["--runner=FnApiRunner"], tmp_dir=str(tmp_path), unique_id="1")
        StatisticsGen(context).Do(
            {"examples": [examples], "schema": [schema]}, {"statistics": [statistics]}, {"exclude_splits": "[]"}
        )
        ExampleValidator(context).Do(
            {"statistics": [statistics], "schema": [schema]}, {"anomalies": [anomalies]}, {"exclude_splits": "[]"}
        )
        gate = ValidationGate.EXECUTOR_SPEC.executor_class._FUNCTION
        try:
            gate(
                config=config(stop_at).model_dump_json(),
                anomalies=anomalies,
                statistics=statistics,
                schema=schema,
                report=report,
            )
        finally:
            found = json.loads((tmp_path / "report" / "anomalies.json").read_text())
        return found

    return run


def test_samples_that_keep_to_the_schema_pass(validate: Callable) -> None:
    """Values may be unknown: a category is then empty, a number missing."""
    unknown = sample(0) | {"brand": [""], "price": None}
    some = [unknown, *(sample(number) for number in range(1, 10))]
    assert validate("warning", train=some, eval=some, test=some) == []


def test_each_break_of_the_schema_is_named_and_stops_the_run(validate: Callable, tmp_path: Path) -> None:
    rows = [sample(number) for number in range(10)]
    splits = {
        "train": [row | {"price": None} for row in rows],
        "eval": [*rows[:9], rows[9] | {"brand": ["copycat"]}],
        "test": [row | {"price": [-1.0]} for row in rows],
    }
    with pytest.raises(AnomalyError) as error:
        validate("error", **splits)
    first, *broken, last = str(error.value).splitlines()
    assert first == "the samples break their schema, so nothing was trained on them:"
    assert broken[0] == "  price (train split, error): Column dropped: The feature was not present in any examples."
    assert broken[1].startswith("  brand (eval split, error): Unexpected string values: ")
    assert "copycat" in broken[1]
    assert broken[2].startswith("  price (test split, error): Out-of-range values: ")
    assert last.startswith("Correct the data or the feature's settings")
    report = json.loads((tmp_path / "report" / "anomalies.json").read_text())
    assert [(row["split"], row["feature"], row["severity"]) for row in report] == [
        ("train", "price", "error"),
        ("eval", "brand", "error"),
        ("test", "price", "error"),
    ]


def test_drift_between_splits_is_a_warning(validate: Callable) -> None:
    """A tenth of one brand in training, all of it in the test split: their shares differ by 0.9, and 0.5 is allowed."""
    train = [sample(number) | {"brand": ["acme" if number == 0 else "best"]} for number in range(10)]
    found = validate("error", train=train, eval=train, test=[row | {"brand": ["acme"]} for row in train])
    assert [(row["feature"], row["split"], row["severity"]) for row in found] == [("brand", "test", "warning")]
    assert "0.9" in found[0]["reason"]
