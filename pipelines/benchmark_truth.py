"""What the true probabilities of simulated clicks give, on the very samples and by the very code that rankers are judged by."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from components.config import PipelineConfig
from components.datasets.synthetic import true_click_probs
from pipelines.past_runs import LatestRun

TRUTH, MEAN_POSITION = "true probability", "at any position"


def true_metrics(config: PipelineConfig, workdir: Path, simulation: Path) -> dict[str, Mapping[str, float]]:
    """System → metric → value, of the only task, on the test split of the latest run."""
    from components.evaluation.predictions import Outcomes  # TensorFlow takes seconds to import

    outcomes = Outcomes.read(config, LatestRun(workdir).outputs()["Samples", "examples"])
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
