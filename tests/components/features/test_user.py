"""Features of a user's past: values by hand, and offline equal to online."""

import numpy as np
import pytest
from numpy.typing import NDArray

from components.features.user import UserPast, UserState, UserValues

VIEW, BUY = 0, 1


def past(*events: tuple[int, int, int], users: int = 3) -> UserPast:
    """A past of (user, moment in ms, type), with nothing forgotten."""
    user, moment, kind = (np.array(column, np.int64) for column in zip(*events, strict=True))
    return UserPast(user, moment, kind.astype(np.int16), np.zeros((users, 2), np.int64))


def as_of(of: UserPast, user: int, moment: int, length: int = 10) -> tuple[list[int], list[float], float]:
    """Rows of the history, most recent last; counts by type; idle seconds."""
    values = of.as_of(np.array([user]), np.array([moment]), length)
    rows = list(range(int(values.history_start[0]), int(values.history_end[0])))
    return rows, values.event_counts[0].tolist(), float(values.idle_s[0])


# Rows 0 to 3 are user 0's, rows 4 and 5 user 2's; user 1 has no events.
PAST = past((0, 1_000, VIEW), (0, 2_000, BUY), (0, 2_000, VIEW), (0, 5_000, VIEW), (2, 1_500, BUY), (2, 9_000, BUY))


@pytest.mark.parametrize(
    ("user", "moment", "wanted"),
    [
        (0, 1_000, ([], [0, 0], -1)),  # the event of the moment itself is not in its past
        (0, 1_001, ([0], [1, 0], 0.001)),
        (0, 2_000, ([0], [1, 0], 1.0)),  # nor is another one of that moment
        (0, 2_001, ([0, 1, 2], [2, 1], 0.001)),
        (0, 9_999, ([0, 1, 2, 3], [3, 1], 4.999)),
        (1, 9_999, ([], [0, 0], -1)),  # an unknown user; the neighbours' events are not his
        (2, 1_500, ([], [0, 0], -1)),
        (2, 60_000, ([4, 5], [0, 2], 51.0)),
    ],
)
def test_values_are_of_what_came_strictly_before(user: int, moment: int, wanted: tuple[list[int], list[float], float]) -> None:
    rows, counts, idle = as_of(PAST, user, moment)
    assert (rows, counts) == wanted[:2]
    assert idle == pytest.approx(wanted[2])


def test_the_history_is_bounded_but_the_counts_are_not() -> None:
    assert as_of(PAST, 0, 9_999, length=2) == ([2, 3], [3, 1], pytest.approx(4.999))
    assert as_of(PAST, 0, 2_001, length=2)[0] == [1, 2]


def test_forgotten_events_are_still_counted() -> None:
    known = UserPast(PAST.user, PAST.timestamp_ms, PAST.type, np.array([[7, 1], [0, 0], [0, 5]]))
    assert as_of(known, 0, 9_999)[1] == [3 + 7, 1 + 1]
    assert as_of(known, 2, 9_001)[1] == [0, 2 + 5]


def test_no_events_at_all() -> None:
    nothing = UserState.empty(2).past()
    values = nothing.as_of(np.zeros(2, np.int64), np.array([5, 6]), 10)
    assert values.history_start.tolist() == values.history_end.tolist() == [0, 0]
    assert values.event_counts.tolist() == [[0, 0], [0, 0]]
    assert values.idle_s.tolist() == [-1, -1]


def test_moments_of_today_fit_beside_many_users() -> None:
    """2,000,000 users and a moment of the year 2100 share 63 bits."""
    moment = 4_102_444_799_999
    last = 2_000_000
    of = UserPast(
        np.array([0, last]),
        np.array([moment - 1, moment - 1]),
        np.zeros(2, np.int16),
        np.zeros((last + 1, 1), np.int64),
    )
    values = of.as_of(np.array([last, last - 1, 0]), np.array([moment, moment, moment]), 5)
    assert values.event_counts[:, 0].tolist() == [1, 0, 1]


