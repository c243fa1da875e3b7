"""The names of the DAG's nodes (``pipelines.recommender``), for those who need no more of it than that."""

NODES = (
    "Ingest", "LastRelease", "Samples", "StatisticsGen", "ExampleValidator", "ValidationGate", "Transform", "RetrievalTrainer",
    "IndexBuilder", "RankingTrainer", "Baseline", "Evaluator", "FunnelEvaluator", "InfraValidator", "Pusher",
    "BulkRecommender",
)  # fmt: skip
# They look up what lies outside the pipeline: the source files, the releases.
LOOKING_UP = ("Ingest", "LastRelease")
