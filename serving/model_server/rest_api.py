"""TensorFlow Serving's REST API as a plain function of a request: no sockets here."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

import grpc
from google.protobuf import json_format
from tensorflow_serving.apis import classification_pb2, get_model_metadata_pb2, regression_pb2

from serving.model_server.classification import classify
from serving.model_server.json_document import parse_object
from serving.model_server.json_examples import classification_json, parse_examples, regression_json
from serving.model_server.json_predict import predict_body, read_inputs, signature_name_of, write_outputs
from serving.model_server.metrics import Metrics
from serving.model_server.model_choice import ModelChoice
from serving.model_server.model_info import SIGNATURE_DEF_FIELD, model_metadata, model_status
from serving.model_server.prediction import predict
from serving.model_server.prometheus import prometheus_page
from serving.model_server.registry import ModelRegistry
from serving.model_server.regression import regress
from serving.model_server.servable import HurriedServable, Servable
from serving.model_server.signature import DEFAULT_SIGNATURE
from serving.model_server.status import StatusError, invalid_argument

_log = logging.getLogger(__name__)

_API_PATH = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)
_CHOICE = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_PATHS = {
    "POST": re.compile(rf"/v1/models/(?P<name>[^/:]+){_CHOICE}:(?P<call>classify|regress|predict)", re.IGNORECASE),
    "GET": re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_CHOICE}(?P<metadata>/metadata)?", re.IGNORECASE),
}
_ORIGIN = re.compile(r"https?://")
_CORS_HEADERS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, GET",
    "access-control-allow-headers": "Content-Type",
}
_MAX_VERSION = 2**63 - 1

_HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
_INTERNAL_ERROR = 500


@dataclass(frozen=True)
class RestOptions:
    """``prometheus_path`` is where the metrics are shown, None for nowhere; ``timeout_s`` bounds each request."""

    timeout_s: float
    max_body_bytes: int
    has_cors: bool = False
    prometheus_path: str | None = None


@dataclass(frozen=True)
class Request:
    """``path`` is as it came: percent-encoded, without the query. ``origin`` is the header, empty if there is none."""

    method: str
    path: str
    body: bytes
    origin: str = ""


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def error_response(error: StatusError) -> Response:
    # Escaped to ASCII: a message may quote bytes of the request that are no UTF-8.
    body = json.dumps({"error": error.message}).encode("ascii")
    return Response(_HTTP_STATUS.get(error.code, _INTERNAL_ERROR), body)


class RestApi:
    """Answers requests from a registry of models; threads may call it side by side."""

    def __init__(self, registry: ModelRegistry[Servable], metrics: Metrics, options: RestOptions) -> None:
        self._registry = registry
        self._metrics = metrics
        self._options = options
        self._calls = {"classify": self._classify, "regress": self._regress, "predict": self._predict}

    def respond(self, request: Request) -> Response:
        """The answer to a request."""
        if request.path == self._options.prometheus_path:
            return Response(200, prometheus_page(self._metrics).encode("utf-8", "replace"), "text/plain")
        if not _API_PATH.fullmatch(request.path):
            return Response(404, b"Not Found", "text/plain")
        try:
            response = Response(200, self._answer(request))
        except StatusError as error:
            response = error_response(error)
        except Exception as error:
            _log.exception("%s %s failed", request.method, request.path)
            response = error_response(StatusError(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"))
        return replace(response, headers=_CORS_HEADERS) if self._options.has_cors else response

    def _answer(self, request: Request) -> bytes:
        method, path, body = request.method, request.path, request.body
        if method == "OPTIONS":
            return _answer_to_preflight(request)
        match = _PATHS[method].fullmatch(path) if method in _PATHS else None
        name = unquote(match["name"] or "") if match else ""
        # The call is spelt as the path spells it; a request for status or metadata is no call, and has no name.
        with self._metrics.request(name, match["call"] if match and method == "POST" else "", "REST"):
            if match is None:
                raise invalid_argument(f"Malformed request: {method} {path}")
            if not name:
                raise invalid_argument("Missing model name in request.")
            choice = _chosen_model(name, match)
            if method == "POST":
                return self._calls[match["call"].lower()](choice, body)
            if match["metadata"]:
                return _metadata_json(model_metadata(self._registry, choice))
            return _json(_to_dict(model_status(self._registry, choice)))

    @contextmanager
    def _use(self, choice: ModelChoice) -> Iterator[Servable]:
        with self._registry.use(choice) as (_, servable):
            yield HurriedServable(servable, self._options.timeout_s) if self._options.timeout_s else servable

    def _predict(self, choice: ModelChoice, body: bytes) -> bytes:
        document = parse_object(body)
        signature_name = signature_name_of(document) or DEFAULT_SIGNATURE
        with self._use(choice) as servable:
            signature = servable.signatures.get(signature_name)
            if signature is None:
                raise invalid_argument(f'Serving signature name: "{signature_name}" not found in signature def')
            request = predict_body(document)
            inputs = read_inputs(request, signature)
            with self._metrics.runtime(choice.name, "Predict"):
                outputs = predict(servable, signature, inputs)
        return write_outputs(outputs, is_row_form=request.is_row_form)

    def _classify(self, choice: ModelChoice, body: bytes) -> bytes:
        request = parse_examples(body)
        result = classification_pb2.ClassificationResult()
        with self._use(choice) as servable, self._metrics.runtime(choice.name, "Classify"):
            classify(servable, request.signature_name, request.examples, result)
        self._metrics.count_examples(choice.name, len(request.examples))
        return classification_json(result)

    def _regress(self, choice: ModelChoice, body: bytes) -> bytes:
        request = parse_examples(body)
        result = regression_pb2.RegressionResult()
        with self._use(choice) as servable, self._metrics.runtime(choice.name, "Regress"):
            regress(servable, request.signature_name, request.examples, result)
        self._metrics.count_examples(choice.name, len(request.examples))
        return regression_json(result)


def _answer_to_preflight(request: Request) -> bytes:
    """What a browser asks before it sends a request to a server of another origin; the headers are the answer."""
    if not _ORIGIN.match(request.origin):
        raise StatusError(grpc.StatusCode.FAILED_PRECONDITION, "Origin header is missing in CORS preflight")
    return b""


def _chosen_model(name: str, match: re.Match[str]) -> ModelChoice:
    version = match["version"]
    if version is not None and (len(version) > len(str(_MAX_VERSION)) or int(version) > _MAX_VERSION):
        raise invalid_argument(f"Failed to convert version: {version} to numeric.")
    label = match["label"]
    return ModelChoice(
        name=name,
        version=None if version is None else int(version),
        label=None if label is None else unquote(label),
    )


def _metadata_json(response: Any) -> bytes:
    signature_defs = get_model_metadata_pb2.SignatureDefMap()
    response.metadata[SIGNATURE_DEF_FIELD].Unpack(signature_defs)
    spec = response.model_spec
    return _json(
        {
            "model_spec": {"name": spec.name, "signature_name": "", "version": str(spec.version.value)},
            "metadata": {"signature_def": _to_dict(signature_defs)},
        }
    )


def _to_dict(message: Any) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False).encode()
