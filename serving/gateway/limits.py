"""What clients may cost: the bytes, seconds and nesting of a body, requests a second, connections."""

import asyncio
from collections import OrderedDict

import numpy as np
from pydantic import Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from components.config.settings import Settings
from serving.gateway.refusals import refusal

MAX_CALLERS = 10_000  # whose rate is remembered; the one who was away longest is forgotten first

_DEPTH_STEPS = np.zeros(256, np.int8)  # by byte
_DEPTH_STEPS[list(b"[{")], _DEPTH_STEPS[list(b"]}")] = 1, -1
_CLOSE = {"Connection": "close"}  # the rest of a body is not waited for


class Limits(Settings):
    body_bytes: int = Field(default=2_097_152, gt=0)
    body_s: float = Field(default=10, gt=0, description="for a body to come, or a reply to be taken on")
    head_s: float = Field(default=10, gt=0, description="for a head to come, from the connection or the last reply on")
    nesting: int = Field(default=16, gt=0, description="arrays and objects inside each other")
    requests_per_s: float = Field(default=1_000, gt=0, description="of one key, or of one address where there are no keys")
    burst: int = Field(default=2_000, gt=0, description="requests at once, before the rate counts")
    connections: int = Field(default=1_000, gt=0, description="of all clients at once; one more is answered 503 and closed")


def nesting(text: bytes) -> int:
    """How deep arrays and objects lie in each other in a JSON text, told without parsing it, in a time that is linear."""
    characters = np.frombuffer(text.replace(b"\\\\", b"").replace(b'\\"', b""), np.uint8)
    quotes_before = np.cumsum(characters == ord('"'), dtype=np.uint8)  # whether they are odd outlasts the overflow
    steps = _DEPTH_STEPS[characters] * (quotes_before % 2 == 0)
    return int(np.cumsum(steps, dtype=np.int32).max(initial=0))


class RateLimiter:
    """A token bucket for each caller: ``burst`` requests at once, ``per_s`` a second in the long run."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s, self._burst = per_s, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, and when that was so

    def wait_s(self, caller: str, now_s: float) -> float:
        """Takes one of the caller's tokens and gives 0; without one, the seconds until there will be one."""
        tokens, since_s = self._buckets.pop(caller, (float(self._burst), now_s))
        tokens = min(self._burst, tokens + (now_s - since_s) * self._per_s)
        wait_s = max(0.0, (1 - tokens) / self._per_s)
        self._buckets[caller] = (tokens if wait_s else tokens - 1, now_s)
        if len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        return wait_s


class BodyLimits:
    """ASGI middleware: reads the whole body within its limits before the application sees anything of the request."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            body = await self._read(headers, receive)
            if body:
                self._check(headers, body)
        except HTTPException as error:
            await refusal(error.status_code, error.detail, "body", error.headers)(scope, receive, send)
            return
        except ClientDisconnect:
            return
        unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return unread.pop() if unread else await receive()

        await self._app(scope, replay, send)

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        """Counts what comes: a declared length is believed only where it is too long already."""
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._limits.body_bytes:
            raise self._too_long()
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    body += message.get("body", b"")
                    if len(body) > self._limits.body_bytes:
                        raise self._too_long()
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError as error:
            wanted = f"within {self._limits.body_s:g} s"
            raise HTTPException(408, f"found {len(body)} bytes and no end of them, wanted the body {wanted}", _CLOSE) from error

    def _check(self, headers: Headers, body: bytes) -> None:
        """What the parser may be trusted with."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" or headers.get("content-encoding", "identity") != "identity":
            raise HTTPException(415, "wanted Content-Type: application/json, without Content-Encoding")
        # Most bodies do not even hold so many.
        if body.count(b"[") + body.count(b"{") > self._limits.nesting < nesting(body):
            raise HTTPException(422, f"found more than {self._limits.nesting} arrays and objects inside each other")

    def _too_long(self) -> HTTPException:
        return HTTPException(413, f"found a body of more than {self._limits.body_bytes} bytes; send less at once", _CLOSE)
