"""The HTTP application: a plain object made of a gateway and an explicit list of routes."""

import time

from fastapi import FastAPI, Response

from serving.gateway.access import requires
from serving.gateway.api import EventsReply, EventsRequest, RecommendReply, RecommendRequest
from serving.gateway.doors import guarded_app
from serving.gateway.item_routes import add_item_routes
from serving.gateway.keys import Keys, Role
from serving.gateway.limits import Limits
from serving.gateway.metrics import GatewayState, Metrics
from serving.gateway.service import Gateway

DEFAULTS = Limits()


def create_app(gateway: Gateway, keys: Keys | None = None, limits: Limits = DEFAULTS) -> FastAPI:
    """The application.

    Args:
      keys: None lets anyone do anything: for one's own machine only.
    """
    metrics = Metrics()
    metrics.registry.register(GatewayState(gateway.stream, lambda: gateway.version, lambda: gateway.published))
    app = guarded_app(keys, limits, metrics)

    @app.post(
        "/v1/recommend",
        summary="The items that a user wants next, best first",
        dependencies=requires(Role.RECOMMEND),
    )
    def recommend(request: RecommendRequest) -> RecommendReply:
        reply = gateway.recommend(request)
        metrics.recommended(reply)
        return reply

    @app.post(
        "/v1/events",
        summary="What users did; the next recommendation knows it",
        dependencies=requires(Role.EVENTS),
    )
    def events(request: EventsRequest) -> EventsReply:
        reply = gateway.record(request.events)
        metrics.recorded(request.events, time.time())
        return reply

    add_item_routes(app, gateway)

    @app.get("/healthz", summary="Whether the process is alive")
    def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", summary="Whether the store and the models answer", responses={503: {"description": "not ready"}})
    def readyz(response: Response) -> dict[str, object]:
        ready = gateway.ready()
        response.status_code = 200 if ready else 503
        return {"ready": ready, "release": gateway.version}

    return app
