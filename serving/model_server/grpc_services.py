"""TensorFlow Serving's gRPC services over a registry of models."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.model_server.prediction import find_signature, predict
from serving.model_server.registry import ModelRegistry
from serving.model_server.servable import Servable
from serving.model_server.status import StatusError, invalid_argument
from serving.model_server.tensor_proto import array_from_proto, fill_typed

_log = logging.getLogger(__name__)
_SIGNATURE_DEF_FIELD = "signature_def"
# Details travel in trailing metadata, of which a client takes eight kilobytes; TensorFlow's messages can be longer.
_MAX_DETAILS_CHARS = 2000
_RequestT = TypeVar("_RequestT")
_ResponseT = TypeVar("_ResponseT")


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; the other methods answer UNIMPLEMENTED, as the generated base class does."""

    def __init__(self, registry: ModelRegistry[Servable]) -> None:
        self._registry = registry

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, the service's own name
        return _answer(self._predict, request, context)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return _answer(self._metadata, request, context)

    def _predict(self, request: Any) -> Any:
        name, version, label = _chosen_model(request)
        with self._registry.use(name, version, label) as (number, servable):
            signature = find_signature(servable, request.model_spec.signature_name)
            inputs = {alias: _array(alias, proto) for alias, proto in request.inputs.items()}
            outputs = predict(servable, signature, inputs, request.output_filter)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = name
        response.model_spec.signature_name = signature.name
        response.model_spec.version.value = number
        for alias, array in outputs.items():
            fill_typed(response.outputs[alias], array)
        return response

    def _metadata(self, request: Any) -> Any:
        if not request.metadata_field:
            raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != _SIGNATURE_DEF_FIELD:
                raise invalid_argument(f"Metadata field {field} is not supported")
        name, version, label = _chosen_model(request)
        return model_metadata(self._registry, name, version, label)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus."""

    def __init__(self, registry: ModelRegistry[Servable]) -> None:
        self._registry = registry

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return _answer(self._status, request, context)

    def _status(self, request: Any) -> Any:
        # A label is passed over here, as TensorFlow Serving does: the states of all versions are the answer.
        name, version, _ = _chosen_model(request)
        return model_status(self._registry, name, version)


def model_metadata(registry: ModelRegistry[Servable], name: str, version: int | None, label: str | None) -> Any:
    """A GetModelMetadataResponse with the SignatureDefs of a version."""
    with registry.use(name, version, label) as (number, servable):
        signature_defs = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signature_defs)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = name
    response.model_spec.version.value = number
    response.metadata[_SIGNATURE_DEF_FIELD].Pack(signature_defs)
    return response


def model_status(registry: ModelRegistry[Servable], name: str, version: int | None) -> Any:
    """A GetModelStatusResponse with the state of one version, or of all."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for status in registry.status(name, version):
        entry = response.model_version_status.add(version=status.version, state=status.state)
        # Present even where all is well: clients read the code.
        entry.status.SetInParent()
        if status.error is not None:
            entry.status.error_code = status.error.code.value[0]
            entry.status.error_message = status.error.message
    return response


def _answer(method: Callable[[_RequestT], _ResponseT], request: _RequestT, context: grpc.ServicerContext) -> _ResponseT:
    try:
        return method(request)
    except StatusError as error:
        failure = error
    except Exception as error:
        _log.exception("%s failed", method.__name__)
        failure = StatusError(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
    context.abort(failure.code, failure.message[:_MAX_DETAILS_CHARS])
    raise AssertionError("abort raises")


def _chosen_model(request: Any) -> tuple[str, int | None, str | None]:
    """Name, version and label that a request's ModelSpec gives."""
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    spec = request.model_spec
    if not spec.name:
        raise invalid_argument("ModelSpec has no name specified.")
    choice = spec.WhichOneof("version_choice")
    return (
        spec.name,
        spec.version.value if choice == "version" else None,
        spec.version_label if choice == "version_label" else None,
    )


def _array(alias: str, proto: Any) -> Any:
    try:
        return array_from_proto(proto)
    except ValueError as error:
        raise invalid_argument(f"tensor parsing error: {alias}: {error}") from error
