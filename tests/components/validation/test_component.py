"""The gate behind TFX's own statistics and validation, run on samples as they lie on disk."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tfx.v1 as tfx
from google.protobuf import text_format
from tfx.components.example_validator.executor import Executor as ExampleValidator
from tfx.components.statistics_gen.executor import Executor as StatisticsGen
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor

from components.config import PipelineConfig, parse_config
from components.errors import AnomalyError
from components.schema.artifact_types import ValidationReport
from components.schema.samples import SPLITS, feature_spec, schema_proto
from components.validation.component import ValidationGate

Sample = dict[str, list[Any] | None]  # None: the feature is missing
TYPES = ("view",)


def config() -> PipelineConfig:
    features = {
        "brand": {"column": "b", "kind": "categorical", "values": ["acme", "best"]},
        "price": {"column": "p", "kind": "number", "min": 0},
    }
    dataset = {
        "events": {"path": "e", "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}},
        "items": {"path": "i", "id": "i", "features": features},
        "tasks": {"interact": {}},
    }
    return parse_config(json.dumps({"name": "shop", "dataset": dataset, "samples": {"negatives": 1}}), origin="test")


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
        standard = tfx.types.standard_artifacts
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
            gate(stop_at=stop_at, anomalies=anomalies, statistics=statistics, schema=schema, report=report)
        finally:
            found = json.loads((tmp_path / "report" / "anomalies.json").read_text())
        return found

    return run


def test_samples_that_keep_to_the_schema_pass(validate: Callable) -> None:
    assert validate("warning") == []


def test_an_unexpected_category_stops_the_run(validate: Callable, tmp_path: Path) -> None:
    odd = [sample(number) for number in range(9)] + [sample(9) | {"brand": ["copycat"]}]
    with pytest.raises(AnomalyError) as error:
        validate("error", eval=odd)
    message = str(error.value)
    assert message.startswith("the samples break their schema, so nothing was trained on them:\n  brand (eval split, error): ")
    assert "copycat" in message
    assert "Unexpected string values" in message
    report = json.loads((tmp_path / "report" / "anomalies.json").read_text())
    assert [(row["feature"], row["split"], row["severity"]) for row in report] == [("brand", "eval", "error")]


def test_a_feature_without_any_value_stops_the_run(validate: Callable) -> None:
    with pytest.raises(AnomalyError, match=r"price \(train split, error\): .*(missing|fewer)"):
        validate("error", train=[sample(number) | {"price": None} for number in range(10)])


def test_values_may_be_unknown(validate: Callable) -> None:
    """A category is then empty, a number missing."""
    some = [sample(0) | {"brand": [""], "price": None}, *(sample(number) for number in range(1, 10))]
    assert validate("error", train=some, eval=some, test=some) == []


def test_a_number_outside_its_bounds_stops_the_run(validate: Callable) -> None:
    with pytest.raises(AnomalyError, match=r"price \(test split, error\): Out-of-range values"):
        validate("error", test=[sample(number) | {"price": [-1.0]} for number in range(10)])


def test_drift_between_splits_is_a_warning(validate: Callable) -> None:
    """All of one brand in validation, half of it in training: the largest difference of shares, 0.5, is no drift yet;
    with a tenth in training it is 0.9."""
    train = [sample(number) | {"brand": ["acme" if number == 0 else "best"]} for number in range(10)]
    test = [sample(number) | {"brand": ["acme"]} for number in range(10)]
    found = validate("error", train=train, eval=train, test=test)
    assert [(row["feature"], row["split"], row["severity"]) for row in found] == [("brand", "test", "warning")]
    assert "0.9" in found[0]["reason"]


def test_drift_stops_a_run_that_asks_for_it(validate: Callable) -> None:
    train = [sample(number) | {"brand": ["best"]} for number in range(10)]
    with pytest.raises(AnomalyError, match=r"brand \(eval split, warning\)"):
        validate("warning", train=train, eval=[row | {"brand": ["acme"]} for row in train], test=train)
