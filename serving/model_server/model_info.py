"""What is told of a model itself: the signatures of a version, and the state of each version."""

from typing import Any

from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from serving.model_server.model_choice import ModelChoice
from serving.model_server.registry import ModelRegistry
from serving.model_server.servable import Servable

SIGNATURE_DEF_FIELD = "signature_def"


def model_metadata(registry: ModelRegistry[Servable], choice: ModelChoice) -> Any:
    """A GetModelMetadataResponse with the SignatureDefs of a version."""
    with registry.use(choice) as (number, servable):
        signature_defs = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signature_defs)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = choice.name
    response.model_spec.version.value = number
    response.metadata[SIGNATURE_DEF_FIELD].Pack(signature_defs)
    return response


def model_status(registry: ModelRegistry[Servable], choice: ModelChoice) -> Any:
    """A GetModelStatusResponse with the state of one version, or of all.

    A label is passed over, as TensorFlow Serving does: the states of all versions are the answer.
    """
    response = get_model_status_pb2.GetModelStatusResponse()
    for status in registry.status(choice.name, choice.version):
        entry = response.model_version_status.add(version=status.version, state=status.state)
        # Present even where all is well: clients read the code.
        entry.status.SetInParent()
        if status.error is not None:
            entry.status.error_code = status.error.code.value[0]
            entry.status.error_message = status.error.message
    return response
