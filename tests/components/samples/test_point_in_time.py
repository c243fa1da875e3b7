"""Every sample against a slow reference that looks at one event at a time and only at what came before it."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

Row = dict[str, Any]

START = 1_704_067_200  # Monday, 2024-01-01 00:00:00 UTC
TYPES = ("buy", "view")
LENGTH = 5
WINDOW_S = 600

DATASET: Row = {
    "events": {
        "path": "events.parquet",
        "format": "parquet",
        "timestamp_unit": "ms",
        "columns": {
            "user_id": "user",
            "item_id": "item",
            "timestamp": "ms",
            "type": "kind",
            "value": "score",
            "request_id": "request",
            "position": "slot",
            "propensity": "chance",
        },
        "context": {"device": {"column": "device"}},
    },
    "items": {
        "path": "items.parquet",
        "format": "parquet",
        "id": "item",
        "created": "since",
        "features": {
            "price": {"column": "price", "kind": "number"},
            "tags": {"column": "tags", "kind": "multi_valued"},
            "brand": {"column": "brand", "kind": "categorical"},
            "released": {"column": "since", "kind": "timestamp"},
        },
    },
    "users": {
        "path": "users.parquet",
        "format": "parquet",
        "id": "user",
        "features": {
            "plan": {"column": "plan", "kind": "categorical"},
            "age": {"column": "age", "kind": "number"},
            "joined": {"column": "joined", "kind": "timestamp"},
        },
    },
}
ITEMS = [
    {
        "item": f"i{n}",
        "price": None if n % 4 == 0 else n + 0.5,
        "tags": None if n == 1 else [f"t{n % 3}", "all"],
        "brand": None if n == 2 else f"b{n % 2}",
        "since": None if n == 3 else START - n * 86_400,
    }
    for n in range(9)
]
USERS = [
    {"user": f"u{n}", "plan": ["free", None][n % 2], "age": [None, 30.0][n % 2], "joined": [START - n * 3600, None][n % 3 == 0]}
    for n in range(10)
]
SAMPLES = {"history_length": LENGTH, "negatives": 3, "outcome_window_s": WINDOW_S}
DRAWN = {
    "dataset": {
        **DATASET,
        "tasks": {
            "interact": {},
            "buy": {"event": "buy"},
            "like": {"when": "value >= 4"},
            "big_buy": {"event": "buy", "when": "value > 3"},
            "score": {"kind": "regression"},
        },
    },
    "samples": SAMPLES,
}
SHOWN = {
    "dataset": {
        **DATASET,
        "tasks": {
            "view": {"event": "view"},
            "buy": {"event": "buy"},
            "big_buy": {"event": "buy", "when": "value >= 3"},
            "paid": {"event": "buy", "kind": "regression"},
        },
    },
    "samples": {**SAMPLES, "impressions": "shown"},
}


def random_log(seed: int, count: int) -> list[Row]:
    """Events of 12 users, of whom the user table knows 10, on a coarse clock: many fall on one moment."""
    rng = random.Random(seed)
    return [
        {
            "user": f"u{rng.randrange(12)}",
            "item": f"i{rng.randrange(10)}",
            "ms": START * 1000 + rng.randrange(2000) * 500_000,
            "kind": rng.choice(TYPES),
            "score": rng.choice([None, 1.0, 3.0, 4.0, 5.0]),
            "request": None,
            "slot": None,
            "chance": None,
            "device": rng.choice(["ios", "web", None]),
        }
        for _ in range(count)
    ]


def random_requests(seed: int, count: int) -> list[Row]:
    """Lists of 4 items that were shown, and what came of them: in time, too late, twice, or by another request."""
    rng = random.Random(seed)
    rows: list[Row] = []
    for number in range(count):
        moment = START * 1000 + rng.randrange(10**9)
        # Request ids are counted anew for each user, so that the same ids occur with different users.
        shown: Row = {
            "user": f"u{number % 12}",
            "request": f"r{number // 12}",
            "score": None,
            "device": rng.choice(["ios", None]),
        }
        for slot, item in enumerate(rng.sample(range(10), 4)):
            shown |= {"item": f"i{item}", "kind": "shown", "slot": slot, "chance": rng.choice([None, 0.25, 0.5]), "ms": moment}
            rows.append(dict(shown))
            for kind in TYPES:
                for _ in range(rng.choice([0, 0, 0, 1, 2])):
                    delay_ms = rng.choice([-1000, 0, 1, 60_000, WINDOW_S * 1000, WINDOW_S * 1000 + 1])
                    request = rng.choice([shown["request"]] * 4 + [None, "other"])
                    outcome = {"kind": kind, "ms": moment + delay_ms, "request": request, "slot": None, "chance": None}
                    rows.append({**shown, **outcome, "score": rng.choice([None, 2.0, 3.0, 4.0])})
    return rows


def before(events: list[Row], row: Row) -> list[Row]:
    """The user's history as of the row: most recent first, and of one moment the one that the log has last first."""
    own = [each for each in events if each["user_id"] == row["user_id"] and each["type"] in TYPES]
    return [each for each in own if each["timestamp_ms"] < row["timestamp_ms"]][::-1]


