"""What has to be known of the whole log, and the logs of which no samples can be made."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from components.errors import DataError

Row = dict[str, Any]

START = 1_704_067_200  # 2024-01-01


def settings(samples: Row, tasks: Row | None = None) -> Row:
    columns = {"user_id": "user", "item_id": "item", "timestamp": "time", "type": "kind", "request_id": "request"}
    events = {"path": "events.parquet", "format": "parquet", "columns": columns}
    return {"dataset": {"events": events, "tasks": tasks or {"interact": {}}}, "samples": samples}


def events(*moments: int, kind: str = "view", user: str = "u") -> list[Row]:
    return [{"user": user, "item": f"i{n % 2}", "time": START + n, "kind": kind, "request": "r"} for n in moments]


def refusal(make: Callable, *args: Any, **tables: Any) -> str:
    with pytest.raises(DataError) as error:
        make(*args, **tables)
    return str(error.value)


def test_the_facts_of_a_log(make: Callable) -> None:
    plan = make(settings({"negative_power": 1.0}), events=[*events(*range(10)), *events(0, 1, kind="buy", user="v")]).plan
    assert plan.types == ("buy", "view")
    assert plan.last_timestamp_ms == (START + 9) * 1000
    # 12 events at 0 0 1 1 2 3 4 5 6 7 8 9: 80 % of 12 are 9.6, and place 9 of them, from 0, is 7; place 10 is 8.
    assert (plan.eval_from_ms, plan.test_from_ms) == ((START + 7) * 1000, (START + 8) * 1000)
    # Before 7: i0 at 0 0 2 4 6 and i1 at 1 1 3 5; one is added to each: 6 and 5 of 11.
    assert plan.negative_cdf == pytest.approx(np.cumsum([6 / 11, 5 / 11]))


def test_a_split_that_is_empty(make: Callable) -> None:
    assert refusal(make, settings({}), events=events(0, 1)) == (
        "the validation split is empty: cutting 2 events by time at 2024-01-01 00:00:01 and 2024-01-01 00:00:01 leaves "
        "training 1, validation 0, test 1; wanted events in each: give more events, change samples.split.eval and "
        "samples.split.test, or use samples.split.kind: leave_last_out"
    )


def test_held_out_events_do_not_count(make: Callable) -> None:
    log = [*events(0, 1, 2, 3, 4), *events(7, 9, user="short")]
    plan = make(settings({"split": {"kind": "leave_last_out"}, "negative_power": 1.0}), events=log).plan
    # Of u the first three, i0 i1 i0, of short, who has too few to be judged, both, i1 i1; one is added to each.
    assert plan.negative_cdf == pytest.approx([3 / 7, 1])


def test_what_shares_the_moment_of_a_held_out_event_does_not_count(make: Callable) -> None:
    log = [*events(0, 2), *({**event, "item": "i1"} for event in events(2, 2, kind="buy"))]
    plan = make(settings({"split": {"kind": "leave_last_out"}, "negative_power": 1.0}), events=log).plan
    assert plan.negative_cdf == pytest.approx([2 / 3, 1])


def test_held_out_impressions_hold_out_what_follows_them(make: Callable) -> None:
    """u's outcomes at 0 and at 4, before and after the impressions that are held out."""
    log = [*events(0, 1, 2, 3, kind="shown"), *events(0, kind="click"), *({**e, "item": "i1"} for e in events(4, kind="click"))]
    samples = {"split": {"kind": "leave_last_out"}, "impressions": "shown", "negative_power": 1.0}
    plan = make(settings(samples, {"click": {"event": "click"}}), events=log).plan
    assert plan.negative_cdf == pytest.approx([2 / 3, 1])


def test_nobody_has_events_to_leave_out(make: Callable) -> None:
    log = [*events(0, 1), *events(2, user="v")]
    assert refusal(make, settings({"split": {"kind": "leave_last_out"}}), events=log) == (
        "the validation and test splits are empty: samples.split.kind: leave_last_out takes the last two events of users "
        "with 3 or more of type view, and the most that any of 2 users has is 2; wanted more events a user, or "
        "samples.split.kind: time"
    )


def test_nothing_to_learn_from(make: Callable) -> None:
    """All clicks come after the impressions that are for training."""
    log = [*events(*range(9), kind="shown"), *events(9, kind="shown"), *events(9, kind="click")]
    message = refusal(make, settings({"impressions": "shown"}, {"click": {"event": "click"}}), events=log)
    assert (
        "no event of type click lies before 2024-01-01 00:00:08, where validation begins; wanted events to train on" in message
    )


@pytest.mark.parametrize(
    ("samples", "tasks", "wanted"),
    [
        ({"impressions": "shown"}, {"view": {"event": "view"}},
         "samples.impressions: found no event of type 'shown'; the log holds ['buy', 'view']"),
        ({}, {"cart": {"event": "cart"}},
         "dataset.tasks.cart.event: found no event of type 'cart'; the log holds ['buy', 'view']"),
        ({"history_types": ["view", "carts"]}, None,
         "samples.history_types: found no event of type 'carts'; the log holds ['buy', 'view']"),
        ({"history_types": ["view"]}, {"buy": {"event": "buy"}},
         "dataset.tasks.buy.event: found 'buy', which is not in samples.history_types ['view']; wanted one of them"),
    ],
)  # fmt: skip
def test_types_that_the_log_does_not_hold(make: Callable, samples: Row, tasks: Row | None, wanted: str) -> None:
    log = [*events(*range(20)), *events(5, kind="buy")]
    assert wanted in refusal(make, settings(samples, tasks), events=log)


def test_a_log_of_impressions_alone(make: Callable) -> None:
    message = refusal(make, settings({"impressions": "view"}, {"like": {"when": "value > 1"}}), events=events(*range(20)))
    assert message == "no event type is left for the history: the log holds only ['view']"
