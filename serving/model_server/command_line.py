"""The command line, with TensorFlow Serving's flag names. TensorFlow is imported only once all of it is right."""

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from components.errors import ServingError
from serving.model_server.lean_tensorflow import enter_lean_tensorflow
from serving.model_server.model_config import ModelConfig, check_base_paths, read_config_file

_MEBIBYTE = 1024 * 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit status. Prints one JSON line with the ports on stdout when ready."""
    flags = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        unanswered_count = _serve(flags)
    except ServingError as error:
        print(f"model server: {error}", file=sys.stderr)
        return error.exit_code
    if unanswered_count:
        print(
            f"model server: {unanswered_count} requests were not answered within {flags.shutdown_grace_seconds:g} s of "
            "the end and are dropped; allow them more with --shutdown_grace_seconds",
            file=sys.stderr,
            flush=True,
        )
        # An orderly exit would wait for the threads that still run those requests, for ever perhaps.
        os._exit(ServingError.exit_code)
    return 0


def _serve(flags: argparse.Namespace) -> int:
    """How many requests were still unanswered when the grace period was over."""
    stop_wanted = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_wanted.set())
    if flags.stop_when_stdin_closes:
        threading.Thread(target=_stop_when_stdin_closes, args=(stop_wanted,), daemon=True).start()
    models = _models(flags)
    check_base_paths(models)

    enter_lean_tensorflow()
    from serving.model_server.server import ModelServer, ServerOptions

    server = ModelServer(
        models,
        ServerOptions(
            host=flags.host,
            grpc_port=flags.port,
            rest_port=flags.rest_api_port if flags.rest_api_port >= 0 else None,
            poll_interval_s=flags.file_system_poll_wait_seconds,
            rest_max_body_bytes=flags.rest_api_max_body_bytes,
            shutdown_grace_s=flags.shutdown_grace_seconds,
        ),
    )
    try:
        server.start()
        ports = {"grpc_port": server.grpc_port, "rest_api_port": server.rest_port, "pid": os.getpid()}
        print(json.dumps(ports), flush=True)
        stop_wanted.wait()
    except BaseException:
        server.stop()
        raise
    return server.stop()


def _stop_when_stdin_closes(stop_wanted: threading.Event) -> None:
    # Not sys.stdin: a thread that waits within its lock when the interpreter ends would bring the process down.
    while os.read(0, 4096):
        pass
    stop_wanted.set()


def _models(flags: argparse.Namespace) -> tuple[ModelConfig, ...]:
    if flags.model_config_file is not None:
        if flags.model_base_path is not None:
            raise ServingError("--model_config_file and --model_base_path are both given; one of the two says what to serve")
        return read_config_file(flags.model_config_file)
    if flags.model_base_path is None:
        raise ServingError("no model is given; wanted --model_base_path DIR (with --model_name), or --model_config_file FILE")
    return (ModelConfig(flags.model_name, flags.model_base_path.resolve()),)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.model_server",
        description="Serve SavedModels with TensorFlow Serving's gRPC and REST API. When ready, one JSON line with the "
        "ports and the process id is printed on stdout; logs go to stderr. SIGTERM and SIGINT end it once the requests "
        "under way are answered.",
        allow_abbrev=False,
    )
    parser.add_argument("--port", type=int, default=8500, help="gRPC port; 0 takes any free one (default %(default)s)")
    parser.add_argument(
        "--rest_api_port",
        type=int,
        default=-1,
        help="REST port; 0 takes any free one, where tensorflow_model_server turns REST off; without it, no REST",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on. The default is this machine alone (%(default)s), where tensorflow_model_server "
        "listens to all the world: there is no authentication; say 0.0.0.0 to open it",
    )
    parser.add_argument("--model_name", default="default", help="the name of the one model (default %(default)s)")
    parser.add_argument("--model_base_path", type=Path, help="the folder with the one model's numbered version folders")
    parser.add_argument("--model_config_file", type=Path, help="a ModelServerConfig in text form, for several models")
    parser.add_argument(
        "--file_system_poll_wait_seconds",
        type=_seconds,
        default=1.0,
        help="how often to look for new versions; 0 looks once, at start-up (default %(default)s)",
    )
    parser.add_argument(
        "--rest_api_max_body_bytes",
        type=int,
        default=256 * _MEBIBYTE,
        help="the longest REST body, before and after decompression (default %(default)s)",
    )
    parser.add_argument(
        "--shutdown_grace_seconds",
        type=_seconds,
        default=30.0,
        help="how long requests under way may take once the server is asked to end (default %(default)s)",
    )
    parser.add_argument(
        "--stop_when_stdin_closes",
        action="store_true",
        help="end as well when standard input is closed: with a pipe there, the server never outlives its parent",
    )
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time; wanted seconds, 0 or more")
    return seconds
