"""The state store on a real Valkey: what is folded into it reads as ``UserState.fold`` says."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from components.errors import ServingError
from components.features.user import UserState
from serving.embedded_store import embedded_store
from serving.state_store import StateStore, StoredEvent, StoreLimits

TYPES = ("buy", "view")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def store(url: str) -> Iterator[StateStore]:
    opened = StateStore(url, TYPES, StoreLimits(events=3, seen=4, ids=5), timeout_s=5)
    yield opened
    opened.close()


def event(number: int, item: str = "i", type: str = "view", value: float | None = None) -> StoredEvent:
    return StoredEvent(f"e{number}", f"{item}{number}", number, value, type)


def test_an_unknown_user_is_unknown(store: StateStore) -> None:
    stored = store.read("nobody")
    assert stored.state is None
    assert stored.seen == ()
    assert not store.knows("nobody")
    store.fold("somebody", [event(1)])
    assert store.knows("somebody")


def test_events_fold_as_the_features_define_it(store: StateStore) -> None:
    """Five events, three kept, in whatever order they come: e1 (view) and e2 (buy) are forgotten, and counted."""
    events = [event(4), event(2, type="buy"), event(1), event(5, value=2.5), event(3, type="buy", value=1.0)]
    assert store.fold("late", events[:3]) == 3
    assert store.fold("late", events[3:]) == 2
    state = store.read("late").state
    assert state is not None
    by_hand = UserState.empty(2).fold(
        np.array(["i1", "i2", "i3", "i4", "i5"], object),
        np.array([1, 2, 3, 4, 5]),
        np.array([np.nan, np.nan, 1.0, np.nan, 2.5], np.float32),
        np.array([1, 0, 0, 1, 1], np.int16),
        keep=3,
    )
    for name in ("item_id", "timestamp_ms", "value", "type", "forgotten_counts"):
        np.testing.assert_array_equal(getattr(state, name), getattr(by_hand, name), err_msg=name)


def test_an_event_counts_once(store: StateStore) -> None:
    assert store.fold("twice", [event(1), event(1)]) == 1
    assert store.fold("twice", [event(1), event(2)]) == 1
    state = store.read("twice").state
    assert state is not None
    assert state.item_id.tolist() == ["i1", "i2"]
    assert state.forgotten_counts.tolist() == [0, 0]


def assert_equal(state: UserState | None, wanted: UserState) -> None:
    assert state is not None
    for name in ("item_id", "timestamp_ms", "value", "type", "forgotten_counts"):
        np.testing.assert_array_equal(getattr(state, name), getattr(wanted, name), err_msg=name)


def folded_by_hand(state: UserState, item: str, timestamp_ms: int, keep: int) -> UserState:
    nothing = np.array([np.nan], np.float32)
    return state.fold(np.array([item], object), np.array([timestamp_ms]), nothing, np.array([1], np.int16), keep)


@pytest.mark.parametrize("at_once", [1, 7])
def test_events_of_the_same_time_stay_in_the_order_of_their_arrival(url: str, at_once: int) -> None:
    """A log with many ties, late events among them, and every event sent twice: i10 arrives after i9, and stays there."""
    store = StateStore(url, TYPES, StoreLimits(events=20), timeout_s=5)
    rng = np.random.default_rng(3)
    moments = rng.integers(1, 6, size=60).tolist()
    by_hand = UserState.empty(2)
    events = [StoredEvent(f"e{place}", f"i{place}", moment, None, "view") for place, moment in enumerate(moments)]
    user = f"ties by {at_once}"
    for start in range(0, len(events), at_once):
        for _ in range(2):
            store.fold(user, events[start : start + at_once])
    for each in events:
        by_hand = folded_by_hand(by_hand, each.item_id, each.timestamp_ms, keep=20)
    state = store.read(user).state
    store.close()
    assert_equal(state, by_hand)


def test_a_snapshots_order_is_kept_and_comes_before_what_arrives(url: str) -> None:
    store = StateStore(url, TYPES, StoreLimits(), timeout_s=5)
    items = [f"s{place}" for place in range(12, 0, -1)]
    snapshot = UserState(
        np.array(items, object), np.full(12, 5), np.full(12, np.nan, np.float32), np.ones(12, np.int16), np.zeros(2, np.int64)
    )
    assert store.seed("seeded with ties", snapshot, items)
    store.fold("seeded with ties", [StoredEvent("a", "late", 5, None, "view")])
    state = store.read("seeded with ties").state
    store.close()
    assert_equal(state, folded_by_hand(snapshot, "late", 5, keep=200))


def test_a_late_event_counts_once_however_old_it_is(url: str) -> None:
    """More ids than are kept have arrived, all of later times than the late one."""
    store = StateStore(url, TYPES, StoreLimits(events=3, ids=5), timeout_s=5)
    store.fold("late and busy", [event(number) for number in range(10, 16)])
    late = event(1)
    assert [store.fold("late and busy", [late]) for _ in range(3)] == [1, 0, 0]
    assert store.fold("late and busy", [event(number) for number in range(16, 20)]) == 4
    assert store.fold("late and busy", [late]) == 0  # the fifth last
    assert store.fold("late and busy", [event(20)]) == 1
    assert store.fold("late and busy", [late]) == 1  # it is not known any more
    store.close()


def test_what_the_history_holds_is_known_though_many_have_arrived_since(url: str) -> None:
    """The newest one of all, then more late ones than ids are kept."""
    store = StateStore(url, TYPES, StoreLimits(events=3, ids=5), timeout_s=5)
    newest = StoredEvent('"é[', "i", 1_000, 1.0, "view")
    assert store.fold("newest", [newest, *(event(number) for number in range(10))]) == 11
    assert store.fold("newest", [newest]) == 0
    assert store.fold("newest", [StoredEvent("another", "i", 1_000, 1.0, "view")]) == 1
    store.close()


def test_what_is_kept_is_bounded(store: StateStore) -> None:
    store.fold("busy", [event(number) for number in range(100)])
    stored = store.read("busy")
    assert stored.state is not None
    assert stored.state.item_id.tolist() == ["i97", "i98", "i99"]
    assert stored.state.forgotten_counts.tolist() == [0, 97]
    assert stored.seen == ("i96", "i97", "i98", "i99")


def test_a_snapshot_begins_a_state_and_never_replaces_one(store: StateStore) -> None:
    snapshot = UserState(
        np.array(["a", "b"], object), np.array([1, 2]), np.array([np.nan, 3.0], np.float32), np.array([0, 1], np.int16),
        np.array([7, 0]),
    )  # fmt: skip
    assert store.seed("seeded", snapshot, ["x", "a", "b"])
    store.fold("seeded", [event(9)])
    assert not store.seed("seeded", snapshot, ["x"])
    stored = store.read("seeded")
    assert stored.state is not None
    assert stored.state.item_id.tolist() == ["a", "b", "i9"]
    np.testing.assert_array_equal(stored.state.value, [np.nan, 3.0, np.nan])
    assert stored.state.forgotten_counts.tolist() == [7, 0]
    assert set(stored.seen) == {"x", "a", "b", "i9"}


@pytest.mark.parametrize("user", ["{}", "a}b{c", "%7B", "é ü", "u:events", "\n"])
def test_any_id_is_a_user_of_its_own(store: StateStore, user: str) -> None:
    store.fold(user, [event(1, item=user)])
    state = store.read(user).state
    assert state is not None
    assert state.item_id.tolist() == [f"{user}1"]


def test_the_state_survives_the_store(tmp_path: Path) -> None:
    with embedded_store(tmp_path) as url:
        store = StateStore(url, TYPES, StoreLimits(), timeout_s=5)
        store.fold("ann", [event(1)])
        store.close()
    with embedded_store(tmp_path) as url:
        again = StateStore(url, TYPES, StoreLimits(), timeout_s=5)
        state = again.read("ann").state
        again.close()
    assert state is not None
    assert state.item_id.tolist() == ["i1"]


def test_a_store_that_is_not_there_is_an_error_of_ours() -> None:
    store = StateStore("redis://127.0.0.1:1/0", TYPES, StoreLimits(), timeout_s=0.2)
    assert not store.ping()
    with pytest.raises(ServingError, match="the state store does not answer"):
        store.read("ann")
    with pytest.raises(ServingError, match="the state store does not answer"):
        store.fold("ann", [event(1)])
