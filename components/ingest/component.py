"""TFX adapter of ingest."""

from pathlib import Path

import apache_beam as beam

from components.config import parse_config
from components.errors import raised_as_ours
from components.ingest.beam import finish, ingest
from components.ingest.sources import fetched, sources_fingerprint
from components.schema import tfx_api as tfx
from components.schema.artifact_types import Catalogue, EventLog
from components.schema.events import write_sources


@tfx.component(use_beam=True)
def Ingest(  # noqa: N802  a component is named like a class
    config: tfx.Parameter[str],
    sources: tfx.Parameter[str],
    known: tfx.Parameter[str],
    event_log: tfx.OutputArtifact[EventLog],
    catalogue: tfx.OutputArtifact[Catalogue],
    beam_pipeline: tfx.BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Read the sources of ``config``.

    Args:
      config: the pipeline's settings as JSON, its model sections left out.
      sources: URI or folder that the sources' relative paths count from; empty where there are none.
      known: fingerprint of the source files, where it was known before the run; a change makes the cached result stale.
    """
    del known
    log, items = Path(event_log.uri), Path(catalogue.uri)
    log.mkdir(parents=True, exist_ok=True)
    with fetched(parse_config(config, origin="Ingest").dataset, sources) as dataset:
        write_sources(log, sources_fingerprint(dataset))
        with raised_as_ours(), beam_pipeline as pipeline:
            ingest(pipeline, dataset, log)
        finish(dataset, log, items)
