"""TFX adapter of item-to-item."""

import tempfile
from pathlib import Path

import apache_beam as beam

from components.config import parse_config
from components.errors import raised_as_ours
from components.item_to_item.beam import find_neighbours
from components.item_to_item.neighbours import join_blocks
from components.schema import tfx_api as tfx
from components.schema.artifact_types import Catalogue, FeatureSnapshot, ItemNeighbours
from components.schema.catalogue import read_items
from components.schema.features import interaction_files


@tfx.component(use_beam=True)
def ItemToItem(  # noqa: N802  a component is named like a class
    config: tfx.Parameter[str],
    catalogue: tfx.InputArtifact[Catalogue],
    features: tfx.InputArtifact[FeatureSnapshot],
    neighbours: tfx.OutputArtifact[ItemNeighbours],
    beam_pipeline: tfx.BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Find each item's neighbours by the users of the training split.

    Raises:
      DataError: EASE is asked for, and the catalogue is too large for it.
    """
    settings = parse_config(config, origin="ItemToItem").item_to_item
    item_count = read_items(Path(catalogue.uri)).num_rows
    with tempfile.TemporaryDirectory() as scratch:
        with raised_as_ours(), beam_pipeline as pipeline:
            find_neighbours(pipeline, settings, interaction_files(Path(features.uri)), item_count, Path(scratch))
        join_blocks(Path(scratch), Path(neighbours.uri), item_count)
