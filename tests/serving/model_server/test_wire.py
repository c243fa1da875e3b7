"""The client's own messages beside TensorFlow Serving's: whatever is declared must be the same on the wire."""

from typing import Any

import pytest

from serving.model_server import wire


@pytest.fixture(scope="module")
def originals(saved_models: Any) -> dict[str, Any]:
    """Descriptors of the generated modules, imported only after the fixture that imports TensorFlow."""
    from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2
    from tensorflow_serving.apis import get_model_status_pb2, model_pb2, predict_pb2, status_pb2

    classes = {
        "Dim": tensor_shape_pb2.TensorShapeProto.Dim,
        "TensorShapeProto": tensor_shape_pb2.TensorShapeProto,
        "TensorProto": tensor_pb2.TensorProto,
        "ModelSpec": model_pb2.ModelSpec,
        "PredictRequest": predict_pb2.PredictRequest,
        "PredictResponse": predict_pb2.PredictResponse,
        "StatusProto": status_pb2.StatusProto,
        "ModelVersionStatus": get_model_status_pb2.ModelVersionStatus,
        "GetModelStatusRequest": get_model_status_pb2.GetModelStatusRequest,
        "GetModelStatusResponse": get_model_status_pb2.GetModelStatusResponse,
    }
    descriptors = {name: message_class.DESCRIPTOR for name, message_class in classes.items()}
    descriptors["NamedTensor"] = predict_pb2.PredictRequest.InputsEntry.DESCRIPTOR
    return descriptors


@pytest.mark.parametrize("name", sorted(wire.MESSAGES))
def test_fields_have_the_numbers_and_types_of_the_original(originals: dict[str, Any], name: str) -> None:
    ours = wire.message_class(name).DESCRIPTOR
    theirs = originals[name]
    for field in ours.fields:
        original = theirs.fields_by_name[field.name]
        their_type = field.TYPE_INT32 if original.type == field.TYPE_ENUM else original.type
        assert (field.number, field.type, field.is_repeated, field.is_packed) == (
            original.number,
            their_type,
            original.is_repeated,
            original.is_packed,
        ), field.name


def test_version_states_are_those_of_the_original(saved_models: Any) -> None:
    from tensorflow_serving.apis import get_model_status_pb2

    states = get_model_status_pb2.ModelVersionStatus.State
    assert {number: name for name, number in states.items()} == wire.VERSION_STATES
