"""The whole batch DAG, read from top to bottom."""

from pathlib import Path

import tfx.v1 as tfx

from components.config import PipelineConfig
from components.ingest.component import Ingest
from components.ingest.files import fingerprint, table_files
from components.samples.component import Samples
from components.training.component import ModelTrainer
from components.validation.component import ValidationGate

RETRIEVAL = "components.retrieval.trainer.run_fn"
RANKING = "components.ranking.trainer.run_fn"
PREPROCESSING = "components.transform.preprocessing.preprocessing_fn"


def create_pipeline(config: PipelineConfig, root: Path, metadata: object, beam_args: list[str], cache: bool) -> tfx.dsl.Pipeline:
    """The pipeline of ``config``, with its artifacts under ``root``."""
    data = settings(config)
    ingest = Ingest(config=data, sources=sources_fingerprint(config))
    samples = Samples(config=data, event_log=ingest.outputs["event_log"], catalogue=ingest.outputs["catalogue"])
    statistics = tfx.components.StatisticsGen(examples=samples.outputs["examples"], schema=samples.outputs["schema"])
    validator = tfx.components.ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=samples.outputs["schema"]
    )
    gate = ValidationGate(
        stop_at=config.validation.stop_at,
        anomalies=validator.outputs["anomalies"],
        statistics=statistics.outputs["statistics"],
        schema=samples.outputs["schema"],
    )
    transform = tfx.components.Transform(
        examples=samples.outputs["examples"],
        schema=samples.outputs["schema"],
        preprocessing_fn=PREPROCESSING,
        materialize=False,  # the trainers apply the graph themselves: it is cheaper than writing its output
        custom_config={"config": data},
        splits_config=tfx.proto.SplitsConfig(analyze=["train"], transform=[]),
    )
    transform.add_upstream_node(gate)
    shared = {
        "examples": samples.outputs["examples"],
        "schema": samples.outputs["schema"],
        "transform_graph": transform.outputs["transform_graph"],
        "event_log": ingest.outputs["event_log"],
        "catalogue": ingest.outputs["catalogue"],
        "features": samples.outputs["features"],
    }
    retrieval = ModelTrainer(
        run_fn=RETRIEVAL, config=settings(config, "retrieval"), **shared
    ).with_id("RetrievalTrainer")
    ranking = ModelTrainer(
        run_fn=RANKING, config=settings(config, "ranking"), retrieval=retrieval.outputs["model"], **shared
    ).with_id("RankingTrainer")
    return tfx.dsl.Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(root),
        components=[ingest, samples, statistics, validator, gate, transform, retrieval, ranking],
        enable_cache=cache,
        metadata_connection_config=metadata,
        beam_pipeline_args=beam_args,
    )


def settings(config: PipelineConfig, *sections: str) -> str:
    """The settings that a node depends on, as JSON: a change of a model's settings must not make samples anew."""
    return config.model_dump_json(include={"name", "dataset", "samples", *sections})


def sources_fingerprint(config: PipelineConfig) -> str:
    tables = {"events": config.dataset.events, "items": config.dataset.items, "users": config.dataset.users}
    files = [file for name, table in tables.items() if table for file in table_files(table, f"dataset.{name}")]
    return fingerprint(files)
