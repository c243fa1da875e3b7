"""The embedded model server as a child process: started on free ports, stopped by its process id."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from serving.child_process import ChildProcess
from serving.model_server.model_config import ModelConfig, config_text

_HOST = "127.0.0.1"


class EmbeddedServer:
    """A model server in a process of its own, for as long as the context lasts.

    It ends with the process that started it, even where that one is killed.

    Example::

        with EmbeddedServer([ModelConfig("ranker", Path("/models/ranker"))]) as server:
            client = ModelClient(server.grpc_target)
    """

    def __init__(
        self,
        models: Sequence[ModelConfig] | Path,
        *,
        poll_interval_s: float = 1.0,
        flags: Sequence[str] = (),
        log_path: Path | None = None,
        startup_timeout_s: float = 120.0,
        shutdown_grace_s: float = 10.0,
    ) -> None:
        """``models``: what to serve, or a model config file, which is followed as it changes.

        ``flags`` are further flags of the command line; of one that is given twice the later counts.
        ``log_path`` takes the server's log; without it the log is gone when the server stops.
        """
        self._models = models
        self._poll_interval_s = poll_interval_s
        self._flags = tuple(flags)
        self._log_path = log_path
        self._startup_timeout_s = startup_timeout_s
        self._shutdown_grace_s = shutdown_grace_s
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._process: ChildProcess | None = None
        self._ports: dict[str, int] = {}

    @property
    def grpc_target(self) -> str:
        """``host:port`` for :class:`serving.inference.ModelClient`."""
        return f"{_HOST}:{self._ports['grpc_port']}"

    @property
    def rest_url(self) -> str:
        """The root of the REST API, without a slash at its end."""
        return f"http://{_HOST}:{self._ports['rest_api_port']}"

    @property
    def pid(self) -> int:
        return self._ports["pid"]

    def start(self) -> None:
        """Start the server and wait until it serves. Raises ServingError with the end of its log where it does not."""
        self._scratch = tempfile.TemporaryDirectory(prefix="winnow-model-server-")
        config_file = self._config_file(Path(self._scratch.name))
        flags = [
            *(f"--host={_HOST}", "--port=0", "--rest_api_port=0"),
            f"--model_config_file={config_file}",
            f"--model_config_file_poll_wait_seconds={self._poll_interval_s if config_file == self._models else 0}",
            f"--file_system_poll_wait_seconds={self._poll_interval_s}",
            f"--shutdown_grace_seconds={self._shutdown_grace_s}",
            # Labels can be given from the start, and a version that cannot be loaded is told of at once.
            *("--allow_version_labels_for_unavailable_models", "--max_num_load_retries=0"),
            *self._flags,
        ]
        self._process = ChildProcess(
            "model server",
            "serving.model_server",
            flags,
            self._log_path or Path(self._scratch.name, "server.log"),
            self._startup_timeout_s,
            self._shutdown_grace_s + 10,  # a little more than it allows its requests, for it to close its models
        )
        try:
            self._ports = self._process.start()
        except BaseException:
            self.stop()
            raise

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def restart(self) -> None:
        """Start one that has ended again, on the ports that it had. Raises ServingError as ``start`` does."""
        if self._process is None:
            raise AssertionError("only a server that was started can be started again")
        ports = (f"--port={self._ports['grpc_port']}", f"--rest_api_port={self._ports['rest_api_port']}")
        self._ports = self._process.restart(*ports)

    def _config_file(self, scratch: Path) -> Path:
        if isinstance(self._models, Path):
            return self._models
        models = [replace(model, base_path=model.base_path.resolve()) for model in self._models]
        config_file = scratch / "models.config"
        config_file.write_text(config_text(models), encoding="utf-8")
        return config_file

    def stop(self) -> int | None:
        """End the server and wait for its end; its exit status, None where it was not running."""
        exit_code = None
        if self._process is not None:
            exit_code = self._process.stop()
            self._process = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None
        return exit_code

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
