"""Groups of users by hand: 4 women in two countries, 2 men, and one of whom nothing is known."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.config import FeatureColumn, FeatureKind
from serving.gateway.segments import Segments

COLUMNS = {
    "age": FeatureColumn(column="a", kind=FeatureKind.NUMBER),
    "gender": FeatureColumn(column="g", kind=FeatureKind.CATEGORICAL),
    "country": FeatureColumn(column="c", kind=FeatureKind.CATEGORICAL),
}
USERS = pa.table(
    {
        "user_id": ["f1", "f2", "f3", "f4", "m1", "m2", "x"],
        "age": pa.array([30.0] * 7, pa.float32()),
        "gender": ["f", "f", "f", "f", "m", "m", None],
        "country": ["de", "de", "fr", "fr", "de", "de", None],
    }
)


def interactions(events: list[tuple[str, int, int]]) -> pa.Table:
    rows = [(user, item) for user, item, count in events for _ in range(count)]
    return pa.table({"user_id": [user for user, _ in rows], "item_index": pa.array([item for _, item in rows], pa.int32())})


@pytest.fixture(scope="module")
def segments() -> Segments:
    """Women take item 1, those of France item 2 above it; men item 0, which is the most popular in all."""
    events = [("f1", 1, 600), ("f3", 2, 500), ("f4", 1, 100), ("m1", 0, 2_000), ("x", 3, 10), ("gone", 4, 5)]
    return Segments.of(USERS, interactions(events), COLUMNS, item_count=6, min_events=500)


def test_the_most_specific_group_that_has_done_enough(segments: Segments) -> None:
    assert segments.features == ("gender", "country")  # a number makes no group
    # Women of France: 100 + 500 · 700/3215 of item 1 = 209 are fewer than 500 + 500 · 500/3215 of item 2 = 578.
    # Item 0 has 500 · 2000/3215 = 311 of the prior alone.
    assert segments.ranking({"gender": "f", "country": "fr"})[:3].tolist() == [2, 0, 1]
    # All women: 700 + 109 of item 1, 500 + 78 of item 2, 0 + 311 of item 0.
    assert segments.ranking({"gender": "f"})[:3].tolist() == [1, 2, 0]
    assert segments.ranking({"gender": "m", "country": "de"})[0] == 0


def test_too_small_a_group_is_part_of_a_larger_one(segments: Segments) -> None:
    """There is no man of France in the data, and the group of a country that is unknown is that of the gender."""
    assert segments.ranking({"gender": "m", "country": "fr"}).tolist() == segments.ranking({"gender": "m"}).tolist()
    assert segments.ranking({"gender": "f", "country": "xx"}).tolist() == segments.ranking({"gender": "f"}).tolist()


@pytest.mark.parametrize("profile", [{}, {"gender": None, "country": ""}, {"gender": "other"}, {"age": 30.0}])
def test_of_whom_nothing_is_known_there_is_no_group(segments: Segments, profile: dict[str, Any]) -> None:
    assert segments.ranking(profile).tolist() == []


def test_without_features_or_events_there_are_no_groups() -> None:
    assert Segments.of(USERS, interactions([("f1", 0, 9)]), {}, 3, min_events=1).rankings == {}
    assert Segments.of(USERS, interactions([]), COLUMNS, 3, min_events=1).rankings == {}
    assert Segments.of(USERS, interactions([("f1", 0, 9)]), COLUMNS, 3, min_events=10).rankings == {}


def test_few_events_say_little() -> None:
    """f3 is all there is of France, with 10 events of item 2: far from the 500 that it takes to move the order of all."""
    events = [("f1", 1, 900), ("m1", 0, 800), ("f3", 2, 10)]
    made = Segments.of(USERS, interactions(events), COLUMNS, 3, min_events=1)
    assert made.ranking({"country": "fr"}).tolist() == [1, 0, 2]
    assert np.array_equal(made.ranking({"country": "fr", "gender": "f"}), made.ranking({"country": "fr"}))
