"""The figures of the benchmarks of clicks, from the artifacts of a run and from the simulation that it was fed with."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.config import parse_config
from components.datasets.synthetic import generate
from pipelines.benchmark_truth import true_metrics
from pipelines.benchmarks import of_predictions
from tests.pipelines.conftest import SIMULATION

pytestmark = pytest.mark.e2e


def test_the_truth_is_judged_as_the_ranker_is(shop: Any, tmp_path: Path) -> None:
    bundle = shop.registry.bundle(2)
    config = parse_config((bundle / "config.json").read_text(), origin="test")
    simulation = generate(replace(SIMULATION, with_truth=True), tmp_path / "made", lambda line: None)
    truth = true_metrics(config, shop.folder, simulation)
    evaluation = json.loads((bundle / "evaluation.json").read_text())
    ranker = evaluation["prediction"]["click"]
    assert of_predictions(evaluation)["ranker"].items() < ranker.items()
    for metrics in truth.values():
        assert metrics.keys() == ranker.keys()
        assert sum(metrics["curve"]["count"]) == sum(ranker["curve"]["count"])
    exact, mean_position = truth["true probability"], truth["at any position"]
    assert exact["auc"] > max(mean_position["auc"], ranker["auc"])
    assert exact["log_loss"] < min(mean_position["log_loss"], ranker["log_loss"])
