"""What a ranker is asked, by the config; the training itself is tried by the pipelines' tests."""

import json

import pytest

from components.config import parse_config
from components.ranking.inputs import asks_recall
from components.ranking.trainer import ranking_tasks
from tests.pipelines.conftest import ratings_config, shop_config


@pytest.mark.parametrize(("positive", "asks"), [("rate", True), ("like", False)])
def test_a_ranker_of_observed_outcomes_does_not_ask_what_learnt_them(positive: str, asks: bool) -> None:
    raw = ratings_config()
    raw["samples"]["positive"] = positive
    config = parse_config(json.dumps(raw), origin="test")
    assert asks_recall(config) == asks
    assert {task.name: task.kind for task in ranking_tasks(config)} == {"rate": "choice", "like": "binary"}
    assert not asks_recall(parse_config(json.dumps(shop_config()), origin="test"))
