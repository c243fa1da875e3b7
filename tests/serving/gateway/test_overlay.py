import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.index.index import MISSING, ExactIndex
from serving.gateway.api import Condition
from serving.gateway.overlay import LiveIndex, LiveVectors, overlaid
from serving.gateway.release import Release
from serving.item_store import ItemChange, LiveItem

YEAR_2030 = 1_893_456_000_000


def put(item_id: str, number: int, created_ms: int = YEAR_2030, **features: Any) -> ItemChange:
    return ItemChange(item_id, number, LiveItem(item_id.title(), created_ms, features))


@pytest.fixture
def changed(release: Release) -> Release:
    """i2 has become a western that is nearest to all, n1 and n2 are new, and i6 and a new one were withdrawn."""
    changes = [
        put("i2", 1, genre="western"),
        put("n1", 2, genre="drama"),
        ItemChange("i6", 3, None),
        put("n2", 4, created_ms=0),
        ItemChange("gone", 5, None),
    ]
    vectors = np.array([[9.0, 0.0], [5.5, 0.0], [0.5, 0.0]], np.float32)
    return overlaid(release, changes, vectors, 5)


def test_items_keep_their_rows_and_new_ones_come_after(changed: Release) -> None:
    assert changed.rows(["i0", "i2", "n1", "n2", "i6", "gone"]).tolist() == [0, 2, 7, 8]
    assert changed.item_ids.tolist() == [*(f"i{n}" for n in range(7)), "n1", "n2"]
    assert changed.titles[2] == "I2"
    assert changed.titles[3] == "Item 3"
    assert changed.live_number == 5


def test_changed_vectors_are_found_in_their_places(changed: Release) -> None:
    """By the first dimension: i2 has 9 now, i6 still 6, n1 5.5, i5 5, …; that i6 may not come back is told by the mask."""
    rows, scores = changed.index.search(np.array([[1.0, 0.0]], np.float32), 4)
    assert rows.tolist() == [[2, 6, 7, 5]]
    assert scores.tolist() == [[9.0, 6.0, 5.5, 5.0]]
    assert np.flatnonzero(~changed.allowed).tolist() == [6]


def test_the_lists_hold_what_may_be_shown(changed: Release) -> None:
    assert changed.popular.tolist() == [3, 2, 1, 0, 4, 5, 7, 8]
    assert changed.trending.tolist() == [2, 3, 4, 5, 0, 1, 7, 8]
    # i2 and n1 are of 2030, n2 of 1970; the others get older with their numbers.
    assert changed.fresh.tolist() == [2, 7, 0, 1, 3, 4, 5, 8]


def test_filters_know_the_changed_features(changed: Release) -> None:
    def rows(genre: str) -> list[int]:
        return np.flatnonzero(changed.filter.passing([Condition(feature="genre", one_of=[genre])])).tolist()

    assert rows("western") == [2]
    assert rows("drama") == [0, 4, 7]


def test_the_ranker_knows_what_was_published(changed: Release, release: Release) -> None:
    assert changed.unranked(np.array([0, 2, 7, 8], np.int32)).tolist() == [False, False, True, True]
    assert not release.unranked(np.array([0, 6], np.int32)).any()
    assert changed.base is release


def test_everything_that_is_by_row_has_grown(changed: Release, release: Release) -> None:
    """A field of a release that holds a value for each row has to be laid over as well."""

    def length(value: Any) -> int | None:
        return len(value) if isinstance(value, np.ndarray | list | pa.Table | LiveVectors) else None

    by_row = [each.name for each in dataclasses.fields(Release) if length(getattr(release, each.name)) == 7]
    assert {"item_ids", "titles", "vectors", "items", "allowed"} <= set(by_row)
    lists = {"popular", "trending", "fresh"}  # without what may not be shown
    assert {name: length(getattr(changed, name)) for name in by_row} == {name: 8 if name in lists else 9 for name in by_row}


def test_withdrawals_alone(release: Release) -> None:
    without = overlaid(release, [ItemChange("i3", 1, None)], np.zeros((0, 2), np.float32), 1)
    assert without.popular.tolist() == [2, 1, 0, 4, 5, 6]
    assert without.rows(["i3", "i4"]).tolist() == [4]


def test_features_that_the_release_reads_otherwise_are_unknown(release: Release) -> None:
    """What was put in for another release: a genre that was a list there, a feature that there is none of here."""
    changes = [put("n1", 1, genre=["drama"], mood="dark", words=["star", "trek"], price=12.0)]
    made = overlaid(release, changes, np.zeros((1, 2), np.float32), 1).items.slice(7, 1).to_pylist()[0]
    assert made == {
        "item_id": "n1", "title": "N1", "created_ms": YEAR_2030, "genre": None, "tags": None, "price": 12.0,
        "words": ["star", "trek"], "since": None, "colour": None,
    }  # fmt: skip


def test_a_search_finds_what_an_exact_one_over_all_vectors_does() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(200, 4)).astype(np.float32)
    rows = np.array([*range(0, 60, 3), 200, 201, 202], np.int32)
    live = rng.normal(size=(len(rows), 4)).astype(np.float32)
    everything = np.concatenate([vectors, np.zeros((3, 4), np.float32)])
    everything[rows] = live
    queries = rng.normal(size=(5, 4)).astype(np.float32)
    found = LiveIndex(ExactIndex(vectors), 200, rows, live).search(queries, 30)
    truth = ExactIndex(everything).search(queries, 30)
    assert found[0].tolist() == truth[0].tolist()
    np.testing.assert_allclose(found[1], truth[1], rtol=1e-6)


def test_fewer_than_were_asked_for_end_with_missing_ones() -> None:
    index = LiveIndex(ExactIndex(np.ones((2, 1), np.float32)), 2, np.array([0], np.int32), np.array([[3.0]], np.float32))
    assert index.search(np.ones((1, 1), np.float32), 3)[0].tolist() == [[0, 1, MISSING]]


def test_vectors_are_those_of_the_rows(changed: Release) -> None:
    rows = np.array([8, 2, 3, 7, 2], np.int32)
    assert changed.vectors[rows].tolist() == [[0.5, 0.0], [9.0, 0.0], [3.0, 1.0], [5.5, 0.0], [9.0, 0.0]]
    assert changed.vectors.shape == (9, 2)


def test_the_catalogue_is_by_row(changed: Release) -> None:
    assert changed.items.column("item_id").to_pylist() == changed.item_ids.tolist()
    assert changed.items.column("genre").to_pylist() == [
        "drama", "comedy", "western", "comedy", "drama", "comedy", None, "drama", None,
    ]  # fmt: skip
