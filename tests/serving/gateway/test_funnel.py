"""Lists of the release of seven, without a model and without a store; where one is needed, with answers by hand or a Valkey."""

import dataclasses
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from serving.embedded_store import embedded_store
from serving.gateway.api import RecommendReply, RecommendRequest
from serving.gateway.funnel import Funnel
from serving.gateway.keyed_rows import KeyedRows
from serving.gateway.release import Release
from serving.gateway.settings import GatewaySettings
from serving.inference import ModelClient
from serving.state_store import StateStore, StoredEvent, StoreLimits


@pytest.fixture
def funnel(release: Release) -> Iterator[Funnel]:
    store = StateStore("redis://127.0.0.1:1/0", release.form.types, StoreLimits(), timeout_s=0.2)
    with ModelClient("127.0.0.1:1") as models:
        yield Funnel(release, models, store, GatewaySettings())
    store.close()


def about_candidates(reply: RecommendReply) -> list[str]:
    return [each for each in reply.fallbacks if each.startswith("candidates")]


def test_given_candidates_that_cannot_be_shown_are_counted(funnel: Funnel) -> None:
    """Of five, one is unknown, one was excluded, and one was had in this session."""
    session = [{"item_id": "i4", "type": "event", "timestamp_ms": 1_600_000_000_000}]
    request = {"candidates": ["i0", "i1", "i0", "nope", "i3", "i4"], "exclude": ["i3", "i6"], "events": session}
    reply, _ = funnel.recommend(RecommendRequest.model_validate(request), 1_600_000_001_000, time.monotonic())
    assert {item.item_id for item in reply.items} == {"i0", "i1"}
    assert about_candidates(reply) == ["candidates: left out 3 of 5 that are unknown, had or excluded"]


def test_nothing_is_said_where_all_candidates_are_shown_or_none_were_given(funnel: Funnel) -> None:
    for request in ({"candidates": ["i0", "i1"]}, {"exclude": ["i0"]}):
        reply, _ = funnel.recommend(RecommendRequest.model_validate(request), 1_600_000_001_000, time.monotonic())
        assert about_candidates(reply) == []


FULL, NOW_MS = [f"i{n}" for n in range(7)], 1_600_000_000_000
PATIENT = {"deadline_ms": 60_000, "budgets_ms": {"state": 20_000, "query_tower": 20_000, "ranker": 20_000}}


def listed(funnel: Funnel, waited_s: float = 0.0, **request: Any) -> RecommendReply:
    return funnel.recommend(RecommendRequest.model_validate(request), NOW_MS, time.monotonic() - waited_s)[0]


@pytest.mark.parametrize(
    ("request_body", "reason"),
    [
        ({"exclude": FULL}, "every item that fits was had or excluded"),
        ({"filters": [{"feature": "genre", "one_of": ["opera"]}]}, "no item fits the filters"),
        (
            {"filters": [{"feature": "words", "one_of": ["star"]}], "exclude": ["i3"]},
            "every item that fits was had or excluded",
        ),
        ({"candidates": ["i3"], "exclude": ["i3"]}, "every candidate that fits was had or excluded"),
        ({"candidates": ["i2"], "filters": [{"feature": "words", "one_of": ["star"]}]}, "no candidate fits the filters"),
        ({"candidates": ["nope"]}, "no candidate may be shown"),
    ],
)
def test_a_list_of_nothing_says_why(funnel: Funnel, request_body: dict[str, Any], reason: str) -> None:
    reply = listed(funnel, **request_body)
    assert reply.items == []
    assert [each for each in reply.fallbacks if each.startswith("empty list")] == [f"empty list: {reason}"]


def test_a_list_of_something_is_not_said_to_be_empty(funnel: Funnel) -> None:
    reply = listed(funnel, exclude=FULL[1:])
    assert [item.item_id for item in reply.items] == ["i0"]
    assert not [each for each in reply.fallbacks if each.startswith("empty list")]


