"""The HTTP application: a plain object made of a gateway and an explicit list of routes."""

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from components.errors import ServingError
from serving.gateway.api import EventsReply, EventsRequest, RecommendReply, RecommendRequest
from serving.gateway.item_routes import add_item_routes
from serving.gateway.service import Gateway


def create_app(gateway: Gateway) -> FastAPI:
    app = FastAPI(title="winnow", description="One request in, one list out.", version="1", redoc_url=None)

    @app.post("/v1/recommend", summary="The items that a user wants next, best first")
    def recommend(request: RecommendRequest) -> RecommendReply:
        return gateway.recommend(request)

    @app.post("/v1/events", summary="What users did; the next recommendation knows it")
    def events(request: EventsRequest) -> EventsReply:
        return gateway.record(request.events)

    add_item_routes(app, gateway)

    @app.get("/healthz", summary="Whether the process is alive")
    def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", summary="Whether the store and the models answer", responses={503: {"description": "not ready"}})
    def readyz(response: Response) -> dict[str, object]:
        ready = gateway.ready()
        response.status_code = 200 if ready else 503
        return {"ready": ready, "release": gateway.version}

    @app.exception_handler(ServingError)
    def unavailable(_: object, error: ServingError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=503)

    return app
