"""The whole server: a registry of models, threads that keep it up to date, and the two front doors."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from components.errors import ServingError
from serving.model_server.batching import Batcher
from serving.model_server.batching_parameters import BatchingParameters
from serving.model_server.grpc_server import GrpcOptions, GrpcServer
from serving.model_server.http_server import HttpServer, RestApplication
from serving.model_server.listening import bind_tcp
from serving.model_server.loading import Loader
from serving.model_server.metrics import Metrics
from serving.model_server.model_config import ModelConfig, read_config_file
from serving.model_server.periodic import Periodic
from serving.model_server.registry import LoadRetries, ModelRegistry
from serving.model_server.rest_api import RestApi, RestOptions
from serving.model_server.saved_model import SessionOptions
from serving.model_server.servable import Servable
from serving.model_server.status import StatusError
from serving.model_server.version_labels import LabelPolicy

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerOptions:
    """Where to listen and how often to look.

    ``rest_port`` None means no REST API, 0 any free port. ``poll_interval_s`` of 0 means to look at the model folders
    once, at start-up; ``config_file`` is read again every ``config_poll_interval_s`` seconds, never where that is 0.
    ``batching`` None means that each request is a run of its own, and ``warmup_iterations`` 0 that there is no warm-up.
    """

    grpc: GrpcOptions
    rest: RestOptions
    rest_port: int | None
    rest_threads: int
    poll_interval_s: float
    shutdown_grace_s: float
    label_policy: LabelPolicy
    load_retries: LoadRetries
    config_file: Path | None
    config_poll_interval_s: float
    batching: BatchingParameters | None
    is_batching_per_model: bool
    warmup_iterations: int
    session: SessionOptions


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
            Loader(metrics, options.session, self._batcher, options.warmup_iterations).load,
            label_policy=options.label_policy,
            retries=options.load_retries,
            stopping=self._stopping,
        )
        self._periodic = (
            Periodic("version-poller", self._registry.poll, options.poll_interval_s, self._stopping),
            Periodic("config-poller", self._read_config_file, options.config_poll_interval_s, self._stopping),
        )
        self._rest_executor = ThreadPoolExecutor(options.rest_threads, thread_name_prefix="rest-worker")
        self._http_server: HttpServer | None = None
        self.rest_port: int | None = None
        if options.rest_port is not None:
            bound_socket = bind_tcp(options.grpc.host, options.rest_port)
            self.rest_port = bound_socket.getsockname()[1]
            api = RestApi(self._registry, metrics, options.rest)
            self._http_server = HttpServer(RestApplication(api, self._rest_executor, options.rest), bound_socket)
        self._grpc_server = GrpcServer(self._registry, metrics, options.grpc)
        self.grpc_port = self._grpc_server.port

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
