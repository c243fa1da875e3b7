"""The command line: the gateway alone, or with the model server and the store that one machine needs."""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import uvicorn

from components.errors import WinnowError
from components.push.registry import MODELS, Registry
from serving.embedded_store import embedded_store
from serving.gateway.app import create_app
from serving.gateway.service import Gateway
from serving.gateway.settings import GatewaySettings
from serving.inference import ModelClient
from serving.model_server.model_config import ModelConfig
from serving.model_server.process import EmbeddedServer

LOOPBACK = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    flags = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _end)
    try:
        with ExitStack() as stack:
            serve(flags.workdir, flags.port, flags.model_server, flags.store_url, stack)
    except WinnowError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def serve(workdir: Path, port: int, model_server: str | None, store_url: str | None, stack: ExitStack) -> None:
    """Serve the releases of ``workdir``.

    Args:
      model_server: ``host:port`` of TensorFlow Serving's gRPC API; None starts the embedded one.
      store_url: of Valkey or Redis; None starts the embedded one.
    """
    registry = Registry((workdir / "releases").resolve())
    if model_server is None:
        models = [ModelConfig(name, registry.folder / "models" / name) for name in MODELS]
        model_server = stack.enter_context(EmbeddedServer(models, log_path=workdir / "model-server.log")).grpc_target
    if store_url is None:
        store_url = stack.enter_context(embedded_store(workdir / "state"))
    client = stack.enter_context(ModelClient(model_server))
    gateway = Gateway(registry, client, store_url, workdir / "unsent.jsonl", GatewaySettings())
    stack.callback(gateway.close)
    uvicorn.run(create_app(gateway), host=LOOPBACK, port=port, log_level="warning", access_log=False)


def _end(number: int, frame: object) -> None:
    """uvicorn raises the signal that ended it once more; what was started for it is to be ended too."""
    sys.exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving.gateway", description=__doc__)
    parser.add_argument("--workdir", type=Path, required=True, help="where releases, state and logs lie")
    parser.add_argument("--port", type=int, default=8080, help="of the HTTP API, on loopback")
    parser.add_argument("--model_server", help="host:port of a gRPC API; by default an embedded server is started")
    parser.add_argument("--store_url", help="of Valkey or Redis; by default an embedded server is started")
    return parser
