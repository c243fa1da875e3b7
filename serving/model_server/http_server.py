"""The REST API behind uvicorn, in a thread of its own; models run in a pool of threads, never in the event loop."""

import asyncio
import socket
import threading
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import uvicorn

from serving.model_server.rest_api import Request, Response, RestApi, RestOptions, error_response
from serving.model_server.status import StatusError, invalid_argument

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# zlib's window bits, plus the number that makes it read a gzip header.
_GZIP_WINDOW_BITS = zlib.MAX_WBITS | 16


class RestApplication:
    """The ASGI application: reads a body, lets ``api`` answer it in ``executor``, writes the answer."""

    def __init__(self, api: RestApi, executor: ThreadPoolExecutor, options: RestOptions) -> None:
        self._api = api
        self._executor = executor
        self._max_body_bytes = options.max_body_bytes
        self._timeout_s = options.timeout_s or None

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        try:
            body = await self._read_body(receive)
        except StatusError as error:
            await _send_response(send, error_response(error))
            return
        answer = asyncio.get_running_loop().run_in_executor(self._executor, self._respond, scope, body)
        try:
            response = await asyncio.wait_for(answer, self._timeout_s)
        except TimeoutError:
            # The thread goes on to the end of the run, as TensorFlow Serving's does; nobody waits for it.
            response = error_response(StatusError(grpc.StatusCode.DEADLINE_EXCEEDED, "Timed out waiting for notification"))
        await _send_response(send, response)

    async def _read_body(self, receive: _Receive) -> bytes:
        chunks: list[bytes] = []
        size_bytes = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise StatusError(grpc.StatusCode.CANCELLED, "the client went away before the request was complete")
            chunks.append(message.get("body", b""))
            size_bytes += len(chunks[-1])
            if size_bytes > self._max_body_bytes:
                raise self._too_long()
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _respond(self, scope: _Scope, body: bytes) -> Response:
        headers = dict(scope["headers"])
        is_gzip = b"gzip" in headers.get(b"content-encoding", b"").lower()
        try:
            plain_body = self._decompress(body) if is_gzip and body else body
        except StatusError as error:
            return error_response(error)
        path, origin = scope["raw_path"].decode("latin-1"), headers.get(b"origin", b"").decode("latin-1")
        return self._api.respond(Request(scope["method"], path, plain_body, origin))

    def _decompress(self, body: bytes) -> bytes:
        decompressor = zlib.decompressobj(_GZIP_WINDOW_BITS)
        try:
            # The limit holds for what comes out too: a few kilobytes can unfold to gigabytes.
            plain = decompressor.decompress(body, self._max_body_bytes)
        except zlib.error as error:
            raise invalid_argument(f"the body is declared as gzip and cannot be decompressed: {error}") from error
        if decompressor.unconsumed_tail:
            raise self._too_long()
        if not decompressor.eof:
            raise invalid_argument("the body is declared as gzip and ends too early")
        return plain

    def _too_long(self) -> StatusError:
        return invalid_argument(
            f"the request body is longer than {self._max_body_bytes} bytes; send less in one request, "
            "or raise --rest_api_max_body_bytes"
        )


class HttpServer:
    """Serves an application on an already bound socket."""

    def __init__(self, application: RestApplication, bound_socket: socket.socket) -> None:
        config = uvicorn.Config(
            application, log_config=None, access_log=False, lifespan="off", server_header=False, proxy_headers=False
        )
        self._server = uvicorn.Server(config)
        self._socket = bound_socket
        self._thread = threading.Thread(target=self._server.run, args=([bound_socket],), name="rest")

    def start(self) -> None:
        # Listening begins here, so a client that connects at once waits for the event loop and is not refused.
        self._socket.listen()
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """Accept nothing more; wait up to ``grace_s`` seconds for requests under way, then drop them."""
        if not self._thread.is_alive():
            self._socket.close()
            return
        self._server.should_exit = True
        self._thread.join(grace_s)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join()


async def _send_response(send: _Send, response: Response) -> None:
    headers = [
        (b"content-type", response.content_type.encode("latin-1")),
        (b"content-length", str(len(response.body)).encode("latin-1")),
        *((name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()),
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
