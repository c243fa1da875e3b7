"""Splits, negatives, kept impressions, files on disk and the snapshot that serving starts from."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_transform.tf_metadata import schema_utils

from components.features.user import UserPast
from components.samples.beam import TFRECORD, make_samples
from components.schema.samples import feature_spec
from components.schema.tfmd import schema_proto

Row = dict[str, Any]

START = 1_704_067_200  # 2024-01-01
COLUMNS = {"user_id": "user", "item_id": "item", "timestamp": "time", "type": "kind", "value": "score"}
TASKS: Row = {"interact": {}, "like": {"when": "value >= 4"}}


def settings(samples: Row, tasks: Row = TASKS, columns: Row | None = None) -> Row:
    events = {"path": "events.parquet", "format": "parquet", "columns": {**COLUMNS, **(columns or {})}}
    return {"dataset": {"events": events, "tasks": tasks}, "samples": samples}


def some_events(count: int, users: int = 7, items: int = 5, seed: int = 0) -> list[Row]:
    """An event every ten seconds; item i0 is the most popular, then i1, and so on."""
    rng = np.random.default_rng(seed)
    popular = 1 / np.arange(1, items + 1)
    return [
        {
            "user": f"u{rng.integers(users)}",
            "item": f"i{rng.choice(items, p=popular / popular.sum())}",
            "time": START + 10 * place,
            "kind": ["view", "buy"][rng.integers(2)],
            "score": float(rng.integers(1, 6)),
        }
        for place in range(count)
    ]


def users_of(rows: list[Row]) -> Counter[str]:
    return Counter(row["user_id"][0] for row in rows)


def test_the_last_shares_of_the_events_are_validation_and_test(make: Callable) -> None:
    made = make(settings({"split": {"eval": 0.2, "test": 0.1}}), events=some_events(100))
    # 100 events at 10 s each: training ends with the 70th, test begins with the 91st.
    moments = {name: [row["timestamp_ms"][0] // 1000 - START for row in made.split(name)] for name in ("train", "eval", "test")}
    assert sorted(moments["train"]) == list(range(0, 700, 10))
    assert sorted(moments["eval"]) == list(range(700, 900, 10))
    assert sorted(moments["test"]) == list(range(900, 1000, 10))
    assert (made.plan.eval_from_ms, made.plan.test_from_ms) == ((START + 700) * 1000, (START + 900) * 1000)


def test_events_of_one_moment_stay_in_one_split(make: Callable) -> None:
    """80 % of 10 events is 8, but events 7 to 9 are of one moment: the split begins with the first of them."""
    events = some_events(20)
    for row in events[12:18]:
        row["time"] = START + 120
    made = make(settings({}), events=events)
    assert made.plan.eval_from_ms == (START + 120) * 1000
    assert (len(made.split("train")), len(made.split("eval")), len(made.split("test"))) == (12, 6, 2)


def test_leave_last_out(make: Callable) -> None:
    events = [row for row in some_events(60) if row["user"] not in ("u5", "u6")]
    events += [{**events[0], "user": "two", "time": START + 10_000 + n} for n in range(2)]
    made = make(settings({"split": {"kind": "leave_last_out"}}), events=events)
    by_user: dict[str, list[int]] = {}
    for row in events:
        by_user.setdefault(row["user"], []).append(row["time"] * 1000)
    for number, name in ((-1, "test"), (-2, "eval")):
        wanted = {user: sorted(moments)[number] for user, moments in by_user.items() if len(moments) >= 3}
        assert {row["user_id"][0]: row["timestamp_ms"][0] for row in made.split(name)} == wanted
    # Who has fewer than three events is only learnt from.
    assert users_of(made.split("train")) == {user: max(len(each) - 2, 2) if user == "two" else len(each) - 2
                                             for user, each in by_user.items()}  # fmt: skip


@pytest.mark.parametrize("power", [0.0, 0.75, 1.0])
def test_negatives_are_drawn_by_popularity_in_training(make: Callable, power: float) -> None:
    made = make(settings({"negatives": 20, "negative_power": power}), events=some_events(1000))
    counts = Counter(row["item_id"] for row in made.events if row["timestamp_ms"] < made.plan.eval_from_ms)
    # One is added to each count, so that items without an event can be drawn as well.
    weights = {row["item_id"]: (counts[row["item_id"]] + 1) ** power for row in made.catalogue["items"]}
    share = {item: weight / sum(weights.values()) for item, weight in weights.items()}
    drawn: Counter[str] = Counter()
    for row in made.all:
        assert len(row["negative_item_id"]) == len(row["negative_prob"]) == 20
        assert row["negative_prob"] == pytest.approx([share[item] for item in row["negative_item_id"]], rel=1e-5)
        assert row["label_interact"] == [1.0] + [0.0] * 20
        drawn.update(row["negative_item_id"])
    assert drawn.total() == 20_000
    for item, wanted in share.items():
        # Five standard deviations of a share of 20,000 draws.
        assert drawn[item] / 20_000 == pytest.approx(wanted, abs=5 * (wanted * (1 - wanted) / 20_000) ** 0.5)


def test_without_negatives_the_label_is_one_value(make: Callable) -> None:
    rows = make(settings({"negatives": 0}), events=some_events(30)).all
    assert all(row["label_interact"] == [1.0] and row["negative_item_id"] == [] for row in rows)


def test_history_types_make_the_samples(make: Callable) -> None:
    made = make(settings({"history_types": ["buy"]}), events=some_events(200))
    assert made.plan.types == ("buy",)
    assert len(made.all) == sum(row["type"] == "buy" for row in made.events)
    assert "user_count_view" not in made.all[0]


def impressions(count: int) -> list[Row]:
    """Single impressions, of which each fifth is clicked."""
    rows = []
    for place in range(count):
        shown = {"user": f"u{place % 11}", "item": f"i{place % 7}", "time": START + 10 * place, "request": f"r{place}"}
        rows.append({**shown, "kind": "shown", "score": None})
        if place % 5 == 0:
            rows.append({**shown, "kind": "click", "score": None, "time": shown["time"] + 1})
    return rows


def test_some_impressions_without_outcome_are_kept_with_a_weight(make: Callable) -> None:
    only = settings(
        {"impressions": "shown", "impression_keep_share": 0.25}, {"click": {"event": "click"}}, {"request_id": "request"}
    )
    made = make(only, events=impressions(4000))
    train = made.split("train")
    clicked, idle = ([row for row in train if row["label_click"][0] == label] for label in (1.0, 0.0))
    # Of 4000 impressions 3200 are for training, 640 of them clicked; of the other 2560 a quarter, 640, should be left,
    # give or take five times the square root of 2560 / 4 * 3 / 4, which is 110.
    assert len(clicked) == 640
    assert len(idle) == pytest.approx(640, abs=110)
    assert {row["weight_click"][0] for row in clicked} == {1.0}
    assert {row["weight_click"][0] for row in idle} == {4.0}
    # What is judged is whole.
    assert (len(made.split("eval")), len(made.split("test"))) == (400, 400)
    assert {row["weight_click"][0] for name in ("eval", "test") for row in made.split(name)} == {1.0}


def test_what_comes_after_a_click_needs_the_click(make: Callable) -> None:
    tasks = {"order": {"event": "order", "after": "click"}, "click": {"event": "click"}}
    rows = []
    for place, kinds in enumerate([(), ("click",), ("order",), ("click", "order")] * 3):
        shown = {"user": "u", "item": "i", "time": START + 10 * place, "request": f"r{place}", "score": None}
        rows += [{**shown, "kind": kind} for kind in ("shown", *kinds)]
    made = make(settings({"impressions": "shown"}, tasks, {"request_id": "request"}), events=rows)
    assert len(made.all) == 12
    assert Counter((row["label_click"][0], row["label_order"][0]) for row in made.all) == {(0, 0): 6, (1, 0): 3, (1, 1): 3}
    assert {row["weight_order"][0] for row in made.all} == {1.0}  # an impression without a click was observed too


def test_the_files_parse_with_the_schema(make: Callable) -> None:
    made = make(settings({}), events=some_events(80))
    schema = schema_proto(made.config, made.plan.types)
    parsers = schema_utils.schema_as_feature_spec(schema).feature_spec
    wanted = feature_spec(made.config, made.plan.types)
    assert set(parsers) == set(wanted)
    files = sorted(str(path) for path in (made.folder / "examples" / "Split-train").iterdir())
    records = list(tf.data.TFRecordDataset(files, compression_type=TFRECORD.compression_type).as_numpy_iterator())
    parsed = tf.io.parse_example(records, parsers)
    dtypes = {"string": tf.string, "float": tf.float32, "int64": tf.int64}
    for name, (dtype, single) in wanted.items():
        assert parsed[name].dtype == dtypes[dtype], name
        assert isinstance(parsed[name], tf.Tensor) is single, name
    assert parsed["item_id"].shape == (64, 1)  # 80 % of 80
    for record in records:
        assert set(tf.train.Example.FromString(record).features.feature) == set(wanted)


def test_an_unknown_number_is_missing_and_not_an_empty_list(make: Callable) -> None:
    """Statistics count an empty list as present, and would not see that a feature has no value at all."""
    items = {"path": "items.parquet", "format": "parquet", "id": "id", "features": {"price": {"column": "p", "kind": "number"}}}
    raw = settings({})
    raw["dataset"]["items"] = items
    made = make(raw, events=some_events(40, items=2), items=[{"id": "i0", "p": None}, {"id": "i1", "p": 2.5}])
    kinds = Counter()
    for path in (made.folder / "examples").rglob("*.gz"):
        for record in tf.data.TFRecordDataset(str(path), compression_type=TFRECORD.compression_type).as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            kinds[features["item_id"].bytes_list.value[0], features["price"].WhichOneof("kind")] += 1
    assert set(kinds) == {(b"i0", None), (b"i1", "float_list")}


def test_a_retry_writes_the_same_samples(make: Callable, tmp_path: Path) -> None:
    """In the same order, into files of the same names. (Their bytes may differ: a tf.Example is a map without order.)"""
    made = make(settings({}), events=some_events(200))
    with beam.Pipeline(argv=["--runner=FnApiRunner", "--direct_num_workers=2"]) as pipeline:
        log, catalogue = made.folder / "log", made.folder / "catalogue"
        make_samples(pipeline, made.config, made.plan, log, catalogue, tmp_path / "examples", tmp_path / "features")
    again = replace(made, folder=tmp_path)
    assert again.all == made.all
    names = [sorted(path.name for path in folder.rglob("*.gz")) for folder in (made.folder, tmp_path)]
    assert names[0] == names[1]
    assert (again.states, again.interactions) == (made.states, made.interactions)


def test_interactions_are_the_positives_of_training(make: Callable) -> None:
    made = make(settings({"positive": "like"}), events=some_events(200))
    index = {row["item_id"]: place for place, row in enumerate(made.catalogue["items"])}
    wanted = [
        (row["user_id"], index[row["item_id"]], row["timestamp_ms"])
        for row in made.events
        if row["timestamp_ms"] < made.plan.eval_from_ms and row["value"] >= 4
    ]
    assert sorted(tuple(row.values()) for row in made.interactions) == sorted(wanted)


def test_the_states_are_the_end_of_each_history(make: Callable) -> None:
    made = make(settings({"history_length": 4, "history_types": ["buy", "view"]}), events=some_events(100))
    states = {row["user_id"]: row for row in made.states}
    events = sorted(made.events, key=lambda row: row["timestamp_ms"])
    assert set(states) == {row["user_id"] for row in events}
    for user, state in states.items():
        own = [row for row in events if row["user_id"] == user]
        assert state["item_id"] == [row["item_id"] for row in own[-4:]]
        assert state["timestamp_ms"] == [row["timestamp_ms"] for row in own[-4:]]
        assert state["value"] == [row["value"] for row in own[-4:]]
        assert state["type"] == [["buy", "view"].index(row["type"]) for row in own[-4:]]
        assert state["user_count_buy"] == sum(row["type"] == "buy" for row in own)
        assert state["user_count_view"] == sum(row["type"] == "view" for row in own)


def test_a_state_gives_the_values_of_the_request_right_after_the_log(make: Callable) -> None:
    """What the online store is filled with, and what the batch says of the same moment, are the same features."""
    made = make(settings({"history_length": 4}), events=some_events(100))
    requests = {row["user_id"][0]: row for row in made.requests}
    now = made.plan.last_timestamp_ms + 1
    assert len(requests) == len(made.states)
    for state in made.states:
        kinds = np.array(state["type"], np.int16)
        counts = np.array([[state["user_count_buy"], state["user_count_view"]]])
        forgotten = counts - np.bincount(kinds, minlength=2)
        past = UserPast(np.zeros(len(kinds), np.int64), np.array(state["timestamp_ms"]), kinds, forgotten)
        values = past.as_of(np.zeros(1, np.int64), np.array([now]), 4)
        request = requests[state["user_id"]]
        assert request["timestamp_ms"] == [now]
        assert request["history_item_id"] == state["item_id"][::-1]
        assert request["history_age_s"] == pytest.approx([(now - moment) / 1000 for moment in state["timestamp_ms"][::-1]])
        assert [request["user_count_buy"][0], request["user_count_view"][0]] == values.event_counts[0].tolist()
        assert request["user_idle_s"] == pytest.approx(values.idle_s)
        assert request["item_id"] == [""]