def outcome(events: list[Row], row: Row, kind: str) -> Row | None:
    """The first event of the kind, of the same user, request and item, from the impression on and within the window."""
    if row["request_id"] is None:
        return None
    same = ("user_id", "request_id", "item_id")
    for each in events:
        delay_ms = each["timestamp_ms"] - row["timestamp_ms"]
        alike = each["type"] == kind and all(each[name] == row[name] for name in same)
        if alike and 0 <= delay_ms <= WINDOW_S * 1000:
            return each
    return None


def drawn_labels(row: Row) -> Row:
    """Labels and weights of a sample that is an event; each task's label has 3 more zeros where negatives count."""
    bought, value = row["type"] == "buy", row["value"]
    return {
        "label_interact": [1.0, 0.0, 0.0, 0.0],
        "label_buy": [float(bought), 0.0, 0.0, 0.0],
        "label_like": [float(value is not None and value >= 4)],
        "weight_like": [float(value is not None)],
        "label_big_buy": [float(bought and value is not None and value > 3)],
        "weight_big_buy": [float(not bought or value is not None)],
        "label_score": [value or 0.0],
        "weight_score": [float(value is not None)],
    }


def shown_labels(events: list[Row], row: Row) -> Row:
    view, buy = outcome(events, row, "view"), outcome(events, row, "buy")
    paid = buy["value"] if buy else None
    return {
        "label_view": [float(view is not None)],
        "label_buy": [float(buy is not None)],
        "label_big_buy": [float(paid is not None and paid >= 3)],
        "weight_big_buy": [float(buy is None or paid is not None)],
        "label_paid": [paid or 0.0],
        "weight_paid": [float(paid is not None)],
        "position": [row["position"] or 0],
        "propensity": [row["propensity"] or 1.0],
    }


