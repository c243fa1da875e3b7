"""What the gateway writes into the event stream of a request and of an event."""

import json

import numpy as np
import pytest

from components.config import PipelineConfig, parse_config
from serving.gateway.api import Event, Recommended, RecommendReply, RecommendRequest
from serving.gateway.logged import event_record, shown_record
from serving.records import EventRecord, ShownRecord, parse_record

NOW_MS = 1_800_000_000_000
REPLY = RecommendReply(
    request_id="r1",
    release=4,
    items=[
        Recommended(rank=1, item_id="a", title="An item", score=0.5, tasks={"click": 0.25}, sources=("popular", "fresh")),
        Recommended(rank=2, item_id="b", title="Another", score=None, tasks={}, sources=("two_tower",)),
    ],
    experiments={"diverse": "more"},
    fallbacks=["ranker: the order of recall"],
    timings_ms={"total": 3.0},
)


def config(**samples: str) -> PipelineConfig:
    columns = {"user_id": "u", "item_id": "i", "timestamp": "t", "type": "k", "request_id": "r"}
    events = {"path": "x.csv", "columns": columns, "context": {"device": {"column": "d"}, "shop": {"column": "s"}}}
    raw = {"name": "shop", "dataset": {"events": events, "tasks": {"click": {"event": "click"}}}, "samples": samples}
    return parse_config(json.dumps(raw), origin="test")


def test_a_shown_list_says_how_it_came_about() -> None:
    inputs = {
        "user_id": np.array(["ann"], object),
        "history_item_id": np.array([["x", "y"]], object),
        "history_age_s": np.array([[0.1, 12345.678]], np.float32),
        "context_hour": np.array([7], np.int64),
    }
    request = RecommendRequest(user_id="ann", context={"device": "phone", "unheard of": "x"})
    record = shown_record(request, REPLY, inputs, config(impressions="seen"), NOW_MS)
    assert record == {
        "kind": "shown", "request_id": "r1", "user_id": "ann", "type": "seen", "timestamp_ms": NOW_MS,
        "received_ms": NOW_MS, "release": 4,
        "context": {"device": "phone", "shop": None},
        "places": (
            {"position": 1, "item_id": "a", "score": 0.5, "propensity": 1.0, "tasks": {"click": 0.25},
             "sources": ("popular", "fresh")},
            {"position": 2, "item_id": "b", "score": None, "propensity": 1.0, "tasks": {}, "sources": ("two_tower",)},
        ),
        "experiments": {"diverse": "more"}, "fallbacks": ("ranker: the order of recall",),
        "features": {
            "user_id": ["ann"], "history_item_id": [["x", "y"]], "history_age_s": [[0.1, 12345.678]], "context_hour": [7],
        },
    }  # fmt: skip


def test_a_list_as_of_the_past_is_logged_then_and_received_now() -> None:
    then_ms = NOW_MS - 86_400_000
    request = RecommendRequest(user_id="ann", timestamp_ms=then_ms)
    record = parse_record(json.dumps(shown_record(request, REPLY, {}, config(), NOW_MS)))
    assert (record.timestamp_ms, record.received_ms) == (then_ms, NOW_MS)


@pytest.mark.parametrize("user", ["ann", None])
def test_what_is_sent_can_be_read(user: str | None) -> None:
    inputs = {"age": np.array([np.nan], np.float32)}
    sent = shown_record(RecommendRequest(user_id=user), REPLY, inputs, config(), NOW_MS)
    read = parse_record(json.dumps(sent))
    assert isinstance(read, ShownRecord)
    assert (read.user_id, read.type, read.places[1].sources) == (user, "impression", ("two_tower",))
    assert np.isnan(read.features["age"][0])


def test_an_event_is_logged_as_it_was_sent() -> None:
    event = Event(
        event_id="e", user_id="ann", item_id="a", type="click", timestamp_ms=NOW_MS - 5, value=1.5, request_id="r1",
        position=2, context={"shop": "north"},
    )  # fmt: skip
    record = parse_record(json.dumps(event_record(event, config(), NOW_MS)))
    assert isinstance(record, EventRecord)
    assert record.model_dump() == {
        "kind": "event", "event_id": "e", "user_id": "ann", "item_id": "a", "type": "click", "value": 1.5,
        "timestamp_ms": NOW_MS - 5, "received_ms": NOW_MS, "request_id": "r1", "position": 2,
        "context": {"device": None, "shop": "north"},
    }  # fmt: skip
