"""The doors of the HTTP application, without a room behind them: access, limits, metrics, one shape of refusal."""

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from serving.gateway.access import Access, requires
from serving.gateway.keys import Keys, Role
from serving.gateway.limits import BodyLimits, Limits, RateLimiter
from serving.gateway.metrics import Measured, Metrics
from serving.gateway.refusals import DECLARED, answer_errors


def guarded_app(keys: Keys | None, limits: Limits, metrics: Metrics) -> FastAPI:
    """An application with ``/metrics``, to which routes are added; each says whom it is for by ``requires``.

    Args:
      keys: None lets anyone do anything: for one's own machine only.
    """
    # No pages of documentation: they load scripts from elsewhere. No redirects: their target would repeat the Host header.
    app = FastAPI(
        title="winnow",
        description="One request in, one list out.",
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=DECLARED,
    )
    answer_errors(app)
    # The last one is the outermost.
    app.add_middleware(BodyLimits, limits=limits)
    app.add_middleware(Access, keys=keys, limiter=RateLimiter(limits.requests_per_s, limits.burst), metrics=metrics)
    app.add_middleware(Measured, metrics=metrics)

    @app.get(
        "/metrics",
        summary="Counts and times, for Prometheus",
        response_class=Response,
        responses={200: {"content": {CONTENT_TYPE_PLAIN_0_0_4: {"schema": {"type": "string"}}}}},
        dependencies=requires(Role.ADMIN),
    )
    async def page() -> Response:
        return Response(metrics.page(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return app
