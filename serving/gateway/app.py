"""The HTTP application: a plain object made of a gateway and an explicit list of routes."""

import time

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request, Response
from starlette.background import BackgroundTask

from serving.gateway.access import requires
from serving.gateway.api import EventsReply, EventsRequest, RecommendReply, RecommendRequest
from serving.gateway.doors import guarded_app
from serving.gateway.item_routes import add_item_routes
from serving.gateway.keys import Keys, Role
from serving.gateway.known_context import check_context
from serving.gateway.limits import Limits
from serving.gateway.metrics import ARRIVED_S, GatewayState, Metrics
from serving.gateway.service import Gateway

DEFAULTS = Limits()
LISTS_AT_ONCE = 40  # threads of their own: none of them waits behind events while the store is away


def create_app(gateway: Gateway, keys: Keys | None = None, limits: Limits = DEFAULTS) -> FastAPI:
    """The application.

    Args:
      keys: None lets anyone do anything: for one's own machine only.
    """
    metrics = Metrics()
    metrics.registry.register(GatewayState(gateway.stream, lambda: gateway.version, lambda: gateway.published))
    app = guarded_app(keys, limits, metrics)
    for_lists = CapacityLimiter(LISTS_AT_ONCE)

    @app.post(
        "/v1/recommend",
        summary="The items that a user wants next, best first",
        response_model=RecommendReply,
        dependencies=requires(Role.RECOMMEND),
    )
    async def recommend(body: RecommendRequest, request: Request) -> Response:
        return await to_thread.run_sync(listed, body, request.scope[ARRIVED_S], limiter=for_lists)

    def listed(request: RecommendRequest, arrived_s: float) -> Response:
        check_context(request.context, gateway.known_context)
        reply = gateway.recommend(request, arrived_s)
        return Response(reply.model_dump_json(), media_type="application/json", background=BackgroundTask(counted, reply))

    async def counted(reply: RecommendReply) -> None:
        """Once the reply is on its way."""
        metrics.recommended(reply)

    @app.post(
        "/v1/events",
        summary="What users did; the next recommendation knows it",
        dependencies=requires(Role.EVENTS),
    )
    def events(request: EventsRequest) -> EventsReply:
        for place, event in enumerate(request.events):
            check_context(event.context, gateway.known_context, ("events", place))
        reply = gateway.record(request.events)
        if not reply.deferred:
            metrics.recorded(request.events, time.time())
        return reply

    add_item_routes(app, gateway)

    @app.get("/healthz", summary="Whether the process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", summary="Whether the store and the models answer", responses={503: {"description": "not ready"}})
    def readyz(response: Response) -> dict[str, object]:
        ready = gateway.ready()
        response.status_code = 200 if ready else 503
        return {"ready": ready, "release": gateway.version}

    return app
