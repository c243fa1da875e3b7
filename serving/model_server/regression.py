"""Regress: a signature with ``inputs`` (Examples) and ``outputs`` (one number for each)."""

from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np

from serving.model_server.servable import Servable
from serving.model_server.signature import REGRESS_METHOD, Signature, find_named_signature
from serving.model_server.status import StatusError, invalid_argument
from serving.model_server.tensor_proto import data_type_name, shape_text

_INPUTS = "inputs"
_OUTPUTS = "outputs"


def regress(servable: Servable, signature_name: str, examples: np.ndarray, result: Any) -> None:
    """Fill a RegressionResult with a value for each Example.

    Args:
      examples: shape [num_examples], serialised Examples.

    Raises:
      StatusError: there is no such signature, it is none of a regressor, or the model's answer is none.
    """
    signature = find_named_signature(servable.signatures, signature_name)
    input_name, output_names = regression_tensors(signature)
    arrays = servable.run({input_name: examples}, output_names)
    fill_regressions(signature, len(examples), dict(zip(output_names, arrays, strict=True)), result)


def regression_tensors(signature: Signature) -> tuple[str, list[str]]:
    """The names of the input tensor and of the output tensor. Raises StatusError where this is no regressor."""
    signature.check_method("regression", REGRESS_METHOD)
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid_argument("Expected one output Tensor.")
    for alias, slots in ((_INPUTS, signature.inputs), (_OUTPUTS, signature.outputs)):
        if alias not in slots:
            raise StatusError(
                grpc.StatusCode.FAILED_PRECONDITION, f"No regression {alias} found in SignatureDef: {signature.proto}"
            )
    return signature.inputs[_INPUTS].tensor_name, [signature.outputs[_OUTPUTS].tensor_name]


def fill_regressions(signature: Signature, num_examples: int, arrays: Mapping[str, np.ndarray], result: Any) -> None:
    """Fill a RegressionResult from the tensor of :func:`regression_tensors`: shape [num_examples] or [num_examples, 1]."""
    array = arrays[signature.outputs[_OUTPUTS].tensor_name]
    if array.ndim != 1 and not (array.ndim == 2 and array.shape[1] == 1):
        raise invalid_argument(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {shape_text(array)}"
        )
    if len(array) != num_examples:
        raise invalid_argument(f"Input batch size did not match output batch size: {num_examples} vs. {len(array)}")
    if data_type_name(array) != "DT_FLOAT":
        # Two spaces, as in the message of TensorFlow Serving.
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT.  Got: {data_type_name(array)}")
    for value in array.ravel().tolist():
        result.regressions.add().value = value
