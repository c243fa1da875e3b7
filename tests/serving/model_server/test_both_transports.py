"""The same calls over REST and over gRPC: the same values, and codes that TensorFlow Serving takes for the same."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from google.protobuf import json_format

from serving.model_server.process import EmbeddedServer

HTTP_STATUS = {"OK": 200, "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "NOT_FOUND": 404}  # http_server.cc
FLOATS = np.array([1.0, 2.5, -0.1], np.float32)
WORDS = np.array(["", "plain", "Ünïcode ✓".encode()], object)
TWO_ROWS = {
    "item": np.array([b"a", b"?"], object),
    "history": np.array([[b"a", b"c"], [b"c", b"c"]], object),
    "age": np.array([10, 20]),
    "weight": np.array([2.0, 0.5], np.float32),
}


@dataclass(frozen=True)
class Call:
    """Attributes: examples: of classify and regress, each the value of its feature x; outputs: the only ones wanted."""

    name: str
    model: str
    version: int | None = None
    label: str = ""
    signature: str = ""
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    examples: Sequence[float] = ()
    outputs: Sequence[str] = ()

    def __str__(self) -> str:
        shown = (self.name, self.model, self.version, self.label, self.signature, *self.outputs)
        return "-".join(str(part) for part in shown if part)


def predict(model: str, inputs: Mapping[str, np.ndarray], **choice: Any) -> Call:
    return Call("predict", model, inputs=inputs, **choice)


def echo(kind: str, values: Any, dtype: Any = None) -> Call:
    return predict("kinds", {"value": np.array(values, dtype or kind)}, signature=kind)


ANSWERED = [
    *(echo(kind, [[0, 1, 2], [3, 4, np.iinfo(kind).max]]) for kind in ("int8", "int16", "int32", "int64")),
    *(echo(kind, [0, 1, np.iinfo(kind).max]) for kind in ("uint8", "uint16", "uint32", "uint64")),
    *(echo(kind, np.iinfo(kind).min) for kind in ("int8", "int16", "int32", "int64")),
    *(echo(kind, [0.1, -0.0, 2 / 3, 1e-30, np.nan, np.inf, -np.inf]) for kind in ("float32", "float64")),
    *(echo("float32", np.zeros(shape)) for shape in ((), (0,), (2, 0), (1, 1, 1), (2, 3, 4))),
    echo("float64", 5e-324),
    echo("bool", [[True], [False]]),
    echo("string", WORDS, object),
    predict("affine", {"x": FLOATS}),
    predict("affine", {"x": FLOATS}, version=1),
    predict("affine", {"x": FLOATS}, label="canary"),
    predict("affine", {"x": FLOATS}, signature="twice"),
    predict("affine", {"x": FLOATS}, signature="twice", outputs=["b"]),
    predict("features", TWO_ROWS),
    predict("features", TWO_ROWS, outputs=["score", "item_bytes"]),
    predict("scalar", {"x": FLOATS}),
    predict("ragged", {"values": FLOATS, "row_lengths": np.array([1, 2])}),
    Call("classify", "judge", examples=[2.0, 0.1, np.nan, np.inf]),
    Call("classify", "judge", version=7, signature="scores", examples=[2.0]),
    Call("classify", "judge", signature="classes", examples=[2.0]),
    Call("regress", "judge", signature="regress", examples=[2 / 3, -np.inf]),
    Call("regress", "half", signature="regress_x_to_y", examples=[1.0]),
    Call("status", "affine"),
    Call("status", "affine", version=1),
    Call("status", "affine", label="canary"),  # passed over
    Call("metadata", "affine"),
    Call("metadata", "affine", version=1),
    Call("metadata", "affine", label="canary"),
]
REFUSED = [
    *((Call(name, "absent", examples=[1.0]), "NOT_FOUND") for name in ("predict", "classify", "regress", "status", "metadata")),
    *((Call(name, "affine", version=9, examples=[1.0]), "NOT_FOUND") for name in ("predict", "regress", "status", "metadata")),
    *((Call(name, "affine", label="no", examples=[1.0]), "INVALID_ARGUMENT") for name in ("predict", "classify", "metadata")),
    (predict("affine", {"x": FLOATS}, signature="no"), "FAILED_PRECONDITION"),
    (Call("classify", "judge", signature="no", examples=[1.0]), "INVALID_ARGUMENT"),
    (Call("regress", "judge", signature="other_output", examples=[1.0]), "FAILED_PRECONDITION"),
    (Call("regress", "judge", signature="first_outputs", examples=[1.0, 2.0]), "INVALID_ARGUMENT"),
    (Call("regress", "judge", signature="regress"), "INVALID_ARGUMENT"),  # no example
    (predict("features", {"item": TWO_ROWS["item"]}), "INVALID_ARGUMENT"),
    (predict("affine", {"x": WORDS}), "INVALID_ARGUMENT"),
    (predict("kinds", {"value": FLOATS}, signature="int64"), "INVALID_ARGUMENT"),
    (predict("kinds", {"value": np.array([1])}, signature="bool"), "INVALID_ARGUMENT"),
    (predict("ragged", {"values": FLOATS, "row_lengths": np.array([1, 7])}), "INVALID_ARGUMENT"),
    (predict("ragged", {"values": FLOATS, "row_lengths": np.array([[1], [2]])}), "INVALID_ARGUMENT"),
]


@dataclass(frozen=True)
class Grpc:
    """TensorFlow Serving's own messages and stubs."""

    channel: grpc.Channel

    def answer(self, call: Call) -> tuple[str, Any]:
        """The code, and the reply or the message."""
        from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

        service = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        status = model_service_pb2_grpc.ModelServiceStub(self.channel).GetModelStatus
        methods = {
            "predict": service.Predict, "classify": service.Classify, "regress": service.Regress, "status": status,
            "metadata": service.GetModelMetadata,
        }  # fmt: skip
        try:
            return "OK", methods[call.name](self._request(call), timeout=60)
        except grpc.RpcError as error:
            return error.code().name, error.details()

    def _request(self, call: Call) -> Any:
        import tensorflow as tf
        from tensorflow_serving.apis import (
            classification_pb2,
            get_model_metadata_pb2,
            get_model_status_pb2,
            predict_pb2,
            regression_pb2,
        )

        request = {
            "predict": predict_pb2.PredictRequest, "classify": classification_pb2.ClassificationRequest,
            "regress": regression_pb2.RegressionRequest, "status": get_model_status_pb2.GetModelStatusRequest,
            "metadata": get_model_metadata_pb2.GetModelMetadataRequest,
        }[call.name]()  # fmt: skip
        request.model_spec.name, request.model_spec.signature_name = call.model, call.signature
        if call.version is not None:
            request.model_spec.version.value = call.version
        elif call.label:
            request.model_spec.version_label = call.label
        if call.name == "predict":
            request.output_filter.extend(call.outputs)
            for alias, array in call.inputs.items():
                request.inputs[alias].CopyFrom(tf.make_tensor_proto(array))
        elif call.name == "metadata":
            request.metadata_field.append("signature_def")
        elif call.name != "status":
            for x in call.examples:
                request.input.example_list.examples.add().features.feature["x"].float_list.value.append(x)
        return request


