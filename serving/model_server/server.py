"""The whole server: a registry of models, a thread that polls their folders, and the two front doors."""

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from components.errors import ServingError
from serving.model_server.batching import Batcher
from serving.model_server.batching_parameters import BatchingParameters
from serving.model_server.http_server import HttpServer, RestApplication
from serving.model_server.loading import Loader
from serving.model_server.metrics import Metrics
from serving.model_server.model_config import ModelConfig, read_config_file
from serving.model_server.model_service import ModelService
from serving.model_server.periodic import Periodic
from serving.model_server.prediction_service import PredictionService
from serving.model_server.registry import LoadRetries, ModelRegistry
from serving.model_server.rest_api import RestApi
from serving.model_server.servable import Servable
from serving.model_server.status import StatusError
from serving.model_server.version_labels import LabelPolicy

_log = logging.getLogger(__name__)
# TensorFlow Serving's own measure: requests beyond it wait in line.
_THREADS_PER_CPU = 4


@dataclass(frozen=True)
class ServerOptions:
    """Where to listen and how often to look. A port of 0 means any free one; ``rest_port`` None means no REST API.

    ``poll_interval_s`` of 0 means to look at the model folders once, at start-up; ``config_file`` is read again every
    ``config_poll_interval_s`` seconds, never where that is 0. ``prometheus_path`` None means to show no metrics, and
    ``batching`` None that each request is a run of its own.
    """

    host: str
    grpc_port: int
    rest_port: int | None
    poll_interval_s: float
    rest_max_body_bytes: int
    shutdown_grace_s: float
    label_policy: LabelPolicy
    load_retries: LoadRetries
    config_file: Path | None
    config_poll_interval_s: float
    prometheus_path: str | None
    batching: BatchingParameters | None
    is_batching_per_model: bool


class ModelServer:
    """Serves some models from :meth:`start` to :meth:`stop`."""

    def __init__(self, models: Sequence[ModelConfig], options: ServerOptions) -> None:
        """Take the ports. Raises ServingError for one that cannot be had."""
        self._models = models
        self._options = options
        self._stopping = threading.Event()
        metrics = Metrics()
        self._batcher = None
        if options.batching is not None:
            self._batcher = Batcher(options.batching, metrics, is_per_model=options.is_batching_per_model)
        self._registry: ModelRegistry[Servable] = ModelRegistry(
            Loader(metrics, self._batcher).load,
            label_policy=options.label_policy,
            retries=options.load_retries,
            stopping=self._stopping,
        )
        self._periodic = (
            Periodic("version-poller", self._registry.poll, options.poll_interval_s, self._stopping),
            Periodic("config-poller", self._read_config_file, options.config_poll_interval_s, self._stopping),
        )
        threads = _THREADS_PER_CPU * (os.cpu_count() or 1)
        self._rest_executor = ThreadPoolExecutor(threads, thread_name_prefix="rest-worker")
        self._http_server: HttpServer | None = None
        self.rest_port: int | None = None
        if options.rest_port is not None:
            bound_socket = _bind(options.host, options.rest_port)
            self.rest_port = bound_socket.getsockname()[1]
            application = RestApplication(
                RestApi(self._registry, metrics, options.prometheus_path), self._rest_executor, options.rest_max_body_bytes
            )
            self._http_server = HttpServer(application, bound_socket)
        self._grpc_server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="grpc-worker"),
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                # Two servers on one port would share its requests without a word.
                ("grpc.so_reuseport", 0),
            ],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(self._registry, metrics), self._grpc_server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(self._registry, metrics), self._grpc_server)
        self.grpc_port = _bind_grpc(self._grpc_server, options.host, options.grpc_port)

    def start(self) -> None:
        """Load the models, then open the doors. Raises ServingError where a model has versions and none can be served.

        A model that has no version yet is waited for: requests for it find nothing until its first version is there.
        """
        try:
            self._registry.reconfigure(self._models)
        except StatusError as error:
            raise ServingError("the server cannot start: " + "\n".join([error.message, *self._registry.failed()])) from error
        for periodic in self._periodic:
            periodic.start()
        self._grpc_server.start()
        if self._http_server is not None:
            self._http_server.start()

    def stop(self) -> int:
        """Accept nothing more, let requests under way end within the grace period, and free the models.

        How many requests did not end: their threads cannot be ended, and hold the process.
        """
        self._stopping.set()
        grpc_stopped = self._grpc_server.stop(self._options.shutdown_grace_s)
        if self._http_server is not None:
            self._http_server.stop(self._options.shutdown_grace_s)
        grpc_stopped.wait()
        self._rest_executor.shutdown(wait=False)
        for periodic in self._periodic:
            periodic.join()
        in_flight = self._registry.close()
        if self._batcher is not None:
            self._batcher.close()
        return in_flight

    def _read_config_file(self) -> None:
        if self._options.config_file is not None:
            try:
                self._registry.reconfigure(read_config_file(self._options.config_file))
            except ServingError as error:
                # What is served goes on, until the file is put right.
                _log.error("the models are not reconfigured: %s", error)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as on_failure:
        # The protocol is spelt out: asyncio turns off Nagle's delay only where it sees that a socket is TCP.
        bound_socket = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP))
        # A port is free again as soon as its last server has gone, whatever connections linger.
        bound_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound_socket.bind((host, port))
        except OSError as error:
            raise ServingError(_taken("--rest_api_port", host, port, error.strerror or str(error))) from error
        on_failure.pop_all()
    return bound_socket


def _bind_grpc(server: grpc.Server, host: str, port: int) -> int:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise ServingError(_taken("--port", host, port, str(error))) from error


def _taken(flag: str, host: str, port: int, reason: str) -> str:
    return f"cannot listen on {host}:{port}: {reason}; give {flag} a port that is free, or 0 for any"
