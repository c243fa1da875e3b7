"""How lists are judged by group: among others by how often the wanted item was had in training."""

import numpy as np
import pytest

from components.evaluation.funnel import (
    MIN_SLICE_QUERIES,
    SLICE_GUARD_QUERIES,
    Training,
    baseline_lists,
    judge_systems,
    verdict_of,
)
from components.evaluation.queries import Queries
from components.item_to_item.neighbours import Neighbours
from tests.components.conftest import small_config

CONFIG = small_config(evaluation={"k": [10, 20]})
ITEMS = 30
# Item 0 is new, items 1 and 2 were had once and 5 times, item 3 was had 6 times; no other is wanted.
TRAINING = Training(np.arange(12), np.repeat([1, 2, 3], [1, 5, 6]).astype(np.int32), np.eye(ITEMS, dtype=np.float32))


def wanting(*items: list[int]) -> Queries:
    count = len(items)
    none = np.full((count, 1), -1, np.int32)
    users, moments = np.array([f"u{place}" for place in range(count)], object), np.zeros(count, np.int64)
    return Queries([b""] * count, users, moments, np.array(items, np.int32), none, none, none, {})


def test_slices_by_the_wanted_items_interactions_in_training() -> None:
    times = MIN_SLICE_QUERIES
    queries = wanting(*[[0]] * times, *[[1]] * times, *[[2]] * times, *[[3]] * times)
    # The first ten places hold item 0, the eleventh item 3; so item 0 is found at 10, item 3 only at 20.
    lists = np.tile(np.array([0, *range(10, 19), 3, *range(19, 28)], np.int32), (len(queries.wanted), 1))
    slices = judge_systems({"funnel": lists}, queries, TRAINING, CONFIG)["slices"]
    of_item = {label: each for label, each in slices.items() if label.startswith("item_interactions")}
    assert {label: each["query_count"] for label, each in of_item.items()} == {
        "item_interactions=0": times, "item_interactions=1-5": 2 * times, "item_interactions=6+": times,
    }  # fmt: skip
    assert of_item["item_interactions=0"]["metrics"]["funnel"] == {"ndcg@10": 1.0, "recall@10": 1.0, "recall@20": 1.0}
    assert of_item["item_interactions=1-5"]["metrics"]["funnel"] == {"ndcg@10": 0.0, "recall@10": 0.0, "recall@20": 0.0}
    assert of_item["item_interactions=6+"]["metrics"]["funnel"] == {"ndcg@10": 0.0, "recall@10": 0.0, "recall@20": 1.0}


def test_several_items_wanted_at_once_are_in_no_slice_of_items() -> None:
    queries = wanting(*[[0, 1]] * MIN_SLICE_QUERIES)
    lists = np.zeros((MIN_SLICE_QUERIES, 20), np.int32)
    assert list(judge_systems({"funnel": lists}, queries, TRAINING, CONFIG)["slices"]) == ["history=0"]


def test_chance_is_a_baseline() -> None:
    """Of 20 of 30 items at random, in any order, the wanted one is among them in 2 of 3, in a group of any size."""
    queries = wanting(*[[0]] * MIN_SLICE_QUERIES, *[[3]] * MIN_SLICE_QUERIES)
    none = Neighbours(np.zeros(ITEMS + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    lists = baseline_lists(queries, TRAINING, none, history=5, k=20)
    assert list(lists) == ["item_to_item", "popularity", "random"]
    judged = judge_systems(lists, queries, TRAINING, CONFIG)
    assert judged["metrics"]["random"]["recall@20"] == pytest.approx(2 / 3)
    assert judged["slices"]["item_interactions=0"]["metrics"]["random"]["recall@20"] == pytest.approx(2 / 3)


def test_no_release_is_held_by_how_well_it_finds_new_items() -> None:
    """The new release finds the new item of one moment where the last one found those of two, and as many items in all."""
    times = SLICE_GUARD_QUERIES
    queries = wanting(*[[0]] * times, *[[3]] * times)
    hit, miss = np.arange(20), np.arange(10, 30)
    now = np.array([hit] + [miss] * (times - 1) + [hit] * 2 + [miss] * (times - 2), np.int32)
    before = np.array([hit] * 2 + [miss] * (times - 2) + [hit] + [miss] * (times - 1), np.int32)
    judged = judge_systems({"funnel": now, "popularity": before, "last_release": before}, queries, TRAINING, CONFIG)
    checks = verdict_of({**judged, "prediction": {}}, CONFIG, None).checks
    assert not any("item_interactions" in str(check) for check in checks)
    assert any("history=0" in str(check) for check in checks)


@pytest.mark.parametrize(
    ("impressions", "asked", "blessed"), [(None, None, False), ("shown", None, True), ("shown", 1.0, False), (None, 0.0, True)]
)
def test_what_was_shown_is_not_held_by_popularity(impressions: str | None, asked: float | None, blessed: bool) -> None:
    """Of logged impressions only what was shown could be clicked on, and popular items were shown most."""
    samples = CONFIG.samples.model_copy(update={"impressions": impressions})
    evaluation = CONFIG.evaluation.model_copy(update={"min_ratio_to_popularity": asked})
    config = CONFIG.model_copy(update={"samples": samples, "evaluation": evaluation})
    queries = wanting(*[[0]] * MIN_SLICE_QUERIES)
    first = np.tile(np.arange(20, dtype=np.int32), (MIN_SLICE_QUERIES, 1))
    judged = judge_systems({"funnel": np.roll(first, 5, axis=1), "popularity": first}, queries, TRAINING, config)
    assert verdict_of({**judged, "prediction": {}}, config, None).blessed is blessed
