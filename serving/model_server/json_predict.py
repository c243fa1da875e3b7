"""The JSON bodies of a Predict call: row form (``instances``) and column form (``inputs``), and their replies."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from serving.model_server.json_tensors import array_from_json, is_base64_object, json_from_array, quoted
from serving.model_server.signature import Signature, TensorSlot
from serving.model_server.status import StatusError, invalid_argument
from serving.model_server.tensor_proto import TensorType, type_of_number

_BYTES_SUFFIX = "_bytes"


@dataclass(frozen=True)
class PredictBody:
    """The values of a request body, by rows or by columns, not yet read."""

    is_row_form: bool
    values: Any


def signature_name_of(document: Mapping[str, Any]) -> str:
    """The signature that a body asks for; empty for the default. Raises StatusError INVALID_ARGUMENT."""
    signature_name = document.get("signature_name", "")
    if not isinstance(signature_name, str):
        raise invalid_argument(
            f"JSON Value: {quoted(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return signature_name


def predict_body(document: Mapping[str, Any]) -> PredictBody:
    """The values of a Predict body. Raises StatusError INVALID_ARGUMENT where it has none, or too many."""
    if "instances" in document and "inputs" in document:
        raise invalid_argument(
            f"JSON Value: {quoted(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist "
        )
    if "inputs" in document:
        return PredictBody(is_row_form=False, values=document["inputs"])
    if "instances" not in document:
        raise invalid_argument("Missing 'inputs' or 'instances' key")
    instances = document["instances"]
    if not isinstance(instances, list):
        # The slip of the pen is TensorFlow Serving's, and so its clients know the message.
        raise invalid_argument(f"JSON Value: {quoted(document)} Excepting 'instances' to be an list/array")
    if not instances:
        raise invalid_argument(f"JSON Value: {quoted(document)} No values in 'instances' array")
    return PredictBody(is_row_form=True, values=instances)


def read_inputs(body: PredictBody, signature: Signature) -> dict[str, np.ndarray]:
    """The arrays of a body, by input alias. Raises StatusError where the values do not fit the signature."""
    types = {alias: _tensor_type(alias, slot) for alias, slot in signature.inputs.items()}
    if not types:
        raise invalid_argument(f"Failed to get input map for signature: {signature.name}")
    return _from_rows(body.values, types) if body.is_row_form else _from_columns(body.values, types)


def write_outputs(outputs: Mapping[str, np.ndarray], *, is_row_form: bool) -> bytes:
    """The reply body for ``outputs``, in the form of the request. Raises StatusError where they do not make rows."""
    key = "predictions" if is_row_form else "outputs"
    value = _rows(outputs) if is_row_form else _unwrapped(_columns(outputs))
    return f'{{\n    "{key}": {json.dumps(value, ensure_ascii=False)}\n}}'.encode("utf-8", "surrogateescape")


def _tensor_type(alias: str, slot: TensorSlot) -> TensorType:
    tensor_type = type_of_number(slot.type_number)
    if tensor_type is None:
        raise StatusError(
            grpc.StatusCode.UNIMPLEMENTED, f"input {alias} has DataType {slot.type_number}, which JSON has no form of"
        )
    return tensor_type


def _from_columns(values: Any, types: Mapping[str, TensorType]) -> dict[str, np.ndarray]:
    if not isinstance(values, dict) or is_base64_object(values):
        if len(types) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map"
            )
        [(alias, tensor_type)] = types.items()
        return {alias: array_from_json(values, tensor_type)}
    missing = next((alias for alias in types if alias not in values), None)
    if missing is not None:
        raise invalid_argument(f"Missing named input: {missing} in 'inputs' object.")
    return {alias: array_from_json(values[alias], tensor_type) for alias, tensor_type in types.items()}


def _from_rows(rows: list[Any], types: Mapping[str, TensorType]) -> dict[str, np.ndarray]:
    are_objects = _is_named_row(rows[0])
    if not are_objects and len(types) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map"
        )
    for index, row in enumerate(rows):
        if are_objects and not _is_named_row(row):
            raise invalid_argument(f"Expecting object but got list at item {index} of input list")
        if not are_objects and _is_named_row(row):
            raise invalid_argument(f"Expecting value/list but got object at item {index} of input list")
        if are_objects and row.keys() != types.keys():
            raise _row_keys_error(index, row, types)
    if are_objects:
        return {
            alias: _from_column_of_rows([row[alias] for row in rows], tensor_type, f" key: {alias}")
            for alias, tensor_type in types.items()
        }
    [(alias, tensor_type)] = types.items()
    return {alias: _from_column_of_rows(rows, tensor_type, "")}


def _is_named_row(row: Any) -> bool:
    return isinstance(row, dict) and not is_base64_object(row)


def _row_keys_error(index: int, row: dict[str, Any], types: Mapping[str, TensorType]) -> StatusError:
    extra = next((key for key in row if key not in types), None)
    if extra is not None:
        return invalid_argument(
            f"Failed to process element: {index} key: {extra} of 'instances' list. "
            f"Error: INVALID_ARGUMENT: JSON object: does not have named input: {extra}"
        )
    return invalid_argument(
        f"Failed to process element: {index} of 'instances' list. "
        f"JSON object: {quoted(row)} keys must be equal to: {','.join(types)}"
    )


def _from_column_of_rows(values: list[Any], tensor_type: TensorType, where: str) -> np.ndarray:
    """All rows of one input as one array. Where that fails they are read one by one, to name the row that is wrong."""
    try:
        return array_from_json(values, tensor_type)
    except StatusError as whole_error:
        first_shape: tuple[int, ...] | None = None
        for index, value in enumerate(values):
            prefix = f"Failed to process element: {index}{where} of 'instances' list. Error:"
            try:
                shape = array_from_json(value, tensor_type).shape
            except StatusError as error:
                raise StatusError(error.code, f"{prefix} {error.code.name}: {error.message}") from None
            if first_shape is not None and shape != first_shape:
                raise invalid_argument(
                    f"{prefix} INVALID_ARGUMENT: Expecting shape {list(first_shape)} but got: {list(shape)}"
                ) from None
            first_shape = shape
        raise whole_error


def _columns(outputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {alias: json_from_array(array, as_base64=alias.endswith(_BYTES_SUFFIX)) for alias, array in outputs.items()}


def _unwrapped(columns: dict[str, Any]) -> Any:
    """The one column by itself, or all of them by name."""
    return next(iter(columns.values())) if len(columns) == 1 else columns


def _rows(outputs: Mapping[str, np.ndarray]) -> list[Any]:
    batch_size: int | None = None
    for alias, array in outputs.items():
        if not array.ndim:
            raise invalid_argument(f"Tensor name: {alias} has no shape information ")
        if batch_size is not None and len(array) != batch_size:
            raise invalid_argument(f"Tensor name: {alias} has inconsistent batch size: {len(array)} expecting: {batch_size}")
        batch_size = len(array)
    columns = _columns(outputs)
    if len(columns) == 1:
        return _unwrapped(columns)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
