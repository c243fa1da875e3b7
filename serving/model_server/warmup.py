"""Warm a version up before it takes requests, with the requests that its publisher recorded beside it."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tensorflow.python.framework.errors_impl import DataLossError
from tensorflow.python.lib.io.tf_record import tf_record_iterator
from tensorflow_serving.apis import classification_pb2, inference_pb2, prediction_log_pb2, regression_pb2

from serving.model_server.classification import classify
from serving.model_server.examples import serialized_examples
from serving.model_server.metrics import Metrics, now_us
from serving.model_server.multi_inference import infer
from serving.model_server.prediction import find_signature, predict
from serving.model_server.regression import regress
from serving.model_server.servable import Servable
from serving.model_server.status import StatusError, invalid_argument
from serving.model_server.tensor_proto import array_from_proto

WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
_MAX_RECORDS = 1000

_log = logging.getLogger(__name__)


def warm_up(servable: Servable, folder: Path, metrics: Metrics, iterations: int = 1) -> None:
    """Run each recorded request of the version in ``folder``, ``iterations`` times.

    Raises StatusError where a request fails, or where the file holds something else, or too much.
    """
    warmup_file = folder / WARMUP_FILE
    if not warmup_file.is_file():
        return
    started_us = now_us()
    count = 0
    for count, log in enumerate(_records(warmup_file), 1):
        for _ in range(iterations):
            _run(servable, log)
        if count > _MAX_RECORDS:
            raise invalid_argument(f"Number of warmup records exceeds the maximum ({_MAX_RECORDS}) at {warmup_file}")
    metrics.warmup_latency.add(now_us() - started_us, str(folder), "OK")
    _log.info("%s: %d requests run", warmup_file, count)


def _records(warmup_file: Path) -> Iterator[Any]:
    try:
        for record in tf_record_iterator(str(warmup_file)):
            yield prediction_log_pb2.PredictionLog.FromString(record)
    except DataLossError as error:
        raise StatusError(
            grpc.StatusCode.DATA_LOSS, f"{error.message}. Please verify your warmup data is in TFRecord format."
        ) from error
    except DecodeError as error:
        raise invalid_argument(f"Failed to parse warmup record: {error} from {warmup_file}") from error


def _run(servable: Servable, log: Any) -> None:
    """Run the request of a PredictionLog, whatever call it was for; the reply goes nowhere."""
    match log.WhichOneof("log_type"):
        case "predict_log":
            request = log.predict_log.request
            inputs = {alias: array_from_proto(proto) for alias, proto in request.inputs.items()}
            predict(servable, find_signature(servable, request.model_spec.signature_name), inputs, request.output_filter)
        case "classify_log":
            request = log.classify_log.request
            examples = serialized_examples(request.input)
            classify(servable, request.model_spec.signature_name, examples, classification_pb2.ClassificationResult())
        case "regress_log":
            request = log.regress_log.request
            examples = serialized_examples(request.input)
            regress(servable, request.model_spec.signature_name, examples, regression_pb2.RegressionResult())
        case "multi_inference_log":
            request = log.multi_inference_log.request
            examples = serialized_examples(request.input)
            infer(servable, 0, request.tasks, examples, inference_pb2.MultiInferenceResponse())
        case "session_run_log":
            number = prediction_log_pb2.PredictionLog.SESSION_RUN_LOG_FIELD_NUMBER
            raise StatusError(grpc.StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")
