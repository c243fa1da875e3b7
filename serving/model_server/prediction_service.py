"""TensorFlow Serving's gRPC PredictionService over a registry of models."""

from collections.abc import Callable
from typing import Any

import grpc
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from serving.model_server.classification import classify
from serving.model_server.examples import serialized_examples
from serving.model_server.grpc_answer import answer
from serving.model_server.metrics import Metrics
from serving.model_server.model_choice import ModelChoice
from serving.model_server.model_info import SIGNATURE_DEF_FIELD, model_metadata
from serving.model_server.multi_inference import infer
from serving.model_server.prediction import find_signature, predict
from serving.model_server.registry import ModelRegistry
from serving.model_server.regression import regress
from serving.model_server.servable import Servable
from serving.model_server.signature import DEFAULT_SIGNATURE
from serving.model_server.status import invalid_argument
from serving.model_server.tensor_proto import array_from_proto, fill_content, fill_typed


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict, Classify, Regress, MultiInference and GetModelMetadata."""

    def __init__(self, registry: ModelRegistry[Servable], metrics: Metrics, *, as_tensor_content: bool = False) -> None:
        """With ``as_tensor_content``, the tensors of Predict's replies are raw bytes, which not every client reads."""
        self._registry = registry
        self._metrics = metrics
        self._fill = fill_content if as_tensor_content else fill_typed

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, the service's own name
        return answer(self._measured("Predict", self._predict), request, context)

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return answer(self._measured("Classify", self._classify), request, context)

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return answer(self._measured("Regress", self._regress), request, context)

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return answer(self._multi_inference, request, context)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return answer(self._metadata, request, context)

    def _measured(self, api: str, method: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def measured(request: Any) -> Any:
            with self._metrics.request(request.model_spec.name, api, "GRPC"):
                return method(request)

        return measured

    def _predict(self, request: Any) -> Any:
        choice = ModelChoice.from_request(request)
        with self._registry.use(choice) as (number, servable):
            signature = find_signature(servable, request.model_spec.signature_name)
            inputs = {alias: _array(alias, proto) for alias, proto in request.inputs.items()}
            with self._metrics.runtime(choice.name, "Predict"):
                outputs = predict(servable, signature, inputs, request.output_filter)
        response = predict_pb2.PredictResponse()
        _fill_spec(response.model_spec, choice, number, signature.name)
        for alias, array in outputs.items():
            self._fill(response.outputs[alias], array)
        return response

    def _classify(self, request: Any) -> Any:
        choice = ModelChoice.from_request(request)
        response = classification_pb2.ClassificationResponse()
        with self._registry.use(choice) as (number, servable):
            signature_name, examples = request.model_spec.signature_name, serialized_examples(request.input)
            with self._metrics.runtime(choice.name, "Classify"):
                classify(servable, signature_name, examples, response.result)
        self._metrics.count_examples(choice.name, len(examples))
        _fill_spec(response.model_spec, choice, number, signature_name)
        return response

    def _regress(self, request: Any) -> Any:
        choice = ModelChoice.from_request(request)
        response = regression_pb2.RegressionResponse()
        with self._registry.use(choice) as (number, servable):
            signature_name, examples = request.model_spec.signature_name, serialized_examples(request.input)
            with self._metrics.runtime(choice.name, "Regress"):
                regress(servable, signature_name, examples, response.result)
        self._metrics.count_examples(choice.name, len(examples))
        _fill_spec(response.model_spec, choice, number, signature_name)
        return response

    def _multi_inference(self, request: Any) -> Any:
        if not request.tasks:
            raise invalid_argument("ModelSpec has no name specified.")
        response = inference_pb2.MultiInferenceResponse()
        # The version that the first task asks for answers them all.
        choice = ModelChoice.from_spec(request.tasks[0].model_spec)
        with self._registry.use(choice) as (number, servable):
            examples = serialized_examples(request.input)
            infer(servable, number, request.tasks, examples, response)
        self._metrics.count_examples(choice.name, len(examples))
        return response

    def _metadata(self, request: Any) -> Any:
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        if not request.metadata_field:
            raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != SIGNATURE_DEF_FIELD:
                raise invalid_argument(f"Metadata field {field} is not supported")
        return model_metadata(self._registry, ModelChoice.from_request(request))


def _fill_spec(spec: Any, choice: ModelChoice, number: int, signature_name: str) -> None:
    spec.name = choice.name
    spec.signature_name = signature_name or DEFAULT_SIGNATURE
    spec.version.value = number


def _array(alias: str, proto: Any) -> Any:
    try:
        return array_from_proto(proto)
    except ValueError as error:
        raise invalid_argument(f"tensor parsing error: {alias}: {error}") from error
