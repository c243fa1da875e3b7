"""The whole batch DAG, read from top to bottom."""

from dataclasses import dataclass
from typing import Any

from tfx.components import ExampleValidator, StatisticsGen, Transform
from tfx.proto import transform_pb2

from components.bulk.component import BulkRecommender
from components.config import PipelineConfig
from components.evaluation.component import FunnelEvaluator, RankerEvaluator
from components.index.component import IndexBuilder
from components.ingest.component import Ingest
from components.item_to_item.component import ItemToItem
from components.push.component import Baseline, LastRelease, Pusher
from components.samples.component import Samples
from components.schema import tfx_api as tfx
from components.training.component import ModelTrainer, ModelTuner
from components.validation.component import ValidationGate
from pipelines.infra_validator import InfraValidator
from pipelines.nodes import nodes_of

PREPROCESSING = "components.transform.preprocessing.preprocessing_fn"
STOPPING = {"evaluation": {"exclude_seen"}}  # what the trainers read of how the funnel is judged
TFMA_SETTINGS = {"slices", "min_auc", "min_ratio_to_previous"}


@dataclass(frozen=True)
class Places:
    """Where a run keeps its things.

    Attributes:
      artifacts: root of the artifacts; registry: of the releases; checkpoints: of trainings that have not ended; sources: what
        the data set's relative paths count from, empty where there are none. Each a folder or a URI.
      metadata: TFX's metadata connection, or None where the platform has its own.
    """

    artifacts: str
    registry: str
    checkpoints: str
    metadata: Any
    sources: str = ""


@dataclass(frozen=True)
class Known:
    """What whoever starts a run has looked up already, so that no cached result is taken for what has changed since.

    The run looks both up by itself. Where the pipeline is compiled long before it runs, neither is known: there the nodes
    that do so (``pipelines.nodes.LOOKING_UP``) are never cached.

    Attributes:
      sources: fingerprint of the source files; release: the one to judge this run against.
    """

    sources: str = ""
    release: str = ""


def create_pipeline(config: PipelineConfig, places: Places, known: Known, beam_args: list[str], cache: bool) -> tfx.Pipeline:
    """The pipeline of ``config``."""
    registry = places.registry

    ingest = Ingest(config=settings(config), sources=places.sources, known=known.sources)
    # By value, so that what depends on it runs again only when it is another.
    last = LastRelease(
        config=config.model_dump_json(), registry=registry, known=known.release, event_log=ingest.outputs["event_log"]
    )
    last_version = last.outputs["version"].future()[0].value
    samples = Samples(
        config=settings(config, "validation"),
        event_log=ingest.outputs["event_log"],
        catalogue=ingest.outputs["catalogue"],
    )
    statistics = StatisticsGen(examples=samples.outputs["examples"], schema=samples.outputs["schema"])
    validator = ExampleValidator(statistics=statistics.outputs["statistics"], schema=samples.outputs["schema"])
    gate = ValidationGate(
        config=settings(config, "validation"),
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
    item_to_item = ItemToItem(
        config=settings(config, "item_to_item"),
        catalogue=ingest.outputs["catalogue"],
        features=samples.outputs["features"],
    )
    item_to_item.add_upstream_node(gate)
    tuners: list[ModelTuner] = []

    def trainer(section: str, reading: dict[str, set[str]], **channels: object) -> ModelTrainer:
        """A section's trainer, after a search for its settings where the config asks for one."""
        module, name = f"components.{section}.trainer", section.capitalize()
        channels |= learning
        if f"{name}Tuner" in nodes_of(config):
            searched = settings(config, section, **reading, tuning={section, "max_trials", "search", "seed", "parallel"})
            tuners.append(ModelTuner(f"{module}.tuner_fn", searched, places.checkpoints, **channels).with_id(f"{name}Tuner"))
            channels["hyperparameters"] = tuners[-1].outputs["best_hyperparameters"]
        return ModelTrainer(f"{module}.run_fn", settings(config, section, **reading), places.checkpoints, **channels).with_id(
            f"{name}Trainer"
        )

    retrieval = trainer("retrieval", {**STOPPING, "ranking": {"candidates"}})
    index = IndexBuilder(
        config=settings(config, "index"), examples=samples.outputs["examples"], retrieval=retrieval.outputs["model"]
    )
    # After the index, so that the ranker's negatives are what recall really returns.
    ranking = trainer("ranking", STOPPING, retrieval=retrieval.outputs["model"], index=index.outputs["index"])

    baseline = Baseline(registry=registry, version=last_version, candidate=ranking.outputs["model"])
    evaluator = RankerEvaluator(
        config=config.model_dump_json(include={"name": True, "dataset": True, "samples": True, "evaluation": TFMA_SETTINGS}),
        examples=samples.outputs["examples"],
        model=ranking.outputs["model"],
        baseline_model=baseline.outputs["model"],
        schema=samples.outputs["schema"],
    ).with_id("Evaluator")
    candidate = {
        "retrieval": retrieval.outputs["model"],
        "ranking": ranking.outputs["model"],
        "index": index.outputs["index"],
    }
    funnel = FunnelEvaluator(
        config=settings(config, "item_to_item", "ranking", "evaluation"),
        registry=registry,
        last_version=last_version,
        examples=samples.outputs["examples"],
        item_to_item=item_to_item.outputs["neighbours"],
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
        fingerprint=last.outputs["fingerprint"].future()[0].value,
        registry=registry,
        last_version=last_version,
        catalogue=ingest.outputs["catalogue"],
        features=samples.outputs["features"],
        item_to_item=item_to_item.outputs["neighbours"],
        blessing=evaluator.outputs["blessing"],
        evaluation=funnel.outputs["evaluation"],
        check=infra.outputs["check"],
        **candidate,
    )
    bulk = BulkRecommender(config=settings(config, "ranking", "evaluation", "bulk"), **data, **candidate)
    return tfx.Pipeline(
        pipeline_name=config.name,
        pipeline_root=places.artifacts,
        components=[
            ingest, last, samples, statistics, validator, gate, transform, item_to_item, retrieval, index, ranking, baseline,
            evaluator, funnel, infra, pusher, bulk, *tuners,
        ],
        enable_cache=cache,
        metadata_connection_config=places.metadata,
        beam_pipeline_args=beam_args,
    )  # fmt: skip


def settings(config: PipelineConfig, *sections: str, **keys: set[str]) -> str:
    """The settings that a node depends on, as JSON: a change of a model's settings must not make samples anew.

    Args:
      keys: of sections of which the node reads no more than these.
    """
    whole = dict.fromkeys(("name", "dataset", "samples", *sections), True)
    return config.model_dump_json(include={**whole, **keys})