Events = tuple[NDArray[np.object_], NDArray[np.int64], NDArray[np.float32], NDArray[np.int16]]


def folded(state: UserState, events: Events, rows: NDArray[np.int64], keep: int) -> UserState:
    return state.fold(*(column[rows] for column in events), keep=keep)


def random_events(rng: np.random.Generator, count: int) -> Events:
    """Events of distinct moments, so that their order is certain; in the order of time."""
    moments = 1_700_000_000_000 + np.sort(rng.choice(10**9, count, replace=False)).astype(np.int64)
    items = np.array([f"i{item}" for item in rng.integers(0, 30, count)], object)
    return items, moments, rng.random(count).astype(np.float32), rng.integers(0, 3, count).astype(np.int16)


def seen_by_models(events: Events, values: UserValues) -> tuple[list[str], list[float], list[float], list[float], float]:
    """What becomes of the values in a sample: history items, their moments and values, counts, idle time."""
    rows = slice(int(values.history_start[0]), int(values.history_end[0]))
    items, moments, amounts, _ = events
    counts, idle = values.event_counts[0].tolist(), float(values.idle_s[0])
    return items[rows].tolist(), moments[rows].tolist(), amounts[rows].tolist(), counts, idle


@pytest.mark.parametrize("seed", range(25))
def test_the_bounded_state_of_serving_gives_the_values_of_training(seed: int) -> None:
    """Events one by one, or in chunks that arrive in any order, against the whole past at once."""
    rng = np.random.default_rng(seed)
    count, length = int(rng.integers(1, 60)), int(rng.integers(1, 12))
    keep = length + int(rng.integers(0, 5))
    events = random_events(rng, count)
    now = np.array([events[1][-1] + int(rng.integers(1, 10**6))])
    whole = UserPast(np.zeros(count, np.int64), events[1], events[3], np.zeros((1, 3), np.int64))
    wanted = seen_by_models(events, whole.as_of(np.zeros(1, np.int64), now, length))

    one_by_one = UserState.empty(3)
    for row in range(count):
        one_by_one = folded(one_by_one, events, np.array([row]), keep)
    shuffled = UserState.empty(3)
    for chunk in np.array_split(rng.permutation(count), int(rng.integers(1, count + 1))):
        shuffled = folded(shuffled, events, chunk, keep)

    for state in (one_by_one, shuffled):
        assert len(state.timestamp_ms) == min(count, keep)
        held = (state.item_id, state.timestamp_ms, state.value, state.type)
        assert seen_by_models(held, state.past().as_of(np.zeros(1, np.int64), now, length)) == wanted


def test_a_late_event_takes_its_own_place_or_is_only_counted() -> None:
    state = UserState.empty(2).fold(
        np.array(["a", "b"], object),
        np.array([10, 30]),
        np.ones(2, np.float32),
        np.array([VIEW, BUY], np.int16),
        keep=2,
    )
    between = state.fold(np.array(["c"], object), np.array([20]), np.ones(1, np.float32), np.array([VIEW], np.int16), keep=2)
    assert between.item_id.tolist() == ["c", "b"]
    assert between.forgotten_counts.tolist() == [1, 0]
    older = between.fold(np.array(["d"], object), np.array([5]), np.ones(1, np.float32), np.array([BUY], np.int16), keep=2)
    assert older.item_id.tolist() == ["c", "b"]
    assert older.forgotten_counts.tolist() == [1, 1]


def state(*events: tuple[str, int, int], forgotten: tuple[int, int] = (0, 0)) -> UserState:
    """Of (item, moment in ms, type); the value is a tenth of the moment."""
    items, moments, types = zip(*events, strict=True) if events else ((), (), ())
    values = np.array(moments, np.float32) / 10
    return UserState(
        np.array(items, object), np.array(moments, np.int64), values, np.array(types, np.int16), np.array(forgotten)
    )


