"""A ranker that learns from what was shown, and what came of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from components.ranking.trainer import fit
from components.training.loop import HISTORY_FILE
from tests.pipelines.conftest import shop_config
from tests.pipelines.trainings import ranking_context

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(("stop_on", "metric"), [("auc", "auc"), ("ndcg", "ndcg_at_10")])
def test_it_is_stopped_by_the_metric_that_the_config_names(shop: Any, tmp_path: Path, stop_on: str, metric: str) -> None:
    """Recall's scores do not count in it, and have no weight to be fitted."""
    config = shop_config()
    config["ranking"] |= {"stop_on": stop_on, "epochs": 2}
    context = replace(ranking_context(shop, config, tmp_path), run_folder=tmp_path / "run")
    progress = fit(context, tf.distribute.get_strategy()).progress
    record = json.loads((tmp_path / "run" / HISTORY_FILE).read_text())
    assert (record["metric"], len(record["curves"][metric])) == (metric, progress.epochs)
    assert 0 < record["curves"][metric][0] <= 1
    assert set(record["curves"]) == {metric, "loss", "loss_click", "loss_dwell"}
