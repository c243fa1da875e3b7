"""Measure Ingest and Samples on a synthetic data set; the last line of standard output is the result."""

import json
import resource
import sys
import time
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from components.config import load_config
from components.ingest.beam import finish, ingest
from components.samples.beam import make_samples
from components.samples.plan import make_plan

CONFIG = """
name: synthetic
dataset:
  events:
    path: {data}/events
    format: parquet
    timestamp_unit: ms
    columns: {{event_id: event_id, user_id: user_id, item_id: item_id, type: type, value: value, timestamp: timestamp_ms,
               received: received_ms, request_id: request_id, position: position, propensity: propensity}}
    context:
      device: {{column: device}}
  items:
    path: {data}/items.parquet
    format: parquet
    id: item_id
    title: title
    created: created_ms
    created_unit: ms
    features:
      category: {{column: category, kind: categorical}}
      tags: {{column: tags, kind: multi_valued}}
      price: {{column: price, kind: number}}
  users:
    path: {data}/users.parquet
    format: parquet
    id: user_id
    features:
      country: {{column: country, kind: categorical}}
      age_group: {{column: age_group, kind: categorical}}
  tasks:
    click: {{event: click}}
    dwell: {{event: click, kind: regression, weight: 0.01, score_weight: 0.0}}
samples:
  impressions: impression
"""


def main(data: Path, work: Path) -> None:
    work.mkdir(parents=True)
    path = work / "config.yaml"
    path.write_text(CONFIG.format(data=data))
    config = load_config(path)
    log, catalogue = work / "log", work / "catalogue"
    log.mkdir()
    options = PipelineOptions(["--runner=FnApiRunner"])
    started = time.monotonic()
    with beam.Pipeline(options=options) as pipeline:
        ingest(pipeline, config.dataset, log)
    finish(config.dataset, log, catalogue)
    ingested = time.monotonic()
    plan = make_plan(config, log, catalogue)
    with beam.Pipeline(options=options) as pipeline:
        make_samples(pipeline, config, plan, log, catalogue, work / "examples", work / "features")
    ended = time.monotonic()
    peak_rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {"ingest_s": ingested - started, "seconds": ended - started, "peak_rss_mib": peak_rss_mib}
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
