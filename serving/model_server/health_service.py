"""The standard gRPC health service, for load balancers and orchestrators: the server as a whole, under the empty name."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from serving.model_server.own_protos import MessageTable, message_classes

SERVING = 1
NOT_SERVING = 2
SERVICE_UNKNOWN = 3

_SERVICE = "grpc.health.v1.Health"
_MESSAGES: MessageTable = {
    "HealthCheckRequest": {"service": (1, "string")},
    "HealthCheckResponse": {"status": (1, "int32")},
}
_CLASSES = message_classes("winnow/health.proto", _MESSAGES)
_Send = Callable[[Any], None]


class HealthService:
    """Serving from the start until :meth:`stop_serving`."""

    def __init__(self) -> None:
        self._status = SERVING
        self._watchers: set[_Send] = set()
        self._lock = threading.Lock()

    def add_to(self, server: grpc.Server) -> None:
        """Make the service one of the server's."""

        # A watch lasts as long as its client likes. gRPC's own health service watches in the same two ways: by a
        # callback, and begun in a thread apart, so that watchers take no thread from requests.
        def watch(request: Any, context: grpc.ServicerContext, send: _Send) -> None:
            self._watch(request, context, send)

        watch.experimental_non_blocking = True  # type: ignore[attr-defined]
        watch.experimental_thread_pool = ThreadPoolExecutor(1, thread_name_prefix="health")  # type: ignore[attr-defined]
        codec = {
            "request_deserializer": _CLASSES["HealthCheckRequest"].FromString,
            "response_serializer": _CLASSES["HealthCheckResponse"].SerializeToString,
        }
        handlers = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check, **codec),
            "Watch": grpc.unary_stream_rpc_method_handler(watch, **codec),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))

    def stop_serving(self) -> None:
        """Say from now on that the server is not serving, and tell who watches."""
        with self._lock:
            self._status = NOT_SERVING
            watchers = list(self._watchers)
        for send in watchers:
            send(_response(NOT_SERVING))

    def _check(self, request: Any, context: grpc.ServicerContext) -> Any:
        if request.service:
            context.abort(grpc.StatusCode.NOT_FOUND, "service name unknown")
        return _response(self._status)

    def _watch(self, request: Any, context: grpc.ServicerContext, send: _Send) -> None:
        with self._lock:
            is_known = not request.service
            status = self._status if is_known else SERVICE_UNKNOWN
            if is_known:
                self._watchers.add(send)
        send(_response(status))

        def forget() -> None:
            with self._lock:
                self._watchers.discard(send)
            send(None)

        if not context.add_callback(forget):
            forget()


def _response(status: int) -> Any:
    return _CLASSES["HealthCheckResponse"](status=status)
