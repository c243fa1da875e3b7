"""The whole batch DAG, read from top to bottom."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from tfx.components import Evaluator, ExampleValidator, StatisticsGen, Transform
from tfx.proto import transform_pb2

from components.bulk.component import BulkRecommender
from components.config import PipelineConfig, parse_config
from components.evaluation.component import FunnelEvaluator
from components.index.component import IndexBuilder
from components.ingest.component import Ingest
from components.ingest.files import fingerprint, table_files
from components.push.component import LastRelease, Pusher
from components.push.registry import Registry
from components.samples.component import Samples
from components.schema import samples as names
from components.schema import tfx_api as tfx
from components.schema.events import CONTEXT_PREFIX
from components.training.component import ModelTrainer
from components.validation.component import ValidationGate
from pipelines.infra_validator import InfraValidator

PREPROCESSING = "components.transform.preprocessing.preprocessing_fn"
RETRIEVAL = "components.retrieval.trainer.run_fn"
RANKING = "components.ranking.trainer.run_fn"
NODES = (
    "Ingest", "Samples", "StatisticsGen", "ExampleValidator", "ValidationGate", "Transform", "RetrievalTrainer", "IndexBuilder",
    "RankingTrainer", "LastRelease", "Evaluator", "FunnelEvaluator", "InfraValidator", "Pusher", "BulkRecommender",
)  # fmt: skip


@dataclass(frozen=True)
class Places:
    """Where a run keeps its things.

    Attributes:
      artifacts: root of the artifacts; registry: folder of the releases.
      metadata: TFX's metadata connection, or None where the platform has its own.
    """

    artifacts: Path
    registry: Path
    metadata: Any


def create_pipeline(config: PipelineConfig, places: Places, beam_args: list[str], cache: bool) -> tfx.Pipeline:
    """The pipeline of ``config``."""
    sources = sources_fingerprint(config)
    made_from = hashlib.sha256((sources + config.model_dump_json()).encode()).hexdigest()
    registry = str(places.registry)
    last_version = comparable_release(config, Registry(places.registry), made_from)

    ingest = Ingest(config=settings(config), sources=sources)
    samples = Samples(
        config=settings(config, "validation"),
        event_log=ingest.outputs["event_log"],
        catalogue=ingest.outputs["catalogue"],
    )
    statistics = StatisticsGen(examples=samples.outputs["examples"], schema=samples.outputs["schema"])
    validator = ExampleValidator(statistics=statistics.outputs["statistics"], schema=samples.outputs["schema"])
    gate = ValidationGate(
        stop_at=config.validation.stop_at,
        anomalies=validator.outputs["anomalies"],
        statistics=statistics.outputs["statistics"],
        schema=samples.outputs["schema"],
    )
    transform = Transform(
        examples=samples.outputs["examples"],
        schema=samples.outputs["schema"],
        preprocessing_fn=PREPROCESSING,
        materialize=False,  # the trainers apply the graph themselves: it is cheaper than writing its output
        disable_statistics=True,  # StatisticsGen has made them of the raw features, which are what is validated
        custom_config={"config": settings(config)},
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=[]),
    )
    transform.add_upstream_node(gate)

    data = {
        "event_log": ingest.outputs["event_log"],
        "catalogue": ingest.outputs["catalogue"],
        "features": samples.outputs["features"],
    }
    learning = {
        "examples": samples.outputs["examples"],
        "schema": samples.outputs["schema"],
        "transform_graph": transform.outputs["transform_graph"],
        **data,
    }
    retrieval = ModelTrainer(run_fn=RETRIEVAL, config=settings(config, "retrieval"), **learning).with_id("RetrievalTrainer")
    index = IndexBuilder(
        config=settings(config, "index"), examples=samples.outputs["examples"], retrieval=retrieval.outputs["model"]
    )
    # After the index, so that the ranker's negatives are what recall really returns.
    ranking = ModelTrainer(
        run_fn=RANKING,
        config=settings(config, "ranking"),
        retrieval=retrieval.outputs["model"],
        index=index.outputs["index"],
        **learning,
    ).with_id("RankingTrainer")

    last = LastRelease(registry=registry, version=last_version, candidate=ranking.outputs["model"])
    evaluator = Evaluator(
        examples=samples.outputs["examples"],
        model=ranking.outputs["model"],
        baseline_model=last.outputs["model"],
        eval_config=evaluator_config(config),
        example_splits=["test"],
        schema=samples.outputs["schema"],
    )
    candidate = {
        "retrieval": retrieval.outputs["model"],
        "ranking": ranking.outputs["model"],
        "index": index.outputs["index"],
    }
    funnel = FunnelEvaluator(
        config=settings(config, "ranking", "evaluation"),
        registry=registry,
        last_version=last_version,
        examples=samples.outputs["examples"],
        **data,
        **candidate,
    )
    infra = InfraValidator(
        config=settings(config),
        features=samples.outputs["features"],
        retrieval=retrieval.outputs["model"],
        ranking=ranking.outputs["model"],
    )
    pusher = Pusher(
        config=config.model_dump_json(),
        fingerprint=made_from,
        registry=registry,
        last_version=last_version,
        catalogue=ingest.outputs["catalogue"],
        features=samples.outputs["features"],
        blessing=evaluator.outputs["blessing"],
        evaluation=funnel.outputs["evaluation"],
        check=infra.outputs["check"],
        **candidate,
    )
    bulk = BulkRecommender(config=settings(config, "ranking", "evaluation", "bulk"), **data, **candidate)
    return tfx.Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(places.artifacts),
        components=[
            ingest, samples, statistics, validator, gate, transform, retrieval, index, ranking, last, evaluator, funnel, infra,
            pusher, bulk,
        ],
        enable_cache=cache,
        metadata_connection_config=places.metadata,
        beam_pipeline_args=beam_args,
    )  # fmt: skip


def settings(config: PipelineConfig, *sections: str) -> str:
    """The settings that a node depends on, as JSON: a change of a model's settings must not make samples anew."""
    return config.model_dump_json(include={"name", "dataset", "samples", *sections})


