"""Classify: a signature with ``inputs`` (Examples) and ``classes`` or ``scores`` or both, as labelled scores."""

from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np

from serving.model_server.servable import Servable
from serving.model_server.signature import CLASSIFY_METHOD, Signature, find_named_signature
from serving.model_server.status import StatusError, invalid_argument
from serving.model_server.tensor_proto import data_type_name, shape_text

_INPUTS = "inputs"
_CLASSES = "classes"
_SCORES = "scores"


def classify(servable: Servable, signature_name: str, examples: np.ndarray, result: Any) -> None:
    """Fill a ClassificationResult: for each Example its classes, each with a label, a score or both.

    Args:
      examples: shape [num_examples], serialised Examples.

    Raises:
      StatusError: there is no such signature, it is none of a classifier, or the model's answer is none.
    """
    signature = find_named_signature(servable.signatures, signature_name)
    input_name, output_names = classification_tensors(signature)
    arrays = servable.run({input_name: examples}, output_names)
    fill_classifications(signature, len(examples), dict(zip(output_names, arrays, strict=True)), result)


def classification_tensors(signature: Signature) -> tuple[str, list[str]]:
    """The names of the input tensor and of the output tensors. Raises StatusError where this is no classifier.

    Unless that is asked for, the signature's method name is not looked at: TensorFlow 2 writes Predict's for all.
    """
    signature.check_method("classification", CLASSIFY_METHOD)
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid_argument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if _INPUTS not in signature.inputs:
        raise StatusError(
            grpc.StatusCode.FAILED_PRECONDITION, f"No classification inputs found in SignatureDef: {signature.proto}"
        )
    outputs = [signature.outputs[alias].tensor_name for alias in (_CLASSES, _SCORES) if alias in signature.outputs]
    if not outputs:
        raise StatusError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f'Expected classification signature outputs to contain at least one of "{_CLASSES}" or "{_SCORES}". '
            f"Signature was: {signature.proto}",
        )
    return signature.inputs[_INPUTS].tensor_name, outputs


def fill_classifications(signature: Signature, num_examples: int, arrays: Mapping[str, np.ndarray], result: Any) -> None:
    """Fill a ClassificationResult from the tensors of :func:`classification_tensors`, by name.

    Both tensors have the shape [num_examples, num_classes]; StatusError where one has not.
    """
    classes = _checked(signature, _CLASSES, "DT_STRING", num_examples, arrays)
    scores = _checked(signature, _SCORES, "DT_FLOAT", num_examples, arrays)
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise invalid_argument(
            f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    labels = None if classes is None else classes.tolist()
    numbers = None if scores is None else scores.tolist()
    for row in range(num_examples):
        classifications = result.classifications.add()
        for column in range(len((labels or numbers or [])[row])):
            entry = classifications.classes.add()
            if labels is not None:
                entry.label = _label(labels[row][column])
            if numbers is not None:
                entry.score = numbers[row][column]


def _checked(
    signature: Signature, alias: str, wanted_type: str, num_examples: int, arrays: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    if alias not in signature.outputs:
        return None
    array = arrays[signature.outputs[alias].tensor_name]
    if array.ndim != 2:
        raise invalid_argument(f"Expected Tensor shape: [batch_size num_classes] but got {shape_text(array)}")
    if data_type_name(array) != wanted_type:
        raise invalid_argument(f"Expected {alias} Tensor of {wanted_type}. Got: {data_type_name(array)}")
    if len(array) != num_examples:
        raise invalid_argument(f"Expected {alias} output batch size of {num_examples}. Got: {len(array)}")
    return array


def _label(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise StatusError(
            grpc.StatusCode.INTERNAL, f"the label {value!r} is not UTF-8, which is all that a Classify reply can carry"
        ) from None
