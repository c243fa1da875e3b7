"""Merging of recall's sources, on a release of seven items whose neighbours can be seen by eye."""

import dataclasses
from typing import Any

import numpy as np

from components.index.index import ExactIndex
from serving.gateway.recall import MADE_UP_FOR, Allowed, Known, recall
from serving.gateway.release import Release


def known(
    embedding: list[float] | None = None,
    history: tuple[int, ...] = (),
    left_out: tuple[int, ...] = (),
    fitting: tuple[int, ...] | None = None,
    segment: tuple[int, ...] = (),
) -> Known:
    query = None if embedding is None else np.array(embedding, np.float32)
    mask = None if fitting is None else np.isin(np.arange(7), fitting)
    rows = (np.array(each, np.int32) for each in (history, left_out))
    return Known(query, *rows, mask, np.array(segment, np.int32))


def test_quotas_first_then_the_rest_in_their_order(release: Release) -> None:
    found = recall(release, known([1.0, 0.0]), {"two_tower": 2, "popular": 1}, 5)
    # Two of the two towers (6, 5), one popular (3), then what is left of the towers: 4, 2.
    assert found.rows.tolist() == [6, 5, 3, 4, 2]


def test_every_source_that_found_an_item_is_named(release: Release) -> None:
    found = recall(release, known([1.0, 0.0]), {"two_tower": 1, "popular": 1, "fresh": 1}, 3)
    assert dict(zip(found.rows.tolist(), found.sources(found.rows.tolist()), strict=True)) == {
        6: ("two_tower",),
        3: ("popular",),
        0: ("fresh",),
    }
    found = recall(release, known([1.0, 0.0]), {"two_tower": 7, "popular": 7}, 7)
    assert set(found.sources(found.rows.tolist())) == {("two_tower", "popular")}


def test_what_is_left_out_never_comes_back_and_is_made_up_for(release: Release) -> None:
    found = recall(release, known([1.0, 0.0], left_out=(6, 5, 3)), {"two_tower": 2, "popular": 2}, 4)
    assert found.rows.tolist() == [4, 2, 1, 0]


def test_without_a_query_vector_the_other_sources_fill_the_list(release: Release) -> None:
    found = recall(release, known(history=(0,)), {"two_tower": 5, "popular": 2}, 4)
    assert found.rows.tolist() == [3, 2, 1, 0]


def test_what_the_release_does_not_allow_is_made_up_for(release: Release) -> None:
    """Rows 4 to 6 are the nearest, and not allowed; what is asked for is found among the other four."""
    release = release.restricted(np.array([True] * 4 + [False] * 3))
    # Of the two that are wanted, ceil(2 · 7 / 4) = 4 would have to be fetched, which are all that are allowed: 3, 2, 1, 0.
    assert recall(release, known([1.0, 0.0]), {"two_tower": 2, "popular": 2}, 2).rows.tolist() == [3, 2]
    assert recall(release, known([1.0, 0.0]), {"two_tower": 4, "fresh": 1}, 4).rows.tolist() == [3, 2, 1, 0]


def test_items_from_elsewhere_come_last_and_once(release: Release) -> None:
    found = recall(release, known([1.0, 0.0]), {"two_tower": 2}, 2).also(np.array([5, 0], np.int32), "pinned")
    assert found.rows.tolist() == [6, 5, 0]
    assert found.sources(found.rows.tolist()) == [("two_tower",), ("two_tower",), ("pinned",)]


def test_similar_items_take_turns(release: Release) -> None:
    """Items 6 and 0 each bring their nearest: by dot product, of 6 it is 6, 5, …, of 0 (all alike but itself) rows in order."""
    found = recall(release, known(history=(6, 0), left_out=(6, 0)), {"similar_items": 2}, 2)
    assert found.rows[0] == 5
    assert len(set(found.rows.tolist())) == 2


def test_what_goes_with_the_history_is_a_source(release: Release) -> None:
    """Of history 0, 1: item 2 gets 0.5 + 0.1, item 1 0.3, item 3 less than nothing."""
    found = recall(release, known(history=(0, 1)), {"item_to_item": 2, "popular": 1}, 3)
    assert found.rows.tolist() == [2, 1, 3]
    assert found.sources(found.rows.tolist()) == [("item_to_item", "popular"), ("item_to_item", "popular"), ("popular",)]
    assert recall(release, known(history=(0, 1), left_out=(2,)), {"item_to_item": 1}, 3).rows.tolist() == [1]


def test_only_the_most_recent_items_count(release: Release) -> None:
    """Item 2, with which 5 goes, is the sixth."""
    history = (3, 4, 6, 4, 6, 2)
    assert recall(release, known(history=history), {"item_to_item": 1}, 3).rows.tolist() == []
    assert recall(release, known(history=history[1:]), {"item_to_item": 1}, 3).rows.tolist() == [5]


def test_an_item_put_in_since_the_release_goes_with_nothing_yet(release: Release) -> None:
    assert recall(release, known(history=(7, 2)), {"item_to_item": 1}, 3).rows.tolist() == [5]


