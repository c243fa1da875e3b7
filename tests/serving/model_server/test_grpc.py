"""The gRPC services of a real server process, asked with TensorFlow Serving's own stubs."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from serving.model_server.process import EmbeddedServer


@pytest.fixture(scope="module")
def apis(saved_models: Any) -> Any:
    """The generated modules, imported only after the fixture that imports TensorFlow."""
    from tensorflow_serving import apis
    from tensorflow_serving.apis import (  # noqa: F401
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    return apis


@pytest.fixture(scope="module")
def channel(server: EmbeddedServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(
        server.grpc_target, options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    ) as opened:
        yield opened


@pytest.fixture
def predict(apis: Any, channel: grpc.Channel) -> Any:
    """Calls Predict with arrays, made protos by TensorFlow itself."""
    import tensorflow as tf

    stub = apis.prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def call(name: str, inputs: dict[str, Any], **spec: Any) -> Any:
        request = apis.predict_pb2.PredictRequest(output_filter=spec.pop("output_filter", ()))
        version = spec.pop("version", None)
        request.model_spec.name = name
        if version is not None:
            request.model_spec.version.value = version
        for key, value in spec.items():
            setattr(request.model_spec, key, value)
        for alias, value in inputs.items():
            proto = value if isinstance(value, tf.make_tensor_proto(0).__class__) else tf.make_tensor_proto(value)
            request.inputs[alias].CopyFrom(proto)
        return stub.Predict(request, timeout=60)

    return call


def refusal(call: Any, *arguments: Any, **options: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    return caught.value.code(), caught.value.details()


FLOATS = np.array([1.0, 2.5], np.float32)


def test_predict_answers_with_typed_fields_and_the_resolved_model(predict: Any) -> None:
    response = predict("affine", {"x": FLOATS})
    assert list(response.outputs["y"].float_val) == [3.0, 6.0]  # version 2: 2x + 1
    assert response.outputs["y"].tensor_content == b""
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("affine", 2, "serving_default")


def test_a_version_is_chosen_by_number_or_label(predict: Any) -> None:
    assert list(predict("affine", {"x": FLOATS}, version=1).outputs["y"].float_val) == [2.0, 3.5]
    labelled = predict("affine", {"x": FLOATS}, version_label="canary")
    assert labelled.model_spec.version.value == 1


def test_inputs_may_come_in_typed_fields_or_as_content(predict: Any) -> None:
    import tensorflow as tf

    typed = tf.make_tensor_proto(0.0)
    typed.Clear()
    typed.dtype = 1
    typed.tensor_shape.dim.add().size = 3
    typed.float_val.append(4.0)  # stands for the whole tensor
    assert list(predict("affine", {"x": typed}).outputs["y"].float_val) == [9.0, 9.0, 9.0]
    assert tf.make_tensor_proto(FLOATS).tensor_content
    assert predict("affine", {"x": FLOATS})


def test_output_filter(predict: Any) -> None:
    response = predict("affine", {"x": FLOATS}, signature_name="twice", output_filter=["b"])
    assert list(response.outputs) == ["b"]
    assert list(response.outputs["b"].float_val) == [-1.0, -2.5]
    assert response.model_spec.signature_name == "twice"


def test_strings_look_up_the_vocabulary_of_the_model(predict: Any) -> None:
    inputs = {
        "item": np.array([b"c", b"nothing"], object),
        "history": np.array([[b"a", b"c"], [b"b", b"b"]], object),
        "age": np.array([10, 20]),
        "weight": np.array([2.0, 1.0], np.float32),
    }
    response = predict("features", inputs)
    assert list(response.outputs["index"].int64_val) == [2, 3]
    assert list(response.outputs["score"].float_val) == [12.0, 21.0]
    assert list(response.outputs["item_bytes"].string_val) == [b"c", b"nothing"]
    assert [dim.size for dim in response.outputs["label"].tensor_shape.dim] == [2]


def test_messages_beyond_the_default_limit(predict: Any) -> None:
    many = np.ones(3_000_000, np.float32)  # 12 MB, three times gRPC's own limit
    assert len(predict("affine", {"x": many}).outputs["y"].float_val) == many.size


@pytest.mark.parametrize(
    ("name", "spec", "code", "details"),
    [
        ("absent", {}, grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(absent)"),
        ("affine", {"version": 9}, grpc.StatusCode.NOT_FOUND, "Servable not found for request: Specific(affine, 9)"),
        (
            "affine",
            {"version_label": "stable"},
            grpc.StatusCode.INVALID_ARGUMENT,
            "Unrecognized servable version label: stable",
        ),
        (
            "affine",
            {"signature_name": "s"},
            grpc.StatusCode.FAILED_PRECONDITION,
            'Serving signature key "s" not found.',
        ),
        (
            "affine",
            {"output_filter": ["z"]},
            grpc.StatusCode.INVALID_ARGUMENT,
            "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
        ),
        (
            "affine",
            {"output_filter": ["y", "y"]},
            grpc.StatusCode.INVALID_ARGUMENT,
            "duplicate output tensor alias: y",
        ),
        ("", {}, grpc.StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified."),
    ],
)
def test_refused_models(predict: Any, name: str, spec: dict[str, Any], code: grpc.StatusCode, details: str) -> None:
    assert refusal(predict, name, {"x": FLOATS}, **spec) == (code, details)


@pytest.mark.parametrize(
    ("inputs", "details"),
    [
        (
            {"x": FLOATS, "z": FLOATS},
            "input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing but required: {}.",
        ),
        (
            {},
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        ),
        ({"x": np.array([1, 2])}, 'input "x" expects float but int64 is provided'),
        ({"x": np.array([b"a"], object)}, 'input "x" expects float but string is provided'),
    ],
)
def test_refused_inputs(predict: Any, inputs: dict[str, Any], details: str) -> None:
    assert refusal(predict, "affine", inputs) == (grpc.StatusCode.INVALID_ARGUMENT, details)


def test_a_shape_that_the_graph_refuses(predict: Any) -> None:
    inputs = {"values": FLOATS, "row_lengths": np.array([[1], [1]])}
    code, details = refusal(predict, "ragged", inputs)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details


def test_a_tensor_whose_bytes_do_not_fit(predict: Any) -> None:
    import tensorflow as tf

    proto = tf.make_tensor_proto(FLOATS)
    proto.tensor_shape.dim[0].size = 3
    assert refusal(predict, "affine", {"x": proto}) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "tensor parsing error: x: tensor_content has 8 bytes; 3 elements of float take 12",
    )


def test_a_request_without_a_model_spec(apis: Any, channel: grpc.Channel) -> None:
    stub = apis.prediction_service_pb2_grpc.PredictionServiceStub(channel)
    missing = (grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")
    assert refusal(stub.Predict, apis.predict_pb2.PredictRequest()) == missing
    status = apis.model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus
    assert refusal(status, apis.get_model_status_pb2.GetModelStatusRequest()) == missing
    assert refusal(stub.GetModelMetadata, apis.get_model_metadata_pb2.GetModelMetadataRequest()) == missing
    nameless = apis.get_model_status_pb2.GetModelStatusRequest()
    nameless.model_spec.SetInParent()
    assert refusal(status, nameless) == (grpc.StatusCode.NOT_FOUND, "Could not find any versions of model ")


def test_metadata(apis: Any, channel: grpc.Channel) -> None:
    stub = apis.prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = apis.get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "affine"
    assert refusal(stub.GetModelMetadata, request) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "GetModelMetadataRequest must specify at least one metadata_field",
    )
    request.metadata_field.append("signature_def")
    response = stub.GetModelMetadata(request)
    signature_defs = apis.get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signature_defs)
    assert response.model_spec.version.value == 2
    assert {"serving_default", "twice"} <= set(signature_defs.signature_def)
    request.metadata_field.append("graph")
    assert refusal(stub.GetModelMetadata, request) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "Metadata field graph is not supported",
    )


def test_status(apis: Any, channel: grpc.Channel) -> None:
    stub = apis.model_service_pb2_grpc.ModelServiceStub(channel)
    request = apis.get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "affine"
    statuses = stub.GetModelStatus(request).model_version_status
    assert [(status.version, status.state, status.status.error_code) for status in statuses] == [(2, 30, 0), (1, 30, 0)]
    request.model_spec.version.value = 9
    assert refusal(stub.GetModelStatus, request) == (
        grpc.StatusCode.NOT_FOUND,
        "Could not find version 9 of model affine",
    )