@pytest.fixture(scope="module")
def over_grpc(saved_models: Any, server: EmbeddedServer) -> Iterator[Grpc]:
    with grpc.insecure_channel(server.grpc_target) as channel:
        yield Grpc(channel)


def over_rest(server: EmbeddedServer, call: Call) -> tuple[int, Any]:
    """The status, and the document."""
    choice = f"/labels/{call.label}" if call.label else "" if call.version is None else f"/versions/{call.version}"
    path = f"{server.rest_url}/v1/models/{call.model}{choice}"
    if call.name in ("status", "metadata"):
        reply = httpx.get(path + ("/metadata" if call.name == "metadata" else ""), timeout=60)
    else:
        inputs = {alias: array.tolist() for alias, array in call.inputs.items()}
        values = {"inputs": inputs} if call.name == "predict" else {"examples": [{"x": x} for x in call.examples]}
        body = json.dumps({"signature_name": call.signature, **values}, default=as_base64)
        reply = httpx.post(f"{path}:{call.name}", content=body, timeout=60)
    return reply.status_code, reply.json()


def as_base64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}


@pytest.mark.parametrize("call", ANSWERED, ids=str)
def test_what_both_answer(server: EmbeddedServer, over_grpc: Grpc, call: Call) -> None:
    code, reply = over_grpc.answer(call)
    status, document = over_rest(server, call)
    assert (code, status) == ("OK", 200), (reply, document)
    compare = {"predict": same_outputs, "classify": same_classes, "regress": same_values, "status": same_status}
    compare.get(call.name, same_metadata)(reply, document)


@pytest.mark.parametrize(("call", "code"), REFUSED, ids=str)
def test_what_both_refuse(server: EmbeddedServer, over_grpc: Grpc, call: Call, code: str) -> None:
    found, message = over_grpc.answer(call)
    status, document = over_rest(server, call)
    assert (found, status) == (code, HTTP_STATUS[code]), (message, document)
    assert list(document) == ["error"]


def same_outputs(reply: Any, document: dict[str, Any]) -> None:
    """REST gives all outputs, and one by itself without its name."""
    import tensorflow as tf

    given = document["outputs"]
    named = given if isinstance(given, dict) else dict.fromkeys(reply.outputs, given)
    assert reply.outputs
    for alias, proto in reply.outputs.items():
        array = tf.make_ndarray(proto)
        if array.dtype == object:
            encode = as_base64 if alias.endswith("_bytes") else bytes.decode
            assert named[alias] == [encode(value) for value in array]
        else:
            np.testing.assert_array_equal(np.array(named[alias], array.dtype), array, strict=True)


def same_classes(reply: Any, document: dict[str, Any]) -> None:
    rows = [[(each.label, each.score) for each in row.classes] for row in reply.result.classifications]
    found = [[(label, float(np.float32(score))) for label, score in row] for row in document["results"]]
    np.testing.assert_equal(found, rows)


def same_values(reply: Any, document: dict[str, Any]) -> None:
    assert [float(np.float32(value)) for value in document["results"]] == [each.value for each in reply.result.regressions]


def same_status(reply: Any, document: dict[str, Any]) -> None:
    assert json_format.ParseDict(document, type(reply)()) == reply


def same_metadata(reply: Any, document: dict[str, Any]) -> None:
    from tensorflow_serving.apis import get_model_metadata_pb2

    signatures = get_model_metadata_pb2.SignatureDefMap()
    reply.metadata["signature_def"].Unpack(signatures)
    assert json_format.ParseDict(document["metadata"]["signature_def"], type(signatures)()) == signatures
    spec = document["model_spec"]
    assert (spec["name"], int(spec["version"])) == (reply.model_spec.name, reply.model_spec.version.value)