def held(of: UserState) -> list[tuple[str, int, int]]:
    assert of.value.tolist() == [np.float32(moment / 10) for moment in of.timestamp_ms]
    return list(zip(of.item_id.tolist(), of.timestamp_ms.tolist(), of.type.tolist(), strict=True))


def test_a_snapshot_that_knows_nothing_more_changes_nothing() -> None:
    live = state(("a", 10, VIEW), ("b", 20, BUY), ("c", 30, VIEW), forgotten=(2, 0))
    assert live.merged(state(("a", 10, VIEW), ("b", 20, BUY), forgotten=(2, 0)), keep=10) is live


def test_what_only_the_snapshot_knows_takes_its_place_in_the_history() -> None:
    """d came by another way; c lies in both, e in the live state alone. Of views the log counts 2 + 2, of buys both count 1."""
    live = state(("b", 20, BUY), ("c", 30, VIEW), ("e", 50, VIEW), forgotten=(1, 0))
    snapshot = state(("c", 30, VIEW), ("d", 40, VIEW), forgotten=(2, 1))
    merged = live.merged(snapshot, keep=10)
    assert held(merged) == [("b", 20, BUY), ("c", 30, VIEW), ("d", 40, VIEW), ("e", 50, VIEW)]
    assert merged.forgotten_counts.tolist() == [1, 0]
    assert as_of(merged.past(), 0, 99)[1:] == ([4, 1], pytest.approx(0.049))


def test_the_last_moment_may_be_the_snapshots() -> None:
    merged = state(("a", 10, VIEW)).merged(state(("b", 60, VIEW)), keep=10)
    assert as_of(merged.past(), 0, 99)[2] == pytest.approx(0.039)
    assert as_of(merged.past(), 0, 99)[1] == [2, 0]  # the larger count is 1, and yet two are held


def test_an_event_is_told_by_item_moment_and_type() -> None:
    merged = state(("a", 10, VIEW)).merged(state(("a", 10, BUY), ("b", 10, VIEW), ("a", 11, VIEW)), keep=10)
    assert held(merged) == [("a", 10, BUY), ("b", 10, VIEW), ("a", 10, VIEW), ("a", 11, VIEW)]


def test_what_is_merged_is_bounded_by_its_oldest() -> None:
    """Four in all, of which two are held; three views and one buy."""
    merged = state(("b", 20, BUY), ("d", 40, VIEW)).merged(state(("a", 10, VIEW), ("c", 30, VIEW)), keep=2)
    assert held(merged) == [("c", 30, VIEW), ("d", 40, VIEW)]
    assert merged.forgotten_counts.tolist() == [1, 1]


def test_counts_alone_are_merged_too() -> None:
    live = state(("a", 10, VIEW), forgotten=(3, 0))
    assert live.merged(state(("a", 10, VIEW), forgotten=(1, 5)), keep=10).forgotten_counts.tolist() == [3, 5]


@pytest.mark.parametrize("seed", range(10))
def test_a_merged_state_of_two_halves_of_a_log_gives_the_values_of_training(seed: int) -> None:
    """The batch has the first two thirds, the live state the last two: together they are the whole, as far as it is held."""
    rng = np.random.default_rng(seed)
    events = random_events(rng, 30)
    first, last = (folded(UserState.empty(3), events, rows, keep=30) for rows in (np.arange(20), np.arange(10, 30)))
    now = np.array([events[1][-1] + 1])
    whole = UserPast(np.zeros(30, np.int64), events[1], events[3], np.zeros((1, 3), np.int64))
    wanted = seen_by_models(events, whole.as_of(np.zeros(1, np.int64), now, 12))
    merged = last.merged(first, keep=30)
    parts = (merged.item_id, merged.timestamp_ms, merged.value, merged.type)
    assert seen_by_models(parts, merged.past().as_of(np.zeros(1, np.int64), now, 12)) == wanted
