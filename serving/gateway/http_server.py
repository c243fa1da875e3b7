"""uvicorn as the gateway runs it: so many connections, and none for a client that does not say what it wants."""

import asyncio

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.gateway.limits import Limits
from serving.gateway.refusals import refusal

HEAD_BYTES = 65_536


def http_server(app: ASGIApp, limits: Limits) -> uvicorn.Server:
    """A server that logs where the process logs, warnings and errors only: no request, no header, no client's address."""
    config = uvicorn.Config(
        app,
        http=_hurried(limits),
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # a client would choose the address that it is counted by
    )
    return uvicorn.Server(config)


def _hurried(limits: Limits) -> type[HttpToolsProtocol]:
    """The protocol with limits for what the application never sees.

    That is the head of a request, how its body is cut into chunks, what comes of it after a reply that did not wait, and a
    reply that nobody takes.
    """
    message_bytes = HEAD_BYTES + 2 * limits.body_bytes  # chunks of fair size add little to a body
    full = _full()

    class Hurried(HttpToolsProtocol):
        _received_bytes = 0
        _waiting: asyncio.TimerHandle | None = None  # for the next request
        _stalled: asyncio.TimerHandle | None = None  # by a client that does not read

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                transport.write(full)  # before it has asked: one that never asks would be one too many for as long
                transport.close()
                return
            self._hurry()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._received_bytes += len(data)
            if self._received_bytes > message_bytes:
                self.transport.abort()
            self._hurry()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._received_bytes = 0
            self._hurry()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._stalled = self.loop.call_later(limits.body_s, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            _cancel(self._stalled)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            _cancel(self._stalled)
            _cancel(self._waiting)

        def _hurry(self) -> None:
            """Time runs while no request is under way; one that is has the application's limits."""
            if self.cycle is not None and not self.cycle.response_complete:
                _cancel(self._waiting)
                self._waiting = None
            elif self._waiting is None:
                self._waiting = self.loop.call_later(limits.head_s, self.transport.abort)

    return Hurried


def _full() -> bytes:
    """The whole reply to a connection too many."""
    reply = refusal(503, "too many connections are open", headers={"Retry-After": "1", "Connection": "close"})
    head = [b"HTTP/1.1 503 Service Unavailable", *(b": ".join(header) for header in reply.raw_headers)]
    return b"\r\n".join([*head, b"", bytes(reply.body)])


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
