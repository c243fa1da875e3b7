"""The JSON bodies of Classify and Regress calls, and their replies."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2, feature_pb2
from tensorflow_serving.apis import input_pb2

from serving.model_server.examples import serialized_examples
from serving.model_server.json_document import parse_object
from serving.model_server.json_predict import signature_name_of
from serving.model_server.json_tensors import base64_bytes, is_base64_object, json_from_array, kind_name, quoted, string_bytes
from serving.model_server.status import StatusError, invalid_argument

_CONTEXT = "context"
_EXAMPLES = "examples"
_KIND_TEXT = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}
_MAX_INT64 = 2**63 - 1
_MAX_UINT64 = 2**64 - 1


@dataclass(frozen=True)
class ExamplesBody:
    """A parsed request body: the signature asked for (empty for the default) and the Examples, serialised."""

    signature_name: str
    examples: np.ndarray


def parse_examples(body: bytes) -> ExamplesBody:
    """The body of a Classify or a Regress call. Raises StatusError INVALID_ARGUMENT."""
    document = parse_object(body)
    signature_name = signature_name_of(document)
    model_input = input_pb2.Input()
    added = model_input.example_list
    if _CONTEXT in document:
        added = model_input.example_list_with_context
        _fill_example(added.context, document[_CONTEXT])
    examples = _examples(document)
    for value in examples:
        _fill_example(added.examples.add(), value)
    return ExamplesBody(signature_name, serialized_examples(model_input))


def classification_json(result: Any) -> bytes:
    """The reply body of a ClassificationResult: a list of ``[label, score]`` for each Example."""
    return _results_json(
        [
            [[entry.label, _shortest(entry.score)] for entry in classifications.classes]
            for classifications in result.classifications
        ]
    )


def regression_json(result: Any) -> bytes:
    """The reply body of a RegressionResult: a number for each Example."""
    return _results_json([_shortest(regression.value) for regression in result.regressions])


def _examples(document: dict[str, Any]) -> list[Any]:
    if _EXAMPLES not in document:
        raise invalid_argument(
            # The same words for Regress, in TensorFlow Serving too.
            f"JSON Value: {quoted(document)} When method is classify, key '{_EXAMPLES}' is expected and was not found"
        )
    examples = document[_EXAMPLES]
    if not isinstance(examples, list):
        raise invalid_argument(f"JSON Value: {quoted(document)} Expecting '{_EXAMPLES}' value to be an list/array")
    if not examples:
        raise invalid_argument(f"JSON Value: {quoted(document)} '{_EXAMPLES}' value is an empty array")
    return examples


def _fill_example(example: example_pb2.Example, value: Any) -> None:
    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {kind_name(value)}")
    for name, content in value.items():
        feature = example.features.feature[name]
        for item in content if isinstance(content, list) else [content]:
            _add_value(feature, name, item)


def _add_value(feature: feature_pb2.Feature, name: str, value: Any) -> None:
    """Append one JSON value to a feature; the first one settles the feature's kind."""
    match value:
        case bool():
            _list_of(feature, name, "int64_list").append(int(value))
        case int() if abs(value) <= _MAX_INT64 or value == -_MAX_INT64 - 1:
            _list_of(feature, name, "int64_list").append(value)
        case int() if 0 < value <= _MAX_UINT64:
            raise invalid_argument(f"Feature: {name} has uint64 element. Only int64 is supported.")
        case float() | int():
            with np.errstate(over="ignore"):
                _list_of(feature, name, "float_list").append(float(np.float32(value)))
        case str():
            _list_of(feature, name, "bytes_list").append(string_bytes(value))
        case _ if is_base64_object(value):
            _list_of(feature, name, "bytes_list").append(base64_bytes(value))
        case _:
            raise invalid_argument(f"Feature: {name} has element with unexpected JSON type: {kind_name(value)}")


def _list_of(feature: feature_pb2.Feature, name: str, wanted: str) -> Any:
    found = feature.WhichOneof("kind")
    if found not in (None, wanted):
        raise _mixed_kinds(name, found)
    return getattr(feature, wanted).value


def _mixed_kinds(name: str, found: str) -> StatusError:
    return invalid_argument(f"Unexpected element type in feature: {name} expecting type: {_KIND_TEXT[found]}")


def _shortest(value: float) -> float:
    return json_from_array(np.asarray(value, np.float32), as_base64=False)


def _results_json(results: list[Any]) -> bytes:
    return f'{{\n    "results": {json.dumps(results, ensure_ascii=False)}\n}}'.encode("utf-8", "surrogateescape")
