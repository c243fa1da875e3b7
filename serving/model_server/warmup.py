"""Warm a version up before it takes requests, with the requests that its publisher recorded beside it."""

import logging
from pathlib import Path

from tensorflow.python.lib.io.tf_record import tf_record_iterator
from tensorflow_serving.apis import prediction_log_pb2

from serving.model_server.metrics import Metrics, now_us
from serving.model_server.prediction import find_signature, predict
from serving.model_server.servable import Servable
from serving.model_server.tensor_proto import array_from_proto

WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")

_log = logging.getLogger(__name__)


def warm_up(servable: Servable, folder: Path, metrics: Metrics) -> None:
    """Run each recorded Predict request of the version in ``folder`` once. Raises what any of those raises."""
    warmup_file = folder / WARMUP_FILE
    if not warmup_file.is_file():
        return
    started_us = now_us()
    count = 0
    for record in tf_record_iterator(str(warmup_file)):
        log = prediction_log_pb2.PredictionLog.FromString(record)
        if log.WhichOneof("log_type") != "predict_log":
            _log.warning("%s: a %s record was passed over; only predict_log is run", warmup_file, log.WhichOneof("log_type"))
            continue
        request = log.predict_log.request
        inputs = {alias: array_from_proto(proto) for alias, proto in request.inputs.items()}
        predict(servable, find_signature(servable, request.model_spec.signature_name), inputs, request.output_filter)
        count += 1
    metrics.warmup_latency.add(now_us() - started_us, str(folder), "OK")
    _log.info("%s: %d requests run", warmup_file, count)
