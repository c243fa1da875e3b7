"""The names of the DAG's nodes (``pipelines.recommender``), for those who need no more of it than that."""

from collections.abc import Iterator

from components.config import PipelineConfig

NODES = (
    "Ingest", "LastRelease", "Samples", "StatisticsGen", "ExampleValidator", "ValidationGate", "ItemToItem", "Transform",
    "RetrievalTrainer", "IndexBuilder", "RankingTrainer", "Baseline", "Evaluator", "FunnelEvaluator", "InfraValidator",
    "Pusher", "BulkRecommender",
)  # fmt: skip
# Those that search for settings are there where the config says what to search for (`tuning`), each before its trainer.
TUNERS = {"RetrievalTuner": "retrieval", "RankingTuner": "ranking"}
# They look up what lies outside the pipeline: the source files, the releases.
LOOKING_UP = ("Ingest", "LastRelease")
# They read the registry of releases, or write to it.
READING_RELEASES = ("LastRelease", "Baseline", "FunnelEvaluator", "Pusher")


def nodes_of(config: PipelineConfig) -> tuple[str, ...]:
    """The nodes of a config's pipeline, in the order in which they run."""
    tuned = dict(config.tuning.spaces()) if config.tuning else {}
    tuners = {section: tuner for tuner, section in TUNERS.items() if section in tuned}

    def each() -> Iterator[str]:
        for node in NODES:
            if tuner := tuners.get(node.removesuffix("Trainer").lower()):
                yield tuner
            yield node

    return tuple(each())
