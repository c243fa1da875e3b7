"""TFX adapters of the evaluations: of the funnel, and TFX's own of the ranker."""

import json
import tempfile
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow_data_validation as tfdv
from pydantic import TypeAdapter, ValidationError
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components.evaluator.executor import Executor as EvaluatorExecutor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import standard_component_specs
from tfx.types.component_spec import ExecutionParameter
from tfx.utils import proto_utils

from components.config import parse_config
from components.errors import ArtifactError, raised_as_ours
from components.evaluation.funnel import Training, baseline_lists, judge_systems, verdict_of
from components.evaluation.gate import AbResult
from components.evaluation.new_items import judge_new_items
from components.evaluation.predictions import Outcomes
from components.evaluation.queries import Queries, split_queries
from components.evaluation.tfma_config import evaluator_config, features_read
from components.funnel.beam import funnel_lists, read_lists
from components.funnel.parts import FunnelParts
from components.index.index import load_vectors
from components.item_to_item.neighbours import Neighbours
from components.push.mirror import open_registry
from components.push.registry import Registry
from components.schema import tfx_api as tfx
from components.schema.artifact_types import Catalogue, EventLog, FeatureSnapshot, FunnelEvaluation, ItemIndex, ItemNeighbours
from components.schema.catalogue import read_items

EXPERIMENT_FILE = "experiment.json"
SHOWN_USERS, SHOWN_HISTORY, SHOWN_ITEMS = 12, 10, 10


