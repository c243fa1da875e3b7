"""What the gateway counts and measures, for Prometheus. Times are in seconds; no label takes its values from clients."""

import collections
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from http import HTTPMethod

from prometheus_client import CollectorRegistry, Counter, Histogram, Summary, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.event_stream import EventStream
from serving.gateway.api import Event, RecommendReply

ARRIVED_S = "winnow.arrived_s"  # in the scope of a request: time.monotonic() when it came
NO_ROUTE = "none"  # refused before a route was looked for, or none was found
CLIENT_GONE = 499  # before there was a reply; the number is nginx's
_LIMITS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.035, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0)
_DELAYS_S = (0.1, 1, 5, 15, 60, 300, 900, 3_600, 21_600, 86_400)


class Metrics:
    """All that one gateway measures. Threads share one."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "winnow_requests", "Requests by how they ended", ("method", "route", "code"), registry=registry
        )
        self._request_seconds = Histogram(
            "winnow_request_seconds", "From a request's head to its reply", ("route",), buckets=_LIMITS_S, registry=registry
        )
        self._stage_seconds = Histogram(
            "winnow_stage_seconds", "Stages of a recommendation", ("stage",), buckets=_LIMITS_S, registry=registry
        )
        self._fallbacks = Counter(
            "winnow_fallbacks", "What was done instead of what could not be done", ("fallback",), registry=registry
        )
        self._arms = Counter(
            "winnow_experiment_lists", "Lists given to users of an arm", ("experiment", "arm"), registry=registry
        )
        self._shown_items = Counter(
            "winnow_shown_items", "Items in lists, by each source of recall that found them", ("source",), registry=registry
        )
        self._shown_score = Summary("winnow_shown_score", "Scores of the items in lists", registry=registry)
        self._event_delay_seconds = Histogram(
            "winnow_event_delay_seconds",
            "From the moment of an event till it is in its user's state",
            buckets=_DELAYS_S,
            registry=registry,
        )
        self._rate_limited = Counter(
            "winnow_rate_limited", "Requests over the rate, by the role of their key", ("role",), registry=registry
        )

    def request_ended(self, method: str, route: str, code: int, seconds: float) -> None:
        known = method if method in HTTPMethod.__members__ else "other"
        self._requests.labels(known, route, str(code)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def recommended(self, reply: RecommendReply) -> None:
        for stage, took_ms in reply.timings_ms.items():
            self._stage_seconds.labels(stage).observe(took_ms / 1000)
        for fallback in reply.fallbacks:
            self._fallbacks.labels(fallback.partition(":")[0]).inc()  # what follows may tell numbers
        for experiment, arm in reply.experiments.items():
            self._arms.labels(experiment, arm).inc()
        for source, count in collections.Counter(source for item in reply.items for source in item.sources).items():
            self._shown_items.labels(source).inc(count)
        for item in reply.items:
            if item.score is not None:
                self._shown_score.observe(item.score)

    def recorded(self, events: Sequence[Event], now_s: float) -> None:
        for event in events:
            self._event_delay_seconds.observe(max(0.0, now_s - event.timestamp_ms / 1000))  # a client's clock may be ahead

    def rate_limited(self, role: str) -> None:
        self._rate_limited.labels(role).inc()

    def page(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)


class GatewayState(Collector):
    """What is read off the gateway whenever the page is asked for."""

    def __init__(self, stream: EventStream, version: Callable[[], int], published: Callable[[], datetime]) -> None:
        self._stream, self._version, self._published = stream, version, published

    def collect(self) -> Iterator[Metric]:
        stream = self._stream
        yield GaugeMetricFamily("winnow_release_version", "The release that is served", value=self._version())
        yield GaugeMetricFamily(
            "winnow_release_published_timestamp_seconds",
            "When the release that is served was published",
            value=self._published().timestamp(),
        )
        yield CounterMetricFamily("winnow_event_stream_sent", "Records that the stream took", value=stream.sent_count)
        yield GaugeMetricFamily("winnow_event_stream_kept", "Records that wait in a file", value=stream.kept_count)
        yield CounterMetricFamily("winnow_event_stream_lost", "Records that nothing took", value=stream.lost_count)


class Measured:
    """ASGI middleware, the outermost: counts and times each request by its route, whoever answers it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        code = CLIENT_GONE

        async def noted(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        started_s = scope[ARRIVED_S] = time.monotonic()
        try:
            await self._app(scope, receive, noted)
        except Exception:
            code = 500
            raise
        finally:
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            self._metrics.request_ended(scope["method"], route, code, time.monotonic() - started_s)
