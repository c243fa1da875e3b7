"""The flags, with TensorFlow Serving's names."""

import argparse
import os
from pathlib import Path

from serving import model_server

_MEBIBYTE = 1024 * 1024
# TensorFlow Serving's own measure.
_THREADS_PER_CPU = 4


def parser() -> argparse.ArgumentParser:
    """The parser of all flags."""
    flags = argparse.ArgumentParser(
        prog="python -m serving.model_server",
        description="Serve SavedModels with TensorFlow Serving's gRPC and REST API. When ready, one JSON line with the "
        "ports and the process id is printed on stdout; logs go to stderr. SIGTERM and SIGINT end it once the requests "
        "under way are answered.",
        epilog=_differences(),
        allow_abbrev=False,
    )
    _add_doors(flags.add_argument_group("where to listen"))
    _add_models(flags.add_argument_group("what to serve"))
    _add_sessions(flags.add_argument_group("how to run"))
    _add_batching(flags.add_argument_group("how to batch"))
    _add_monitoring(flags.add_argument_group("what to show"))
    _add_life(flags.add_argument_group("how to end"))
    return flags


def _differences() -> str:
    """From the stock server, as the package tells them: after its first two paragraphs."""
    return (model_server.__doc__ or "").split("\n\n", 2)[-1]


def _add_doors(flags: argparse._ArgumentGroup) -> None:
    flags.add_argument("--port", type=int, default=8500, help="gRPC port; 0 takes any free one (default %(default)s)")
    flags.add_argument(
        "--rest_api_port",
        type=int,
        default=-1,
        help="REST port; 0 takes any free one, where tensorflow_model_server turns REST off; without it, no REST",
    )
    flags.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on. The default is this machine alone (%(default)s), where tensorflow_model_server "
        "listens to all the world: there is no authentication; say 0.0.0.0 to open it",
    )
    flags.add_argument(
        "--rest_api_max_body_bytes",
        type=int,
        default=256 * _MEBIBYTE,
        help="the longest REST body, before and after decompression (default %(default)s)",
    )
    flags.add_argument(
        "--rest_api_timeout_in_ms",
        type=int,
        default=30_000,
        help="how long a REST request may take; 0 for as long as it likes (default %(default)s)",
    )
    _add_switch(flags, "--rest_api_enable_cors_support", "let pages of other origins read the replies of the REST API")
    flags.add_argument("--grpc_socket_path", default="", help="a Unix socket to listen on as well, for gRPC")
    flags.add_argument(
        "--grpc_channel_arguments",
        type=_channel_arguments,
        default=(),
        help="gRPC's own settings, such as grpc.max_connection_age_ms=2000; commas between them",
    )
    for name in ("--grpc_max_threads", "--rest_api_num_threads"):
        flags.add_argument(
            name,
            type=_thread_count,
            default=_THREADS_PER_CPU * (os.cpu_count() or 1),
            help="how many requests are worked on at once; more wait in line (default %(default)s, four for each CPU)",
        )
    _add_switch(flags, "--enable_grpc_healthcheck_service", "offer the standard gRPC health service")
    _add_switch(
        flags,
        "--enable_serialization_as_tensor_content",
        "send the numbers of Predict's gRPC replies as raw bytes: quicker, and not read by every client",
    )