def test_all_left_out_leaves_nothing(release: Release) -> None:
    assert recall(release, known([1.0, 0.0], left_out=tuple(range(7))), {"two_tower": 5, "popular": 5}, 5).rows.tolist() == []


def test_a_narrow_filter_finds_all_that_fit(release: Release) -> None:
    """Four are wanted of three that fit: for so few, the index would have to bring all seven, so the three are compared."""
    found = recall(release, known([1.0, 0.0], left_out=(3,), fitting=(0, 3, 5)), {"two_tower": 4, "popular": 4}, 4)
    assert found.rows.tolist() == [5, 0]


def test_a_wide_filter_is_made_up_for(release: Release) -> None:
    """Of six that fit, one is wanted: ceil(1 · 7 / 6) = 2 are fetched, 6 and 5, of which 6 does not fit."""
    found = recall(release, known([1.0, 0.0], fitting=(0, 1, 2, 3, 4, 5)), {"two_tower": 1}, 1)
    assert found.rows.tolist() == [5]


def test_a_filter_that_nothing_fits_leaves_nothing(release: Release) -> None:
    every = {"two_tower": 2, "item_to_item": 2, "similar_items": 2, "segment": 2, "trending": 2, "popular": 2, "fresh": 2}
    assert recall(release, known([1.0, 0.0], history=(2,), fitting=(), segment=(1,)), every, 4).rows.tolist() == []


def test_a_ranking_is_read_on_where_its_beginning_does_not_fit(release: Release) -> None:
    """Popular are 3, 2, 1, 0, 4, …; of the four that fit two are wanted, and ceil(2 · 7 / 4) = 4 rows hold one of them."""
    assert recall(release, known(fitting=(3, 4, 5, 6)), {"popular": 2}, 2).rows.tolist() == [3, 4]


def test_what_people_like_the_user_like_is_a_source(release: Release) -> None:
    found = recall(release, known(segment=(4, 1)), {"segment": 1, "popular": 1}, 3)
    assert found.rows.tolist() == [4, 3, 1]
    assert found.sources(found.rows.tolist()) == [("segment",), ("popular",), ("segment", "popular")]


def test_rows_that_the_release_does_not_allow_never_come_back(release: Release) -> None:
    without = release.restricted(np.array([True] * 4 + [False] * 3))
    every = {"two_tower": 3, "item_to_item": 3, "similar_items": 3, "segment": 3, "trending": 3, "popular": 3, "fresh": 3}
    found = recall(without, known([1.0, 0.0], history=(0,), segment=(6, 1)), every, 7)
    assert sorted(found.rows.tolist()) == [0, 1, 2, 3]


class Watched(ExactIndex):
    """Attributes: reaches: how many rows each search was asked for."""

    def __init__(self, vectors: Any) -> None:
        super().__init__(vectors)
        self.reaches: list[int] = []

    def search(self, queries: Any, k: int) -> Any:
        self.reaches.append(k)
        return super().search(queries, k)


def on_a_line(release: Release, count: int) -> tuple[Release, Watched]:
    """The nearest to a positive query is the last row, then the last but one, …"""
    vectors = np.stack([np.arange(count, dtype=np.float32), np.ones(count, np.float32)], axis=1)
    index = Watched(vectors)
    return dataclasses.replace(release, vectors=vectors, index=index, allowed=np.ones(count, bool)), index


QUERY = np.array([[1.0, 0.0]], np.float32)
MUCH = 3 * MADE_UP_FOR


def test_a_user_who_has_had_very_much_is_not_searched_for_as_much(release: Release) -> None:
    """Of all that was had, half lies among the nearest that are fetched."""
    release, index = on_a_line(release, 5 * MUCH)
    had = np.arange(5 * MUCH - 2 * MUCH, 5 * MUCH, 2, dtype=np.int32)
    rows = Allowed(release, Known(None, had, had)).nearest(QUERY, 10)[0]
    assert rows[rows >= 0][:3].tolist() == [5 * MUCH - 1, 5 * MUCH - 3, 5 * MUCH - 5]
    assert index.reaches == [10 + MADE_UP_FOR]


def test_where_all_the_nearest_were_had_the_search_goes_on_till_the_list_is_full(release: Release) -> None:
    release, index = on_a_line(release, 5 * MUCH)
    had = np.arange(4 * MUCH, 5 * MUCH, dtype=np.int32)
    rows = Allowed(release, Known(None, had, had)).nearest(QUERY, 10)[0]
    assert rows[rows >= 0].tolist() == list(range(4 * MUCH - 1, 4 * MUCH - 11, -1))
    assert index.reaches == [10 + MADE_UP_FOR, 10 + MUCH]


def test_where_more_was_had_than_fits_what_is_left_is_looked_at_one_by_one(release: Release) -> None:
    """The first half of the rows fit, and all but three of these were had; 20 that fit take a search of 40 and what was had."""
    release, index = on_a_line(release, 2 * MUCH)
    fitting = np.arange(2 * MUCH) < MUCH
    had = np.arange(3, MUCH, dtype=np.int32)
    rows = Allowed(release, Known(None, had, had, fitting)).nearest(QUERY, 20)[0]
    assert rows.tolist() == [2, 1, 0]
    assert index.reaches == [40 + MADE_UP_FOR]
