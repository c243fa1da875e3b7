from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from components.config import SplitConfig
from components.errors import DataError
from components.features.random_split import EVAL, TEST, TRAIN, dealt, user_keys
from components.features.seen import seen_by_samples

SPLIT = SplitConfig(kind="random")


def log(*counts: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users with so many events each."""
    user = np.repeat(np.arange(len(counts)), counts)
    keys = user_keys(pa.array([f"u{each}" for each in range(len(counts))]))
    return keys[user], np.concatenate([np.arange(count) for count in counts]), np.arange(sum(counts)) * 1_000


def test_each_users_events_are_dealt_by_shares() -> None:
    """Of 30 events three each are validated and tested (0.1 × 30 is a little more than 3, 0.1 × 29 less), of 9 none."""
    user, item, moment = log(30, 29, 9, 25)
    code = dealt(user, item, moment, SplitConfig(kind="random", test=0.2), 17)
    starts = np.cumsum([0, 30, 29, 9])
    for start, tested, validated, count in zip(starts, (6, 5, 1, 5), (3, 2, 0, 2), (30, 29, 9, 25), strict=True):
        of_user = code[start : start + count]
        assert [(of_user == split).sum() for split in (TEST, EVAL, TRAIN)] == [tested, validated, count - tested - validated]


def test_it_depends_on_neither_the_order_nor_who_else_is_there() -> None:
    user, item, moment = log(40, 50, 60)
    code = dealt(user, item, moment, SPLIT, 17)
    order = np.random.default_rng(0).permutation(150)
    np.testing.assert_array_equal(dealt(user[order], item[order], moment[order], SPLIT, 17), code[order])
    np.testing.assert_array_equal(dealt(user[40:90], item[40:90], moment[40:90], SPLIT, 17), code[40:90])


def test_it_is_a_matter_of_chance() -> None:
    """Neither the place in time nor the item decides, and another seed deals anew."""
    user, item, moment = log(*[100] * 400)
    code = dealt(user, item, moment, SPLIT, 17)
    by_item = np.bincount(item[code == TEST], minlength=100)
    assert by_item.sum() == 4_000
    assert by_item.min() > 15  # of 400, each with 0.1: mean 40, standard deviation 6
    assert by_item.max() < 65
    other = dealt(user, item, moment, SPLIT, 18)
    assert ((code == TEST) & (other == TEST)).sum() < 600  # by chance, 400


def test_the_samples_of_a_random_split(make: Callable) -> None:
    """Held out events are in no history and no negative's frequency; each item is told from all others that are learnt from."""
    start = 1_704_067_200
    columns = {"user_id": "user", "item_id": "item", "timestamp": "time"}
    events = {"path": "events.parquet", "format": "parquet", "columns": columns}
    settings = {
        "dataset": {"events": events, "tasks": {"have": {}}},
        "samples": {"split": {"kind": "random"}, "history_length": 30, "negatives": 2, "negative_power": 1.0},
    }
    log = [
        {"user": f"u{user}", "item": f"i{(user + n) % 25:02}", "time": start + 60 * n} for user in range(8) for n in range(20)
    ]
    made = make(settings, events=log)
    items = [row["item_id"] for row in made.catalogue["items"]]
    counts = np.ones(len(items))
    for user in (f"u{n}" for n in range(8)):
        split = {name: [row for row in made.split(name) if row["user_id"] == [user]] for name in ("train", "eval", "test")}
        assert [len(split[name]) for name in ("train", "eval", "test")] == [16, 2, 2]
        learnt = [row["item_id"][0] for row in split["train"]]
        for row in (*split["eval"], *split["test"]):
            assert sorted(row["history_item_id"]) == sorted(learnt)
            assert row["timestamp_ms"] == [(start + 60 * 19) * 1000 + 1]
        for row in split["train"]:
            assert sorted([*row["history_item_id"], *row["item_id"]]) == sorted(learnt)
            assert len(row["history_age_s"]) == len(row["history_value"]) == 15
        assert sorted(items[row["item_index"]] for row in made.interactions if row["user_id"] == user) == sorted(learnt)
        np.add.at(counts, [items.index(item) for item in learnt], 1)
        users = np.array([user], object)
        for name, before in (("eval", ("train",)), ("test", ("train", "eval"))):
            moments = np.array(split[name][0]["timestamp_ms"])
            seen = seen_by_samples(made.folder / "log", pa.array(items), made.config, users, moments, name)
            assert sorted(items[row] for row in seen[0] if row >= 0) == sorted(
                row["item_id"][0] for other in before for row in split[other]
            )
        (state,) = (row for row in made.states if row["user_id"] == user)
        assert len(state["seen_item_id"]) == 20
    np.testing.assert_allclose(made.plan.negative_cdf, np.cumsum(counts / counts.sum()))


def test_too_few_events_are_refused(make: Callable) -> None:
    columns = {"user_id": "user", "item_id": "item", "timestamp": "time"}
    events = {"path": "events.parquet", "format": "parquet", "columns": columns}
    settings = {"dataset": {"events": events, "tasks": {"have": {}}}, "samples": {"split": {"kind": "random"}}}
    log = [{"user": "u", "item": f"i{n}", "time": 1_704_067_200 + n} for n in range(9)]
    with pytest.raises(DataError, match=r"a split is empty: .* the most that any of 1 users has is 9; wanted more events"):
        make(settings, events=log)
