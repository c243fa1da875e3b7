"""TFX adapter of the samples."""

import json
from pathlib import Path

import apache_beam as beam
from google.protobuf import text_format

from components.config import parse_config
from components.errors import raised_as_ours
from components.samples.beam import make_samples
from components.samples.business import write_business_statistics
from components.samples.plan import make_plan
from components.schema import tfx_api as tfx
from components.schema.artifact_types import BusinessStatistics, Catalogue, EventLog, FeatureSnapshot
from components.schema.features import SnapshotFacts
from components.schema.samples import SPLITS
from components.schema.tfmd import schema_proto


@tfx.component(use_beam=True)
def Samples(  # noqa: N802  a component is named like a class
    config: tfx.Parameter[str],
    event_log: tfx.InputArtifact[EventLog],
    catalogue: tfx.InputArtifact[Catalogue],
    examples: tfx.OutputArtifact[tfx.standard_artifacts.Examples],
    schema: tfx.OutputArtifact[tfx.standard_artifacts.Schema],
    features: tfx.OutputArtifact[FeatureSnapshot],
    statistics: tfx.OutputArtifact[BusinessStatistics],
    beam_pipeline: tfx.BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Make labelled samples, the schema that they keep to, the feature snapshot and the tables for people."""
    settings = parse_config(config, origin="Samples")
    log, items, snapshot = Path(event_log.uri), Path(catalogue.uri), Path(features.uri)
    plan = make_plan(settings, log, items)
    with raised_as_ours(), beam_pipeline as pipeline:
        make_samples(pipeline, settings, plan, log, items, Path(examples.uri), snapshot)
    by_time = settings.samples.split.kind == "time"
    SnapshotFacts(
        plan.types,
        plan.eval_from_ms if by_time else None,
        plan.test_from_ms if by_time else None,
        plan.last_timestamp_ms,
    ).save(snapshot)
    write_business_statistics(log, items, Path(statistics.uri))
    examples.split_names = json.dumps(list(SPLITS))
    folder = Path(schema.uri)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schema.pbtxt").write_text(text_format.MessageToString(schema_proto(settings, plan.types)))
