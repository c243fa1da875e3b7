"""The names of the DAG's nodes (``pipelines.recommender``), for those who need no more of it than that."""

NODES = (
    "Ingest", "LastRelease", "Samples", "StatisticsGen", "ExampleValidator", "ValidationGate", "Transform", "ItemToItem",
    "RetrievalTrainer", "IndexBuilder", "RankingTrainer", "Baseline", "Evaluator", "FunnelEvaluator", "InfraValidator",
    "Pusher", "BulkRecommender",
)  # fmt: skip
# They look up what lies outside the pipeline: the source files, the releases.
LOOKING_UP = ("Ingest", "LastRelease")
# They read the registry of releases, or write to it.
READING_RELEASES = ("LastRelease", "Baseline", "FunnelEvaluator", "Pusher")
