"""TFX adapter of the gate after ExampleValidator."""

import json
from pathlib import Path

import tensorflow_data_validation as tfdv
from tensorflow_data_validation.utils.anomalies_util import load_anomalies_binary
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.types import artifact_utils

from components.config import parse_config
from components.schema import tfx_api as tfx
from components.schema.artifact_types import ValidationReport
from components.validation.gate import check, read_anomalies


@tfx.component
def ValidationGate(  # noqa: N802  a component is named like a class
    config: tfx.Parameter[str],
    anomalies: tfx.InputArtifact[tfx.standard_artifacts.ExampleAnomalies],
    statistics: tfx.InputArtifact[tfx.standard_artifacts.ExampleStatistics],
    schema: tfx.InputArtifact[tfx.standard_artifacts.Schema],
    report: tfx.OutputArtifact[ValidationReport],
) -> None:
    """Stop the run at the first severity configured; compare each later split with training for drift."""
    contract = tfdv.load_schema_text(str(Path(schema.uri) / "schema.pbtxt"))
    training = stats_artifact_utils.load_statistics(statistics, "train").proto()
    found = []
    for split in artifact_utils.decode_split_names(anomalies.split_names):
        found += read_anomalies(split, load_anomalies_binary(str(Path(anomalies.uri) / f"Split-{split}" / "SchemaDiff.pb")))
        if split != "train":
            of_split = stats_artifact_utils.load_statistics(statistics, split).proto()
            drift = tfdv.validate_statistics(of_split, contract, previous_statistics=training)
            found += read_anomalies(split, _only_drift(drift))
    folder = Path(report.uri)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "anomalies.json").write_text(json.dumps([anomaly.to_dict() for anomaly in found], indent=1))
    check(found, parse_config(config, origin="ValidationGate").validation.stop_at)


def _only_drift(anomalies: anomalies_pb2.Anomalies) -> anomalies_pb2.Anomalies:
    """The anomalies of comparing two splits, as warnings: time changes data, and a split by time shows it."""
    drift = anomalies_pb2.Anomalies()
    for name, info in anomalies.anomaly_info.items():
        if any(reason.type == anomalies_pb2.AnomalyInfo.COMPARATOR_L_INFTY_HIGH for reason in info.reason):
            drift.anomaly_info[name].CopyFrom(info)
            drift.anomaly_info[name].severity = anomalies_pb2.AnomalyInfo.WARNING
    return drift
