"""The page for Prometheus, read back by Prometheus' own parser."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from serving.event_stream import EventStream
from serving.gateway.access import requires
from serving.gateway.api import Event, Recommended, RecommendReply
from serving.gateway.doors import guarded_app
from serving.gateway.keys import Role
from serving.gateway.limits import Limits
from serving.gateway.metrics import GatewayState, Metrics

Samples = dict[tuple[str, ...], float]


def read(page: str) -> Samples:
    """Values by name and label values, in the order of the labels' names."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_replies_are_counted_by_fallback_and_timed_by_stage() -> None:
    metrics = Metrics()
    reply = {"request_id": "r", "release": 3, "items": []}
    metrics.recommended(RecommendReply(**reply, fallbacks=["ranker: the order of recall"], timings_ms={"ranking": 20.5}))
    fallbacks = ["rules: left 3 of 10 items", "rules: left 4 of 10 items"]
    metrics.recommended(RecommendReply(**reply, fallbacks=fallbacks, timings_ms={"ranking": 3, "recall": 1}))
    samples = read(metrics.page().decode())
    counted = {key[1]: value for key, value in samples.items() if key[0] == "winnow_fallbacks_total"}
    assert counted == {"ranker": 1, "rules": 2}
    assert samples["winnow_stage_seconds_sum", "ranking"] == pytest.approx(0.0235)
    assert samples["winnow_stage_seconds_count", "recall"] == 1
    below = {limit: samples["winnow_stage_seconds_bucket", limit, "ranking"] for limit in ("0.002", "0.005", "0.02", "0.025")}
    assert below == {"0.002": 0, "0.005": 1, "0.02": 1, "0.025": 2}


def test_shown_items_are_counted_by_source_and_their_scores_summed() -> None:
    metrics = Metrics()
    found = [(0.5, ("two_tower", "popular")), (0.25, ("popular",)), (None, ("fresh",))]  # the last one was not ranked
    items = [
        Recommended(rank=rank, item_id=f"i{rank}", title="", score=score, tasks={}, sources=sources)
        for rank, (score, sources) in enumerate(found, start=1)
    ]
    metrics.recommended(RecommendReply(request_id="r", release=3, items=items, fallbacks=[], timings_ms={}))
    samples = read(metrics.page().decode())
    counted = {key[1]: value for key, value in samples.items() if key[0] == "winnow_shown_items_total"}
    assert counted == {"two_tower": 1, "popular": 2, "fresh": 1}
    assert (samples["winnow_shown_score_count",], samples["winnow_shown_score_sum",]) == (2, 0.75)


def test_how_late_events_come_is_told_and_a_clock_that_is_ahead_counts_as_no_delay() -> None:
    metrics = Metrics()
    events = [
        Event(event_id=f"e{n}", user_id="u", item_id="i", type="click", timestamp_ms=moment)
        for n, moment in enumerate((1_700_000_000_000, 1_700_000_009_000))
    ]
    metrics.recorded(events, now_s=1_700_000_002)
    samples = read(metrics.page().decode())
    below = {limit: samples["winnow_event_delay_seconds_bucket", limit] for limit in ("0.1", "1.0", "5.0")}
    assert below == {"0.1": 1, "1.0": 1, "5.0": 2}  # 2 s, and none
    assert samples["winnow_event_delay_seconds_sum",] == 2


def test_the_release_and_the_event_stream_are_read_when_asked(tmp_path: Path) -> None:
    metrics, release = Metrics(), [3]
    stream = EventStream("redis://127.0.0.1:1/0", tmp_path / "unsent.jsonl")
    metrics.registry.register(GatewayState(stream, lambda: release[0], lambda: datetime(1970, 1, 2, tzinfo=UTC)))
    samples = read(metrics.page().decode())
    assert samples["winnow_release_version",] == 3
    assert samples["winnow_release_published_timestamp_seconds",] == 86_400
    stream.append(lambda: {"n": 1})
    stream.close()
    release[0] = 4
    samples = read(metrics.page().decode())
    names = ("release_version", "event_stream_sent_total", "event_stream_kept", "event_stream_lost_total")
    assert [samples[f"winnow_{name}",] for name in names] == [4, 0, 1, 0]


def test_requests_are_counted_by_route_and_code_and_no_client_makes_up_labels() -> None:
    app = guarded_app(None, Limits(body_bytes=10), Metrics())

    @app.get("/v1/items/{item_id}", dependencies=requires(Role.RECOMMEND))
    def item(item_id: str) -> dict[str, str]:
        if item_id == "bug":
            raise RuntimeError
        return {"item_id": item_id}

    http = TestClient(app, "http://localhost", raise_server_exceptions=False)
    for path in ("/v1/items/a", "/v1/items/b", "/v1/items/bug", "/made/up", "/made/up/too"):
        http.get(path)
    http.request("MADEUP", "/v1/items/a")
    http.request("PATCH", "/v1/items/a", content=b" " * 11)
    samples = read(http.get("/metrics").text)
    counted = {key[1:]: value for key, value in samples.items() if key[0] == "winnow_requests_total"}
    assert counted == {  # code, method, route
        ("200", "GET", "/v1/items/{item_id}"): 2,
        ("500", "GET", "/v1/items/{item_id}"): 1,
        ("404", "GET", "none"): 2,
        ("405", "other", "/v1/items/{item_id}"): 1,
        ("413", "PATCH", "none"): 1,
    }
    assert samples["winnow_request_seconds_count", "/v1/items/{item_id}"] == 4
