"""TFX adapter of the precomputed lists."""

import json
import tempfile
import time
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from components.config import parse_config
from components.errors import raised_as_ours
from components.features.seen import seen_before
from components.funnel.beam import funnel_lists, read_lists
from components.funnel.parts import FunnelParts
from components.schema import samples as names
from components.schema import tfx_api as tfx
from components.schema.artifact_types import Catalogue, EventLog, FeatureSnapshot, ItemIndex, RecommendationLists
from components.schema.catalogue import read_items
from components.schema.features import REQUESTS_FOLDER
from components.training.exported import read_examples


@tfx.component(use_beam=True)
def BulkRecommender(  # noqa: N802  a component is named like a class
    config: tfx.Parameter[str],
    event_log: tfx.InputArtifact[EventLog],
    catalogue: tfx.InputArtifact[Catalogue],
    features: tfx.InputArtifact[FeatureSnapshot],
    retrieval: tfx.InputArtifact[tfx.standard_artifacts.Model],
    ranking: tfx.InputArtifact[tfx.standard_artifacts.Model],
    index: tfx.InputArtifact[ItemIndex],
    lists: tfx.OutputArtifact[RecommendationLists],
    beam_pipeline: tfx.BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Recommend to every user of the log, as of its end: ``lists.parquet`` (user_id, item_id, score; lists best first)."""
    settings = parse_config(config, origin="BulkRecommender")
    started = time.monotonic()
    folder = Path(lists.uri)
    folder.mkdir(parents=True, exist_ok=True)
    requests = read_examples(Path(features.uri) / REQUESTS_FOLDER) if settings.bulk.users == "all" else []
    stored = [tf.train.Example.FromString(request).features.feature for request in requests]
    users = np.array([each[names.USER_ID].bytes_list.value[0].decode() for each in stored], object)
    moments = np.array([each[names.TIMESTAMP].int64_list.value[0] for each in stored], np.int64)
    items = read_items(Path(catalogue.uri)).column("item_id").combine_chunks()
    table = pa.table({"user_id": pa.array([], pa.string())})
    if len(users):
        seen = seen_before(Path(event_log.uri), items, settings, users, moments)
        parts = FunnelParts.of_artifacts(retrieval.uri, ranking.uri, index.uri, settings.ranking.candidates)
        with tempfile.TemporaryDirectory() as scratch:
            with raised_as_ours(), beam_pipeline as pipeline:
                funnel_lists(pipeline, parts, requests, seen, settings.bulk.length, Path(scratch))
            made = read_lists(Path(scratch))
        present = made.ranked >= 0
        offsets = pa.array(np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int32))
        table = pa.table(
            {
                "user_id": pa.array(users, pa.string()),
                "item_id": pa.ListArray.from_arrays(offsets, items.take(pa.array(made.ranked[present]))),
                "score": pa.ListArray.from_arrays(offsets, pa.array(made.scores[present].astype(np.float32))),
            }
        )
    pq.write_table(table, folder / "lists.parquet", compression="zstd")
    summary = {"user_count": len(users), "list_length": settings.bulk.length, "seconds": time.monotonic() - started}
    (folder / "summary.json").write_text(json.dumps(summary))