def reference(made: Any, sampled: str | None) -> list[Row]:
    """What the samples have to be; ``sampled`` is the event type that becomes samples, None: all of the history."""
    events = sorted(made.events, key=lambda row: row["timestamp_ms"])
    items = {row["item_id"]: row for row in made.catalogue["items"]}
    users = {row["user_id"]: row for row in made.catalogue["users"]}
    rows = [row for row in events if row["type"] == sampled or (sampled is None and row["type"] in TYPES)]
    moments = [row["timestamp_ms"] for row in rows]  # ascending
    eval_from, test_from = moments[len(rows) * 8 // 10], moments[len(rows) * 9 // 10]
    found = []
    for row in rows:
        past, moment = before(events, row), row["timestamp_ms"]
        item, user = items[row["item_id"]], users[row["user_id"]]
        history = past[:LENGTH]
        known = {
            "user_id": [row["user_id"]],
            "timestamp_ms": [moment],
            "plan": [user["plan"] or ""],
            "age": [] if user["age"] is None else [user["age"]],
            "joined": [] if user["joined"] is None else [(moment - user["joined"]) / 86_400_000],  # an age at the request
            "context_hour": [(moment // 1000 - START) // 3600 % 24],
            "context_weekday": [(moment // 1000 - START) // 86_400 % 7],  # START is a Monday
            "context_device": [row["context_device"] or ""],
            "history_item_id": [each["item_id"] for each in history],
            "history_age_s": [(moment - each["timestamp_ms"]) / 1000 for each in history],
            "history_value": [each["value"] or 0.0 for each in history],
            "user_count_buy": [float(sum(each["type"] == "buy" for each in past))],
            "user_count_view": [float(sum(each["type"] == "view" for each in past))],
            "user_idle_s": [(moment - past[0]["timestamp_ms"]) / 1000 if past else -1.0],
            "item_id": [row["item_id"]],
            "price": [] if item["price"] is None else [item["price"]],
            "tags": item["tags"] or [],
            "brand": [item["brand"] or ""],
            "released": [] if item["released"] is None else [item["released"] / 86_400_000],  # a moment
            "split": "test" if moment >= test_from else "eval" if moment >= eval_from else "train",
        }
        weights = {f"weight_{name}": [1.0] for name in made.config.dataset.tasks}
        labels = drawn_labels(row) if sampled is None else shown_labels(events, row)
        found.append({**known, **weights, **labels})
    return found


def place(row: Row) -> tuple[Any, ...]:
    """To put both sides into one order; label and history take part, since a user can have two events of one moment."""
    return (
        row["timestamp_ms"][0],
        row["user_id"][0],
        row["item_id"][0],
        str(sorted((k, v) for k, v in row.items() if "lab" in k)),
    )


def assert_same(found: list[Row], wanted: list[Row]) -> None:
    assert len(found) == len(wanted)
    for ours, theirs in zip(sorted(found, key=place), sorted(wanted, key=place), strict=True):
        assert set(ours) - {"negative_item_id", "negative_prob", "window"} == set(theirs)
        for name, value in theirs.items():
            assert ours[name] == (pytest.approx(value, rel=1e-6) if value and isinstance(value[0], float) else value), name


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_events_with_drawn_negatives(make: Callable, seed: int) -> None:
    made = make(DRAWN, events=random_log(seed, 300), items=ITEMS, users=USERS)
    wanted = reference(made, sampled=None)
    assert_same(made.all, wanted)
    splits = [row["split"] for row in wanted]
    assert min(splits.count(name) for name in ("train", "eval", "test")) > 20
    assert max(len(row["history_item_id"]) for row in wanted) == LENGTH


@pytest.mark.parametrize("seed", [4, 5, 6])
def test_impressions_with_joined_outcomes(make: Callable, seed: int) -> None:
    made = make(SHOWN, events=random_requests(seed, 80), items=ITEMS, users=USERS)
    wanted = reference(made, sampled="shown")
    assert_same(made.all, wanted)
    assert 0.05 < sum(row["label_buy"][0] for row in wanted) / len(wanted) < 0.95


def test_the_future_changes_nothing(make: Callable) -> None:
    """Samples of a log that ends early are those of the whole log up to there, but for split and windows."""
    events = random_log(7, 300)
    middle = sorted(row["ms"] for row in events)[150]
    cut = [row for row in events if row["ms"] < middle]

    def features(made: Any) -> list[Row]:
        later = {"split", "window", "negative_item_id", "negative_prob"}
        rows = sorted((row for row in made.all if row["timestamp_ms"][0] < middle), key=place)
        return [{name: value for name, value in row.items() if name not in later} for row in rows]

    whole, early = make(DRAWN, events=events, items=ITEMS, users=USERS), make(DRAWN, events=cut, items=ITEMS, users=USERS)
    assert features(whole) == features(early)


def test_one_request_by_hand(make: Callable) -> None:
    """A list of two, a late view of the first, two purchases of the second of which the earlier counts."""
    shown = {"user": "u0", "request": "r0", "score": None, "device": "ios", "chance": None, "ms": START * 1000}
    events = [
        {**shown, "item": "i0", "kind": "shown", "slot": 0},
        {**shown, "item": "i1", "kind": "shown", "slot": 1},
        {**shown, "item": "i0", "kind": "view", "slot": None, "ms": START * 1000 + WINDOW_S * 1000 + 1},
        {**shown, "item": "i1", "kind": "buy", "slot": None, "ms": START * 1000 + 10_000, "score": 7.0},
        {**shown, "item": "i1", "kind": "buy", "slot": None, "ms": START * 1000 + 20_000, "score": 9.0},
        # another user has a request of the same id, in which i0 was bought
        {**shown, "user": "u1", "item": "i0", "kind": "buy", "slot": None, "ms": START * 1000 + 1, "score": 5.0},
    ]
    # Later lists, so that there is something to validate and to test on; the first of them sees what came before.
    for n in range(1, 10):
        later = {"item": "i2", "kind": "shown", "slot": 0, "ms": START * 1000 + 10**6 * n, "request": f"n{n}"}
        events.append({**shown, **later})
    made = make(SHOWN, events=events, items=ITEMS, users=USERS)
    rows = {(row["item_id"][0], row["timestamp_ms"][0]): row for row in made.all}
    first, second = rows["i0", START * 1000], rows["i1", START * 1000]
    assert (first["label_view"], first["label_buy"], first["position"]) == ([0.0], [0.0], [0])
    assert (second["label_buy"], second["label_paid"], second["position"]) == ([1.0], [7.0], [1])
    assert first["history_item_id"] == second["history_item_id"] == []
    next_list = rows["i2", START * 1000 + 10**6]
    # 1000 s on: the view of i0 at 600.001 s, then the purchases of i1 at 20 s and 10 s.
    assert next_list["history_item_id"] == ["i0", "i1", "i1"]
    assert next_list["history_age_s"] == pytest.approx([399.999, 980.0, 990.0])
    assert next_list["history_value"] == [0.0, 9.0, 7.0]
    assert (next_list["user_count_buy"], next_list["user_count_view"]) == ([2.0], [1.0])


def regular_log(lengths: dict[str, int]) -> list[Row]:
    """Views of each user, a minute apart, of items in turn, and one late event of a bystander for the splits."""
    views = [
        {"user": user, "item": f"i{number % 10}", "ms": (START + 60 * number) * 1000, "kind": "view", "score": 1.0}
        for user, length in lengths.items()
        for number in range(length)
    ]
    others = [
        {"user": "u9", "item": "i0", "ms": (START + 100_000 + n) * 1000, "kind": TYPES[n % 2], "score": 1.0} for n in range(40)
    ]
    return [{**row, "request": "r", "slot": 1, "chance": None, "device": "ios"} for row in (*views, *others)]


def learnt_from(row: Row) -> list[str]:
    items = (*row["item_id"], *row["history_item_id"])
    assert len(row["window"]) in (1, len(items))
    return [item for item, wanted in zip(items, row["window"], strict=False) if wanted]


def test_windows_teach_the_positives_among_other_events(make: Callable) -> None:
    """Purchases between views: the last few are more than a history back, and two come at one moment."""
    bought = {0, 1, 2 * LENGTH, 3 * LENGTH, 3 * LENGTH + 1}
    log = regular_log({"u0": 3 * LENGTH + 2})
    for number, row in enumerate(log[: 3 * LENGTH + 2]):
        row["item"] = f"i{number}"
        row["kind"] = "buy" if number in bought else "view"
    log[3 * LENGTH + 1]["ms"] = log[3 * LENGTH]["ms"]
    items = [{**ITEMS[1], "item": f"i{number}"} for number in range(3 * LENGTH + 2)]
    dataset = {**DRAWN["dataset"], "tasks": {"buy": {"event": "buy"}}}
    made = make({**DRAWN, "dataset": dataset, "samples": SAMPLES}, events=log, items=items, users=USERS)
    learnt = [item for row in made.split("train") if row["user_id"] == ["u0"] for item in learnt_from(row)]
    assert sorted(learnt) == sorted(f"i{number}" for number in bought)


@pytest.mark.parametrize("dataset", [DRAWN, SHOWN])
@pytest.mark.parametrize("seed", range(4))
def test_windows_teach_each_positive_once(make: Callable, dataset: Row, seed: int) -> None:
    """On a coarse clock, where many come at one moment; where impressions were logged, however late what came of them came."""
    events = random_requests(seed, 150) if dataset is SHOWN else random_log(seed, 400)
    made = make(dataset, events=events, items=ITEMS, users=USERS)
    train = made.split("train")
    task = next(iter(dataset["dataset"]["tasks"]))
    wanted = Counter((row["user_id"][0], row["item_id"][0]) for row in train if row[f"label_{task}"][0] > 0)
    learnt = Counter((row["user_id"][0], item) for row in train for item in learnt_from(row))
    assert learnt == wanted
    assert sum(row["window"].count(1) > 1 for row in train) > 5, "hardly a history teaches anything"


@pytest.mark.parametrize("train_on", ["events", "windows"])
def test_windows_hold_each_training_event_once(make: Callable, train_on: str) -> None:
    lengths = {"u0": 1, "u1": LENGTH, "u2": LENGTH + 1, "u3": LENGTH + 2, "u4": 3 * (LENGTH + 1) + 1}
    samples = {**SAMPLES, "train_on": train_on}
    made = make({**DRAWN, "samples": samples}, events=regular_log(lengths), items=ITEMS, users=USERS)
    train = [row for row in made.split("train") if row["user_id"][0] in lengths]
    ends = [row for row in train if row["window"][0] == 1]
    assert len(train) == (len(ends) if train_on == "windows" else sum(lengths.values()))
    for user, length in lengths.items():
        held = [item for row in ends if row["user_id"] == [user] for item in learnt_from(row)]
        assert sorted(held) == sorted(f"i{number % 10}" for number in range(length))
    assert sum(row["user_id"] in lengths for row in made.interactions) == sum(lengths.values())