class Answering(ModelClient):
    """Needs no server. Args: embedding: of the query tower; score: of each item that the ranker is asked about."""

    def __init__(self, embedding: list[float], score: float, click: float) -> None:
        super().__init__("127.0.0.1:1")
        self._embedding, self._scores = embedding, {"score": score, "click": click}

    def predict(self, model: str, inputs: Any, **_: Any) -> dict[str, Any]:
        if model == "retrieval":
            return {"embedding": np.array([self._embedding], np.float32)}
        count = inputs["item_id"].shape[1]
        return {name: np.array([[each] + [0.5] * (count - 1)], np.float32) for name, each in self._scores.items()}


@pytest.mark.parametrize(
    ("embedding", "score", "click", "fallbacks"),
    [
        ([1.0, 0.0], 0.9, 0.1, []),
        ([1.0, 0.0], np.nan, 0.1, ["ranker: the order of recall"]),
        ([1.0, 0.0], np.inf, 0.1, ["ranker: the order of recall"]),
        ([1.0, 0.0], 0.9, -np.inf, ["ranker: the order of recall"]),
        ([np.nan, 0.0], 0.9, 0.1, ["query tower: recall without it"]),
    ],
)
def test_an_answer_that_is_no_number_counts_as_none(
    release: Release, embedding: list[float], score: float, click: float, fallbacks: list[str]
) -> None:
    store = StateStore("redis://127.0.0.1:1/0", release.form.types, StoreLimits(), timeout_s=0.2)
    with Answering(embedding, score, click) as models, closing(store):
        reply = listed(Funnel(release, models, store, GatewaySettings.model_validate(PATIENT)))
    assert len(reply.items) == 7
    assert reply.fallbacks == fallbacks
    assert (reply.items[0].score is None) == ("ranker: the order of recall" in fallbacks)


@pytest.fixture
def with_store(release: Release, tmp_path: Path) -> Iterator[tuple[Funnel, StateStore]]:
    """A funnel whose release has seen ann with i1 and i2, both from elsewhere, and bob with i1."""
    states = pa.table(
        {
            "user_id": ["ann", "bob"],
            "item_id": [["i1", "i2"], ["i1"]],
            "timestamp_ms": [[100, 200], [100]],
            "value": pa.array([[1.0, 2.0], [1.0]], pa.list_(pa.float32())),
            "type": pa.array([[0, 0], [0]], pa.list_(pa.int16())),
            "user_count_event": [2, 1],
            "seen_item_id": [["i1", "i2"], ["i1"]],
        }
    )
    release = dataclasses.replace(release, states=KeyedRows.of(states, "user_id"))
    with embedded_store(tmp_path / "store") as url, ModelClient("127.0.0.1:1") as models:
        store = StateStore(url, release.form.types, StoreLimits(), timeout_s=20)
        yield Funnel(release, models, store, GatewaySettings.model_validate(PATIENT)), store
        store.close()


STATE = "state store: the release's snapshot of the user"


def test_the_store_is_asked_only_where_its_whole_budget_is_left(with_store: tuple[Funnel, StateStore]) -> None:
    """Of 60 s 45 are gone: 15 s are left, and the store may take 20."""
    funnel, store = with_store
    store.fold("cid", [StoredEvent("e", "i5", 300, None, "event")])
    asked, not_asked = listed(funnel, user_id="cid"), listed(funnel, waited_s=45.0, user_id="cid")
    assert STATE not in asked.fallbacks
    assert "i5" not in {item.item_id for item in asked.items}
    assert STATE in not_asked.fallbacks
    assert "i5" in {item.item_id for item in not_asked.items}


def test_what_a_newer_release_knows_of_a_user_is_added_to_the_live_state(with_store: tuple[Funnel, StateStore]) -> None:
    """Ann's state began before the release: of i1 the gateway was told, of i2 it never was, and of i5 the log not yet."""
    funnel, store = with_store
    store.fold("ann", [StoredEvent("e1", "i1", 100, 1.0, "event"), StoredEvent("e5", "i5", 300, None, "event")])
    reply, inputs = funnel.recommend(RecommendRequest(user_id="ann"), NOW_MS, time.monotonic())
    assert {item.item_id for item in reply.items} == {"i0", "i3", "i4", "i6"}
    assert inputs["history_item_id"].tolist() == [["i5", "i2", "i1"]]
    assert inputs["user_count_event"].tolist() == [3.0]
