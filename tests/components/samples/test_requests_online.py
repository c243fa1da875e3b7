"""What the gateway asks the models with is what the batch tier would have written: one log, replayed both ways."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.features.request import RequestForm
from components.features.user import UserState
from serving.embedded_store import embedded_store
from serving.state_store import StateStore, StoredEvent, StoreLimits

Row = dict[str, Any]
START_MS = 1_704_067_200_000  # Monday, 2024-01-01 00:00:00 UTC
TYPES = ("buy", "view")
LENGTH, KEPT = 4, 6  # a user has up to 12 events: some are out of the history, some are forgotten

DATASET: Row = {
    "events": {
        "path": "events.parquet", "format": "parquet", "timestamp_unit": "ms",
        "columns": {"user_id": "user", "item_id": "item", "timestamp": "ms", "type": "kind", "value": "score"},
        "context": {"device": {"column": "device"}},
    },
    "users": {
        "path": "users.parquet", "format": "parquet", "id": "user",
        "features": {
            "plan": {"column": "plan", "kind": "categorical"},
            "age": {"column": "age", "kind": "number"},
            "joined": {"column": "joined", "kind": "timestamp", "timestamp_unit": "ms"},
            "interests": {"column": "interests", "kind": "multi_valued"},
        },
    },
    "tasks": {"buy": {"event": "buy"}},
}  # fmt: skip


def log() -> tuple[list[Row], list[Row]]:
    rng = random.Random(4)
    users = [
        {"user": "ann", "plan": "free", "age": 31.0, "joined": START_MS - 86_400_000, "interests": ["red", "blue"]},
        {"user": "bob", "plan": None, "age": None, "joined": None, "interests": None},
        {"user": "cem", "plan": "paid", "age": 60.5, "joined": START_MS, "interests": []},
    ]
    events = [
        {
            "user": user["user"],
            "item": f"i{rng.randrange(9)}",
            "ms": START_MS + 1_000 * rng.randrange(900_000),
            "kind": rng.choice(TYPES),
            "score": rng.choice([None, 1.5, 4.0]),
            "device": rng.choice(["phone", "tablet"]),
        }
        for user, count in zip(users, (12, 3, 7), strict=True)
        for _ in range(count)
    ]
    return events, users


def test_a_replayed_log_asks_as_the_batch_tier_does(make: Callable[..., Any]) -> None:
    events, users = log()
    states = {user["user"]: UserState.empty(len(TYPES)) for user in users}
    for event in events:
        states[event["user"]] = states[event["user"]].fold(
            np.array([event["item"]], object),
            np.array([event["ms"]]),
            np.array([np.nan if event["score"] is None else event["score"]], np.float32),
            np.array([TYPES.index(event["kind"])], np.int16),
            keep=KEPT,
        )
    check(made(make, events, users), events, states)


def test_a_log_replayed_through_the_state_store_asks_as_the_batch_tier_does(make: Callable[..., Any], tmp_path: Path) -> None:
    """Events come one by one, in no order of time, and each of them twice."""
    events, users = log()
    arriving = [*enumerate(events), *enumerate(events)]
    random.Random(5).shuffle(arriving)
    with embedded_store(tmp_path / "store") as url:
        store = StateStore(url, TYPES, StoreLimits(events=KEPT), timeout_s=5)
        for number, event in arriving:
            stored = StoredEvent(f"e{number}", event["item"], event["ms"], event["score"], event["kind"])
            store.fold(event["user"], [stored])
        states = {user["user"]: store.read(user["user"]).state for user in users}
        store.close()
    check(made(make, events, users), events, states)


def made(make: Callable[..., Any], events: list[Row], users: list[Row]) -> Any:
    return make({"dataset": DATASET, "samples": {"history_length": LENGTH}}, events=events, users=users)


def check(made: Any, events: list[Row], states: Mapping[str, UserState | None]) -> None:
    """What the models are asked with from these states is what the batch tier has written."""
    form = RequestForm(made.config, TYPES)
    profiles = {row["user_id"]: row for row in made.catalogue["users"]}
    moment_ms = max(event["ms"] for event in events) + 1
    assert {row["user_id"][0] for row in made.requests} == {"ann", "bob", "cem"}
    for row in made.requests:
        user = row["user_id"][0]
        last = max((event for event in events if event["user"] == user), key=lambda event: event["ms"])
        state = states[user]
        assert state is not None
        asked = form.inputs(user, moment_ms, state, profiles[user], {"device": last["device"]})
        for name, values in asked.items():
            wanted = np.array(row[name], values.dtype)
            if not len(wanted):  # unknown: the batch tier leaves it out, the wire pads
                assert values.ravel().tolist() in ([""], [-1.0]) or np.isnan(values).all(), name
                continue
            np.testing.assert_array_equal(values.ravel(), wanted, err_msg=f"{user} {name}")


def test_a_user_of_whom_nothing_is_known_can_be_asked_for(make: Callable[..., Any]) -> None:
    config = made(make, *log()).config
    asked = RequestForm(config, TYPES).inputs("new", START_MS, UserState.empty(2), {}, {})
    assert {name: values.tolist() for name, values in asked.items() if name not in ("age", "joined")} == {
        "user_id": ["new"],
        "timestamp_ms": [START_MS],
        "plan": [""],
        "interests": [[""]],
        "context_hour": [0],
        "context_weekday": [0],
        "context_device": [""],
        "history_item_id": [[""]],
        "history_age_s": [[-1.0]],
        "history_value": [[-1.0]],
        "user_count_buy": [0.0],
        "user_count_view": [0.0],
        "user_idle_s": [-1.0],
    }
    assert np.isnan([asked["age"][0], asked["joined"][0]]).all()
