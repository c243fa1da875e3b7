"""TFX adapter of ingest."""

from pathlib import Path

import apache_beam as beam
import tfx.v1 as tfx

from components.config import parse_config
from components.errors import raised_as_ours
from components.ingest.beam import finish, ingest
from components.schema.artifact_types import Catalogue, EventLog


@tfx.dsl.components.component(use_beam=True)
def Ingest(  # noqa: N802  a component is named like a class
    config: tfx.dsl.components.Parameter[str],
    sources: tfx.dsl.components.Parameter[str],
    event_log: tfx.dsl.components.OutputArtifact[EventLog],
    catalogue: tfx.dsl.components.OutputArtifact[Catalogue],
    beam_pipeline: tfx.dsl.components.BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Read the sources of ``config``.

    Args:
      config: the pipeline's settings as JSON, its model sections left out.
      sources: fingerprint of the source files; a change makes the cached result stale.
    """
    del sources
    dataset = parse_config(config, origin="Ingest").dataset
    log, items = Path(event_log.uri), Path(catalogue.uri)
    log.mkdir(parents=True, exist_ok=True)
    with raised_as_ours(), beam_pipeline as pipeline:
        ingest(pipeline, dataset, log)
    finish(dataset, log, items)
