"""The gRPC API: its services on a port and, where that is asked for, on a Unix socket."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.model_server.health_service import HealthService
from serving.model_server.listening import bind_grpc, bind_unix
from serving.model_server.metrics import Metrics
from serving.model_server.model_service import ModelService
from serving.model_server.prediction_service import PredictionService
from serving.model_server.registry import ModelRegistry
from serving.model_server.servable import Servable


@dataclass(frozen=True)
class GrpcOptions:
    """A port of 0 means any free one. ``channel_arguments`` are gRPC's own settings, by name."""

    host: str
    port: int
    max_threads: int
    socket_path: str | None = None
    channel_arguments: Sequence[tuple[str, int | str]] = ()
    has_health_service: bool = False
    as_tensor_content: bool = False


class GrpcServer:
    """Answers gRPC requests from a registry of models, from :meth:`start` to :meth:`stop`."""

    def __init__(self, registry: ModelRegistry[Servable], metrics: Metrics, options: GrpcOptions) -> None:
        """Take the port and the socket. Raises ServingError for one that cannot be had."""
        self._server = grpc.server(
            ThreadPoolExecutor(options.max_threads, thread_name_prefix="grpc-worker"),
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                # Two servers on one port would share its requests without a word.
                ("grpc.so_reuseport", 0),
                *options.channel_arguments,
            ],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(registry, metrics, as_tensor_content=options.as_tensor_content), self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(registry, metrics), self._server)
        self._health = HealthService() if options.has_health_service else None
        if self._health is not None:
            self._health.add_to(self._server)
        self.port = bind_grpc(self._server, options.host, options.port)
        if options.socket_path is not None:
            bind_unix(self._server, options.socket_path)

    def start(self) -> None:
        self._server.start()

    def stop(self, grace_s: float) -> threading.Event:
        """Accept nothing more; what is under way may take ``grace_s`` seconds. The event is set when all is over."""
        if self._health is not None:
            self._health.stop_serving()
        return self._server.stop(grace_s)
