"""The page for Prometheus, read back by Prometheus' own parser."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from serving.event_stream import EventStream
from serving.gateway.access import requires
from serving.gateway.api import RecommendReply
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


def test_the_release_and_the_event_stream_are_read_when_asked(tmp_path: Path) -> None:
    metrics, release = Metrics(), [3]
    stream = EventStream("redis://127.0.0.1:1/0", tmp_path / "unsent.jsonl")
    metrics.registry.register(GatewayState(stream, lambda: release[0]))
    assert read(metrics.page().decode())["winnow_release_version",] == 3
    stream.append({"n": 1})
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

    http = TestClient(app, raise_server_exceptions=False)
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
