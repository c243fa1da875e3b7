"""Merging of recall's sources, on a release of seven items whose neighbours can be seen by eye."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from components.index.index import ExactIndex
from serving.gateway.recall import Known, recall

# On a line: the nearest by dot product to a positive query is item 6, then 5, …
VECTORS = np.array([[float(n), 1.0] for n in range(7)], np.float32)
NONE = np.zeros(0, np.int32)


@pytest.fixture
def release() -> Any:
    return SimpleNamespace(
        item_ids=np.array([f"i{n}" for n in range(7)], object),
        vectors=VECTORS,
        index=ExactIndex(VECTORS),
        allowed=np.ones(7, bool),
        allowed_share=1.0,
        popular=np.array([3, 2, 1, 0, 4, 5, 6], np.int32),
        trending=np.array([2, 3, 4, 5, 6, 0, 1], np.int32),
        fresh=np.array([0, 1, 2, 3, 4, 5, 6], np.int32),
    )


def known(embedding: list[float] | None = None, history: list[int] = (), left_out: list[int] = ()) -> Known:  # type: ignore[assignment]
    query = None if embedding is None else np.array(embedding, np.float32)
    return Known(query, np.array(history, np.int32), np.array(left_out, np.int32))


def test_quotas_first_then_the_rest_in_their_order(release: Any) -> None:
    found = recall(release, known([1.0, 0.0]), {"two_tower": 2, "popular": 1}, 5)
    # Two of the two towers (6, 5), one popular (3), then what is left of the towers: 4, 2.
    assert found.rows.tolist() == [6, 5, 3, 4, 2]


def test_every_source_that_found_an_item_is_named(release: Any) -> None:
    found = recall(release, known([1.0, 0.0]), {"two_tower": 1, "popular": 1, "fresh": 1}, 3)
    assert dict(zip(found.rows.tolist(), found.sources, strict=True)) == {
        6: ("two_tower",),
        3: ("popular",),
        0: ("fresh",),
    }
    found = recall(release, known([1.0, 0.0]), {"two_tower": 7, "popular": 7}, 7)
    assert set(found.sources) == {("two_tower", "popular")}


def test_what_is_left_out_never_comes_back_and_is_made_up_for(release: Any) -> None:
    found = recall(release, known([1.0, 0.0], left_out=[6, 5, 3]), {"two_tower": 2, "popular": 2}, 4)
    assert found.rows.tolist() == [4, 2, 1, 0]


def test_without_a_query_vector_the_other_sources_fill_the_list(release: Any) -> None:
    found = recall(release, known(history=[0]), {"two_tower": 5, "popular": 2}, 4)
    assert found.rows.tolist() == [3, 2, 1, 0]


def test_what_the_release_does_not_allow_is_made_up_for(release: Any) -> None:
    """Rows 4 to 6 are the nearest, and not allowed; what is asked for is found among the other four."""
    release.allowed = np.array([True] * 4 + [False] * 3)
    release.allowed_share = 4 / 7
    # Two are asked for, so 2 · 7 / 4 = 3 are fetched, which are 6, 5, 4; popular items then fill the list.
    assert recall(release, known([1.0, 0.0]), {"two_tower": 2, "popular": 2}, 2).rows.tolist() == [3, 2]
    # Of four, 7 are fetched, and the nearest of those that are allowed come first.
    assert recall(release, known([1.0, 0.0]), {"two_tower": 4, "fresh": 1}, 4).rows.tolist() == [3, 2, 1, 0]


def test_items_from_elsewhere_come_last_and_once(release: Any) -> None:
    found = recall(release, known([1.0, 0.0]), {"two_tower": 2}, 2).also(np.array([5, 0], np.int32), "pinned")
    assert found.rows.tolist() == [6, 5, 0]
    assert found.sources == [("two_tower",), ("two_tower",), ("pinned",)]


def test_similar_items_take_turns(release: Any) -> None:
    """Items 6 and 0 each bring their nearest: by dot product, of 6 it is 6, 5, …, of 0 (all alike but itself) rows in order."""
    found = recall(release, known(history=[6, 0], left_out=[6, 0]), {"similar_items": 2}, 2)
    assert found.rows[0] == 5
    assert len(set(found.rows.tolist())) == 2


def test_all_left_out_leaves_nothing(release: Any) -> None:
    assert recall(release, known([1.0, 0.0], left_out=list(range(7))), {"two_tower": 5, "popular": 5}, 5).rows.tolist() == []