@tfx.component(use_beam=True)
def FunnelEvaluator(  # noqa: N802  a component is named like a class
    config: tfx.Parameter[str],
    registry: tfx.Parameter[str],
    last_version: tfx.Parameter[int],
    examples: tfx.InputArtifact[tfx.standard_artifacts.Examples],
    event_log: tfx.InputArtifact[EventLog],
    catalogue: tfx.InputArtifact[Catalogue],
    features: tfx.InputArtifact[FeatureSnapshot],
    retrieval: tfx.InputArtifact[tfx.standard_artifacts.Model],
    ranking: tfx.InputArtifact[tfx.standard_artifacts.Model],
    index: tfx.InputArtifact[ItemIndex],
    item_to_item: tfx.InputArtifact[ItemNeighbours],
    evaluation: tfx.OutputArtifact[FunnelEvaluation],
    beam_pipeline: tfx.BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Judge the funnel on the test split over the whole catalogue, beside baselines and the last release.

    Args:
      registry: folder or URI of the releases; last_version: the one to compare with, 0 for none.
    """
    settings = parse_config(config, origin="FunnelEvaluator")
    queries = split_queries(settings, "test", Path(examples.uri), Path(event_log.uri), Path(catalogue.uri))
    items = read_items(Path(catalogue.uri))
    parts = FunnelParts.of_artifacts(retrieval.uri, ranking.uri, index.uri, settings.ranking.candidates)
    k = max(settings.evaluation.k)
    with tempfile.TemporaryDirectory() as scratch:
        with raised_as_ours(), beam_pipeline as pipeline:
            funnel_lists(pipeline, parts, queries.examples, queries.seen, k, Path(scratch))
        made = read_lists(Path(scratch))
    vectors, _ = load_vectors(Path(index.uri))
    training = Training.of(Path(features.uri), vectors)
    neighbours = Neighbours.load(Path(item_to_item.uri), len(vectors))
    baselines = baseline_lists(queries, training, neighbours, settings.item_to_item.history, k)
    lists = {"funnel": made.ranked, "recall_only": made.recalled, **baselines}
    with open_registry(registry) as releases:
        if last_version:
            releases.fetch(last_version)
            lists["last_release"] = _last_release_lists(releases, last_version, queries, items, k)
        experiment = ab_result(releases.folder)
    judged = judge_systems(lists, queries, training, settings)
    judged["new_items"] = judge_new_items(parts.load(), queries, training, settings)
    outcomes = Outcomes.read(settings, Path(examples.uri))
    judged["prediction"] = outcomes.judge(parts.load().ranker.predictions(outcomes.samples)) if outcomes.samples else {}
    verdict = verdict_of(judged, settings, experiment)
    judged["verdict"] = verdict.to_dict()
    judged["samples"] = _samples(queries, made.ranked, made.scores, items)
    folder = Path(evaluation.uri)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(judged, indent=1))
    evaluation.set_int_custom_property("blessed", int(verdict.blessed))


def _last_release_lists(registry: Registry, version: int, queries: Queries, items: pa.Table, k: int) -> np.ndarray:
    """The last release's lists for the same requests, in rows of this catalogue."""
    parts = registry.funnel_parts(version)
    _, item_ids = load_vectors(Path(parts.index))
    theirs, ours = pa.array(item_ids, pa.string()), items.column("item_id").combine_chunks()
    lists = parts.load().recommend(queries.examples, _rows_in(theirs, ours, queries.seen), k)
    return _rows_in(ours, theirs, lists.ranked)


def _rows_in(catalogue: pa.Array, other: pa.Array, rows: np.ndarray) -> np.ndarray:
    """int32, the shape of ``rows``: the places in ``catalogue`` of items given as rows of ``other``; -1 for none."""
    places = pc.index_in(other, catalogue).fill_null(-1).to_numpy()
    return np.where(rows >= 0, places[np.maximum(rows, 0)], -1).astype(np.int32)


def ab_result(registry: Path) -> AbResult | None:
    """The result of the running online experiment, where its analysis has left one beside the releases.

    Raises:
      ArtifactError: the file holds something else.
    """
    path = registry / EXPERIMENT_FILE
    if not path.exists():
        return None
    try:
        return TypeAdapter(AbResult).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the whole file"
        raise ArtifactError(f"{path}: {key}: {first['msg']}; analyse the experiment again, or remove the file") from error


def _samples(queries: Queries, ranked: np.ndarray, scores: np.ndarray, items: pa.Table) -> list[dict]:
    """Lists of some users for people to look at, one moment a user."""
    ids, titles = items.column("item_id").to_pylist(), items.column("title").to_pylist()

    def shown(row: int) -> dict[str, str]:
        return {"item_id": ids[row], "title": titles[row]}

    _, firsts = np.unique(queries.user_id.astype(str), return_index=True)
    long_enough = [place for place in firsts if (queries.history[place] >= 0).sum() >= 3] or list(firsts)
    step = max(1, len(long_enough) // SHOWN_USERS)
    return [
        {
            "user_id": queries.user_id[place],
            "history": [shown(row) for row in queries.history[place][:SHOWN_HISTORY] if row >= 0],
            "recommended": [
                {**shown(row), "score": float(score)}
                for row, score in zip(ranked[place][:SHOWN_ITEMS], scores[place], strict=False)
                if row >= 0
            ],
            "wanted": shown(queries.wanted[place, 0]),
        }
        for place in long_enough[::step][:SHOWN_USERS]
    ]


class RankerEvaluatorSpec(standard_component_specs.EvaluatorSpec):
    PARAMETERS = {
        standard_component_specs.EXAMPLE_SPLITS_KEY: ExecutionParameter(type=str),
        "config": ExecutionParameter(type=str),
    }


class RankerEvaluatorExecutor(EvaluatorExecutor):
    """Makes TFMA's settings of the pipeline's where it runs, so that a run on Kubeflow may override them.

    TFMA takes every feature of the schema out of every sample, and spends most of its time on lists of which it needs none; it
    is given the part of the schema that it reads.
    """

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict) -> None:  # noqa: N802  TFX's name
        measured = evaluator_config(parse_config(exec_properties["config"], origin="Evaluator"))
        properties = {**exec_properties, standard_component_specs.EVAL_CONFIG_KEY: proto_utils.proto_to_json(measured)}
        (whole,) = input_dict[standard_component_specs.SCHEMA_KEY]
        with tempfile.TemporaryDirectory() as scratch:
            part = tfx.standard_artifacts.Schema()
            part.uri = scratch
            _write_part(Path(whole.uri), features_read(measured), Path(scratch))
            super().Do({**input_dict, standard_component_specs.SCHEMA_KEY: [part]}, output_dict, properties)


def _write_part(schema: Path, names: set[str], folder: Path) -> None:
    """The features of those names, of a schema's folder, in another one."""
    (file,) = schema.iterdir()
    found = tfdv.load_schema_text(str(file))
    kept = schema_pb2.Schema(feature=[feature for feature in found.feature if feature.name in names])
    tfdv.write_schema_text(kept, str(folder / file.name))


class RankerEvaluator(base_beam_component.BaseBeamComponent):
    """TFX's Evaluator, of the ranker on the test split.

    Args:
      config: the pipeline's settings as JSON.
      channels: the inputs of ``EvaluatorSpec``.
    """

    SPEC_CLASS = RankerEvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(RankerEvaluatorExecutor)

    def __init__(self, config: str, **channels: object) -> None:
        spec = RankerEvaluatorSpec(
            config=config,
            example_splits=json.dumps(["test"]),
            evaluation=tfx.Channel(type=tfx.standard_artifacts.ModelEvaluation),
            blessing=tfx.Channel(type=tfx.standard_artifacts.ModelBlessing),
            **channels,
        )
        super().__init__(spec=spec)
