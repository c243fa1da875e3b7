"""Who may call what: the middleware tells who calls, each route says whom it is for."""

import math
import re
import time

from fastapi import HTTPException, Request, Security, params
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.gateway.keys import KEY_VARIABLES, Keys, Role, is_loopback
from serving.gateway.limits import RateLimiter
from serving.gateway.metrics import Metrics
from serving.gateway.refusals import refusal

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json"})
ADDRESS = "address"  # what a client without a key is counted by
OTHER_HOST = (
    "without keys this gateway answers only to localhost, 127.0.0.1 or [::1] as the Host; "
    f"to be reached by another name, give it keys ({KEY_VARIABLES}) and --host"
)


class Access:
    """ASGI middleware: tells who calls, holds them to their rate, and turns away who has no key where one is needed.

    What the key is for is for the route to check: see ``requires``. Where no key is needed, a browser on this machine could be
    made to ask by a page from elsewhere whose own name has come to mean this machine; the Host tells such a request.
    """

    def __init__(self, app: ASGIApp, keys: Keys | None, limiter: RateLimiter, metrics: Metrics) -> None:
        self._app, self._keys, self._limiter, self._metrics = app, keys, limiter, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held = None if self._keys is None else self._keys.role_of(_presented(Headers(scope=scope)))
        client = scope.get("client")
        wait_s = self._limiter.wait_s(held or (client[0] if client else ADDRESS), time.monotonic())
        app = self._app
        if wait_s > 0:
            self._metrics.rate_limited(held or ADDRESS)
            app = refusal(429, "too many requests", headers={"Retry-After": str(math.ceil(wait_s))})
        elif self._keys is not None and held is None and scope["path"] not in OPEN_PATHS:
            app = refusal(401, "a key is needed: Authorization: Bearer <key>", headers={"WWW-Authenticate": "Bearer"})
        elif self._keys is None and not is_loopback(_host(Headers(scope=scope))):
            app = refusal(421, OTHER_HOST)
        else:
            scope.setdefault("state", {})["role"] = Role.ADMIN if self._keys is None else held
        await app(scope, receive, send)


class Requirement(SecurityBase):
    """A dependency that asks for a role; FastAPI declares it in the OpenAPI document as what it is, a security scheme."""

    scheme_name = "bearer"
    model = HTTPBearerModel(description="a key for the role that is named as the scope; X-API-Key takes it too")

    def __init__(self, role: Role) -> None:
        self._role = role

    async def __call__(self, request: Request) -> None:
        held: Role = request.state.role
        if not held.opens(self._role):
            raise HTTPException(403, f"this key is for {held}; here one for {self._role} is needed")


def requires(role: Role) -> list[params.Depends]:
    """A route's ``dependencies``: the caller's key must open the role."""
    return [Security(Requirement(role), scopes=[role])]


def _host(headers: Headers) -> str:
    """The Host without its port."""
    return re.sub(r":\d+$", "", headers.get("host", "")).strip("[]").lower()


def _presented(headers: Headers) -> str | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")
