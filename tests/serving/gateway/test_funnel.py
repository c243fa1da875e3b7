"""Lists of the release of seven, without a model and without a store."""

import time
from collections.abc import Iterator

import pytest

from serving.gateway.api import RecommendReply, RecommendRequest
from serving.gateway.funnel import Funnel
from serving.gateway.release import Release
from serving.gateway.settings import GatewaySettings
from serving.inference import ModelClient
from serving.state_store import StateStore, StoreLimits


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
