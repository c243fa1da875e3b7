"""What the truth says of models that have learnt from simulated clicks: of their predictions, and of their lists."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.config import PipelineConfig
from components.datasets.synthetic import true_click_probs, true_preferences

Outputs = Mapping[tuple[str, str], Path]  # of each node, the folder of each output
TRUTH, MEAN_POSITION = "true probability", "at any position"
SHOWN = 10
TRUE_CLICKS, BEST = f"true_clicks@{SHOWN}", "best possible"


def true_metrics(config: PipelineConfig, outputs: Outputs, simulation: Path) -> dict[str, Mapping[str, float]]:
    """System → metric → value, of the only task, on the very samples that a run's ranker is judged by."""
    from components.evaluation.predictions import Outcomes  # TensorFlow takes seconds to import

    outcomes = Outcomes.read(config, outputs["Samples", "examples"])
    impressions = pa.table(
        {
            "user_id": pa.array(outcomes.user_id).cast(pa.string()),
            "item_id": pa.array(outcomes.item_id).cast(pa.string()),
            "timestamp_ms": outcomes.timestamp_ms,
        }
    )
    truth = true_click_probs(simulation, impressions)
    task = config.positive_task
    return {
        TRUTH: outcomes.judge({task: truth.at_position})[task],
        MEAN_POSITION: outcomes.judge({task: truth.at_any_position})[task],
    }


def true_lists(config: PipelineConfig, outputs: Outputs, simulation: Path) -> dict[str, Mapping[str, float]]:
    """System → metric → value, of the ten items that each would have shown at a run's test moments.

    They are the first ten of those that were there at the moment, as a shop leaves out what is gone. ``TRUE_CLICKS`` is the
    mean probability that the user, looking at one of the ten, clicks on it, 0 at a place that is left over; the other metrics
    are those of any evaluation.
    """
    from components.evaluation.baselines import best_unseen, first_allowed
    from components.evaluation.funnel import Training, baseline_lists, ranking_means
    from components.evaluation.queries import split_queries
    from components.funnel.parts import FunnelParts
    from components.index.index import load_vectors
    from components.item_to_item.neighbours import Neighbours
    from components.schema.catalogue import read_items

    catalogue, depth = outputs["Ingest", "catalogue"], config.ranking.candidates
    queries = split_queries(config, "test", outputs["Samples", "examples"], outputs["Ingest", "event_log"], catalogue)
    index = outputs["IndexBuilder", "index"]
    retrieval, ranking = (str(outputs[node, "model"]) for node in ("RetrievalTrainer", "RankingTrainer"))
    parts = FunnelParts.of_artifacts(retrieval, ranking, str(index), depth)
    made = parts.load().recommend(queries.examples, queries.seen, depth)
    vectors, _ = load_vectors(index)
    neighbours = Neighbours.load(outputs["ItemToItem", "neighbours"], len(vectors))
    training = Training.of(outputs["Samples", "features"], vectors)
    lists = {
        "funnel": made.ranked,
        "recall_only": made.recalled,
        **baseline_lists(queries, training, neighbours, config.item_to_item.history, depth),
    }
    item_ids = read_items(catalogue).column("item_id").to_pylist()
    wanted = true_preferences(simulation, list(queries.user_id), queries.timestamp_ms, item_ids)

    def of_each(rows: NDArray[np.int32]) -> NDArray[np.float32]:
        return np.where(rows >= 0, np.take_along_axis(wanted, np.maximum(rows, 0), axis=1), 0)

    shown = {system: first_allowed(rows, of_each(rows) > 0, SHOWN) for system, rows in lists.items()}
    shown[BEST] = best_unseen(lambda some: wanted[some], queries.seen, len(item_ids), SHOWN)
    judged = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"k": (SHOWN,)})})
    return {
        system: {TRUE_CLICKS: float(of_each(rows).mean()), **ranking_means(rows, queries, judged)}
        for system, rows in shown.items()
    }
