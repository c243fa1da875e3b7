"""TensorFlow Serving's gRPC ModelService over a registry of models."""

from typing import Any

import grpc
from tensorflow_serving.apis import model_service_pb2_grpc

from serving.model_server.grpc_answer import answer
from serving.model_server.model_choice import ModelChoice
from serving.model_server.model_info import model_status
from serving.model_server.registry import ModelRegistry
from serving.model_server.servable import Servable


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus."""

    def __init__(self, registry: ModelRegistry[Servable]) -> None:
        self._registry = registry

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, the service's own name
        return answer(self._status, request, context)

    def _status(self, request: Any) -> Any:
        return model_status(self._registry, ModelChoice.from_request(request))