def _add_models(flags: argparse._ArgumentGroup) -> None:
    flags.add_argument("--model_name", default="default", help="the name of the one model (default %(default)s)")
    flags.add_argument("--model_base_path", type=Path, help="the folder with the one model's numbered version folders")
    flags.add_argument(
        "--model_config_file",
        type=Path,
        help="a ModelServerConfig in text form, for several models; --model_name and --model_base_path are then ignored",
    )
    flags.add_argument(
        "--model_config_file_poll_wait_seconds",
        type=_seconds,
        default=0.0,
        help="how often to read the model config file again; 0 reads it once, at start-up (default %(default)s)",
    )
    flags.add_argument(
        "--file_system_poll_wait_seconds",
        type=_seconds,
        default=1.0,
        help="how often to look for new versions; 0 looks once, at start-up (default %(default)s)",
    )
    flags.add_argument(
        "--max_num_load_retries",
        type=int,
        default=5,
        help="how often to try again to load a version that failed, before giving it up (default %(default)s)",
    )
    flags.add_argument(
        "--load_retry_interval_micros",
        type=int,
        default=60_000_000,
        help="how long to wait before each further attempt; negative for no wait (default %(default)s, a minute)",
    )
    _add_switch(
        flags,
        "--allow_version_labels_for_unavailable_models",
        "let a new label be given to a version that is not available yet; without it no label can be given at start-up",
    )
    _add_switch(
        flags,
        "--enable_model_warmup",
        "run the requests recorded in assets.extra/tf_serving_warmup_requests before a version takes any others; on "
        "unless this is false",
        default=True,
    )
    flags.add_argument(
        "--num_request_iterations_for_warmup",
        type=int,
        default=0,
        help="how often to run each of them; counts only where it is more than 0 (default: once)",
    )


def _add_sessions(flags: argparse._ArgumentGroup) -> None:
    flags.add_argument(
        "--saved_model_tags",
        default="serve",
        help="which of a SavedModel's graphs to load; commas between (default %(default)s)",
    )
    for name, what in (
        ("session", "both of the following, where they are not given"),
        ("intra_op", "threads for one op"),
        ("inter_op", "ops that run at once"),
    ):
        flags.add_argument(
            f"--tensorflow_{name}_parallelism", type=int, default=0, help=f"{what}; 0 leaves it to TensorFlow (the default)"
        )
    flags.add_argument(
        "--per_process_gpu_memory_fraction",
        type=float,
        default=0.0,
        help="the part of an accelerator's memory to take at once; 0 takes it as it is needed (the default)",
    )
    _add_switch(
        flags,
        "--enable_signature_method_name_check",
        "let each signature answer only the call that its method name tells of; TensorFlow 2 writes Predict's for all",
    )


def _add_batching(flags: argparse._ArgumentGroup) -> None:
    _add_switch(flags, "--enable_batching", "run requests that come at the same time together")
    flags.add_argument(
        "--batching_parameters_file", type=Path, help="a BatchingParameters in text form, in place of the defaults"
    )
    _add_switch(
        flags,
        "--enable_per_model_batching_parameters",
        "take the parameters from the file batching_params.pbtxt in each version's folder; of --batching_parameters_file "
        "only the threads count then, and a version without such a file is not batched",
    )


def _add_monitoring(flags: argparse._ArgumentGroup) -> None:
    flags.add_argument(
        "--monitoring_config_file",
        type=Path,
        help="a MonitoringConfig in text form: whether the REST port shows metrics for Prometheus, and where; without it, no",
    )


def _add_life(flags: argparse._ArgumentGroup) -> None:
    flags.add_argument(
        "--shutdown_grace_seconds",
        type=_seconds,
        default=30.0,
        help="how long requests under way may take once the server is asked to end (default %(default)s)",
    )
    flags.add_argument(
        "--stop_when_stdin_closes",
        action="store_true",
        help="end as well when standard input is closed: with a pipe there, the server never outlives its parent",
    )


def _add_switch(flags: argparse._ArgumentGroup, name: str, text: str, *, default: bool = False) -> None:
    """A flag that may be given alone or, as TensorFlow Serving's may be, as ``--flag=true``."""
    flags.add_argument(name, type=_is_on, nargs="?", const=True, default=default, metavar="BOOL", help=text)


def _is_on(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError(f"{text} is neither true nor false")
    return text.lower() in ("true", "1")


def _thread_count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of threads; wanted 1 or more")
    return count


def _channel_arguments(text: str) -> tuple[tuple[str, int | str], ...]:
    """Names and values; what can be read as an integer is one, as in TensorFlow Serving."""
    pairs = [part.partition("=") for part in text.split(",") if part]
    if any(not equals for _, equals, _ in pairs):
        raise argparse.ArgumentTypeError(f"{text} is no list of settings; wanted name=value,name=value")
    return tuple((name, int(value) if value.lstrip("-").isdecimal() else value) for name, _, value in pairs)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time; wanted seconds, 0 or more")
    return seconds
