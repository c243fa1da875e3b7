"""The command line: the gateway alone, or with the model server and the store that one machine needs."""

import argparse
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from components.config import load_settings
from components.errors import ServingError, WinnowError
from components.push.registry import Registry
from components.schema.trends import STREAM_FOLDER
from serving.child_process import when_stdin_closes
from serving.embedded_store import embedded_store
from serving.gateway.app import create_app
from serving.gateway.http_server import http_server
from serving.gateway.keys import Keys, check_host
from serving.gateway.service import Gateway
from serving.gateway.settings import GatewaySettings
from serving.inference import ModelClient
from serving.kept_running import kept_running
from serving.log_writer.process import embedded_log_writer
from serving.model_server.process import EmbeddedServer
from serving.open_files import allow_all
from serving.store_client import with_password

LOOPBACK = "127.0.0.1"
INTERRUPTED = 130  # as shells say it
# One request's graph is a few hundred small ops: handing them from thread to thread costs more than it wins. Each runs in
# the thread of its request (a negative number says so to TensorFlow); requests run side by side.
SESSION_FLAGS = ("--tensorflow_intra_op_parallelism=1", "--tensorflow_inter_op_parallelism=-1")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit status. Prints one JSON line with the addresses on stdout when ready."""
    flags = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _end)
    if flags.stop_when_stdin_closes:
        when_stdin_closes(lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        with ExitStack() as stack:
            serve(flags, stack)
    except WinnowError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:  # uvicorn raises it once more, when all requests are answered
        return INTERRUPTED
    return 0


def serve(flags: argparse.Namespace, stack: ExitStack) -> None:
    """Serve the releases of a work directory, with what else is needed started beside it."""
    workdir: Path = flags.workdir
    settings = _settings(flags.settings)
    keys = Keys.from_environment(os.environ)
    check_host(flags.host, keys)
    allow_all()
    registry = Registry((workdir / "releases").resolve())
    listening = stack.enter_context(_bound(flags.host, flags.port))
    addresses = {"url": f"http://{_in_url(flags.host)}:{listening.getsockname()[1]}"}
    target, store_url = flags.model_server, flags.store_url
    if target is None:
        server = stack.enter_context(_model_server(registry, flags))
        stack.enter_context(kept_running("model server", lambda: server.running, server.restart))
        target = server.grpc_target
        addresses |= {"rest_url": server.rest_url, "grpc_target": target}
    if store_url is None:
        store_url = stack.enter_context(embedded_store(workdir / "state"))
        stack.enter_context(embedded_log_writer(workdir, store_url, workdir / "log-writer.log"))
    else:
        store_url = with_password(store_url, os.environ)
    client = stack.enter_context(ModelClient(target))
    gateway = Gateway(registry, client, store_url, workdir / "unsent.jsonl", settings, workdir / STREAM_FOLDER)
    stack.callback(gateway.close)
    # What is loaded by now stays for good: half a million objects, through which the collector would go for 0.2 s at a time.
    gc.collect()
    gc.freeze()
    print(json.dumps({**addresses, "release": gateway.version}), flush=True)
    http_server(create_app(gateway, keys, settings.limits), settings.limits).run([listening])


def _model_server(registry: Registry, flags: argparse.Namespace) -> EmbeddedServer:
    version = registry.current()
    if version is None:
        raise ServingError(f"{registry.folder}: holds no release yet; `winnow run` makes one")
    ports = [f"--port={flags.grpc_port}", f"--rest_api_port={flags.rest_api_port}"]
    return EmbeddedServer(
        registry.write_models_file(version), flags=[*SESSION_FLAGS, *ports], log_path=flags.workdir / "model-server.log"
    )


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ServingError(
            f"--host {host} --port {port} cannot be listened on ({error.strerror}); choose others; port 0 is any that is free"
        ) from error


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _settings(file: Path | None) -> GatewaySettings:
    if file is None:
        return GatewaySettings()
    return load_settings(file, GatewaySettings, "a YAML file of the gateway's settings")


def _end(number: int, frame: object) -> None:
    """uvicorn raises the signal that ended it once more; what was started for it is to be ended too."""
    sys.exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving.gateway", description=__doc__)
    parser.add_argument("--workdir", type=Path, required=True, help="where releases, state and logs lie")
    parser.add_argument("--host", default=LOOPBACK, help="where to listen; beyond this machine only with keys")
    parser.add_argument("--port", type=int, default=8080, help="of the HTTP API; 0 takes any that is free")
    parser.add_argument("--grpc_port", type=int, default=0, help="of the embedded model server's gRPC API")
    parser.add_argument("--rest_api_port", type=int, default=0, help="of the embedded model server's REST API")
    parser.add_argument("--model_server", help="host:port of a gRPC API; by default an embedded server is started")
    parser.add_argument("--store_url", help="of Valkey or Redis; by default an embedded server is started, and a log writer")
    parser.add_argument("--settings", type=Path, help="YAML file of what can be set; every key has a default")
    parser.add_argument("--stop_when_stdin_closes", action="store_true", help="end with the process that started it")
    return parser
