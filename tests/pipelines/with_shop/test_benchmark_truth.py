"""The figures of the benchmarks of clicks, from the artifacts of a run and from the simulation that it was fed with."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.config import parse_config
from components.datasets.synthetic import generate
from pipelines.benchmark_truth import BEST, TRUE_CLICKS, true_lists, true_metrics
from pipelines.benchmarks import of_predictions
from pipelines.past_runs import latest_outputs
from tests.pipelines.conftest import SIMULATION

pytestmark = pytest.mark.e2e
READ = (
    ("Ingest", "catalogue"), ("Ingest", "event_log"), ("Samples", "examples"), ("Samples", "features"),
    ("ItemToItem", "neighbours"), ("RetrievalTrainer", "model"), ("IndexBuilder", "index"), ("RankingTrainer", "model"),
)  # fmt: skip


def test_the_truth_is_judged_as_the_ranker_is(shop: Any, tmp_path: Path) -> None:
    bundle = shop.registry.bundle(2)
    config = parse_config((bundle / "config.json").read_text(), origin="test")
    simulation = generate(replace(SIMULATION, with_truth=True), tmp_path / "made", lambda line: None)
    truth = true_metrics(config, latest_outputs(shop.folder), simulation)
    evaluation = json.loads((bundle / "evaluation.json").read_text())
    ranker = evaluation["prediction"]["click"]
    assert of_predictions(evaluation)["ranker"].items() < ranker.items()
    for metrics in truth.values():
        assert metrics.keys() == ranker.keys()
        assert sum(metrics["curve"]["count"]) == sum(ranker["curve"]["count"])
    exact, mean_position = truth["true probability"], truth["at any position"]
    assert exact["auc"] > max(mean_position["auc"], ranker["auc"])
    assert exact["log_loss"] < min(mean_position["log_loss"], ranker["log_loss"])


def test_the_truth_of_lists(shop: Any, tmp_path: Path) -> None:
    """Who knows it shows what is clicked on most, which need not be what the log has a click of."""
    bundle = shop.registry.bundle(2)
    config = parse_config((bundle / "config.json").read_text(), origin="test")
    outputs = {each: shop.artifact(*each) for each in READ}
    # The newest samples are of the run that the release is not of, with a country that no model knows.
    outputs["Samples", "examples"] = min(outputs["Samples", "examples"].parent.iterdir(), key=lambda path: int(path.name))
    found = true_lists(config, outputs, generate(SIMULATION, tmp_path / "made", print))
    assert list(found) == ["funnel", "recall_only", "item_to_item", "popularity", "random", BEST]
    clicks = {system: metrics[TRUE_CLICKS] for system, metrics in found.items()}
    others = [value for system, value in clicks.items() if system != BEST]
    assert 0 < min(others) < max(others) < clicks[BEST] < 1
    evaluation = json.loads((bundle / "evaluation.json").read_text())
    for system, metrics in found.items():
        assert {"recall@10", "ndcg@10"} < metrics.keys()
        if system not in ("random", BEST):  # those that are gone are wanted by nobody, so that leaving them out can only help
            assert metrics["recall@10"] >= evaluation["metrics"][system]["recall@10"], system
