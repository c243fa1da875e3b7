"""TensorFlow Serving's gRPC ModelService over a registry of models."""

from typing import Any

import grpc
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

from serving.model_server.grpc_answer import answer
from serving.model_server.metrics import Metrics
from serving.model_server.model_choice import ModelChoice
from serving.model_server.model_config import models_from_proto
from serving.model_server.model_info import model_status
from serving.model_server.registry import ModelRegistry
from serving.model_server.servable import Servable
from serving.model_server.status import invalid_argument


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus and HandleReloadConfigRequest."""

    def __init__(self, registry: ModelRegistry[Servable], metrics: Metrics) -> None:
        self._registry = registry
        self._metrics = metrics

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, the service's own name
        return answer(self._status, request, context)

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return answer(self._reload, request, context)

    def _status(self, request: Any) -> Any:
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        spec = request.model_spec
        # An empty name is the name of no model here, and no error of its own.
        return model_status(self._registry, ModelChoice(spec.name, spec.version.value if spec.HasField("version") else None))

    def _reload(self, request: Any) -> Any:
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid_argument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
            )
        # The counters that the request names, each once, as they are before.
        before = {name: self._metrics.counter_value(name) for name in request.metric_names}
        self._registry.reconfigure(models_from_proto(request.config))
        response = model_management_pb2.ReloadConfigResponse()
        for name, value in before.items():
            response.metric.add(name=name, int64_value_increase=self._metrics.counter_value(name) - value)
        # Present, and empty as it is: clients read the code.
        response.status.SetInParent()
        return response
