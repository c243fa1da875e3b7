"""The changes of items, in a real Valkey."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.errors import ServingError
from serving.embedded_store import embedded_store
from serving.item_store import ItemChange, ItemStore, LiveItem

LAMP = LiveItem("Lamp", 1_700_000_000_000, {"tags": ["new"], "price": 9.5, "genre": "light", "since": 5})


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def store(url: str) -> Iterator[ItemStore]:
    made = ItemStore(url)
    made._client.flushall()
    yield made
    made.close()


def test_a_follower_gets_what_came_after_what_it_has_seen(store: ItemStore) -> None:
    assert store.since(0) == (0, [])
    assert store.put("lamp", LAMP) == 1
    assert store.put("chair", None) == 2
    assert store.since(0) == (2, [ItemChange("lamp", 1, LAMP), ItemChange("chair", 2, None)])
    assert store.since(1) == (2, [ItemChange("chair", 2, None)])
    assert store.since(2) == (2, [])


def test_of_an_item_the_last_change_counts(store: ItemStore) -> None:
    for item in (LAMP, None, LAMP, None):
        store.put("lamp", item)
    assert store.since(0) == (4, [ItemChange("lamp", 4, None)])


def test_ids_and_texts_of_any_kind(store: ItemStore) -> None:
    item = LiveItem("Кофе ☕ {}", 1_700_000_000_000, {"tags": ["a b", '"']})
    store.put("a/{b} ☕\n", item)
    assert store.since(0)[1] == [ItemChange("a/{b} ☕\n", 1, item)]


def test_numbers_grow_past_what_a_float_prints_in_full(store: ItemStore) -> None:
    from serving.item_store import CHANGES, ORDER

    store._client.zadd(ORDER, {"old": 123_456_789_012_345})
    store._client.hset(CHANGES, "old", "null")
    assert store.put("lamp", LAMP) == 123_456_789_012_346
    assert store.since(123_456_789_012_345) == (123_456_789_012_346, [ItemChange("lamp", 123_456_789_012_346, LAMP)])


def test_there_is_a_bound_that_does_not_stop_changes_of_what_is_there(url: str, store: ItemStore) -> None:
    small = ItemStore(url, most=2)
    small.put("a", LAMP)
    small.put("b", LAMP)
    with pytest.raises(ServingError, match="2 items are changed already"):
        small.put("c", LAMP)
    assert small.put("a", None) == 3
    small.close()


def test_changes_survive_a_restart_of_the_store(tmp_path: Path) -> None:
    for expected in ([], [ItemChange("lamp", 1, LAMP), ItemChange("chair", 2, None)]):
        with embedded_store(tmp_path) as running:
            store = ItemStore(running)
            assert store.since(0)[1] == expected
            if not expected:
                store.put("lamp", LAMP)
                store.put("chair", None)
            store.close()


def test_a_store_that_does_not_answer_is_said(tmp_path: Path) -> None:
    with embedded_store(tmp_path) as running:
        store = ItemStore(running)
    with pytest.raises(ServingError, match="the store of items does not answer"):
        store.put("lamp", LAMP)
    with pytest.raises(ServingError, match="the store of items does not answer"):
        store.since(0)
    store.close()
