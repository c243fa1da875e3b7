"""The part of TensorFlow Serving's protocol that a client speaks, declared without TensorFlow.

``tensorflow_serving.apis`` imports all of TensorFlow for the sake of one proto: seconds, and hundreds of megabytes,
that a gateway has no other use for. So the messages are listed here, in a descriptor pool of their own beside
TensorFlow's; a test holds the two together. Enums are plain int32, which is the same on the wire.
"""

from typing import Any

from serving.model_server.own_protos import PACKAGE, MessageTable, message_classes

_INT64_VALUE = ".google.protobuf.Int64Value"

MESSAGES: MessageTable = {
    "Dim": {"size": (1, "int64"), "name": (2, "string")},
    "TensorShapeProto": {"dim": (2, "*.Dim"), "unknown_rank": (3, "bool")},
    "TensorProto": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, ".TensorShapeProto"),
        "version_number": (3, "int32"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "*float"),
        "double_val": (6, "*double"),
        "int_val": (7, "*int32"),
        "string_val": (8, "*bytes"),
        "scomplex_val": (9, "*float"),
        "int64_val": (10, "*int64"),
        "bool_val": (11, "*bool"),
        "dcomplex_val": (12, "*double"),
        "half_val": (13, "*int32"),
        "uint32_val": (16, "*uint32"),
        "uint64_val": (17, "*uint64"),
    },
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, _INT64_VALUE),
        "signature_name": (3, "string"),
        "version_label": (4, "string"),
    },
    # A map field is a repeated message of a key and a value.
    "NamedTensor": {"key": (1, "string"), "value": (2, ".TensorProto")},
    "PredictRequest": {
        "model_spec": (1, ".ModelSpec"),
        "inputs": (2, "*.NamedTensor"),
        "output_filter": (3, "*string"),
    },
    "PredictResponse": {"outputs": (1, "*.NamedTensor"), "model_spec": (2, ".ModelSpec")},
    "StatusProto": {"error_code": (1, "int32"), "error_message": (2, "string")},
    "ModelVersionStatus": {"version": (1, "int64"), "state": (2, "int32"), "status": (3, ".StatusProto")},
    "GetModelStatusRequest": {"model_spec": (1, ".ModelSpec")},
    "GetModelStatusResponse": {"model_version_status": (1, "*.ModelVersionStatus")},
}

# The states of ModelVersionStatus, by number.
VERSION_STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}

PREDICT_METHOD = f"/{PACKAGE}.PredictionService/Predict"
GET_MODEL_STATUS_METHOD = f"/{PACKAGE}.ModelService/GetModelStatus"


_CLASSES = message_classes("winnow/tensorflow_serving_client.proto", MESSAGES)


def message_class(name: str) -> Any:
    """The class of one of :data:`MESSAGES`."""
    return _CLASSES[name]


TensorProto = message_class("TensorProto")
PredictRequest = message_class("PredictRequest")
PredictResponse = message_class("PredictResponse")
GetModelStatusRequest = message_class("GetModelStatusRequest")
GetModelStatusResponse = message_class("GetModelStatusResponse")