def comparable_release(config: PipelineConfig, registry: Registry, made_from: str) -> int:
    """The release to judge against: 0 for none, or when its models read other features than these samples have."""
    version = registry.to_compare_with(made_from)
    if not version:
        return 0
    document = registry.bundle(version) / "config.json"
    before = parse_config(document.read_text(), origin=str(document))

    def features(of: PipelineConfig) -> tuple[object, ...]:
        dataset = of.dataset
        return (
            dataset.item_features,
            dataset.user_features,
            dataset.context,
            dataset.events.context,
            dataset.tasks,
            of.samples,
        )

    return version if features(before) == features(config) else 0


def sources_fingerprint(config: PipelineConfig) -> str:
    tables = {"events": config.dataset.events, "items": config.dataset.items, "users": config.dataset.users}
    files = [file for name, table in tables.items() if table for file in table_files(table, f"dataset.{name}")]
    return fingerprint(files)


def evaluator_config(config: PipelineConfig) -> tfma.EvalConfig:
    """TFMA's metrics of each task's predictions, overall and by slice, with a bound and a comparison for AUC.

    A task whose negatives are drawn is judged by the funnel's lists over the whole catalogue, not here against a few drawn
    items, unless there is no other task.
    """
    observed = {name: task for name, task in config.dataset.tasks.items() if not names.has_drawn_negatives(config, name)}
    tasks = observed or config.dataset.tasks
    slices = [tfma.SlicingSpec()]
    for name in config.evaluation.slices:
        contexts = {*config.dataset.context, *config.dataset.events.context}
        slices.append(tfma.SlicingSpec(feature_keys=[CONTEXT_PREFIX + name if name in contexts else name]))
    metrics = [tfma.MetricsSpec(metrics=[tfma.MetricConfig(class_name="ExampleCount")])]
    for name, task in tasks.items():
        kinds = ["MeanSquaredError"] if task.kind == "regression" else ["AUC", "MeanLabel", "MeanPrediction"]
        of_task = [tfma.MetricConfig(class_name=kind) for kind in kinds]
        if task.kind == "binary":
            of_all = of_task[0].per_slice_thresholds.add(slicing_specs=[tfma.SlicingSpec()]).threshold
            of_all.value_threshold.lower_bound.value = config.evaluation.min_auc
            of_all.change_threshold.direction = tfma.MetricDirection.HIGHER_IS_BETTER
            of_all.change_threshold.relative.value = config.evaluation.min_ratio_to_previous - 1
        metrics.append(tfma.MetricsSpec(metrics=of_task, output_names=[name]))
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                signature_name="evaluate",
                label_keys={name: names.LABEL_PREFIX + name for name in tasks},
                example_weight_keys={name: names.WEIGHT_PREFIX + name for name in tasks},
            )
        ],
        slicing_specs=slices,
        metrics_specs=metrics,
    )
