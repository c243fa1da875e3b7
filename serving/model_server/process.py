"""The embedded model server as a child process: started on free ports, stopped by its process id."""

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from components.errors import ServingError
from serving.model_server.model_config import ModelConfig, config_text

_HOST = "127.0.0.1"
_LOG_TAIL_CHARS = 2000
# The folder that holds the ``serving`` package: a child that starts there finds this very package, wherever it lies.
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


class EmbeddedServer:
    """A model server in a process of its own, for as long as the context lasts.

    It ends with the process that started it, even where that one is killed.

    Example::

        with EmbeddedServer([ModelConfig("ranker", Path("/models/ranker"))]) as server:
            client = ModelClient(server.grpc_target)
    """

    def __init__(
        self,
        models: Sequence[ModelConfig],
        *,
        poll_interval_s: float = 1.0,
        flags: Sequence[str] = (),
        log_path: Path | None = None,
        startup_timeout_s: float = 120.0,
        shutdown_grace_s: float = 10.0,
    ) -> None:
        """``flags`` are further flags of the command line.

        ``log_path`` takes the server's log; without it the log is gone when the server stops.
        """
        self._models = [replace(model, base_path=model.base_path.resolve()) for model in models]
        self._poll_interval_s = poll_interval_s
        self._flags = tuple(flags)
        self._log_path = log_path
        self._startup_timeout_s = startup_timeout_s
        self._shutdown_grace_s = shutdown_grace_s
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
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
        config_file = Path(self._scratch.name, "models.config")
        config_file.write_text(config_text(self._models), encoding="utf-8")
        log_path = self._log_path or Path(self._scratch.name, "server.log")
        command = [
            *(sys.executable, "-m", "serving.model_server"),
            *(f"--host={_HOST}", "--port=0", "--rest_api_port=0"),
            f"--model_config_file={config_file}",
            f"--file_system_poll_wait_seconds={self._poll_interval_s}",
            f"--shutdown_grace_seconds={self._shutdown_grace_s}",
            # Labels can be given from the start, and a version that cannot be loaded is told of at once.
            *("--allow_version_labels_for_unavailable_models", "--max_num_load_retries=0"),
            "--stop_when_stdin_closes",
            *self._flags,
        ]
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=_PACKAGE_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        try:
            self._ports = self._read_ports(self._process, log_path)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> int | None:
        """End the server and wait for its end; its exit status, None where it was not running."""
        exit_code = None
        if self._process is not None:
            exit_code = self._end(self._process)
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

    def _read_ports(self, process: subprocess.Popen[bytes], log_path: Path) -> dict[str, int]:
        if process.stdout is None:
            raise AssertionError("the child's stdout is a pipe")
        readable, _, _ = select.select([process.stdout], [], [], self._startup_timeout_s)
        if not readable:
            raise ServingError(
                f"the model server was not ready within {self._startup_timeout_s:g} s; "
                f"allow it more time, or see why in its log, which ends with:\n{_tail(log_path)}"
            )
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            raise ServingError(f"the model server ended with status {code} before it was ready:\n{_tail(log_path)}")
        return json.loads(line)

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        process.terminate()
        try:
            # A little more than the server allows its requests, for it to close its models.
            return process.wait(self._shutdown_grace_s + 10)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
        finally:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _tail(log_path: Path) -> str:
    with log_path.open("rb") as log:
        size_bytes = log.seek(0, os.SEEK_END)
        log.seek(max(0, size_bytes - _LOG_TAIL_CHARS))
        return log.read().decode("utf-8", "replace").strip()
