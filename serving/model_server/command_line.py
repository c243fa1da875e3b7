"""The command line, with TensorFlow Serving's flag names. TensorFlow is imported only once all of it is right."""

import argparse
import gc
import json
import logging
import os
import sys
from collections.abc import Sequence

from components.errors import ServingError
from serving.ending import ending_by_order
from serving.model_server.batching_parameters import BatchingParameters, read_batching_parameters
from serving.model_server.flags import parser
from serving.model_server.lean_tensorflow import enter_lean_tensorflow
from serving.model_server.model_config import ModelConfig, check_base_paths, read_config_file
from serving.model_server.monitoring_config import read_prometheus_path


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit status. Prints one JSON line with the ports on stdout when ready."""
    flags = parser().parse_args(arguments)
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
    ending = ending_by_order(flags.stop_when_stdin_closes)
    models = _models(flags)
    check_base_paths(models)
    prometheus_path = None if flags.monitoring_config_file is None else read_prometheus_path(flags.monitoring_config_file)
    batching = _batching(flags)

    enter_lean_tensorflow()
    from serving.model_server.grpc_server import GrpcOptions
    from serving.model_server.registry import LoadRetries
    from serving.model_server.rest_api import RestOptions
    from serving.model_server.saved_model import SessionOptions
    from serving.model_server.server import ModelServer, ServerOptions
    from serving.model_server.version_labels import LabelPolicy

    server = ModelServer(
        models,
        ServerOptions(
            grpc=GrpcOptions(
                host=flags.host,
                port=flags.port,
                max_threads=flags.grpc_max_threads,
                socket_path=flags.grpc_socket_path or None,
                channel_arguments=flags.grpc_channel_arguments,
                has_health_service=flags.enable_grpc_healthcheck_service,
                as_tensor_content=flags.enable_serialization_as_tensor_content,
            ),
            rest=RestOptions(
                timeout_s=max(0, flags.rest_api_timeout_in_ms) / 1000,
                max_body_bytes=flags.rest_api_max_body_bytes,
                has_cors=flags.rest_api_enable_cors_support,
                prometheus_path=prometheus_path,
            ),
            rest_port=flags.rest_api_port if flags.rest_api_port >= 0 else None,
            rest_threads=flags.rest_api_num_threads,
            poll_interval_s=flags.file_system_poll_wait_seconds,
            shutdown_grace_s=flags.shutdown_grace_seconds,
            label_policy=(
                LabelPolicy.NEW_LABELS if flags.allow_version_labels_for_unavailable_models else LabelPolicy.AVAILABLE_ONLY
            ),
            load_retries=LoadRetries(flags.max_num_load_retries, max(0, flags.load_retry_interval_micros) / 1e6),
            config_file=flags.model_config_file,
            config_poll_interval_s=flags.model_config_file_poll_wait_seconds,
            batching=batching,
            is_batching_per_model=flags.enable_per_model_batching_parameters,
            warmup_iterations=max(1, flags.num_request_iterations_for_warmup) if flags.enable_model_warmup else 0,
            session=SessionOptions(
                tags=tuple(flags.saved_model_tags.split(",")),
                intra_op_threads=flags.tensorflow_intra_op_parallelism or flags.tensorflow_session_parallelism,
                inter_op_threads=flags.tensorflow_inter_op_parallelism or flags.tensorflow_session_parallelism,
                gpu_memory_fraction=flags.per_process_gpu_memory_fraction,
                has_checked_methods=flags.enable_signature_method_name_check,
            ),
        ),
    )
    try:
        server.start()
        gc.collect()
        gc.freeze()  # TensorFlow's objects stay for good; the collector would hold up requests for 0.1 s at a time over them
        ports = {"grpc_port": server.grpc_port, "rest_api_port": server.rest_port, "pid": os.getpid()}
        print(json.dumps(ports), flush=True)
        ending.wait()
    except BaseException:
        server.stop()
        raise
    return server.stop()


def _models(flags: argparse.Namespace) -> tuple[ModelConfig, ...]:
    if flags.model_config_file is not None:
        return read_config_file(flags.model_config_file)
    if flags.model_base_path is None:
        raise ServingError("no model is given; wanted --model_base_path DIR (with --model_name), or --model_config_file FILE")
    return (ModelConfig(flags.model_name, flags.model_base_path.resolve()),)


def _batching(flags: argparse.Namespace) -> BatchingParameters | None:
    if not flags.enable_batching:
        if flags.batching_parameters_file is not None:
            raise ServingError("--batching_parameters_file is set without setting --enable_batching to true")
        return None
    if flags.batching_parameters_file is None:
        return BatchingParameters(thread_pool_name="model_server_batch_threads")
    return read_batching_parameters(flags.batching_parameters_file)
