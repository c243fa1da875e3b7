"""JSON values to and from arrays, by TensorFlow Serving's rules for kinds, shapes and base64."""

import base64
import binascii
import itertools
import json
from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np

from serving.model_server.status import StatusError, invalid_argument
from serving.model_server.tensor_proto import TensorType, type_of_array

_KIND_NAMES = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number", type(None): "Null"}
_B64_KEY = "b64"
# numpy's own limit.
_MAX_RANK = 64
_MAX_QUOTED_CHARS = 200


def array_from_json(value: Any, tensor_type: TensorType) -> np.ndarray:
    """The array of a JSON value: a scalar, or lists nested to any shape.

    Raises StatusError where the lists are ragged, or a value is of another kind than the type wants: integers pass for
    floating point numbers, and nothing else passes for anything else. A number too big for the type becomes infinite.
    """
    shape: list[int] = []
    values = [value]
    while values and isinstance(values[0], list):
        if len(shape) == _MAX_RANK:
            raise invalid_argument(f"lists are nested deeper than {_MAX_RANK} levels; a tensor cannot have so many dimensions")
        size = len(values[0])
        for item in values:
            if not isinstance(item, list):
                raise invalid_argument(
                    f"JSON Value: {quoted(item)} found at incorrect level: {len(shape) + 1} in the JSON DOM. "
                    f"Expected at level: {_depth(value)}"
                )
            if len(item) != size:
                raise invalid_argument(
                    f"Encountered list at unexpected size: {len(item)} at level: {len(shape)} expected size: {size}"
                )
        shape.append(size)
        values = list(itertools.chain.from_iterable(values))
    if list in set(map(type, values)):
        raise invalid_argument(f"Encountered list at unexpected level: {len(shape)} expected < {len(shape)}")
    return _flat_array(values, tensor_type).reshape(shape)


def json_from_array(array: np.ndarray, *, as_base64: bool) -> Any:
    """The JSON value of an array: nested lists, or a bare value for a scalar.

    Single precision numbers get six digits where these read back as the same number, and else nine, as in TensorFlow
    Serving. Strings that are not UTF-8 go out as the bytes they are, ``{"b64": …}`` objects where ``as_base64``.
    """
    if array.dtype == object:
        encoded = np.empty(array.size, dtype=object)
        encoded[:] = [_json_from_bytes(value, as_base64=as_base64) for value in array.ravel()]
        return encoded.reshape(array.shape).tolist()
    name = type_of_array(array).name
    if name == "bfloat16":
        array = array.astype(np.float32)
    if array.dtype.kind == "c":
        raise invalid_argument(f"Failed to write JSON value for tensor type: {name}")
    if array.dtype.kind == "f" and array.dtype != np.float64:
        return _decimals(array.astype(np.float32)).tolist()
    return array.tolist()


def is_base64_object(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get(_B64_KEY), str)


def string_bytes(text: str) -> bytes:
    """The bytes of a JSON string. Raises StatusError where it holds half of a surrogate pair."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise invalid_argument(f"JSON Parse error: The surrogate pair in string is invalid: {error.reason}") from error


def base64_bytes(value: dict[str, str]) -> bytes:
    """The bytes of a ``{"b64": …}`` object. Raises StatusError where they are no base64."""
    # Padding may be left out.
    bare = value[_B64_KEY].rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid_argument("Unable to base64 decode") from None


def kind_name(value: Any) -> str:
    """The kind of a JSON value, as TensorFlow Serving's messages call it."""
    return str(value) if isinstance(value, bool) else _KIND_NAMES[type(value)]


def quoted(value: Any) -> str:
    """A JSON value for a message, set out as TensorFlow Serving does, and cut short where it is long."""
    # Values that are cut anyway are not written out in full first: a body may be hundreds of megabytes.
    pieces = json.JSONEncoder(ensure_ascii=False, indent=4).iterencode(value)
    try:
        text = "".join(itertools.islice(pieces, _MAX_QUOTED_CHARS))
    except RecursionError:
        return "(nested too deeply to show)"
    return text if len(text) <= _MAX_QUOTED_CHARS else text[:_MAX_QUOTED_CHARS] + "…"


def _depth(value: Any) -> int:
    """How many lists the first element of all lies in: the rank that the lists promise."""
    depth = 0
    while isinstance(value, list):
        depth += 1
        value = value[0] if value else None
    return depth


def _decimals(array: np.ndarray) -> np.ndarray:
    """float32 to float64: the numbers whose decimals are those of TensorFlow Serving."""
    flat = array.ravel()
    decimals = np.array([float(f"{value:.6g}") for value in flat.tolist()], np.float64)
    with np.errstate(over="ignore"):
        inexact = np.flatnonzero(decimals.astype(np.float32) != flat)
    decimals[inexact] = [float(f"{value:.9g}") for value in flat[inexact].tolist()]
    return decimals.reshape(array.shape)


def _flat_array(values: Sequence[Any], tensor_type: TensorType) -> np.ndarray:
    if tensor_type.is_string:
        strings = np.empty(len(values), dtype=object)
        strings[:] = [_bytes_from_json(value, tensor_type) for value in values]
        return strings
    wanted = _wanted_kinds(tensor_type)
    if wanted is None:
        value = quoted(values[0]) if values else "[]"
        raise StatusError(grpc.StatusCode.UNIMPLEMENTED, f"Conversion of JSON Value: {value} to type: {tensor_type.name}")
    if not set(map(type, values)) <= wanted:
        raise _kind_error(next(value for value in values if type(value) not in wanted), tensor_type)
    try:
        if float in wanted:
            with np.errstate(over="ignore"):
                return np.array(values, np.float64).astype(tensor_type.dtype)
        return np.array(values, tensor_type.dtype)
    except OverflowError:
        raise _kind_error(max(values, key=abs), tensor_type) from None


def _wanted_kinds(tensor_type: TensorType) -> set[type] | None:
    """The Python types of JSON values that a tensor type takes; None for one that JSON has no form of."""
    if tensor_type.name in ("float", "double"):
        return {int, float}
    if tensor_type.dtype.kind in "iu":
        return {int}
    return {bool} if tensor_type.name == "bool" else None


def _kind_error(value: Any, tensor_type: TensorType) -> StatusError:
    return invalid_argument(f"JSON Value: {quoted(value)} Type: {kind_name(value)} is not of expected type: {tensor_type.name}")


def _bytes_from_json(value: Any, tensor_type: TensorType) -> bytes:
    if isinstance(value, str):
        return string_bytes(value)
    if is_base64_object(value):
        return base64_bytes(value)
    if isinstance(value, dict):
        raise invalid_argument(f"JSON Value: {quoted(value)} not formatted correctly for base64 data")
    raise _kind_error(value, tensor_type)


def _json_from_bytes(value: bytes, *, as_base64: bool) -> Any:
    if as_base64:
        return {_B64_KEY: base64.b64encode(value).decode("ascii")}
    return value.decode("utf-8", "surrogateescape")
